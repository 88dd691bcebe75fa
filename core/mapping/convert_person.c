/* Korean names, addresses and telephone numbers. */
#include "core/mapping/convert.h"

#include "core/base/text.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- names ---- */

static bool is_hangul(unsigned c)
{
    return (c >= 0xac00 && c <= 0xd7a3) || (c >= 0x1100 && c <= 0x11ff) ||
           (c >= 0x3130 && c <= 0x318f);
}

static bool is_ideograph(unsigned c)
{
    return (c >= 0x3400 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff);
}

bool text_has_hangul(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        if (is_hangul(text_next(s, &i))) {
            return true;
        }
    }
    return false;
}

/* East Asian letters and no Latin ones: written without a blank. */
static bool written_together(struct str s)
{
    bool asian = false;
    for (size_t i = 0; i < s.n;) {
        unsigned c = text_next(s, &i);
        asian = asian || is_hangul(c) || is_ideograph(c);
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) {
            return false;
        }
    }
    return asian;
}

struct str convert_name(struct arena *a, struct str family, struct str given)
{
    family = str_trim(family);
    given = str_trim(given);
    bool together = written_together(family) && (given.n == 0 || written_together(given));
    char *to = arena_alloc(a, family.n + given.n + 2);
    if (!to) {
        return (struct str){NULL, 0};
    }
    size_t n = 0;
    struct str parts[2] = {together ? family : given, together ? given : family};
    for (size_t k = 0; k < 2; k++) {
        if (n && parts[k].n && !together) {
            to[n++] = ' ';
        }
        for (size_t i = 0; i < parts[k].n; i++) {
            if (!together || parts[k].p[i] != ' ') {
                to[n++] = parts[k].p[i];
            }
        }
    }
    return (struct str){to, n};
}

struct str convert_address(struct arena *a, const struct str part[ADDRESS_PARTS])
{
    static const int korean[] = {ADDRESS_STATE, ADDRESS_CITY, ADDRESS_STREET, ADDRESS_OTHER};
    static const int western[] = {ADDRESS_STREET, ADDRESS_OTHER, ADDRESS_CITY, ADDRESS_STATE};
    size_t room = 1;
    bool hangul = false;
    for (size_t i = 0; i < ADDRESS_PARTS; i++) {
        room += part[i].n + 2;
        hangul = hangul || text_has_hangul(part[i]);
    }
    char *to = arena_alloc(a, room);
    if (!to) {
        return (struct str){NULL, 0};
    }
    size_t n = 0;
    for (size_t i = 0; i < ADDRESS_PARTS; i++) {
        struct str p = part[(hangul ? korean : western)[i]];
        if (n && p.n) {
            const char *between = hangul ? " " : ", ";
            memcpy(to + n, between, strlen(between));
            n += strlen(between);
        }
        memcpy(to + n, p.n ? p.p : "", p.n);
        n += p.n;
    }
    return (struct str){to, n};
}

/* ---- telephone numbers ---- */

enum { MIN_DIGITS = 8 };

struct digits {
    char d[20];
    size_t n;
    bool plus, bad;
};

static void add_plain(struct digits *out, char c)
{
    if (is_digit(c)) {
        if (out->n < sizeof out->d) {
            out->d[out->n++] = c;
        } else {
            out->bad = true;
        }
    } else if (c == '+' && out->n == 0) {
        out->plus = true;
    } else if (!strchr(" -.()", c)) {
        out->bad = true;
    }
}

/*
 * What may stand behind a number of type TN: X or B and digits (extension, pager), C and any text.
 * An X without digits hides some.
 */
static bool ends_number(const struct digits *so_far, char c, struct str rest)
{
    bool counted = (c == 'X' || c == 'x' || c == 'B') && rest.n && is_digit(rest.p[0]);
    return so_far->n >= MIN_DIGITS && (counted || c == 'C');
}

/* The digits of the first number in a cell; two numbers are often written into one. */
static struct digits first_number(struct str in)
{
    struct digits out = {.n = 0};
    bool uri = str_same(str_cut(in, 0, 4), STR("tel:")); /* RFC 3966, as CDA and FHIR have it */
    for (size_t i = uri ? 4 : 0; i < in.n;) {
        char c = text_plain(text_next(in, &i));
        if (c == '/' || c == ',' || c == ';' || c == '\n') {
            if (out.n) {
                break;
            }
            continue;
        }
        if (ends_number(&out, c, str_cut(in, i, in.n))) {
            break;
        }
        add_plain(&out, c ? c : 'x');
    }
    return out;
}

