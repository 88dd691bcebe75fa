/*
 * Recursive descent, one function per line of the grammar in expr.h. A bracketed part may be a
 * condition or a value; which of them a node is, is settled here as far as its form says so, and by
 * check.c for names.
 */
#include "core/expr/expr_internal.h"

#include "core/base/text.h"

#include <string.h>

enum { TEXT_MAX = 8 * 1024, DEPTH_MAX = 32, NODES_MAX = 512, DIGITS_MAX = 15 };

struct parser {
    struct arena *arena;
    struct str text;
    size_t at;
    struct token token; /* the next one */
    unsigned nodes, depth;
};

struct kids {
    struct expr *first, *last;
    size_t count;
};

static const struct {
    const char *name;
    unsigned least, most;
} functions[] = {
    [FN_LOWER] = {"lower", 1, 1},        [FN_LENGTH] = {"length", 1, 1},
    [FN_DATE] = {"date", 1, 1},          [FN_YEAR] = {"year", 1, 1},
    [FN_DAYS] = {"days", 2, 2},          [FN_YEARS] = {"years", 2, 2},
    [FN_COALESCE] = {"coalesce", 2, 16}, [FN_GREATEST] = {"greatest", 2, 16},
    [FN_LEAST] = {"least", 2, 16},
};

static enum err_code parse_or(struct parser *p, struct expr **out, struct err *e);
static enum err_code parse_sum(struct parser *p, struct expr **out, struct err *e);

static enum err_code advance(struct parser *p, struct err *e)
{
    return expr_token(p->text, &p->at, &p->token, e);
}

static bool is_sign(const struct parser *p, const char *sign)
{
    return p->token.kind == TOKEN_SIGN && str_is(p->token.text, sign);
}

static bool is_word(const struct parser *p, const char *word)
{
    return p->token.kind == TOKEN_NAME && str_is(p->token.text, word);
}

static enum err_code expected(const struct parser *p, const char *what, struct err *e)
{
    return ERR(e, ERR_SYNTAX, p->token.pos, "%s is expected here", what);
}

static enum err_code take_sign(struct parser *p, const char *sign, struct err *e)
{
    return is_sign(p, sign) ? advance(p, e) : expected(p, sign, e);
}

static enum err_code take_word(struct parser *p, const char *word, struct err *e)
{
    return is_word(p, word) ? advance(p, e) : expected(p, word, e);
}

static enum err_code node_new(struct parser *p, enum expr_op op, size_t pos, struct expr **out,
                              struct err *e)
{
    if (++p->nodes > NODES_MAX) {
        return ERR(e, ERR_LIMIT, pos, "more than %d parts", NODES_MAX);
    }
    struct expr *x = arena_alloc(p->arena, sizeof *x);
    struct note *note = x ? arena_alloc(p->arena, sizeof *note) : NULL;
    if (!note) {
        return ERR(e, ERR_NOMEM, 0, "out of memory");
    }
    x->op = op;
    x->pos = pos;
    x->note = note;
    *out = x;
    return ERR_NONE;
}

static void add_kid(struct kids *k, struct expr *x)
{
    if (k->last) {
        k->last->next = x;
    } else {
        k->first = x;
    }
    k->last = x;
    k->count++;
}

/* A node above one or two others. */
static enum err_code join(struct parser *p, enum expr_op op, int sub, size_t pos, struct expr *a,
                          struct expr *b, struct expr **out, struct err *e)
{
    struct expr *x;
    enum err_code code = node_new(p, op, pos, &x, e);
    if (code == ERR_NONE) {
        a->next = b;
        x->kids = a;
        x->sub = sub;
        *out = x;
    }
    return code;
}

/* False: by its form it can only be a value. */
static bool may_be_condition(const struct expr *x)
{
    return x->op <= OP_EXISTS || x->op == OP_BOOL || x->op == OP_NAME || x->op == OP_PATH;
}

static enum err_code as_condition(const struct expr *x, struct err *e)
{
    return may_be_condition(x) ? ERR_NONE
                               : ERR(e, ERR_SYNTAX, x->pos, "a condition is expected here");
}

static enum err_code as_value(const struct expr *x, struct err *e)
{
    return x->op > OP_EXISTS ? ERR_NONE : ERR(e, ERR_SYNTAX, x->pos, "a value is expected here");
}

static enum err_code enter(struct parser *p, struct err *e)
{
    return ++p->depth > DEPTH_MAX
               ? ERR(e, ERR_LIMIT, p->token.pos, "nested deeper than %d", DEPTH_MAX)
               : ERR_NONE;
}

