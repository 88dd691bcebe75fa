/*
 * What programs make of dates: serial numbers, a day of one column with the time of another
 * behind it, offsets as PostgreSQL writes them.
 */
#include "core/mapping/convert.h"

#include <string.h>

enum { MOST = 64, SERIAL_MOST = 26 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits behind a point as seconds of a day, the 24 h of a rounded up last one included. */
static bool day_part(struct str digits, int64_t *second)
{
    int64_t part = 0, scale = 1;
    for (size_t i = 0; i < digits.n; i++) {
        if (!is_digit(digits.p[i])) {
            return false;
        }
        if (i < 12) { /* programs write up to 17 digits */
            part = part * 10 + (digits.p[i] - '0');
            scale *= 10;
        }
    }
    *second = (part * 86400 + scale / 2) / scale;
    return digits.n > 0;
}

static void set_clock(struct hl7_time *t, int64_t second)
{
    t->at.hour = (int)(second / 3600);
    t->at.minute = (int)(second / 60 % 60);
    t->at.second = (int)(second % 60);
    t->precision = PRECISION_SECOND;
}

bool sheet_serial(struct str in, struct hl7_time *t)
{
    int32_t day = 0;
    int64_t second = 0;
    if (in.n < 5 || in.n > SERIAL_MOST || (in.n > 5 && in.p[5] != '.')) {
        return false;
    }
    for (size_t i = 0; i < 5; i++) {
        if (!is_digit(in.p[i])) {
            return false;
        }
        day = day * 10 + (in.p[i] - '0');
    }
    if (day < 10000 || day > 79999) { /* 1927 to 2119: nothing else is meant by five digits */
        return false;
    }
    if (in.n > 6 && !day_part(str_cut(in, 6, in.n), &second)) {
        return false;
    }
    *t = (struct hl7_time){.precision = PRECISION_DAY};
    day_civil(day - 25569 + (int32_t)(second / 86400), &t->at);
    if (in.n > 6) {
        set_clock(t, second % 86400);
    }
    return true;
}

static bool midnight(const struct hl7_time *t)
{
    return t->precision >= PRECISION_DAY && !t->has_offset && t->at.hour == 0 &&
           t->at.minute == 0 && t->at.second == 0 && t->at.usec == 0;
}

/*
 * The second column: a clock, the part of a day that a spreadsheet counts in (0.375), or a whole
 * moment. Databases without a type for times keep them on a day of 1899 or 1900, which is not
 * meant.
 */
static bool add_clock(struct str in, const struct sheet_hints *hints, struct hl7_time *t)
{
    struct hl7_time own;
    int64_t second;
    if (str_starts(in, STR("0.")) && day_part(str_cut(in, 2, in.n), &second) && second < 86400) {
        set_clock(t, second);
        return true;
    }
    if (sheet_moment(in, hints, &own, NULL) == ERR_NONE && own.precision > PRECISION_DAY) {
        if (own.at.year > SHEET_NO_YEAR) {
            *t = own;
            return true;
        }
    } else {
        static const struct str day = STR_INIT("2000-01-01 ");
        char text[MOST + 16];
        memcpy(text, day.p, day.n);
        memcpy(text + day.n, in.p, in.n);
        if (sheet_moment((struct str){text, day.n + in.n}, hints, &own, NULL) != ERR_NONE ||
            own.precision <= PRECISION_DAY || own.has_offset) {
            return false;
        }
    }
    t->at.hour = own.at.hour;
    t->at.minute = own.at.minute;
    t->at.second = own.at.second;
    t->at.usec = own.at.usec;
    t->precision = own.precision;
    return true;
}

/* 2026-03-11 00:00:00 09:30: the first column is a day, whatever its database made of it. */
static bool day_and_clock(struct str in, const struct sheet_hints *hints, struct hl7_time *out)
{
    for (size_t i = str_find(in, ' ', 0); i < in.n; i = str_find(in, ' ', i + 1)) {
        struct hl7_time t;
        if (sheet_moment(str_cut(in, 0, i), hints, &t, NULL) == ERR_NONE && midnight(&t) &&
            add_clock(str_trim(str_cut(in, i, in.n)), hints, &t)) {
            *out = t;
            return true;
        }
    }
    return false;
}

/* 2026-03-11 09:30:00+09: only behind seconds, else it could be the end of 09:30-10. */
static bool short_offset(struct str in, struct hl7_time *out)
{
    char text[MOST + 2];
    size_t n = in.n;
    if (n < 4 || (in.p[n - 3] != '+' && in.p[n - 3] != '-') || !is_digit(in.p[n - 4]) ||
        !is_digit(in.p[n - 2]) || !is_digit(in.p[n - 1])) {
        return false;
    }
    memcpy(text, in.p, n);
    memcpy(text + n, "00", 2);
    struct hl7_time t;
    if (hl7_time_parse((struct str){text, n + 2}, &t, NULL) != ERR_NONE || !t.has_offset ||
        t.precision != PRECISION_SECOND) {
        return false;
    }
    *out = t;
    return true;
}

enum err_code sheet_time_parse(struct str in, const struct sheet_hints *hints, struct hl7_time *out,
                               struct err *e)
{
    struct err problem = {.code = ERR_NONE};
    in = str_trim(in);
    enum err_code code = sheet_moment(in, hints, out, &problem);
    if (code == ERR_NONE ||
        (in.n <= MOST && (day_and_clock(in, hints, out) || short_offset(in, out)))) {
        return ERR_NONE;
    }
    return ERR(e, code, 0, "%s", problem.msg);
}
