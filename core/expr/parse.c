/*
 * Conditions. Recursive descent, one function per line of the grammar in expr.h. A bracketed part
 * may be a condition or a value; which of them a node is, is settled here as far as its form says
 * so, and by check.c for names.
 */
#include "core/expr/parser.h"

#include "core/base/text.h"

/* A value to the right of an operator, the operator being the next token. */
static enum err_code operand(struct parser *p, struct expr **out, struct err *e)
{
    enum err_code code = parser_advance(p, e);
    code = code == ERR_NONE ? parser_sum(p, out, e) : code;
    return code == ERR_NONE ? parser_value(*out, e) : code;
}

static enum err_code parse_is(struct parser *p, struct expr *left, struct expr **out, struct err *e)
{
    static const char *const states[] = {[STATE_ABSENT] = "absent",
                                         [STATE_EMPTY] = "empty",
                                         [STATE_NULL] = "null",
                                         [STATE_SET] = "set",
                                         [STATE_UNKNOWN] = "unknown"};
    size_t pos = p->token.pos;
    enum err_code code = parser_advance(p, e);
    bool negated = parser_is_word(p, "not");
    if (code == ERR_NONE && negated) {
        code = parser_advance(p, e);
    }
    for (int i = 0; code == ERR_NONE && i <= STATE_UNKNOWN; i++) {
        if (parser_is_word(p, states[i])) {
            code = parser_advance(p, e);
            code = code == ERR_NONE ? parser_join(p, OP_IS, i, pos, left, NULL, out, e) : code;
            return code == ERR_NONE && negated ? parser_join(p, OP_NOT, 0, pos, *out, NULL, out, e)
                                               : code;
        }
    }
    return code == ERR_NONE ? parser_expected(p, "absent, empty, null, set or unknown", e) : code;
}

static enum err_code parse_in(struct parser *p, struct expr *left, struct expr **out, struct err *e)
{
    struct kids k = {0};
    size_t pos = p->token.pos;
    enum err_code code = parser_advance(p, e);
    code = code == ERR_NONE ? parser_values(p, p->words, &k, e) : code;
    return code == ERR_NONE ? parser_join(p, OP_IN, 0, pos, left, k.first, out, e) : code;
}

static enum err_code parse_between(struct parser *p, struct expr *left, struct expr **out,
                                   struct err *e)
{
    struct expr *low, *high;
    size_t pos = p->token.pos;
    enum err_code code = operand(p, &low, e);
    if (code == ERR_NONE) {
        code = parser_is_word(p, "and") ? operand(p, &high, e) : parser_expected(p, "and", e);
    }
    if (code == ERR_NONE) {
        low->next = high;
        code = parser_join(p, OP_BETWEEN, 0, pos, left, low, out, e);
    }
    return code;
}

static bool comparison(const struct parser *p, int *which)
{
    static const char *const signs[] = {[CMP_EQ] = "=",  [CMP_NE] = "!=", [CMP_LT] = "<",
                                        [CMP_LE] = "<=", [CMP_GT] = ">",  [CMP_GE] = ">="};
    for (int i = 0; i <= CMP_GE; i++) {
        if (parser_is_sign(p, signs[i])) {
            *which = i;
            return true;
        }
    }
    return false;
}

/* starts with, contains, a comparison: one more value follows. */
static enum err_code parse_pair(struct parser *p, struct expr *left, struct expr **out,
                                struct err *e)
{
    struct expr *right;
    size_t pos = p->token.pos;
    int sub = 0;
    enum err_code code = ERR_NONE;
    enum expr_op op = OP_COMPARE;
    if (!comparison(p, &sub)) {
        op = parser_is_word(p, "starts") ? OP_STARTS : OP_CONTAINS;
    }
    if (op == OP_STARTS) {
        code = parser_advance(p, e);
        if (code == ERR_NONE && !parser_is_word(p, "with")) {
            code = parser_expected(p, "with", e);
        }
    }
    code = code == ERR_NONE ? operand(p, &right, e) : code;
    return code == ERR_NONE ? parser_join(p, op, sub, pos, left, right, out, e) : code;
}

