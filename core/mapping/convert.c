#include "core/mapping/convert.h"

#include "core/base/num.h"

#include <string.h>

static enum err_code keep(struct arena *a, struct str text, struct str *out, struct err *e)
{
    *out = arena_copy(a, text);
    return out->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a value");
}

static enum err_code to_text(struct str in, struct str *out, struct err *e)
{
    if (rrn_inside(in)) {
        return ERR(e, ERR_REFUSED, 0, "holds a resident registration number");
    }
    *out = in;
    return ERR_NONE;
}

/* True when the rule has dealt with a value that is less exact than wanted. */
static bool left_out(const struct convert_rules *rules, struct str *out)
{
    *out = (struct str){NULL, 0};
    return rules->partial == PARTIAL_LEAVE_OUT;
}

static enum err_code parse_time(const struct convert_rules *rules, struct str in,
                                struct hl7_time *out, struct err *e)
{
    struct hl7_time about;
    struct sheet_hints hints = {.year = rules->year};
    if (!rules->sheet) {
        return hl7_time_parse(in, out, e);
    }
    if (rules->about.n && sheet_time_parse(rules->about, &hints, &about, NULL) == ERR_NONE) {
        hints.about = &about;
    }
    return sheet_time_parse(in, &hints, out, e);
}

static enum err_code to_date(const struct convert_rules *rules, struct arena *a, struct str in,
                             struct str *out, struct err *e)
{
    struct hl7_time t;
    enum err_code rc = parse_time(rules, in, &t, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    if (rules->as == CONVERT_MONTH && t.precision >= PRECISION_MONTH) {
        t.precision = PRECISION_DAY;
        t.at.day = 1;
    }
    if (t.precision < PRECISION_DAY && rules->partial != PARTIAL_START) {
        return left_out(rules, out) ? ERR_NONE : ERR(e, ERR_VALUE, 0, "is a date without its day");
    }
    char text[CLOCK_TEXT];
    return keep(a, str_of(day_text(day_of(t.at.year, t.at.month, t.at.day), text)), out, e);
}

static enum err_code to_time(const struct convert_rules *rules, struct arena *a, struct str in,
                             struct str *out, struct err *e)
{
    struct hl7_time t;
    enum err_code rc = parse_time(rules, in, &t, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    if (t.precision < PRECISION_HOUR && rules->partial != PARTIAL_START) {
        return left_out(rules, out) ? ERR_NONE
               : rules->sheet
                   ? ERR(e, ERR_VALUE, 0,
                         "is a date without a time of day, and no column that is known gives one")
                   : ERR(e, ERR_VALUE, 0, "is a date without a time of day");
    }
    char text[CLOCK_TEXT];
    return keep(a, str_of(clock_text(hl7_time_instant(&t, rules), text)), out, e);
}

/* Digits with thousands commas and a fraction of nothing but zeros: 35,000.00 → 35000. */
static enum err_code to_whole(struct arena *a, struct str in, bool commas, struct str *out,
                              int64_t *number, struct err *e)
{
    char *to = arena_alloc(a, in.n + 1);
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a value");
    }
    size_t n = 0, i = 0;
    for (; i < in.n && in.p[i] != '.'; i++) {
        if (!(commas && in.p[i] == ',' && n > 0)) {
            to[n++] = in.p[i];
        }
    }
    for (i++; i < in.n; i++) {
        if (in.p[i] != '0') {
            return ERR(e, ERR_VALUE, i, "is not a whole number");
        }
    }
    int64_t value;
    const int64_t limit = 1000000000000000;
    if (num_i64((struct str){to, n}, -limit, limit, &value, NULL) != ERR_NONE) {
        return ERR(e, ERR_VALUE, 0, "is not a whole number");
    }
    *number = value;
    char text[NUM_TEXT];
    return keep(a, num_text(value, 1, text), out, e);
}

static enum err_code put_number(struct arena *a, int64_t value, struct str *out, struct err *e)
{
    char *text = arena_printf(a, "%lld", (long long)value);
    *out = str_of(text);
    return text ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a value");
}

static enum err_code to_amount(const struct convert_rules *rules, struct arena *a, struct str in,
                               struct str *out, struct err *e)
{
    int64_t value;
    bool man = rules->as == CONVERT_KRW_MAN;
    enum err_code rc = rules->sheet || man ? sheet_amount(in, man, &value, e)
                                           : to_whole(a, in, true, out, &value, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    if (rules->as == CONVERT_KRW_MINUS) {
        *out = value < 0 ? STR("true") : STR("false");
        return ERR_NONE;
    }
    return put_number(a, value < 0 && rules->as == CONVERT_KRW_SIZE ? -value : value, out, e);
}

static enum err_code from_sheet_minutes(struct arena *a, struct str in, struct str *out,
                                        struct err *e)
{
    int64_t value;
    enum err_code rc = sheet_minutes(in, &value, e);
    return rc == ERR_NONE ? put_number(a, value, out, e) : rc;
}

struct unit {
    const char *name;
    int multiply, divide;
};

static const struct unit minute_units[] = {
    {"", 1, 1},        {"m", 1, 1},       {"min", 1, 1},      {"mins", 1, 1}, {"minute", 1, 1},
    {"minutes", 1, 1}, {"분", 1, 1},      {"h", 60, 1},       {"hr", 60, 1},  {"hrs", 60, 1},
    {"hour", 60, 1},   {"hours", 60, 1},  {"시간", 60, 1},    {"s", 1, 60},   {"sec", 1, 60},
    {"secs", 1, 60},   {"second", 1, 60}, {"seconds", 1, 60}, {"초", 1, 60},
};

/* No months: L1 is not a number of days. */
static const struct unit day_units[] = {
    {"d", 1, 1},    {"day", 1, 1}, {"days", 1, 1},  {"일", 1, 1}, {"w", 7, 1},
    {"week", 7, 1}, {"wk", 7, 1},  {"weeks", 7, 1}, {"주", 7, 1},
};

struct measure {
    const struct unit *units;
    size_t count;
    const char *letters; /* that may stand before the number: HL7's own notation */
    const char *no_unit, *bad_unit, *not_whole;
};
static const struct measure minutes_measure = {
    minute_units,
    sizeof minute_units / sizeof minute_units[0],
    "MHSmhs",
    "has no unit: M30, H1 or S900",
    "has a unit that is neither minutes, hours nor seconds",
    "is not a whole number of minutes"};
static const struct measure days_measure = {day_units,
                                            sizeof day_units / sizeof day_units[0],
                                            "DWdw",
                                            "has no unit: D7 or W2",
                                            "has a unit that is neither days nor weeks",
                                            "is not a whole number of days"};

/* A number with its unit elsewhere (AIS-8, SCH-10, TQ1-6.2), or HL7's own M30, H1, S900, D7. */
static enum err_code to_measure(const struct measure *m, const struct convert_rules *rules,
                                struct arena *a, struct str in, struct str *out, struct err *e)
{
    struct str name = str_trim(rules->unit);
    if (in.n > 1 && str_find(str_of(m->letters), in.p[0], 0) < str_of(m->letters).n) {
        name = str_cut(in, 0, 1);
        in = str_cut(in, 1, in.n);
    } else if (!rules->has_unit) {
        return ERR(e, ERR_VALUE, 0, "%s", m->no_unit);
    }
    const struct unit *unit = NULL;
    for (size_t i = 0; i < m->count && !unit; i++) {
        unit = str_same(name, str_of(m->units[i].name)) ? &m->units[i] : NULL;
    }
    if (!unit) {
        return ERR(e, ERR_VALUE, 0, "%s", m->bad_unit);
    }
    int64_t value;
    struct str whole;
    enum err_code rc = to_whole(a, in, false, &whole, &value, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    value *= unit->multiply;
    if (value < 0 || value % unit->divide) {
        return ERR(e, ERR_VALUE, 0, "%s", m->not_whole);
    }
    char text[NUM_TEXT];
    return keep(a, num_text(value / unit->divide, 1, text), out, e);
}

static enum err_code to_bool(const struct convert_rules *rules, struct str in, struct str *out,
                             struct err *e)
{
    bool value;
    static const char *const yes[] = {"y", "yes", "true", "t", "1"};
    static const char *const no[] = {"n", "no", "false", "f", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (str_same(in, str_of(yes[i]))) {
            *out = STR("true");
            return ERR_NONE;
        }
        if (str_same(in, str_of(no[i]))) {
            *out = STR("false");
            return ERR_NONE;
        }
    }
    if (rules->sheet && sheet_bool(in, &value)) {
        *out = value ? STR("true") : STR("false");
        return ERR_NONE;
    }
    return ERR(e, ERR_VALUE, 0, "is neither yes nor no");
}

static enum err_code to_phone(const struct convert_rules *rules, struct arena *a, struct str in,
                              struct str *out, struct err *e)
{
    /* what the catalogue calls them */
    static const char *const use[] = {
        [PHONE_UNKNOWN] = NULL,  [PHONE_MOBILE] = "mobile",   [PHONE_FIXED] = NULL,
        [PHONE_INTERNET] = NULL, [PHONE_PERSONAL] = "mobile", [PHONE_REPRESENTATIVE] = "work",
        [PHONE_FOREIGN] = NULL,
    };
    char text[PHONE_TEXT];
    enum phone_kind kind = phone_parse(in, text);
    *out = (struct str){NULL, 0};
    if (rules->as == CONVERT_PHONE_VALID) {
        *out = kind != PHONE_UNKNOWN && kind != PHONE_REPRESENTATIVE ? STR("true") : STR("false");
        return ERR_NONE;
    }
    if (rules->as == CONVERT_PHONE_USE) {
        *out = use[kind] ? str_of(use[kind]) : *out;
        return ERR_NONE;
    }
    bool mobile = kind == PHONE_MOBILE || kind == PHONE_PERSONAL;
    bool wanted = rules->as == CONVERT_PHONE || (rules->as == CONVERT_PHONE_MOBILE) == mobile;
    return kind == PHONE_UNKNOWN || !wanted ? ERR_NONE : keep(a, str_of(text), out, e);
}

static enum err_code from_rrn(const struct convert_rules *rules, struct arena *a, struct str in,
                              struct str *out, struct err *e)
{
    struct rrn r;
    if (!rrn_is(in, &r) && !rrn_masked(in, &r)) {
        return ERR(e, ERR_VALUE, 0, "is not a resident registration number");
    }
    if (rules->as == CONVERT_RRN_SEX) {
        *out = r.sex == 'M' ? STR("male") : STR("female");
        return ERR_NONE;
    }
    char text[CLOCK_TEXT];
    return keep(a, str_of(day_text(day_of(r.year, r.month, r.day), text)), out, e);
}

enum err_code convert(const struct convert_rules *rules, struct arena *a, struct str in,
                      struct str *out, struct err *e)
{
    int64_t number;
    switch (rules->as) {
    case CONVERT_TEXT:
    case CONVERT_ID:
    case CONVERT_NAME:
    case CONVERT_ADDRESS:
        return to_text(in, out, e);
    case CONVERT_DATE:
    case CONVERT_MONTH:
        return to_date(rules, a, in, out, e);
    case CONVERT_TIME:
        return to_time(rules, a, in, out, e);
    case CONVERT_INT:
        return to_whole(a, rules->sheet ? sheet_count(in) : in, rules->sheet, out, &number, e);
    case CONVERT_KRW:
    case CONVERT_KRW_MAN:
    case CONVERT_KRW_SIZE:
    case CONVERT_KRW_MINUS:
        return to_amount(rules, a, in, out, e);
    case CONVERT_MINUTES:
        if (rules->sheet && !rules->has_unit) {
            return from_sheet_minutes(a, in, out, e);
        }
        return to_measure(&minutes_measure, rules, a, in, out, e);
    case CONVERT_DAYS:
        return to_measure(&days_measure, rules, a, in, out, e);
    case CONVERT_BOOL:
        return to_bool(rules, in, out, e);
    case CONVERT_PHONE:
    case CONVERT_PHONE_MOBILE:
    case CONVERT_PHONE_FIXED:
    case CONVERT_PHONE_USE:
    case CONVERT_PHONE_VALID:
        return to_phone(rules, a, in, out, e);
    case CONVERT_RRN_BIRTH:
    case CONVERT_RRN_SEX:
        return from_rrn(rules, a, in, out, e);
    case CONVERT_KEY:
    case CONVERT_PATIENT:
        break; /* made with the site's keys: run.c */
    }
    return ERR(e, ERR_BUG, 0, "conversion needs the site's keys");
}
