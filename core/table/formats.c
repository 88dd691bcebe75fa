#include "core/table/formats.h"

#include "core/base/clock.h"
#include "core/base/num.h"
#include "core/base/text.h"

#include <string.h>

/* ---- what a format shows ---- */

struct format format_builtin(int id)
{
    bool date = (id >= 14 && id <= 17) || (id >= 27 && id <= 31) || (id >= 34 && id <= 36) ||
                (id >= 50 && id <= 58);
    bool time = (id >= 18 && id <= 21) || id == 32 || id == 33 || id == 45 || id == 47;
    struct format f = {SHOWN_NUMBER, "", 0};
    f.as = date                  ? SHOWN_DATE
           : time                ? SHOWN_TIME
           : id == 22            ? SHOWN_BOTH
           : id == 46            ? SHOWN_DURATION
           : id == 9 || id == 10 ? SHOWN_PERCENT
                                 : SHOWN_NUMBER;
    return f;
}

/* What the first section of a code has; a colour or a condition is neither letter nor text. */
struct letters {
    bool year, month_or_minute, day, hour, second, elapsed, percent;
    bool other; /* what no shape has: a point, groups of thousands, an exponent, a condition */
    bool comma, parted; /* a comma behind the last digit; a text between two digits */
    unsigned zeros, digits;
    size_t n, behind; /* bytes of the shape; where the text behind its last digit begins */
    char shape[SHAPE_BYTES];
};

static void add_text(struct letters *l, struct str text)
{
    if (l->n + text.n < SHAPE_BYTES) {
        memcpy(l->shape + l->n, text.p, text.n);
        l->n += text.n;
    } else {
        l->other = true;
    }
}

static void add_digit(struct letters *l, char c)
{
    char mark = c == '0' ? SHAPE_ZERO : SHAPE_DIGIT;
    struct str between = str_trim((struct str){l->shape + l->behind, l->n - l->behind});
    l->parted = l->parted || (l->digits && between.n);
    l->other = l->other || l->comma;
    l->comma = false;
    l->zeros += c == '0';
    l->digits++;
    add_text(l, (struct str){&mark, 1});
    l->behind = l->n;
}

/* One byte that stands for something; false for a letter that is none of ours. */
static bool add_letter(struct letters *l, char c)
{
    bool *date_or_time = c == 'y' || c == 'Y' || c == 'e' ? &l->year
                         : c == 'm' || c == 'M'           ? &l->month_or_minute
                         : c == 'd' || c == 'D'           ? &l->day
                         : c == 'h' || c == 'H'           ? &l->hour
                         : c == 's' || c == 'S'           ? &l->second
                         : c == '%'                       ? &l->percent
                                                          : NULL;
    if (date_or_time) {
        *date_or_time = true;
    } else if (c == '0' || c == '#' || c == '?') {
        add_digit(l, c);
    } else if (c == ',' && l->digits) {
        l->comma = true;
    } else if (c == '.' || c == '/' || c == '@' || (c >= 'A' && c <= 'Z') ||
               (c >= 'a' && c <= 'z')) {
        l->other = true;
    } else {
        return false;
    }
    return true;
}

/* [h] [$₩-412] [Red] [>=1000]: where it ends. */
static size_t bracket(struct letters *l, struct str code, size_t i)
{
    size_t end = str_find(code, ']', i);
    char first = i + 1 < code.n ? code.p[i + 1] : '\0';
    l->elapsed = l->elapsed || (first && strchr("hHmMsS", first) && end < i + 4);
    l->other = l->other || (first && strchr("<>=", first));
    return end + 1;
}

static struct letters read_code(struct str code)
{
    static const struct str general = STR_INIT("general");
    struct letters l = {.zeros = 0};
    for (size_t i = 0; i < code.n && code.p[i] != ';';) {
        char c = code.p[i];
        size_t next = i;
        text_next(code, &next); /* a character may have several bytes */
        if (c == '"') {
            next = str_find(code, '"', i + 1) + 1;
            add_text(&l, str_cut(code, i + 1, next - 1));
        } else if (c == '\\' || c == '_' || c == '*') {
            size_t from = next;
            if (next < code.n) {
                text_next(code, &next);
            }
            add_text(&l, c == '\\' ? str_cut(code, from, next) : STR(""));
        } else if (c == '[') {
            next = bracket(&l, code, i);
        } else if (str_same(str_cut(code, i, i + general.n), general)) {
            next = i + general.n;
            l.behind = l.n;
            l.other = true;
        } else if ((c == 'e' || c == 'E') && next < code.n && strchr("+-", code.p[next])) {
            l.other = true; /* an exponent */
        } else if (!add_letter(&l, c)) {
            add_text(&l, str_cut(code, i, next));
        }
        i = next;
    }
    return l;
}

/* 만원, 천원, 억: without it the number would be another one. */
static bool counts(struct str unit)
{
    static const char *const words[] = {"만", "천", "억", "백만", "십만"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_starts(unit, str_of(words[i]))) {
            return true;
        }
    }
    return false;
}

/* [<=9999999]###-####;(0##) ###-####, Korea's telephone numbers: of the second section. */
static struct format of_larger(struct str code)
{
    static const struct format plain = {SHOWN_NUMBER, "", 0};
    size_t from = str_starts(code, STR("[<=")) ? 3 : 2, end = str_find(code, ']', 0);
    size_t second = str_find(code, ';', end) + 1;
    int64_t limit;
    if (second > code.n || num_i64(str_cut(code, from, end), 0, INT32_MAX, &limit, NULL)) {
        return plain;
    }
    struct str larger = str_cut(code, second, code.n);
    if (str_starts(larger, STR("[<"))) {
        return plain; /* one after the other without end */
    }
    struct format f = format_of(larger);
    f.above = limit;
    return f.as == SHOWN_SHAPE ? f : plain;
}

