/* Values: literals, names, paths, functions, exists and count, sums. */
#include "core/expr/parser.h"

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

static enum err_code add_value(struct parser *p, const struct expr_words *words, struct expr *x,
                               struct kids *k, struct err *e)
{
    while (words && !(x->op == OP_NAME && str_is(x->text, words->name))) {
        words = words->next;
    }
    if (!words) {
        parser_add(k, x);
    }
    for (size_t i = 0; words && i < words->count; i++) {
        struct expr *word;
        enum err_code code = parser_node(p, OP_TEXT, x->pos, &word, e);
        if (code != ERR_NONE) {
            return code;
        }
        word->text = words->words[i];
        parser_add(k, word);
    }
    return ERR_NONE;
}

enum err_code parser_values(struct parser *p, const struct expr_words *words, struct kids *k,
                            struct err *e)
{
    enum err_code code = parser_take_sign(p, "(", e);
    while (code == ERR_NONE) {
        struct expr *x;
        code = parser_sum(p, &x, e);
        if (code == ERR_NONE) {
            code = parser_value(x, e);
        }
        if (code == ERR_NONE) {
            code = add_value(p, words, x, k, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
        if (!parser_is_sign(p, ",")) {
            return parser_take_sign(p, ")", e);
        }
        code = parser_advance(p, e);
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
    enum err_code code = parser_values(p, NULL, &k, e);
    if (code == ERR_NONE && (k.count < functions[fn].least || k.count > functions[fn].most)) {
        code = ERR(e, ERR_SYNTAX, name.pos, "%s takes %u to %u values", functions[fn].name,
                   functions[fn].least, functions[fn].most);
    }
    if (code == ERR_NONE) {
        code = parser_node(p, OP_CALL, name.pos, &x, e);
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
        return parser_expected(p, "the name of a set", e);
    }
    enum err_code code = parser_advance(p, e);
    if (code == ERR_NONE) {
        code = parser_take_sign(p, "(", e);
    }
    if (code == ERR_NONE) {
        code = parser_or(p, &condition, e);
    }
    if (code == ERR_NONE) {
        code = parser_condition(condition, e);
    }
    if (code == ERR_NONE) {
        code = parser_take_sign(p, ")", e);
    }
    if (code == ERR_NONE) {
        code = parser_join(p, op, 0, pos, condition, NULL, &x, e);
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
        return parser_expected(p, "a value", e);
    }
    enum err_code code = parser_advance(p, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (str_is(name.text, "exists") || str_is(name.text, "count")) {
        return parse_set(p, name.text.p[0] == 'e' ? OP_EXISTS : OP_COUNT, name.pos, out, e);
    }
    if (parser_is_sign(p, "(")) {
        return parse_call(p, name, out, e);
    }
    bool is_true = str_is(name.text, "true");
    code =
        parser_node(p, is_true || str_is(name.text, "false") ? OP_BOOL : OP_NAME, name.pos, &x, e);
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
    enum err_code code = parser_node(p, op, t.pos, &x, e);
    if (code == ERR_NONE) {
        x->sub = t.kind == TOKEN_BRACES;
        x->text = t.text;
        *out = x;
        code = op == OP_TEXT ? literal(p, t.text, &x->text, e) : ERR_NONE;
    }
    return code == ERR_NONE ? parser_advance(p, e) : code;
}

/* "-" number */
static enum err_code parse_negative(struct parser *p, struct expr **out, struct err *e)
{
    size_t pos = p->token.pos;
    enum err_code code = parser_advance(p, e);
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
    enum err_code code = parser_enter(p, e);
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
        if (parser_is_sign(p, "-")) {
            code = parse_negative(p, out, e);
        } else if (parser_is_sign(p, "(")) {
            code = parser_advance(p, e);
            code = code == ERR_NONE ? parser_or(p, out, e) : code;
            code = code == ERR_NONE ? parser_take_sign(p, ")", e) : code;
        } else {
            code = parser_expected(p, "a value", e);
        }
        break;
    case TOKEN_END:
        code = parser_expected(p, "a value", e);
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
    while (code == ERR_NONE &&
           (products ? parser_is_sign(p, "*") : parser_is_sign(p, "+") || parser_is_sign(p, "-"))) {
        struct token sign = p->token;
        enum expr_op op = products ? OP_MULTIPLY : sign.text.p[0] == '+' ? OP_ADD : OP_SUBTRACT;
        code = parser_value(left, e);
        code = code == ERR_NONE ? parser_advance(p, e) : code;
        if (code == ERR_NONE) {
            code = products ? parse_item(p, &right, e) : parse_chain(p, true, &right, e);
        }
        code = code == ERR_NONE ? parser_value(right, e) : code;
        code = code == ERR_NONE ? parser_join(p, op, 0, sign.pos, left, right, &left, e) : code;
    }
    if (code == ERR_NONE) {
        *out = left;
    }
    return code;
}

enum err_code parser_sum(struct parser *p, struct expr **out, struct err *e)
{
    return parse_chain(p, false, out, e);
}