struct number_plan {
    const char *prefix;
    size_t min, max; /* digits in all */
    enum phone_kind kind;
};

/* Numbering plan, national form with its leading zero; the first prefix that fits decides. */
static const struct number_plan national[] = {
    {"010", 11, 11, PHONE_MOBILE},      {"011", 10, 11, PHONE_MOBILE},
    {"016", 10, 11, PHONE_MOBILE},      {"017", 10, 11, PHONE_MOBILE},
    {"018", 10, 11, PHONE_MOBILE},      {"019", 10, 11, PHONE_MOBILE},
    {"02", 9, 10, PHONE_FIXED},         {"031", 10, 11, PHONE_FIXED},
    {"032", 10, 11, PHONE_FIXED},       {"033", 10, 11, PHONE_FIXED},
    {"041", 10, 11, PHONE_FIXED},       {"042", 10, 11, PHONE_FIXED},
    {"043", 10, 11, PHONE_FIXED},       {"044", 10, 11, PHONE_FIXED},
    {"051", 10, 11, PHONE_FIXED},       {"052", 10, 11, PHONE_FIXED},
    {"053", 10, 11, PHONE_FIXED},       {"054", 10, 11, PHONE_FIXED},
    {"055", 10, 11, PHONE_FIXED},       {"061", 10, 11, PHONE_FIXED},
    {"062", 10, 11, PHONE_FIXED},       {"063", 10, 11, PHONE_FIXED},
    {"064", 10, 11, PHONE_FIXED},       {"070", 11, 11, PHONE_INTERNET},
    {"050", 11, 12, PHONE_PERSONAL},    {"080", 10, 11, PHONE_REPRESENTATIVE},
    {"15", 8, 8, PHONE_REPRESENTATIVE}, {"16", 8, 8, PHONE_REPRESENTATIVE},
    {"18", 8, 8, PHONE_REPRESENTATIVE},
};

static enum phone_kind plan_of(const char *d, size_t n)
{
    for (size_t i = 0; i < sizeof national / sizeof national[0]; i++) {
        const struct number_plan *p = &national[i];
        size_t len = strlen(p->prefix);
        if (n >= len && memcmp(d, p->prefix, len) == 0) {
            return n >= p->min && n <= p->max ? p->kind : PHONE_UNKNOWN;
        }
    }
    return PHONE_UNKNOWN;
}

/* At most 15 digits behind a plus: they fit. */
static void put_number(char out[PHONE_TEXT], const char *prefix, const char *digits, size_t n)
{
    size_t at = strlen(prefix);
    memcpy(out, prefix, at);
    memcpy(out + at, digits, n);
    out[at + n] = '\0';
}

enum phone_kind phone_parse(struct str in, char out[PHONE_TEXT])
{
    struct digits in_digits = first_number(in);
    const char *d = in_digits.d;
    size_t n = in_digits.n;
    char with_zero[24];
    out[0] = '\0';
    if (in_digits.bad || n < MIN_DIGITS) {
        return PHONE_UNKNOWN;
    }
    bool korean = memcmp(d, "82", 2) == 0 && (in_digits.plus || n >= 11);
    if (in_digits.plus && !korean) {
        if (n > 15 || d[0] == '0') {
            return PHONE_UNKNOWN;
        }
        put_number(out, "+", d, n);
        return PHONE_FOREIGN;
    }
    if (korean) {
        d += 2;
        n -= 2;
    }
    /* +82 10-…, and the zero that a spreadsheet dropped from a mobile number */
    bool lost_zero = n == 10 && memcmp(d, "10", 2) == 0;
    if ((korean && d[0] != '0' && plan_of(d, n) == PHONE_UNKNOWN) || lost_zero) {
        with_zero[0] = '0';
        memcpy(with_zero + 1, d, n);
        d = with_zero;
        n++;
    }
    enum phone_kind kind = plan_of(d, n);
    if (kind != PHONE_UNKNOWN) {
        size_t skip = d[0] == '0';
        put_number(out, "+82", d + skip, n - skip);
    }
    return kind;
}
