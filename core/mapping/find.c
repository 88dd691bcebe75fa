#include "core/mapping/find.h"

#include <string.h>

enum err_code find_place(const struct run *r, const struct record_path *path,
                         const struct record_scope *scope, struct err *e)
{
    char place[RECORD_PLACE];
    return err_at(e, "%s", record_place(r->record, path, scope, place));
}

const struct record_scope *find_scope(const struct run *r, const struct each *each, unsigned index,
                                      const struct record_scope *up, struct repetition *memory)
{
    for (size_t i = 0; i < each->count; i++) {
        memory->scopes[i] = (struct record_scope){
            each->paths[i], record_beside(r->record, each->paths, each->count, i, index), up};
        up = &memory->scopes[i];
    }
    return up;
}

enum err_code find_holds(const struct run *r, const struct expr *when,
                         const struct record_scope *scope, bool *out, struct err *e)
{
    enum truth truth = TRUTH_TRUE;
    enum err_code rc = when ? expr_test(when, r->record, r->a, scope, &truth, e) : ERR_NONE;
    *out = rc == ERR_NONE && truth == TRUTH_TRUE;
    return rc;
}

enum err_code find_text(const struct run *r, const struct record_path *path,
                        const struct record_scope *scope, struct value *out, struct err *e)
{
    enum err_code rc = record_get(r->record, r->a, path, scope, out, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    out->text = str_trim(out->text);
    if (out->has == HAS_VALUE && out->text.n == 0) {
        out->has = HAS_EMPTY; /* nothing but blanks */
    }
    return ERR_NONE;
}

/* ---- values of several components ---- */

/*
 * Which repetition of a name is the one people call the patient by: a name of record rather than
 * an alias or a maiden name, in Hangul, else in ideographs (code I), else the first.
 */
static int name_rank(const struct value part[NAME_PARTS])
{
    static const char *const others[] = {"A",   "B",      "M",         "N",     "P",
                                         "S",   "T",      "BAD",       "NOUSE", "nickname",
                                         "old", "maiden", "anonymous", "temp"};
    int rank = 16;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (str_is(part[NAME_TYPE].text, others[i])) {
            rank = 0;
        }
    }
    if (text_has_hangul(part[NAME_FAMILY].text) || text_has_hangul(part[NAME_GIVEN].text)) {
        rank += 8;
    }
    return rank + (str_is(part[NAME_REPRESENTATION].text, "I") ? 4 : 0) + 1;
}

static enum err_code get_parts(const struct run *r, const struct record_path *const *paths,
                               size_t count, const struct record_scope *scope, struct value *part,
                               struct err *e)
{
    enum err_code rc = ERR_NONE;
    for (size_t k = 0; k < count && rc == ERR_NONE; k++) {
        rc = find_text(r, paths[k], scope, &part[k], e);
    }
    return rc;
}

static enum err_code get_name(const struct run *r, const struct source *s,
                              const struct record_scope *scope, struct value *out, struct err *e)
{
    int best = 0;
    *out = (struct value){.has = HAS_ABSENT};
    for (size_t i = 0; i < s->repetitions; i++) {
        struct value part[NAME_PARTS];
        enum err_code rc = get_parts(r, s->parts[i], NAME_PARTS, scope, part, e);
        if (rc != ERR_NONE) {
            return rc;
        }
        if (record_format(r->record) == RECORD_HL7 && part[NAME_FAMILY].has == HAS_ABSENT) {
            break; /* there is no such repetition: its first component would be there, if empty */
        }
        if (i == 0 && part[NAME_FAMILY].has == HAS_NULL && part[NAME_GIVEN].text.n == 0) {
            out->has = HAS_NULL;
        }
        int rank = name_rank(part);
        if ((part[NAME_FAMILY].text.n || part[NAME_GIVEN].text.n) && rank > best) {
            best = rank;
            out->has = HAS_VALUE;
            out->text = convert_name(r->a, part[NAME_FAMILY].text, part[NAME_GIVEN].text);
            if (!out->text.p) {
                return ERR(e, ERR_NOMEM, 0, "no memory for a name");
            }
        }
    }
    return ERR_NONE;
}

