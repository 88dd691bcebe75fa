#include "core/expr/expr_internal.h"

#include "core/base/clock.h"
#include "core/expr/value.h"

struct run {
    const struct record *record;
    struct arena *arena;
    const struct record_scope *scope;
};

static enum err_code eval(const struct run *r, const struct expr *x, struct result *out,
                          struct err *e);

enum err_code expr_bind_record(struct arena *a, const struct expr *x,
                               const struct record_names *names, struct err *e)
{
    struct place w = {.arena = a, .names = names};
    return expr_check_root(&w, x, e);
}

static enum err_code eval_joined(const struct run *r, const struct expr *x, struct result *out,
                                 struct err *e)
{
    bool all = x->op == OP_AND;
    enum truth t = all ? TRUTH_TRUE : TRUTH_FALSE, settled = value_negate(t);
    for (const struct expr *k = x->kids; k && t != settled; k = k->next) {
        struct result one;
        enum err_code code = eval(r, k, &one, e);
        if (code != ERR_NONE) {
            return code;
        }
        t = all ? value_both(t, one.truth) : value_either(t, one.truth);
    }
    value_set_truth(out, t);
    return ERR_NONE;
}

static enum err_code eval_in(const struct run *r, const struct expr *x, struct result *out,
                             struct err *e)
{
    struct result wanted, one;
    enum truth t = TRUTH_FALSE;
    enum err_code code = eval(r, x->kids, &wanted, e);
    for (const struct expr *k = x->kids->next; k && code == ERR_NONE; k = k->next) {
        if (wanted.shape == SHAPE_TEXT && k->op == OP_TEXT && k->note->type == TYPE_TEXT) {
            t = value_either(t, value_truth(str_eq(wanted.text, k->text)));
            continue;
        }
        code = eval(r, k, &one, e);
        if (code == ERR_NONE) {
            t = value_either(t, value_compared(CMP_EQ, wanted, one));
        }
    }
    value_set_truth(out, t);
    return code;
}

static enum err_code eval_two(const struct run *r, const struct expr *x, struct result *a,
                              struct result *b, struct err *e)
{
    enum err_code code = eval(r, x->kids, a, e);
    return code == ERR_NONE ? eval(r, x->kids->next, b, e) : code;
}

static enum err_code eval_between(const struct run *r, const struct expr *x, struct result *out,
                                  struct err *e)
{
    struct result v, low, high;
    enum err_code code = eval_two(r, x, &v, &low, e);
    code = code == ERR_NONE ? eval(r, x->kids->next->next, &high, e) : code;
    if (code == ERR_NONE) {
        value_set_truth(
            out, value_both(value_compared(CMP_GE, v, low), value_compared(CMP_LE, v, high)));
    }
    return code;
}

static bool contains(struct str s, struct str part)
{
    for (size_t i = 0; i + part.n <= s.n; i++) {
        if (str_eq(str_cut(s, i, i + part.n), part)) {
            return true;
        }
    }
    return false;
}