/* "(" sum {"," sum} ")" */
static enum err_code parse_values(struct parser *p, struct kids *k, struct err *e)
{
    enum err_code code = take_sign(p, "(", e);
    while (code == ERR_NONE) {
        struct expr *x;
        code = parse_sum(p, &x, e);
        if (code == ERR_NONE) {
            code = as_value(x, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
        add_kid(k, x);
        if (!is_sign(p, ",")) {
            return take_sign(p, ")", e);
        }
        code = advance(p, e);
    }
    return code;
}

static enum err_code parse_call(struct parser *p, struct token name, struct expr **out,
                                struct err *e)
{
    size_t fn = 0;
    while (fn < sizeof functions / sizeof functions[0] && !str_is(name.text, functions[fn].name)) {
        fn++;
    }
    if (fn == sizeof functions / sizeof functions[0]) {
        return ERR(e, ERR_SYNTAX, name.pos, "no function of this name");
    }
    struct kids k = {0};
    struct expr *x;
    enum err_code code = parse_values(p, &k, e);
    if (code == ERR_NONE && (k.count < functions[fn].least || k.count > functions[fn].most)) {
        code = ERR(e, ERR_SYNTAX, name.pos, "%s takes %u to %u values", functions[fn].name,
                   functions[fn].least, functions[fn].most);
    }
    if (code == ERR_NONE) {
        code = node_new(p, OP_CALL, name.pos, &x, e);
    }
    if (code == ERR_NONE) {
        x->sub = (int)fn;
        x->kids = k.first;
        *out = x;
    }
    return code;
}

/* "exists" name "(" expr ")", the word already taken; also "count". */
static enum err_code parse_set(struct parser *p, enum expr_op op, size_t pos, struct expr **out,
                               struct err *e)
{
    struct expr *condition, *x;
    struct token name = p->token;
    if (name.kind != TOKEN_NAME) {
        return expected(p, "the name of a set", e);
    }
    enum err_code code = advance(p, e);
    if (code == ERR_NONE) {
        code = take_sign(p, "(", e);
    }
    if (code == ERR_NONE) {
        code = parse_or(p, &condition, e);
    }
    if (code == ERR_NONE) {
        code = as_condition(condition, e);
    }
    if (code == ERR_NONE) {
        code = take_sign(p, ")", e);
    }
    if (code == ERR_NONE) {
        code = join(p, op, 0, pos, condition, NULL, &x, e);
    }
    if (code == ERR_NONE) {
        x->text = name.text;
        *out = x;
    }
    return code;
}

static bool reserved(struct str word)
{
    static const char *const words[] = {"and",     "or",     "not",  "in",      "is",
                                        "between", "starts", "with", "contains"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_is(word, words[i])) {
            return true;
        }
    }
    return false;
}

static enum err_code parse_name(struct parser *p, struct expr **out, struct err *e)
{
    struct token name = p->token;
    struct expr *x;
    if (reserved(name.text)) {
        return expected(p, "a value", e);
    }
    enum err_code code = advance(p, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (str_is(name.text, "exists") || str_is(name.text, "count")) {
        return parse_set(p, name.text.p[0] == 'e' ? OP_EXISTS : OP_COUNT, name.pos, out, e);
    }
    if (is_sign(p, "(")) {
        return parse_call(p, name, out, e);
    }
    bool is_true = str_is(name.text, "true");
    code = node_new(p, is_true || str_is(name.text, "false") ? OP_BOOL : OP_NAME, name.pos, &x, e);
    if (code == ERR_NONE) {
        x->sub = is_true;
        x->text = name.text;
        *out = x;
    }
    return code;
}

/* Doubled quotes become one. */
static enum err_code literal(struct parser *p, struct str in, struct str *out, struct err *e)
{
    char *to = arena_alloc(p->arena, in.n + 1);
    size_t n = 0;
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "out of memory");
    }
    for (size_t i = 0; i < in.n; i++) {
        to[n++] = in.p[i];
        i += in.p[i] == '\'';
    }
    *out = (struct str){to, n};
    return ERR_NONE;
}

static enum err_code parse_leaf(struct parser *p, enum expr_op op, struct expr **out, struct err *e)
{
    struct token t = p->token;
    struct expr *x;
    if (op == OP_NUMBER && t.text.n > DIGITS_MAX) {
        return ERR(e, ERR_LIMIT, t.pos, "a number of more than %d characters", DIGITS_MAX);
    }
    enum err_code code = node_new(p, op, t.pos, &x, e);
    if (code == ERR_NONE) {
        x->sub = t.kind == TOKEN_BRACES;
        x->text = t.text;
        *out = x;
        code = op == OP_TEXT ? literal(p, t.text, &x->text, e) : ERR_NONE;
    }
    return code == ERR_NONE ? advance(p, e) : code;
}

