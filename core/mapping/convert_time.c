#include "core/mapping/convert.h"

struct cursor {
    struct str s;
    size_t i;
};

static int peek(const struct cursor *c)
{
    return c->i < c->s.n ? (unsigned char)c->s.p[c->i] : -1;
}

static bool digit_at(const struct cursor *c, size_t i)
{
    return i < c->s.n && c->s.p[i] >= '0' && c->s.p[i] <= '9';
}

static bool take(struct cursor *c, size_t n, int *out)
{
    int v = 0;
    for (size_t k = 0; k < n; k++) {
        if (!digit_at(c, c->i + k)) {
            return false;
        }
        v = v * 10 + (c->s.p[c->i + k] - '0');
    }
    c->i += n;
    *out = v;
    return true;
}

/*
 * A separator of a date, with two digits behind it. After the year a hyphen may also begin an
 * offset (2026-0500): that one has four.
 */
static bool date_separator(const struct cursor *c)
{
    int ch = peek(c);
    return (ch == '-' || ch == '.' || ch == '/') && digit_at(c, c->i + 1) &&
           digit_at(c, c->i + 2) && !digit_at(c, c->i + 3);
}

static bool parse_date(struct cursor *c, struct hl7_time *t)
{
    if (!take(c, 4, &t->at.year)) {
        return false;
    }
    t->precision = PRECISION_YEAR;
    int separator = date_separator(c) ? peek(c) : -1;
    c->i += separator != -1;
    if (!take(c, 2, &t->at.month)) {
        return separator == -1;
    }
    t->precision = PRECISION_MONTH;
    if (separator != -1) {
        if (peek(c) != separator) {
            return true;
        }
        c->i++;
    }
    if (!take(c, 2, &t->at.day)) {
        return separator == -1;
    }
    t->precision = PRECISION_DAY;
    if (peek(c) == 'T' || peek(c) == ' ') {
        c->i++;
        return digit_at(c, c->i);
    }
    return separator == -1 || c->i == c->s.n;
}

static bool parse_fraction(struct cursor *c, struct hl7_time *t)
{
    if (peek(c) != '.') {
        return true;
    }
    c->i++;
    int scale = 100000;
    size_t from = c->i;
    for (; digit_at(c, c->i); c->i++, scale /= 10) {
        t->at.usec += (c->s.p[c->i] - '0') * scale;
    }
    return c->i > from && c->i - from <= 9;
}

static bool parse_clock(struct cursor *c, struct hl7_time *t)
{
    if (!take(c, 2, &t->at.hour)) {
        return true;
    }
    t->precision = PRECISION_HOUR;
    bool colon = peek(c) == ':';
    c->i += colon;
    if (!take(c, 2, &t->at.minute)) {
        return !colon;
    }
    t->precision = PRECISION_MINUTE;
    if (colon && peek(c) != ':') {
        return true;
    }
    c->i += colon;
    if (!take(c, 2, &t->at.second)) {
        return !colon;
    }
    t->precision = PRECISION_SECOND;
    return parse_fraction(c, t);
}

static bool parse_offset(struct cursor *c, struct hl7_time *t)
{
    int sign = peek(c);
    if (sign == 'Z') {
        c->i++;
        t->has_offset = true;
        return true;
    }
    if (sign != '+' && sign != '-') {
        return true;
    }
    c->i++;
    int hours, minutes;
    if (!take(c, 2, &hours)) {
        return false;
    }
    c->i += peek(c) == ':';
    if (!take(c, 2, &minutes) || hours > 14 || minutes > 59) {
        return false;
    }
    t->at.offset = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
    t->has_offset = true;
    return true;
}

enum err_code hl7_time_parse(struct str in, struct hl7_time *out, struct err *e)
{
    struct cursor c = {str_trim(in), 0};
    struct hl7_time t = {.at = {.month = 1, .day = 1}, .precision = PRECISION_YEAR};
    bool ok = parse_date(&c, &t);
    if (ok && t.precision == PRECISION_DAY) {
        ok = parse_clock(&c, &t);
    }
    if (!ok || !parse_offset(&c, &t) || c.i != c.s.n) {
        return ERR(e, ERR_VALUE, c.i, "is not an HL7 date or time (YYYYMMDDHHMMSS)");
    }
    if (t.at.year < 1800 || t.at.year > 2999 || !day_valid(t.at.year, t.at.month, t.at.day)) {
        return ERR(e, ERR_VALUE, 0, "is a day that is not in the calendar");
    }
    if (t.at.hour > 23 || t.at.minute > 59 || t.at.second > 59) {
        return ERR(e, ERR_VALUE, 8, "is a time of day that no clock shows");
    }
    *out = t;
    return ERR_NONE;
}

usec hl7_time_instant(const struct hl7_time *t, const struct convert_rules *rules)
{
    int32_t day = day_of(t->at.year, t->at.month, t->at.day);
    if (!t->has_offset && !rules->has_offset) {
        return zone_instant(day, t->at.hour, t->at.minute, t->at.second) + t->at.usec;
    }
    int offset = t->has_offset ? t->at.offset : rules->offset;
    return day * USEC_DAY + t->at.hour * USEC_HOUR + t->at.minute * USEC_MINUTE +
           ((usec)t->at.second - offset) * USEC_SECOND + t->at.usec;
}
