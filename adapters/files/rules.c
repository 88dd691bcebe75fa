#include "adapters/files/rules.h"

#include "core/base/buf.h"
#include "core/base/num.h"
#include "core/base/text.h"

#include <ctype.h>
#include <string.h>

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u - 'A' + 'a') : u;
}

/* How many bytes the character at the front has; a byte that is no UTF-8 counts as one. */
static size_t character(struct str s)
{
    size_t n = 1;
    while (n < s.n && n < 4 && ((unsigned char)s.p[n] & 0xc0) == 0x80) {
        n++;
    }
    return (unsigned char)s.p[0] >= 0xc0 ? n : 1;
}

/* The byte behind the set that begins at p[0] == '['; 0 when it is not closed. */
static size_t set_end(struct str p)
{
    size_t i = p.n > 1 && p.p[1] == '!' ? 2 : 1;
    size_t close = str_find(p, ']', i + 1); /* a ] that comes first is meant */
    return close < p.n ? close + 1 : 0;
}

static bool in_set(struct str set, char c)
{
    bool not = set.p[1] == '!', found = false;
    for (size_t i = not ? 2 : 1; i + 1 < set.n; i++) {
        unsigned char from = lower(set.p[i]), to = from;
        if (i + 3 < set.n && set.p[i + 1] == '-') {
            to = lower(set.p[i += 2]);
        }
        found = found || (lower(c) >= from && lower(c) <= to);
    }
    return found != not ;
}

/* One pattern element against the front of a name: how much of both is used up. */
static bool step(struct str pattern, struct str name, size_t *p, size_t *n)
{
    if (name.n == 0) {
        return false;
    }
    *p = *n = 1;
    if (pattern.p[0] == '?') {
        *n = character(name);
        return true;
    }
    size_t end = pattern.p[0] == '[' ? set_end(pattern) : 0;
    if (end) {
        *p = end;
        return in_set(str_cut(pattern, 0, end), name.p[0]);
    }
    return lower(pattern.p[0]) == lower(name.p[0]);
}

/* Goes back to the last star only, so the time is at most the product of both lengths. */
static bool match_one(struct str pattern, struct str name)
{
    struct str star = {0}, from = {0};
    for (;;) {
        size_t p, n;
        if (pattern.n && pattern.p[0] == '*') {
            star = pattern = str_cut(pattern, 1, pattern.n);
            from = name;
        } else if (pattern.n && step(pattern, name, &p, &n)) {
            pattern = str_cut(pattern, p, pattern.n);
            name = str_cut(name, n, name.n);
        } else if (!pattern.n && !name.n) {
            return true;
        } else if (star.p && from.n) {
            from = name = str_cut(from, 1, from.n);
            pattern = star;
        } else {
            return false;
        }
    }
}

bool rule_match(struct str patterns, struct str name)
{
    struct str one;
    while (patterns.n && str_next(&patterns, '|', &one)) {
        if (match_one(one, name)) {
            return true;
        }
    }
    return false;
}

enum err_code rule_check(struct str patterns, struct err *e)
{
    struct str one, rest = patterns;
    while (patterns.n && str_next(&rest, '|', &one)) {
        size_t at = (size_t)(one.p - patterns.p);
        if (!one.n) {
            return ERR(e, ERR_CONFIG, at, "an empty pattern: separate patterns by one |");
        }
        for (size_t i = 0; i < one.n; i++) {
            size_t end = one.p[i] == '[' ? set_end(str_cut(one, i, one.n)) : 1;
            if (!end) {
                return ERR(e, ERR_CONFIG, at + i, "a [ without its ]");
            }
            i += end - 1;
        }
    }
    return ERR_NONE;
}

const char *rule_text(struct arena *a, struct str name)
{
    struct buf b;
    buf_init(&b, name.n * 4 + 1);
    while (name.n) {
        size_t n = character(name), bad;
        struct str c = str_cut(name, 0, n);
        if (!text_utf8(c, &bad)) {
            c = str_cut(name, 0, n = 1);
        }
        unsigned char u = (unsigned char)c.p[0];
        bool c1 = u == 0xc2 && n == 2 && (unsigned char)c.p[1] < 0xa0;
        if (u == '\n' || u == '\r' || u == '\t' || u == '\\') {
            buf_printf(&b, "\\%c", u == '\n' ? 'n' : u == '\r' ? 'r' : u == '\t' ? 't' : '\\');
        } else if (u < 0x20 || u == 0x7f || c1 || (n == 1 && u >= 0x80)) {
            for (size_t i = 0; i < n; i++) {
                buf_printf(&b, "\\x%02x", (unsigned char)c.p[i]);
            }
        } else {
            buf_add(&b, c);
        }
        name = str_cut(name, n, name.n);
    }
    const char *text = buf_ok(&b) ? arena_z(a, buf_str(&b)) : NULL;
    buf_release(&b);
    return text;
}

struct str rule_base(struct str path)
{
    size_t i = path.n;
    while (i && path.p[i - 1] != '/') {
        i--;
    }
    return str_cut(path, i, path.n);
}

static bool word(struct str *rest, struct str *out)
{
    size_t i = 0;
    while (i < rest->n && rest->p[i] == ' ') {
        i++;
    }
    size_t end = str_find(*rest, ' ', i);
    *out = str_cut(*rest, i, end);
    *rest = str_cut(*rest, end, rest->n);
    return out->n > 0;
}

static bool is_month(struct str s)
{
    return s.n == 3 && isalpha((unsigned char)s.p[0]) && isalpha((unsigned char)s.p[1]) &&
           isalpha((unsigned char)s.p[2]);
}

static bool is_digits(struct str s, size_t max)
{
    size_t i = 0;
    while (i < s.n && isdigit((unsigned char)s.p[i])) {
        i++;
    }
    return s.n && s.n <= max && i == s.n;
}

static bool is_hour_or_year(struct str s)
{
    return s.n == 5 ? s.p[2] == ':' || is_digits(s, 5) : is_digits(s, 4);
}

static bool good_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c < 0x20 || c == 0x7f || c == '/') {
            return false;
        }
    }
    return name.n && !str_is(name, ".") && !str_is(name, "..");
}

/* Owner and group may hold blanks: the size is the number that stands before month, day and time.
 */
bool rule_listing(struct str line, struct rule_listed *out)
{
    struct str rest = line, w;
    if (!word(&rest, &w) || w.n < 10) {
        return false;
    }
    out->type = w.p[0];
    while (word(&rest, &w)) {
        struct str after = rest, month, day, clock;
        if (!is_digits(w, 18) || !word(&after, &month) || !is_month(month) || !word(&after, &day) ||
            !is_digits(day, 2) || !word(&after, &clock) || !is_hour_or_year(clock) || !after.n) {
            continue;
        }
        out->time = (struct str){month.p, (size_t)(clock.p + clock.n - month.p)};
        out->name = str_cut(after, 1, after.n);
        return num_i64(w, 0, INT64_MAX, &out->size, NULL) == ERR_NONE && good_name(out->name);
    }
    return false;
}
