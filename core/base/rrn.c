#include "core/base/rrn.h"

#include "core/base/clock.h"
#include "core/base/text.h"

#include <string.h>

enum { WINDOW = 18, DIGITS = 13, SHOWN = 7 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits of the date at the front, and the separator behind them: where the second part begins. */
static size_t second_part(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && is_digit(s[i])) {
        i++;
    }
    if (i != 6 && i != DIGITS && i != SHOWN) {
        return 0;
    }
    size_t j = 6;
    while (j < n && j < 9 && (s[j] == '-' || s[j] == ' ')) {
        j++;
    }
    return j;
}

/* "900101-1234567", or "900101-1******" when `masked`, at `s`: its length, 0 when there is none. */
static size_t number_at(const char *s, size_t n, bool masked, struct rrn *out)
{
    size_t j = second_part(s, n);
    if (j == 0 || j >= n || !is_digit(s[j])) {
        return 0;
    }
    for (size_t k = 1; k < 7; k++) {
        if (j + k >= n || !(masked ? s[j + k] == '*' : is_digit(s[j + k]))) {
            return 0;
        }
    }
    if (j + 7 < n && (is_digit(s[j + 7]) || s[j + 7] == '*')) {
        return 0;
    }
    static const int century[10] = {1800, 1900, 1900, 2000, 2000, 1900, 1900, 2000, 2000, 1800};
    int g = s[j] - '0';
    out->year = century[g] + (s[0] - '0') * 10 + (s[1] - '0');
    out->month = (s[2] - '0') * 10 + (s[3] - '0');
    out->day = (s[4] - '0') * 10 + (s[5] - '0');
    out->sex = g % 2 ? 'M' : 'F';
    return day_valid(out->year, out->month, out->day) ? j + 7 : 0;
}

/* Up to WINDOW plain characters from byte `from`. */
static size_t window(struct str s, size_t from, char out[WINDOW])
{
    size_t n = 0;
    while (n < WINDOW && from < s.n) {
        out[n++] = text_plain(text_next(s, &from));
    }
    return n;
}

/* Can there be one at all? Six digits in a row, or something full-width. Most cells say no. */
static bool possible(struct str s)
{
    size_t run = 0;
    for (size_t i = 0; i < s.n; i++) {
        run = is_digit(s.p[i]) ? run + 1 : 0;
        if (run == 6 || (unsigned char)s.p[i] == 0xef) {
            return s.n >= DIGITS;
        }
    }
    return false;
}

/* The next number at or after *from, which moves behind it; *begin is where it is. */
static bool find(struct str s, size_t *from, size_t *begin, struct rrn *out)
{
    bool after_digit = false;
    for (size_t i = *from; i < s.n;) {
        size_t at = i;
        unsigned char c = (unsigned char)s.p[i];
        if (c != 0xef && !is_digit((char)c)) { /* neither a digit nor a full-width one */
            after_digit = false;
            i++;
            continue;
        }
        bool digit = is_digit(text_plain(text_next(s, &i)));
        char text[WINDOW];
        size_t n = digit && !after_digit ? number_at(text, window(s, at, text), false, out) : 0;
        if (n) {
            for (i = at; n; n--) {
                text_next(s, &i);
            }
            *begin = at;
            *from = i;
            return true;
        }
        after_digit = digit;
    }
    return false;
}

bool rrn_inside(struct str s)
{
    struct rrn found;
    size_t from = 0, begin;
    return possible(s) && find(s, &from, &begin, &found);
}

static bool whole(struct str s, bool masked, struct rrn *out)
{
    char text[WINDOW];
    struct rrn found;
    size_t n = s.n < DIGITS ? 0 : window(str_trim(s), 0, text);
    if (n == 0 || number_at(text, n, masked, &found) != n) {
        return false;
    }
    if (out) {
        *out = found;
    }
    return true;
}

bool rrn_is(struct str s, struct rrn *out)
{
    return whole(s, false, out);
}

bool rrn_masked(struct str s, struct rrn *out)
{
    return whole(s, true, out);
}

/* As 900101-1******, whatever separates the parts and whatever form its digits have. */
static size_t copy_masked(struct str number, char *to)
{
    size_t n = 0, digits = 0;
    for (size_t i = 0; i < number.n;) {
        char c = text_plain(text_next(number, &i));
        if (is_digit(c)) {
            if (digits == 6) {
                to[n++] = '-';
            }
            to[n++] = digits++ < SHOWN ? c : '*';
        }
    }
    return n;
}

struct str rrn_mask(struct arena *a, struct str s)
{
    struct rrn found;
    size_t from = 0, begin, done = 0, n = 0;
    if (!possible(s) || !find(s, &from, &begin, &found)) {
        return s;
    }
    char *to = arena_alloc(a, s.n + s.n / DIGITS + 2); /* one hyphen for each number */
    if (!to) {
        return (struct str){NULL, 0};
    }
    do {
        memcpy(to + n, s.p + done, begin - done);
        n += begin - done;
        n += copy_masked(str_cut(s, begin, from), to + n);
        done = from;
    } while (find(s, &from, &begin, &found));
    memcpy(to + n, s.p + done, s.n - done);
    return (struct str){to, n + s.n - done};
}

/*
 * 501013234567 is 050101-3234567: spreadsheets drop the zeros in front of a number, and only those
 * born from 2000 to 2009 have any. The text with its zeros, to be masked.
 */
static bool zeros_dropped(struct str s, char full[DIGITS])
{
    struct rrn found;
    s = str_trim(s);
    if (s.n < DIGITS - 3 || s.n >= DIGITS) {
        return false;
    }
    memset(full, '0', DIGITS - s.n);
    memcpy(full + DIGITS - s.n, s.p, s.n);
    return number_at(full, DIGITS, false, &found) == DIGITS && found.year >= 2000 &&
           found.year < 2010;
}

struct str rrn_mask_all(struct arena *a, struct str s)
{
    char full[DIGITS];
    if (zeros_dropped(s, full)) {
        return rrn_mask(a, (struct str){full, DIGITS}); /* a copy: it holds a number */
    }
    struct str masked = rrn_mask(a, s);
    if (!masked.p || masked.p != s.p) {
        return masked;
    }
    size_t digits = 0, n = 0;
    char *to = NULL;
    for (size_t i = 0; i < s.n;) {
        size_t at = i;
        bool digit = is_digit(text_plain(text_next(s, &i)));
        digits += digit;
        if (digit && digits > SHOWN && !to) {
            to = arena_alloc(a, s.n);
            if (!to) {
                return (struct str){NULL, 0};
            }
            memcpy(to, s.p, at);
            n = at;
        }
        if (to && digit) {
            to[n++] = '*';
        } else if (to) {
            memcpy(to + n, s.p + at, i - at);
            n += i - at;
        }
    }
    return to ? (struct str){to, n} : s;
}
