#include "core/table/formats.h"

#include "core/base/clock.h"
#include "core/base/num.h"

#include <string.h>

/* ---- what a format shows ---- */

struct format format_builtin(int id)
{
    struct format f = {SHOWN_NUMBER, 0};
    bool date = (id >= 14 && id <= 17) || (id >= 27 && id <= 31) || id == 36 ||
                (id >= 50 && id <= 54) || id == 57 || id == 58;
    bool time = (id >= 18 && id <= 21) || (id >= 32 && id <= 35) || id == 45 || id == 47 ||
                id == 55 || id == 56;
    f.as = date       ? SHOWN_DATE
           : time     ? SHOWN_TIME
           : id == 22 ? SHOWN_BOTH
           : id == 46 ? SHOWN_DURATION
                      : SHOWN_NUMBER;
    return f;
}

struct letters {
    bool year, month_or_minute, day, hour, second, elapsed, other;
    unsigned zeros;
};

/* The letters of a format code that are neither quoted, escaped, nor a colour or a condition. */
static struct letters read_code(struct str code)
{
    struct letters l = {.zeros = 0};
    for (size_t i = 0; i < code.n && code.p[i] != ';'; i++) {
        char c = code.p[i];
        if (c == '"') {
            i = str_find(code, '"', i + 1);
        } else if (c == '\\' || c == '_' || c == '*') {
            i++;
        } else if (c == '[') {
            size_t end = str_find(code, ']', i);
            char first = i + 1 < code.n ? code.p[i + 1] : '\0';
            l.elapsed = l.elapsed || (strchr("hHmMsS", first) && first && end < i + 4);
            i = end;
        } else if (c == 'y' || c == 'Y' || c == 'e') {
            l.year = true;
        } else if (c == 'm' || c == 'M') {
            l.month_or_minute = true;
        } else if (c == 'd' || c == 'D') {
            l.day = true;
        } else if (c == 'h' || c == 'H') {
            l.hour = true;
        } else if (c == 's' || c == 'S') {
            l.second = true;
        } else if (c == '0') {
            l.zeros++;
        } else if (c != '@' || l.zeros) {
            l.other = true;
        }
    }
    return l;
}

struct format format_of(struct str code)
{
    struct format f = {SHOWN_NUMBER, 0};
    if (str_same(code, STR("general"))) {
        return f;
    }
    struct letters l = read_code(code);
    bool time = l.hour || l.second, date = l.year || l.day || (l.month_or_minute && !time);
    if (l.elapsed) {
        f.as = SHOWN_DURATION;
    } else if (date || time) {
        f.as = date && time ? SHOWN_BOTH : date ? SHOWN_DATE : SHOWN_TIME;
    } else if (l.zeros > 1 && !l.other) {
        f.as = SHOWN_ZEROS;
        f.zeros = l.zeros;
    }
    return f;
}

/* ---- decimal numbers as text ---- */

enum { DIGITS = 40, PRECISION = 15, MOST_PLACES = 400 };

