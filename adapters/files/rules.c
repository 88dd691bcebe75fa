#include "adapters/files/rules.h"

#include "core/base/buf.h"
#include "core/base/num.h"
#include "core/base/text.h"

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

/* 1 to 12, 0: not a month. */
static int month_of(struct str s)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int m = 0; s.n == 3 && m < 12; m++) {
        if (str_same(s, (struct str){names + 3 * m, 3})) {
            return m + 1;
        }
    }
    return 0;
}

static bool small(struct str s, int max, int *out)
{
    int64_t n;
    bool ok = s.n && s.p[0] >= '0' && s.p[0] <= '9' && num_i64(s, 0, max, &n, NULL) == ERR_NONE;
    *out = ok ? (int)n : 0;
    return ok;
}

/* "Mar 25 14:29" or "Mar 25 2025". Without a year it is the last such day that is not to come. */
static bool listed_time(struct str month, struct str day, struct str last, usec now, usec *out)
{
    int m = month_of(month), d, y, hour = 0, minute = 0;
    struct civil today;
    day_civil((int32_t)(now / USEC_DAY), &today);
    bool clock = last.n == 5 && last.p[2] == ':';
    if (clock ? !small(str_cut(last, 0, 2), 23, &hour) || !small(str_cut(last, 3, 5), 59, &minute)
              : last.n != 4 || !small(last, 9999, &y)) {
        return false;
    }
    y = clock ? today.year : y;
    if (!m || !small(day, 31, &d) || !day_valid(y, m, d)) {
        return false;
    }
    if (clock && day_of(y, m, d) > now / USEC_DAY + 1) {
        y--;
    }
    *out = day_of(y, m, d) * USEC_DAY + hour * USEC_HOUR + minute * USEC_MINUTE;
    return true;
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
bool rule_listing(struct str line, usec now, struct rule_listed *out)
{
    struct str rest = line, w;
    if (!word(&rest, &w) || w.n < 10) {
        return false;
    }
    out->type = w.p[0];
    while (word(&rest, &w)) {
        struct str after = rest, month, day, last;
        if (w.p[0] < '0' || w.p[0] > '9' || !word(&after, &month) || !word(&after, &day) ||
            !word(&after, &last) || !after.n || !listed_time(month, day, last, now, &out->time)) {
            continue;
        }
        out->name = str_cut(after, 1, after.n);
        return num_i64(w, 0, INT64_MAX, &out->size, NULL) == ERR_NONE && good_name(out->name);
    }
    return false;
}