static enum err_code eval_texts(const struct run *r, const struct expr *x, struct result *out,
                                struct err *e)
{
    struct result a, b;
    enum err_code code = eval_two(r, x, &a, &b, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (a.shape != SHAPE_TEXT || b.shape != SHAPE_TEXT) {
        value_set_truth(out, TRUTH_UNKNOWN);
    } else {
        value_set_truth(out, value_truth(x->op == OP_STARTS ? str_starts(a.text, b.text)
                                                            : contains(a.text, b.text)));
    }
    return ERR_NONE;
}

static enum err_code eval_is(const struct run *r, const struct expr *x, struct result *out,
                             struct err *e)
{
    struct result v;
    enum err_code code = eval(r, x->kids, &v, e);
    if (code != ERR_NONE) {
        return code;
    }
    bool known = v.shape != SHAPE_UNKNOWN, holds = false;
    switch ((enum state)x->sub) {
    case STATE_ABSENT:
        holds = v.has == HAS_ABSENT;
        break;
    case STATE_EMPTY:
        holds = v.has == HAS_EMPTY;
        break;
    case STATE_NULL:
        holds = v.has == HAS_NULL;
        break;
    case STATE_SET:
        holds = known;
        break;
    case STATE_UNKNOWN:
        holds = !known;
        break;
    }
    value_set_truth(out, value_truth(holds));
    return ERR_NONE;
}

static double applied(enum expr_op op, double a, double b)
{
    return op == OP_ADD ? a + b : op == OP_SUBTRACT ? a - b : a * b;
}

static bool day_in_range(double day)
{
    return day >= day_of(1, 1, 1) && day <= day_of(9999, 12, 31);
}

static enum err_code eval_arithmetic(const struct run *r, const struct expr *x, struct result *out,
                                     struct err *e)
{
    struct result a, b;
    enum err_code code = eval_two(r, x, &a, &b, e);
    if (code != ERR_NONE) {
        return code;
    }
    bool days = a.shape == SHAPE_DAY || b.shape == SHAPE_DAY;
    bool known = (a.shape == SHAPE_DAY || value_as_number(&a)) &&
                 (b.shape == SHAPE_DAY || value_as_number(&b));
    if (!known) {
        return ERR_NONE;
    }
    double v = applied(x->op, a.shape == SHAPE_DAY ? a.day : a.number,
                       b.shape == SHAPE_DAY ? b.day : b.number);
    if (!days || a.shape == b.shape) {
        *out = (struct result){.shape = SHAPE_NUMBER, .has = HAS_VALUE, .number = v};
    } else if (day_in_range(v)) {
        *out = (struct result){.shape = SHAPE_DAY, .has = HAS_VALUE, .day = (int32_t)v};
    }
    return ERR_NONE;
}

static enum err_code eval_path(const struct run *r, const struct expr *x, struct result *out,
                               struct err *e)
{
    struct value v;
    enum err_code code = record_get(r->record, r->arena, x->note->path, r->scope, &v, e);
    if (code == ERR_NONE) {
        out->has = v.has;
        out->shape = v.has == HAS_VALUE ? SHAPE_TEXT : SHAPE_UNKNOWN;
        out->text = v.text;
    }
    return code;
}

static enum err_code lowered(const struct run *r, struct str in, struct result *out, struct err *e)
{
    char *to = arena_alloc(r->arena, in.n + 1);
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "out of memory");
    }
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    *out = (struct result){.shape = SHAPE_TEXT, .has = HAS_VALUE, .text = {to, in.n}};
    return ERR_NONE;
}

static enum err_code eval_one(const struct run *r, const struct expr *x, struct result v,
                              struct result *out, struct err *e)
{
    struct civil c;
    switch ((enum function)x->sub) {
    case FN_LOWER:
        return v.shape == SHAPE_TEXT ? lowered(r, v.text, out, e) : ERR_NONE;
    case FN_LENGTH:
        if (v.shape == SHAPE_TEXT) {
            *out = (struct result){
                .shape = SHAPE_NUMBER, .has = HAS_VALUE, .number = value_characters(v.text)};
        }
        return ERR_NONE;
    case FN_DATE:
        if (v.shape == SHAPE_DAY || (v.shape == SHAPE_TEXT && value_day_of(v.text, &v.day))) {
            *out = (struct result){.shape = SHAPE_DAY, .has = HAS_VALUE, .day = v.day};
        }
        return ERR_NONE;
    case FN_YEAR:
        if (v.shape == SHAPE_DAY) {
            day_civil(v.day, &c);
            *out = (struct result){.shape = SHAPE_NUMBER, .has = HAS_VALUE, .number = c.year};
        }
        return ERR_NONE;
    case FN_DAYS:
    case FN_YEARS:
    case FN_COALESCE:
    case FN_GREATEST:
    case FN_LEAST:
        break;
    }
    return ERR(e, ERR_BUG, x->pos, "not a function of one value");
}

static enum err_code eval_span(const struct run *r, const struct expr *x, struct result *out,
                               struct err *e)
{
    struct result a, b;
    enum err_code code = eval_two(r, x, &a, &b, e);
    if (code == ERR_NONE && a.shape == SHAPE_DAY && b.shape == SHAPE_DAY) {
        double n = x->sub == FN_DAYS ? (double)b.day - a.day : value_years(a.day, b.day);
        *out = (struct result){.shape = SHAPE_NUMBER, .has = HAS_VALUE, .number = n};
    }
    return code;
}

