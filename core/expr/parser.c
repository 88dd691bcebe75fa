#include "core/expr/parser.h"

enum err_code parser_advance(struct parser *p, struct err *e)
{
    return expr_token(p->text, &p->at, &p->token, e);
}

bool parser_is_sign(const struct parser *p, const char *sign)
{
    return p->token.kind == TOKEN_SIGN && str_is(p->token.text, sign);
}

bool parser_is_word(const struct parser *p, const char *word)
{
    return p->token.kind == TOKEN_NAME && str_is(p->token.text, word);
}

enum err_code parser_expected(const struct parser *p, const char *what, struct err *e)
{
    return ERR(e, ERR_SYNTAX, p->token.pos, "%s is expected here", what);
}

enum err_code parser_take_sign(struct parser *p, const char *sign, struct err *e)
{
    return parser_is_sign(p, sign) ? parser_advance(p, e) : parser_expected(p, sign, e);
}

enum err_code parser_node(struct parser *p, enum expr_op op, size_t pos, struct expr **out,
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

void parser_add(struct kids *k, struct expr *x)
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
enum err_code parser_join(struct parser *p, enum expr_op op, int sub, size_t pos, struct expr *a,
                          struct expr *b, struct expr **out, struct err *e)
{
    struct expr *x;
    enum err_code code = parser_node(p, op, pos, &x, e);
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

enum err_code parser_condition(const struct expr *x, struct err *e)
{
    return may_be_condition(x) ? ERR_NONE
                               : ERR(e, ERR_SYNTAX, x->pos, "a condition is expected here");
}

enum err_code parser_value(const struct expr *x, struct err *e)
{
    return x->op > OP_EXISTS ? ERR_NONE : ERR(e, ERR_SYNTAX, x->pos, "a value is expected here");
}

enum err_code parser_enter(struct parser *p, struct err *e)
{
    return ++p->depth > DEPTH_MAX
               ? ERR(e, ERR_LIMIT, p->token.pos, "nested deeper than %d", DEPTH_MAX)
               : ERR_NONE;
}