struct format format_of(struct str code)
{
    if (str_starts(code, STR("[<"))) {
        return of_larger(code);
    }
    struct format f = {SHOWN_NUMBER, "", 0};
    struct letters l = read_code(code);
    struct str shape = {l.shape, l.n}, unit = str_trim(str_cut(shape, l.behind, l.n));
    bool time = l.hour || l.second, date = l.year || l.day || (l.month_or_minute && !time);
    if (l.elapsed) {
        f.as = SHOWN_DURATION;
    } else if (date || time) {
        f.as = date && time ? SHOWN_BOTH : date ? SHOWN_DATE : SHOWN_TIME;
    } else if (l.percent) {
        f.as = SHOWN_PERCENT;
    } else if (!l.other && !l.comma && (l.zeros > 1 || l.parted)) {
        f.as = SHOWN_SHAPE;
        memcpy(f.shape, shape.p, shape.n);
    } else if (counts(unit) && !l.comma) {
        f.as = SHOWN_UNIT;
        memcpy(f.shape, unit.p, unit.n);
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

static bool write_decimal(const struct decimal *d, struct buf *out)
{
    int whole = (int)d->n - d->places; /* digits before the point */
    if (whole > MOST_PLACES || d->places > MOST_PLACES) {
        return false;
    }
    buf_addz(out, d->minus && d->n ? "-" : "");
    if (whole <= 0) {
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

static char whole_digit(const struct decimal *d, int i)
{
    return i < (int)d->n ? d->digits[i] : '0';
}

static bool has_shape(const struct format *f, const struct decimal *d)
{
    int whole = (int)d->n - d->places;
    int64_t v = 0;
    if (f->as != SHOWN_SHAPE || d->places > 0) {
        return false;
    }
    for (int i = 0; i < whole && v <= f->above; i++) {
        v = v * 10 + (whole_digit(d, i) - '0');
    }
    return f->above == 0 || v > f->above;
}

/* Digits go in from the right; those that are left over, all before the first place. */
static bool write_shape(const struct decimal *d, const char *shape, struct buf *out)
{
    int whole = d->n ? (int)d->n - d->places : 0, places = 0, done = 0;
    if (whole > MOST_PLACES) {
        return false;
    }
    for (const char *p = shape; *p; p++) {
        places += *p == SHAPE_ZERO || *p == SHAPE_DIGIT;
    }
    buf_addz(out, d->minus && d->n ? "-" : "");
    for (const char *p = shape; *p; p++) {
        if (*p != SHAPE_ZERO && *p != SHAPE_DIGIT) {
            buf_addc(out, *p);
            continue;
        }
        places--;
        if (whole - done <= places && *p == SHAPE_ZERO) {
            buf_addc(out, '0');
        }
        while (whole - done > places) {
            buf_addc(out, whole_digit(d, done++));
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
    static const struct format plain = {SHOWN_NUMBER, "", 0};
    const struct format *shown = style < f->count ? &f->styles[style] : &plain;
    struct decimal d;
    if (!read_decimal(number, &d)) {
        return ERR(e, ERR_VALUE, 0, "is not a number");
    }
    if (shown->as != SHOWN_NUMBER && shown->as < SHOWN_PERCENT) {
        return write_moment(f, shown->as, &d, out, e);
    }
    round_decimal(&d);
    d.places -= shown->as == SHOWN_PERCENT && d.n ? 2 : 0;
    bool ok = has_shape(shown, &d) ? write_shape(&d, shown->shape, out) : write_decimal(&d, out);
    buf_addz(out, shown->as == SHOWN_PERCENT ? "%" : shown->as == SHOWN_UNIT ? shown->shape : "");
    return ok ? ERR_NONE : ERR(e, ERR_VALUE, 0, "is not a number");
}

/* "2026-03-11", "09:00": does it look like this, with digits for the nines? */
static bool looks_like(struct str s, const char *shape)
{
    size_t i = 0;
    while (shape[i] && i < s.n && (shape[i] == '9' ? is_digit(s.p[i]) : s.p[i] == shape[i])) {
        i++;
    }
    return shape[i] == '\0';
}

void format_iso(const struct formats *f, size_t style, struct str text, struct buf *out)
{
    enum shown_as as = style < f->count ? f->styles[style].as : SHOWN_NUMBER;
    bool day = looks_like(text, "9999-99-99");
    size_t at = day ? 10 : 0;
    struct str clock = str_cut(text, at + (at < text.n && text.p[at] == 'T'), text.n);
    struct str rest = looks_like(clock, "99:99:99") ? str_cut(clock, 8, clock.n) : STR("");
    rest = str_cut(rest, 0, rest.n - str_ends(rest, STR("Z")));
    bool timed = looks_like(clock, "99:99:99") && (rest.n == 0 || rest.p[0] == '.');
    if ((!day && !timed) || (clock.n && !timed)) {
        buf_add(out, text);
        return;
    }
    clock = str_cut(clock, 0, looks_like(clock, "99:99:00") ? 5 : 8);
    bool show_clock = timed && as != SHOWN_DATE &&
                      (as == SHOWN_BOTH || !day || as == SHOWN_TIME || !str_is(clock, "00:00"));
    bool show_day = day && (as != SHOWN_TIME || !show_clock);
    buf_add(out, str_cut(text, 0, show_day ? 10 : 0));
    buf_addz(out, show_day && show_clock ? " " : "");
    buf_add(out, show_clock ? clock : STR(""));
}