/* digits × 10^-places */
struct decimal {
    bool minus;
    char digits[DIGITS];
    size_t n;
    int places;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_decimal(struct str s, struct decimal *d)
{
    size_t i = 0, seen = 0;
    int64_t exponent = 0;
    *d = (struct decimal){.minus = s.n && s.p[0] == '-'};
    i += s.n && (s.p[0] == '-' || s.p[0] == '+');
    bool point = false;
    for (; i < s.n && (is_digit(s.p[i]) || (s.p[i] == '.' && !point)); i++) {
        if (s.p[i] == '.') {
            point = true;
            continue;
        }
        seen++;
        if (d->n || s.p[i] != '0') {
            if (d->n == DIGITS) {
                return false;
            }
            d->digits[d->n++] = s.p[i];
        }
        d->places += point;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        size_t from = i + 1;
        i = s.n;
        if (num_i64(str_cut(s, from, s.n), -MOST_PLACES, MOST_PLACES, &exponent, NULL) !=
            ERR_NONE) {
            return false;
        }
    }
    d->places -= (int)exponent;
    return seen && i == s.n;
}

/* Spreadsheets store 17 digits and show 15: 0.1 is stored as 0.10000000000000001. */
static void round_decimal(struct decimal *d)
{
    while (d->n > PRECISION) {
        bool up = d->digits[d->n - 1] >= '5' && d->n == PRECISION + 1;
        d->n--;
        d->places--;
        for (size_t i = d->n; up && i-- > 0;) {
            up = d->digits[i] == '9';
            d->digits[i] = up ? '0' : (char)(d->digits[i] + 1);
        }
        if (up) { /* 999… became 1000… */
            memmove(d->digits + 1, d->digits, d->n);
            d->digits[0] = '1';
            d->n++;
        }
    }
    while (d->n && d->places > 0 && d->digits[d->n - 1] == '0') {
        d->n--;
        d->places--;
    }
}

static bool write_decimal(const struct decimal *d, unsigned zeros, struct buf *out)
{
    int whole = (int)d->n - d->places; /* digits before the point */
    if (whole > MOST_PLACES || d->places > MOST_PLACES) {
        return false;
    }
    buf_addz(out, d->minus && d->n ? "-" : "");
    for (int i = whole > 0 ? whole : 0; i < (int)zeros; i++) {
        buf_addc(out, '0');
    }
    if (whole <= 0 && !zeros) {
        buf_addc(out, '0');
    }
    for (int i = 0; i < whole; i++) {
        buf_addc(out, i < (int)d->n ? d->digits[i] : '0');
    }
    if (d->places > 0 && d->n) {
        buf_addc(out, '.');
        for (int i = whole; i < (int)d->n; i++) {
            buf_addc(out, i < 0 ? '0' : d->digits[i]);
        }
    }
    return true;
}

/* ---- days and times ---- */

/* Whole days and seconds of the day; false for what is no moment of 1900 to 9999. */
static bool read_moment(const struct decimal *d, int64_t *day, int64_t *second)
{
    int whole = (int)d->n - d->places;
    int64_t part = 0, scale = 1;
    *day = 0;
    if (d->minus || whole > 7) {
        return false;
    }
    for (int i = 0; i < whole; i++) {
        *day = *day * 10 + (i < (int)d->n ? d->digits[i] - '0' : 0);
    }
    for (int i = whole; i < (int)d->n && scale < INT64_C(1000000000000); i++) {
        part = part * 10 + (i < 0 ? 0 : d->digits[i] - '0');
        scale *= 10;
    }
    *second = (part * 86400 + scale / 2) / scale;
    if (*second == 86400) {
        *second = 0;
        ++*day;
    }
    return *day <= 2958465;
}

static void write_clock(int64_t hour, int64_t second, bool seconds, struct buf *out)
{
    buf_printf(out, "%02d:%02d", (int)hour, (int)(second / 60 % 60));
    if (seconds) {
        buf_printf(out, ":%02d", (int)(second % 60));
    }
}

static enum err_code write_moment(const struct formats *f, enum shown_as as,
                                  const struct decimal *d, struct buf *out, struct err *e)
{
    int64_t day, second;
    if (!read_moment(d, &day, &second)) {
        return ERR(e, ERR_VALUE, 0, "is no day of a calendar");
    }
    if (as == SHOWN_DURATION) {
        write_clock(day * 24 + second / 3600, second, true, out);
        return ERR_NONE;
    }
    if (as != SHOWN_TIME) {
        char text[CLOCK_TEXT];
        /* 1900 was no leap year, but day 60 is counted as its 29 February */
        int32_t first = f->since_1904 ? day_of(1904, 1, 1) : day_of(1899, 12, day < 60 ? 31 : 30);
        if (!f->since_1904 && (day == 60 || day == 0)) {
            return ERR(e, ERR_VALUE, 0, "is no day of a calendar");
        }
        buf_addz(out, day_text(first + (int32_t)day, text));
    }
    if (as == SHOWN_BOTH) {
        buf_addc(out, ' ');
    }
    if (as != SHOWN_DATE) {
        write_clock(second / 3600, second, second % 60 != 0, out);
    }
    return ERR_NONE;
}

enum err_code format_number(const struct formats *f, size_t style, struct str number,
                            struct buf *out, struct err *e)
{
    struct format shown = style < f->count ? f->styles[style] : (struct format){SHOWN_NUMBER, 0};
    struct decimal d;
    bool ok = read_decimal(number, &d);
    if (ok && shown.as != SHOWN_NUMBER && shown.as != SHOWN_ZEROS) {
        return write_moment(f, shown.as, &d, out, e);
    }
    if (ok) {
        round_decimal(&d);
        ok = write_decimal(&d, shown.zeros, out);
    }
    return ok ? ERR_NONE : ERR(e, ERR_VALUE, 0, "is not a number");
}