/* The first, greatest or least of those that are known. */
static enum err_code eval_choice(const struct run *r, const struct expr *x, struct result *out,
                                 struct err *e)
{
    for (const struct expr *k = x->kids; k; k = k->next) {
        struct result one;
        int n;
        enum err_code code = eval(r, k, &one, e);
        if (code != ERR_NONE) {
            return code;
        }
        if (x->sub == FN_COALESCE) {
            if (one.shape != SHAPE_UNKNOWN) {
                *out = one;
                return ERR_NONE;
            }
            continue;
        }
        if (one.shape != SHAPE_DAY && !value_as_number(&one)) {
            continue;
        }
        if (out->shape == SHAPE_UNKNOWN ||
            (value_compare(one, *out, &n) && (x->sub == FN_GREATEST ? n > 0 : n < 0))) {
            *out = one;
        }
    }
    return ERR_NONE;
}

static enum err_code eval_call(const struct run *r, const struct expr *x, struct result *out,
                               struct err *e)
{
    if (x->sub >= FN_COALESCE) {
        return eval_choice(r, x, out, e);
    }
    if (x->kids->next) {
        return eval_span(r, x, out, e);
    }
    struct result v;
    enum err_code code = eval(r, x->kids, &v, e);
    return code == ERR_NONE ? eval_one(r, x, v, out, e) : code;
}

static enum err_code eval_compare(const struct run *r, const struct expr *x, struct result *out,
                                  struct err *e)
{
    struct result a, b;
    enum err_code code = eval_two(r, x, &a, &b, e);
    if (code == ERR_NONE) {
        value_set_truth(out, value_compared((enum compare)x->sub, a, b));
    }
    return code;
}

static enum err_code eval_not(const struct run *r, const struct expr *x, struct result *out,
                              struct err *e)
{
    enum err_code code = eval(r, x->kids, out, e);
    value_set_truth(out, value_negate(out->truth));
    return code;
}

/* A text literal; check.c has made a date of it where one is needed. */
static void eval_literal(const struct expr *x, struct result *out)
{
    out->has = HAS_VALUE;
    if (x->op == OP_BOOL) {
        value_set_truth(out, value_truth(x->sub != 0));
    } else if (x->op == OP_NUMBER) {
        out->shape = value_number_of(x->text, &out->number) ? SHAPE_NUMBER : SHAPE_UNKNOWN;
    } else if (x->note->type == TYPE_DATE) {
        out->shape = day_parse(x->text, &out->day, NULL) == ERR_NONE ? SHAPE_DAY : SHAPE_UNKNOWN;
    } else {
        out->shape = SHAPE_TEXT;
        out->text = x->text;
    }
}

static enum err_code eval(const struct run *r, const struct expr *x, struct result *out,
                          struct err *e)
{
    *out = (struct result){.shape = SHAPE_UNKNOWN, .truth = TRUTH_UNKNOWN};
    switch (x->op) {
    case OP_OR:
    case OP_AND:
        return eval_joined(r, x, out, e);
    case OP_NOT:
        return eval_not(r, x, out, e);
    case OP_COMPARE:
        return eval_compare(r, x, out, e);
    case OP_IN:
        return eval_in(r, x, out, e);
    case OP_BETWEEN:
        return eval_between(r, x, out, e);
    case OP_STARTS:
    case OP_CONTAINS:
        return eval_texts(r, x, out, e);
    case OP_IS:
        return eval_is(r, x, out, e);
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
        return eval_arithmetic(r, x, out, e);
    case OP_TEXT:
    case OP_NUMBER:
    case OP_BOOL:
        eval_literal(x, out);
        return ERR_NONE;
    case OP_PATH:
        return eval_path(r, x, out, e);
    case OP_CALL:
        return eval_call(r, x, out, e);
    case OP_EXISTS:
    case OP_COUNT:
    case OP_NAME:
        break; /* refused when the rule was bound */
    }
    return ERR(e, ERR_BUG, x->pos, "the rule was not bound to a record");
}

enum err_code expr_test(const struct expr *x, const struct record *r, struct arena *a,
                        const struct record_scope *scope, enum truth *out, struct err *e)
{
    struct run run = {r, a, scope};
    struct result v;
    enum err_code code = eval(&run, x, &v, e);
    *out = code == ERR_NONE ? v.truth : TRUTH_UNKNOWN;
    return code;
}