/* "-" number */
static enum err_code parse_negative(struct parser *p, struct expr **out, struct err *e)
{
    size_t pos = p->token.pos;
    enum err_code code = advance(p, e);
    if (code == ERR_NONE && (p->token.kind != TOKEN_NUMBER || p->token.pos != pos + 1)) {
        return ERR(e, ERR_SYNTAX, pos, "a value is expected here");
    }
    if (code == ERR_NONE) {
        p->token.pos = pos;
        p->token.text = str_cut(p->text, pos, p->at);
        code = parse_leaf(p, OP_NUMBER, out, e);
    }
    return code;
}

static enum err_code parse_item(struct parser *p, struct expr **out, struct err *e)
{
    enum err_code code = enter(p, e);
    if (code != ERR_NONE) {
        return code;
    }
    switch (p->token.kind) {
    case TOKEN_TEXT:
        code = parse_leaf(p, OP_TEXT, out, e);
        break;
    case TOKEN_NUMBER:
        code = parse_leaf(p, OP_NUMBER, out, e);
        break;
    case TOKEN_PATH:
    case TOKEN_BRACES:
        code = parse_leaf(p, OP_PATH, out, e);
        break;
    case TOKEN_NAME:
        code = parse_name(p, out, e);
        break;
    case TOKEN_SIGN:
        if (is_sign(p, "-")) {
            code = parse_negative(p, out, e);
        } else if (is_sign(p, "(")) {
            code = advance(p, e);
            code = code == ERR_NONE ? parse_or(p, out, e) : code;
            code = code == ERR_NONE ? take_sign(p, ")", e) : code;
        } else {
            code = expected(p, "a value", e);
        }
        break;
    case TOKEN_END:
        code = expected(p, "a value", e);
        break;
    }
    p->depth--;
    return code;
}

/* One level of operators that join values to the left: + and -, or *. */
static enum err_code parse_chain(struct parser *p, bool products, struct expr **out, struct err *e)
{
    struct expr *left, *right;
    enum err_code code = products ? parse_item(p, &left, e) : parse_chain(p, true, &left, e);
    while (code == ERR_NONE && (products ? is_sign(p, "*") : is_sign(p, "+") || is_sign(p, "-"))) {
        struct token sign = p->token;
        enum expr_op op = products ? OP_MULTIPLY : sign.text.p[0] == '+' ? OP_ADD : OP_SUBTRACT;
        code = as_value(left, e);
        code = code == ERR_NONE ? advance(p, e) : code;
        if (code == ERR_NONE) {
            code = products ? parse_item(p, &right, e) : parse_chain(p, true, &right, e);
        }
        code = code == ERR_NONE ? as_value(right, e) : code;
        code = code == ERR_NONE ? join(p, op, 0, sign.pos, left, right, &left, e) : code;
    }
    if (code == ERR_NONE) {
        *out = left;
    }
    return code;
}

static enum err_code parse_sum(struct parser *p, struct expr **out, struct err *e)
{
    return parse_chain(p, false, out, e);
}

/* A value to the right of an operator, the operator being the next token. */
static enum err_code operand(struct parser *p, struct expr **out, struct err *e)
{
    enum err_code code = advance(p, e);
    code = code == ERR_NONE ? parse_sum(p, out, e) : code;
    return code == ERR_NONE ? as_value(*out, e) : code;
}

static enum err_code parse_is(struct parser *p, struct expr *left, struct expr **out, struct err *e)
{
    static const char *const states[] = {[STATE_ABSENT] = "absent",
                                         [STATE_EMPTY] = "empty",
                                         [STATE_NULL] = "null",
                                         [STATE_SET] = "set",
                                         [STATE_UNKNOWN] = "unknown"};
    size_t pos = p->token.pos;
    enum err_code code = advance(p, e);
    bool negated = is_word(p, "not");
    if (code == ERR_NONE && negated) {
        code = advance(p, e);
    }
    for (int i = 0; code == ERR_NONE && i <= STATE_UNKNOWN; i++) {
        if (is_word(p, states[i])) {
            code = advance(p, e);
            code = code == ERR_NONE ? join(p, OP_IS, i, pos, left, NULL, out, e) : code;
            return code == ERR_NONE && negated ? join(p, OP_NOT, 0, pos, *out, NULL, out, e) : code;
        }
    }
    return code == ERR_NONE ? expected(p, "absent, empty, null, set or unknown", e) : code;
}

