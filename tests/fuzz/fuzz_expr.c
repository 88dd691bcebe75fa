/*
 * One input is the text of one rule: parse it, run it on a message and compile it to SQL. What must
 * hold for any text is checked with abort().
 */
#include "core/expr/expr.h"
#include "core/hl7/hl7.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char message[] = "MSH|^~\\&|EMR|H|DARI|D|20260311093000||ADT^A04|1|P|2.5.1\r"
                              "PID|1||12^^^H^PI~T9^^^H^MR||A^B||19760617|M||\"\"|\r"
                              "OBX|1|NM|A||6.50\rOBX|2|NM|B||x\r";

static const struct expr_name names[] = {
    {"today", EXPR_DATE, "d", ""}, {"now", EXPR_TIME, "t", ""}, {"a", EXPR_INT, "i", ""},
    {"b", EXPR_TEXT, "s", ""},     {"c", EXPR_BOOL, "f", ""},   {0},
};
static const struct expr_set sets[] = {{"s", "SELECT x WHERE y", names, ""}, {0}};
static const struct expr_param params[] = {{"p", EXPR_INT, "7"}, {"q", EXPR_TEXT, "'\\"}, {0}};
static const struct expr_world world = {names, sets, params};

static struct arena *arena;

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Behind the literal that begins at `i`. */
static size_t skip_literal(struct str s, size_t i, bool escapes)
{
    for (i++; i < s.n; i++) {
        if (s.p[i] == '\\' && escapes) {
            i++;
        } else if (s.p[i] == '\'') {
            if (i + 1 == s.n || s.p[i + 1] != '\'') {
                return i + 1;
            }
            i++;
        }
    }
    abort();
}

/* Outside of literals there is only what we write ourselves, and brackets match. */
static void check_sql(struct str s)
{
    int open = 0;
    for (size_t i = 0; i < s.n;) {
        char c = s.p[i];
        if (c == '\'') {
            i = skip_literal(s, i, i > 0 && s.p[i - 1] == 'E');
            continue;
        }
        must((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || memchr(" (),:=<>+-*_\"0", c, 15));
        must(c != '-' || i + 1 == s.n || s.p[i + 1] != '-');
        must(c != '*' || i == 0 || s.p[i - 1] != '/');
        open += (c == '(') - (c == ')');
        must(open >= 0);
        i++;
    }
    must(open == 0);
}

static enum err_code parsed(struct str text, const struct expr **x)
{
    struct err e = {.code = ERR_NONE};
    enum err_code code = expr_parse(arena, text, x, &e);
    must(code == ERR_NONE || (e.pos <= text.n && !*x));
    return code;
}

static bool tested(struct str text, const struct record *r, enum truth *t)
{
    const struct expr *x;
    return parsed(text, &x) == ERR_NONE &&
           expr_bind_record(arena, x, &record_hl7, NULL) == ERR_NONE &&
           expr_test(x, r, arena, NULL, t, NULL) == ERR_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    const struct hl7_msg *m;
    const struct expr *x;
    struct buf sql;
    enum truth t, negated;
    arena = arena ? arena : arena_new(0);
    must(arena && hl7_parse(arena, (struct str){message, sizeof message - 1}, &hl7_default_limits,
                            &m, NULL) == ERR_NONE);
    const struct record *r = record_of_hl7(arena, m);
    if (tested(text, r, &t)) {
        char *longer = arena_printf(arena, "not (%.*s)", STR_ARG(text));
        must(longer);
        if (tested(str_of(longer), r, &negated)) {
            must(t == TRUTH_UNKNOWN ? negated == t : (t == TRUTH_TRUE) == (negated == TRUTH_FALSE));
        }
    }
    buf_init(&sql, 1 << 20);
    if (parsed(text, &x) == ERR_NONE && expr_sql(x, &world, &sql, NULL) == ERR_NONE) {
        check_sql(buf_str(&sql));
    }
    buf_release(&sql);
    arena_reset(arena);
    return 0;
}
