#include "core/expr/expr_internal.h"

#include <string.h>

static bool lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static char at(struct str s, size_t i)
{
    return i < s.n ? s.p[i] : '\0';
}

static size_t skip_digits(struct str s, size_t i)
{
    while (digit(at(s, i))) {
        i++;
    }
    return i;
}

/* Behind the quote that ends a text; a doubled quote is one in it. 0: it does not end. */
static size_t skip_text(struct str s, size_t i)
{
    for (i++; i < s.n && s.p[i] != '\0'; i++) {
        if (s.p[i] == '\'') {
            if (at(s, i + 1) != '\'') {
                return i + 1;
            }
            i++;
        }
    }
    return 0;
}

/* Behind "(2)" or "[5='MR']", or `i` when there is none. */
static size_t skip_choice(struct str s, size_t i)
{
    if (at(s, i) == '(') {
        size_t end = skip_digits(s, i + 1);
        return end > i + 1 && at(s, end) == ')' ? end + 1 : i;
    }
    if (at(s, i) != '[') {
        return i;
    }
    for (size_t end = i + 1; end < s.n;) {
        if (s.p[end] == ']') {
            return end + 1;
        }
        end = s.p[end] == '\'' ? skip_text(s, end) : end + 1;
        if (end == 0) {
            break;
        }
    }
    return i;
}

/*
 * Behind SEG, SEG(n)-F(r).C.S, SEG-F[C='text'].C. Only what belongs to it is taken: "PID-3 - 1" is
 * a subtraction, and so would be "PID-X". What the path means is checked by core/record.
 */
static size_t skip_path(struct str s, size_t i)
{
    i = skip_choice(s, i + 3);
    if (at(s, i) == '-' && digit(at(s, i + 1))) {
        i = skip_choice(s, skip_digits(s, i + 1));
        while (at(s, i) == '.' && digit(at(s, i + 1))) {
            i = skip_digits(s, i + 1);
        }
    }
    return i;
}

static bool path_begins(struct str s, size_t i)
{
    return upper(at(s, i)) && (upper(at(s, i + 1)) || digit(at(s, i + 1))) &&
           (upper(at(s, i + 2)) || digit(at(s, i + 2)));
}

static bool word(char c)
{
    return lower(c) || upper(c) || digit(c) || c == '_';
}

static size_t sign_length(struct str s, size_t i)
{
    static const char *const signs[] = {"!=", "<=", ">=", "=", "<", ">",
                                        "(",  ")",  ",",  "+", "-", "*"};
    for (size_t k = 0; k < sizeof signs / sizeof signs[0]; k++) {
        if (str_starts(str_cut(s, i, s.n), str_of(signs[k]))) {
            return strlen(signs[k]);
        }
    }
    return 0;
}

static enum err_code enclosed(struct str s, size_t from, size_t end, struct token *out)
{
    out->text = str_cut(s, from + 1, end - 1);
    return ERR_NONE;
}

static enum err_code word_token(struct str s, size_t from, size_t *end, struct token *out,
                                struct err *e)
{
    bool path = path_begins(s, from);
    size_t i = from;
    if (path) {
        i = skip_path(s, from);
    } else if (digit(s.p[from])) {
        i = skip_digits(s, from);
        if (at(s, i) == '.' && digit(at(s, i + 1))) {
            i = skip_digits(s, i + 1);
        }
    } else {
        while (lower(at(s, i)) || digit(at(s, i)) || at(s, i) == '_') {
            i++;
        }
    }
    if (i == from || word(at(s, i)) || (path && at(s, i) == '.')) {
        return ERR(e, ERR_SYNTAX, i,
                   "not understood here: names are lower case, paths look like PID-3.1");
    }
    out->kind = path ? TOKEN_PATH : digit(s.p[from]) ? TOKEN_NUMBER : TOKEN_NAME;
    out->text = str_cut(s, from, i);
    *end = i;
    return ERR_NONE;
}

enum err_code expr_token(struct str s, size_t *pos, struct token *out, struct err *e)
{
    size_t from = *pos, end = 0;
    while (from < s.n && memchr(" \t\r\n", s.p[from], 4)) {
        from++;
    }
    *out = (struct token){TOKEN_END, from, str_cut(s, from, from)};
    *pos = from;
    if (from == s.n) {
        return ERR_NONE;
    }
    if (s.p[from] == '\'') {
        end = skip_text(s, from);
        out->kind = TOKEN_TEXT;
    } else if (s.p[from] == '{') {
        end = str_find(s, '}', from) + 1;
        end = end > s.n ? 0 : end;
        out->kind = TOKEN_BRACES;
    } else if (word(s.p[from])) {
        return word_token(s, from, pos, out, e);
    } else {
        size_t n = sign_length(s, from);
        out->kind = TOKEN_SIGN;
        out->text = str_cut(s, from, from + n);
        *pos = from + n;
        return n ? ERR_NONE : ERR(e, ERR_SYNTAX, from, "a character that means nothing here");
    }
    if (end == 0) {
        return ERR(e, ERR_SYNTAX, from, "%s that does not end",
                   out->kind == TOKEN_TEXT ? "a text" : "braces");
    }
    *pos = end;
    return enclosed(s, from, end, out);
}
