#include "core/expr/value.h"

#include "core/base/clock.h"
#include "core/base/num.h"

#include <string.h>

enum truth value_negate(enum truth t)
{
    return t == TRUTH_UNKNOWN ? t : t == TRUTH_TRUE ? TRUTH_FALSE : TRUTH_TRUE;
}

enum truth value_truth(bool b)
{
    return b ? TRUTH_TRUE : TRUTH_FALSE;
}

/*
 * Sign, digits, perhaps a fraction. Up to 15 digits, so that a double holds the digits exactly and
 * 6.5 equals 6.50.
 */
bool value_number_of(struct str s, double *out)
{
    static const double tens[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    size_t at = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
    size_t point = s.n, count = 0;
    double v = 0;
    for (size_t i = at; i < s.n; i++) {
        if (s.p[i] == '.' && point == s.n) {
            point = i;
        } else if (s.p[i] >= '0' && s.p[i] <= '9' && ++count <= 15) {
            v = v * 10 + (s.p[i] - '0');
        } else {
            return false;
        }
    }
    if (count == 0) {
        return false;
    }
    v /= tens[point < s.n ? s.n - point - 1 : 0];
    *out = s.p[0] == '-' ? -v : v;
    return true;
}

static bool two(struct str s, size_t at, int *out)
{
    int64_t n;
    if (num_i64(str_cut(s, at, at + 2), 0, 99, &n, NULL) != ERR_NONE) {
        return false;
    }
    *out = (int)n;
    return true;
}

/* 2026-03-11 or 20260311, with or without a time behind it. */
bool value_day_of(struct str s, int32_t *out)
{
    if (s.n >= 10 && s.p[4] == '-') {
        return (s.n == 10 || s.p[10] == 'T' || s.p[10] == ' ') &&
               day_parse(str_cut(s, 0, 10), out, NULL) == ERR_NONE;
    }
    int century, year, month, day;
    if (s.n < 8 || !two(s, 0, &century) || !two(s, 2, &year) || !two(s, 4, &month) ||
        !two(s, 6, &day) || !day_valid(century * 100 + year, month, day)) {
        return false;
    }
    for (size_t i = 8; i < s.n; i++) {
        if (!memchr("0123456789.+-", s.p[i], 13)) {
            return false;
        }
    }
    *out = day_of(century * 100 + year, month, day);
    return true;
}

bool value_as_number(struct result *r)
{
    if (r->shape == SHAPE_TEXT && value_number_of(r->text, &r->number)) {
        r->shape = SHAPE_NUMBER;
    }
    return r->shape == SHAPE_NUMBER;
}

static int order(double a, double b)
{
    return (a > b) - (a < b);
}

/* False: not comparable, so unknown. Numeric as soon as one side is a number. */
bool value_compare(struct result a, struct result b, int *out)
{
    if (a.shape == SHAPE_NUMBER || b.shape == SHAPE_NUMBER) {
        if (!value_as_number(&a) || !value_as_number(&b)) {
            return false;
        }
        *out = order(a.number, b.number);
        return true;
    }
    if (a.shape != b.shape || a.shape == SHAPE_UNKNOWN) {
        return false;
    }
    *out = a.shape == SHAPE_TEXT  ? str_cmp(a.text, b.text)
           : a.shape == SHAPE_DAY ? order(a.day, b.day)
                                  : order(a.truth, b.truth);
    return true;
}

enum truth value_compared(enum compare c, struct result a, struct result b)
{
    int n;
    if (!value_compare(a, b, &n)) {
        return TRUTH_UNKNOWN;
    }
    switch (c) {
    case CMP_EQ:
        return value_truth(n == 0);
    case CMP_NE:
        return value_truth(n != 0);
    case CMP_LT:
        return value_truth(n < 0);
    case CMP_LE:
        return value_truth(n <= 0);
    case CMP_GT:
        return value_truth(n > 0);
    case CMP_GE:
        return value_truth(n >= 0);
    }
    return TRUTH_UNKNOWN;
}

enum truth value_both(enum truth a, enum truth b)
{
    if (a == TRUTH_FALSE || b == TRUTH_FALSE) {
        return TRUTH_FALSE;
    }
    return a == TRUTH_UNKNOWN || b == TRUTH_UNKNOWN ? TRUTH_UNKNOWN : TRUTH_TRUE;
}

enum truth value_either(enum truth a, enum truth b)
{
    return value_negate(value_both(value_negate(a), value_negate(b)));
}

void value_set_truth(struct result *out, enum truth t)
{
    out->shape = t == TRUTH_UNKNOWN ? SHAPE_UNKNOWN : SHAPE_BOOL;
    out->truth = t;
}
double value_characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    }
    return (double)n;
}

/* Full years: born on 29 February one is a year older on 1 March. As age() of PostgreSQL. */
double value_years(int32_t from, int32_t to)
{
    struct civil a, b;
    if (to < from) {
        return -value_years(to, from);
    }
    day_civil(from, &a);
    day_civil(to, &b);
    bool before = b.month < a.month || (b.month == a.month && b.day < a.day);
    return b.year - a.year - before;
}