static enum err_code parse_test(struct parser *p, struct expr **out, struct err *e)
{
    struct expr *left;
    int sub;
    enum err_code code = parser_sum(p, &left, e);
    if (code != ERR_NONE) {
        return code;
    }
    bool negated = parser_is_word(p, "not");
    size_t pos = p->token.pos;
    if (negated || parser_is_word(p, "is") || parser_is_word(p, "in") ||
        parser_is_word(p, "between") || parser_is_word(p, "starts") ||
        parser_is_word(p, "contains") || comparison(p, &sub)) {
        code = parser_value(left, e);
    } else {
        *out = left;
        return ERR_NONE;
    }
    if (code == ERR_NONE && negated) {
        code = parser_advance(p, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    if (parser_is_word(p, "in")) {
        code = parse_in(p, left, out, e);
    } else if (parser_is_word(p, "between")) {
        code = parse_between(p, left, out, e);
    } else if (negated) {
        code = parser_expected(p, "in or between", e);
    } else if (parser_is_word(p, "is")) {
        code = parse_is(p, left, out, e);
    } else {
        code = parse_pair(p, left, out, e);
    }
    return code == ERR_NONE && negated ? parser_join(p, OP_NOT, 0, pos, *out, NULL, out, e) : code;
}

static enum err_code parse_not(struct parser *p, struct expr **out, struct err *e)
{
    if (!parser_is_word(p, "not")) {
        return parse_test(p, out, e);
    }
    struct expr *x;
    size_t pos = p->token.pos;
    enum err_code code = parser_enter(p, e);
    code = code == ERR_NONE ? parser_advance(p, e) : code;
    code = code == ERR_NONE ? parse_not(p, &x, e) : code;
    code = code == ERR_NONE ? parser_condition(x, e) : code;
    p->depth--;
    return code == ERR_NONE ? parser_join(p, OP_NOT, 0, pos, x, NULL, out, e) : code;
}

/* {… "and" …} or {… "or" …}: one node with all parts, so that a long list is not deep. */
static enum err_code parse_joined(struct parser *p, enum expr_op op, struct expr **out,
                                  struct err *e)
{
    const char *word = op == OP_AND ? "and" : "or";
    struct kids k = {0};
    struct expr *x;
    for (;;) {
        enum err_code code = op == OP_AND ? parse_not(p, &x, e) : parse_joined(p, OP_AND, &x, e);
        if (code == ERR_NONE && (k.count || parser_is_word(p, word))) {
            code = parser_condition(x, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
        parser_add(&k, x);
        if (!parser_is_word(p, word)) {
            break;
        }
        code = parser_advance(p, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    if (k.count == 1) {
        *out = x;
        return ERR_NONE;
    }
    enum err_code code = parser_node(p, op, k.first->pos, &x, e);
    if (code == ERR_NONE) {
        x->kids = k.first;
        *out = x;
    }
    return code;
}

enum err_code parser_or(struct parser *p, struct expr **out, struct err *e)
{
    return parse_joined(p, OP_OR, out, e);
}

enum err_code expr_parse(struct arena *a, struct str text, const struct expr **out, struct err *e)
{
    return expr_parse_with(a, text, NULL, out, e);
}

enum err_code expr_parse_with(struct arena *a, struct str text, const struct expr_words *words,
                              const struct expr **out, struct err *e)
{
    struct parser p = {.arena = a, .words = words};
    struct expr *x;
    size_t bad;
    *out = NULL;
    if (text.n > TEXT_MAX) {
        return ERR(e, ERR_LIMIT, TEXT_MAX, "longer than %d bytes", TEXT_MAX);
    }
    if (!text_utf8(text, &bad)) {
        return ERR(e, ERR_SYNTAX, bad, "not valid UTF-8");
    }
    p.text = arena_copy(a, text); /* names and paths point into it */
    if (!p.text.p) {
        return ERR(e, ERR_NOMEM, 0, "out of memory");
    }
    enum err_code code = parser_advance(&p, e);
    code = code == ERR_NONE ? parser_or(&p, &x, e) : code;
    code = code == ERR_NONE ? parser_condition(x, e) : code;
    if (code == ERR_NONE && p.token.kind != TOKEN_END) {
        code = ERR(e, ERR_SYNTAX, p.token.pos, "and, or, or the end is expected here");
    }
    if (code == ERR_NONE) {
        *out = x;
    }
    return code;
}