static enum err_code parse_in(struct parser *p, struct expr *left, struct expr **out, struct err *e)
{
    struct kids k = {0};
    size_t pos = p->token.pos;
    enum err_code code = advance(p, e);
    code = code == ERR_NONE ? parse_values(p, &k, e) : code;
    return code == ERR_NONE ? join(p, OP_IN, 0, pos, left, k.first, out, e) : code;
}

static enum err_code parse_between(struct parser *p, struct expr *left, struct expr **out,
                                   struct err *e)
{
    struct expr *low, *high;
    size_t pos = p->token.pos;
    enum err_code code = operand(p, &low, e);
    if (code == ERR_NONE) {
        code = is_word(p, "and") ? operand(p, &high, e) : expected(p, "and", e);
    }
    if (code == ERR_NONE) {
        low->next = high;
        code = join(p, OP_BETWEEN, 0, pos, left, low, out, e);
    }
    return code;
}

static bool comparison(const struct parser *p, int *which)
{
    static const char *const signs[] = {[CMP_EQ] = "=",  [CMP_NE] = "!=", [CMP_LT] = "<",
                                        [CMP_LE] = "<=", [CMP_GT] = ">",  [CMP_GE] = ">="};
    for (int i = 0; i <= CMP_GE; i++) {
        if (is_sign(p, signs[i])) {
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
        op = is_word(p, "starts") ? OP_STARTS : OP_CONTAINS;
    }
    if (op == OP_STARTS) {
        code = advance(p, e);
        if (code == ERR_NONE && !is_word(p, "with")) {
            code = expected(p, "with", e);
        }
    }
    code = code == ERR_NONE ? operand(p, &right, e) : code;
    return code == ERR_NONE ? join(p, op, sub, pos, left, right, out, e) : code;
}

static enum err_code parse_test(struct parser *p, struct expr **out, struct err *e)
{
    struct expr *left;
    int sub;
    enum err_code code = parse_sum(p, &left, e);
    if (code != ERR_NONE) {
        return code;
    }
    bool negated = is_word(p, "not");
    size_t pos = p->token.pos;
    if (negated || is_word(p, "is") || is_word(p, "in") || is_word(p, "between") ||
        is_word(p, "starts") || is_word(p, "contains") || comparison(p, &sub)) {
        code = as_value(left, e);
    } else {
        *out = left;
        return ERR_NONE;
    }
    if (code == ERR_NONE && negated) {
        code = advance(p, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    if (is_word(p, "in")) {
        code = parse_in(p, left, out, e);
    } else if (is_word(p, "between")) {
        code = parse_between(p, left, out, e);
    } else if (negated) {
        code = expected(p, "in or between", e);
    } else if (is_word(p, "is")) {
        code = parse_is(p, left, out, e);
    } else {
        code = parse_pair(p, left, out, e);
    }
    return code == ERR_NONE && negated ? join(p, OP_NOT, 0, pos, *out, NULL, out, e) : code;
}

static enum err_code parse_not(struct parser *p, struct expr **out, struct err *e)
{
    if (!is_word(p, "not")) {
        return parse_test(p, out, e);
    }
    struct expr *x;
    size_t pos = p->token.pos;
    enum err_code code = enter(p, e);
    code = code == ERR_NONE ? advance(p, e) : code;
    code = code == ERR_NONE ? parse_not(p, &x, e) : code;
    code = code == ERR_NONE ? as_condition(x, e) : code;
    p->depth--;
    return code == ERR_NONE ? join(p, OP_NOT, 0, pos, x, NULL, out, e) : code;
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
        if (code == ERR_NONE && (k.count || is_word(p, word))) {
            code = as_condition(x, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
        add_kid(&k, x);
        if (!is_word(p, word)) {
            break;
        }
        code = take_word(p, word, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    if (k.count == 1) {
        *out = x;
        return ERR_NONE;
    }
    enum err_code code = node_new(p, op, k.first->pos, &x, e);
    if (code == ERR_NONE) {
        x->kids = k.first;
        *out = x;
    }
    return code;
}

static enum err_code parse_or(struct parser *p, struct expr **out, struct err *e)
{
    return parse_joined(p, OP_OR, out, e);
}

enum err_code expr_parse(struct arena *a, struct str text, const struct expr **out, struct err *e)
{
    struct parser p = {.arena = a};
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
    enum err_code code = advance(&p, e);
    code = code == ERR_NONE ? parse_or(&p, &x, e) : code;
    code = code == ERR_NONE ? as_condition(x, e) : code;
    if (code == ERR_NONE && p.token.kind != TOKEN_END) {
        code = ERR(e, ERR_SYNTAX, p.token.pos, "and, or, or the end is expected here");
    }
    if (code == ERR_NONE) {
        *out = x;
    }
    return code;
}