/* The number as one text (XTN-1, since 2.7 XTN-12), else put together from XTN-5, 6 and 7. */
static enum err_code get_phone(const struct run *r, const struct source *s,
                               const struct record_scope *scope, struct value *out, struct err *e)
{
    struct value part[PARTS];
    enum err_code rc = get_parts(r, s->parts[0], 1, scope, out, e);
    if (rc != ERR_NONE || out->has == HAS_VALUE || out->has == HAS_NULL) {
        return rc;
    }
    rc = get_parts(r, s->parts[0], PARTS, scope, part, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    if (part[PHONE_UNFORMATTED].has == HAS_VALUE) {
        *out = part[PHONE_UNFORMATTED];
    } else if (part[PHONE_LOCAL].has == HAS_VALUE) {
        struct str country = part[PHONE_COUNTRY].text;
        bool plus = country.n && country.p[0] != '+';
        const struct str number[] = {plus ? STR("+") : STR(""), country, part[PHONE_AREA].text,
                                     part[PHONE_LOCAL].text};
        *out = (struct value){HAS_VALUE, arena_join(r->a, number, 4)};
    }
    return out->text.p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a telephone number");
}

static enum err_code get_address(const struct run *r, const struct source *s,
                                 const struct record_scope *scope, struct value *out, struct err *e)
{
    struct value part[ADDRESS_PARTS];
    struct str text[ADDRESS_PARTS];
    bool any = false;
    enum err_code rc = get_parts(r, s->parts[0], ADDRESS_PARTS, scope, part, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    for (size_t k = 0; k < ADDRESS_PARTS; k++) {
        text[k] = part[k].text;
        any = any || part[k].has == HAS_VALUE;
    }
    *out = part[0];
    if (any) {
        *out = (struct value){HAS_VALUE, convert_address(r->a, text)};
    }
    return out->text.p || !any ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for an address");
}

static enum err_code get_source(const struct run *r, const struct rule *rule,
                                const struct source *s, const struct record_scope *scope,
                                struct value *out, struct err *e)
{
    if (!s->parts) {
        return find_text(r, s->path, scope, out, e);
    }
    return rule->convert.as == CONVERT_NAME      ? get_name(r, s, scope, out, e)
           : rule->convert.as == CONVERT_ADDRESS ? get_address(r, s, scope, out, e)
                                                 : get_phone(r, s, scope, out, e);
}

/* ---- conversion ---- */

static enum err_code translate(const struct rule *rule, struct str in, struct str *out,
                               struct err *e)
{
    const struct str *to = table_find(rule->table, in);
    if (to) {
        *out = *to;
        return ERR_NONE;
    }
    switch (rule->unknown) {
    case UNKNOWN_KEEP:
        *out = in;
        return rrn_inside(in) ? ERR(e, ERR_REFUSED, 0, "holds a resident registration number")
                              : ERR_NONE;
    case UNKNOWN_LEAVE_OUT:
        *out = (struct str){NULL, 0};
        return ERR_NONE;
    case UNKNOWN_BECOMES:
        *out = rule->table->becomes;
        return ERR_NONE;
    case UNKNOWN_REFUSE:
        break;
    }
    return ERR(e, ERR_VALUE, 0, "is not in code table %s", rule->table->name);
}

enum err_code find_time(const struct run *r, struct str in, struct hl7_time *out, struct err *e)
{
    struct sheet_hints hints = {.year = r->year};
    return record_format(r->record) == RECORD_TABLE ? sheet_time_parse(in, &hints, out, e)
                                                    : hl7_time_parse(in, out, e);
}

/* The day that makes a key with the value; false when the message does not tell it. */
static enum err_code key_day(const struct run *r, const struct rule *rule, const struct spot *at,
                             int32_t *day, bool *told, struct err *e)
{
    struct value v;
    struct hl7_time t;
    *told = rule->per_day;
    *day = rule->per_day ? zone_day(at->time) : 0;
    if (!rule->per) {
        return ERR_NONE;
    }
    enum err_code rc = find_text(r, rule->per, at->scope, &v, e);
    *told = rc == ERR_NONE && v.has == HAS_VALUE && find_time(r, v.text, &t, NULL) == ERR_NONE &&
            t.precision >= PRECISION_DAY;
    if (*told) {
        *day = day_of(t.at.year, t.at.month, t.at.day);
    }
    return rc;
}

static bool same_kind(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* NULL: no memory. Keys are never reversible, so the text they are made of needs no check. */
static const char *key_of(const struct run *r, const char *kind, struct str in)
{
    struct key_memory *m = r->keys;
    for (size_t i = 0; i < m->count; i++) {
        if (same_kind(m->made[i].kind, kind) && str_eq(m->made[i].of, in)) {
            return m->made[i].key;
        }
    }
    char *key = arena_alloc(r->a, KEY_TEXT);
    if (key && kind) {
        key_opaque(r->context->keys, kind, str_of(r->context->site), in, key);
    } else if (key) {
        key_patient(r->context->keys, str_of(r->context->site), in, key);
    }
    if (key && m->count < KEYS_KEPT) {
        m->made[m->count].kind = kind;
        m->made[m->count].of = in;
        m->made[m->count++].key = key;
    }
    return key;
}

static enum err_code to_key(const struct run *r, const struct rule *rule, const struct spot *at,
                            struct str in, struct str *out, struct err *e)
{
    *out = (struct str){NULL, 0};
    if (rule->per_day || rule->per) {
        char text[CLOCK_TEXT];
        int32_t day;
        bool told;
        enum err_code rc = key_day(r, rule, at, &day, &told, e);
        if (rc != ERR_NONE || !told) {
            return rc;
        }
        const struct str with_day[] = {in, STR("|"), str_of(day_text(day, text))};
        in = arena_join(r->a, with_day, 3);
    }
    const char *key = in.p ? key_of(r, rule->key_kind, in) : NULL;
    if (!key) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a key");
    }
    *out = (struct str){key, KEY_TEXT - 1};
    return ERR_NONE;
}

static enum err_code to_value(const struct run *r, const struct rule *rule, const struct spot *at,
                              struct str in, struct str *out, struct err *e)
{
    if (rule->table) {
        return translate(rule, in, out, e);
    }
    if (rule->convert.as == CONVERT_KEY || rule->convert.as == CONVERT_PATIENT) {
        return to_key(r, rule, at, in, out, e);
    }
    struct convert_rules rules = rule->convert;
    rules.has_offset = r->has_offset;
    rules.offset = r->offset;
    rules.year = r->year;
    if (rule->about) {
        struct value about;
        enum err_code rc = find_text(r, rule->about, at->scope, &about, e);
        if (rc != ERR_NONE) {
            return rc;
        }
        rules.about = about.text;
    }
    if (rule->unit) {
        struct value unit;
        enum err_code rc = find_text(r, rule->unit, at->scope, &unit, e);
        if (rc != ERR_NONE) {
            return rc;
        }
        rules.unit = unit.text;
    }
    return convert(&rules, r->a, in, out, e);
}

/*
 * An identifier that is a resident registration number, or that is to be "deleted", is passed over
 * as if it were not there.
 */
static bool passed_over(const struct rule *rule, const struct value *v)
{
    bool identifies = rule->convert.as == CONVERT_ID || rule->convert.as == CONVERT_KEY ||
                      rule->convert.as == CONVERT_PATIENT;
    return identifies && (v->has == HAS_NULL || rrn_is(v->text, NULL) || rrn_masked(v->text, NULL));
}

static enum err_code try_source(const struct run *r, const struct rule *rule,
                                const struct source *s, const struct spot *at, struct found *out,
                                struct err *e)
{
    struct value v;
    struct err problem;
    enum err_code rc = get_source(r, rule, s, at->scope, &v, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    if (passed_over(rule, &v)) {
        return ERR_NONE;
    }
    if (v.has == HAS_NULL) {
        *out = (struct found){HAS_NULL, {NULL, 0}, s->path};
    }
    if (v.has != HAS_VALUE) {
        return ERR_NONE;
    }
    struct str text;
    rc = to_value(r, rule, at, v.text, &text, &problem);
    if (rc == ERR_NONE && text.p) {
        *out = (struct found){HAS_VALUE, text, s->path};
    }
    if (rc == ERR_NONE || (rc == ERR_VALUE && rule->bad_left_out)) {
        return ERR_NONE;
    }
    if (e) {
        *e = problem;
    }
    return rc == ERR_NOMEM ? rc : find_place(r, s->path, at->scope, e);
}

enum err_code find_value(const struct run *r, const struct rule *rule, const struct spot *at,
                         struct found *out, struct err *e)
{
    bool holds;
    *out = (struct found){HAS_ABSENT, {NULL, 0}, NULL};
    enum err_code rc = find_holds(r, rule->when, at->scope, &holds, e);
    if (rc != ERR_NONE || !holds) {
        return rc;
    }
    if (rule->has_constant) {
        *out = (struct found){HAS_VALUE, rule->constant, NULL};
        return ERR_NONE;
    }
    for (size_t i = 0; i < rule->source_count && out->has == HAS_ABSENT; i++) {
        rc = try_source(r, rule, &rule->sources[i], at, out, e);
        if (rc != ERR_NONE) {
            return rc;
        }
    }
    if (out->has == HAS_ABSENT && rule->has_default) {
        *out = (struct found){HAS_VALUE, rule->dflt, NULL};
    }
    return ERR_NONE;
}
