/* Names, paths and types: what a rule means at the place where it will run. */
#include "core/expr/expr_internal.h"

#include "core/base/clock.h"

static const char *type_name(enum value_type t)
{
    static const char *const names[] = {
        [TYPE_ANY] = "value",     [TYPE_BOOL] = "condition", [TYPE_INT] = "number",
        [TYPE_NUMBER] = "number", [TYPE_TEXT] = "text",      [TYPE_DATE] = "date",
        [TYPE_TIME] = "time"};
    return names[t];
}

static enum value_type world_type(enum expr_type t)
{
    static const enum value_type types[] = {[EXPR_BOOL] = TYPE_BOOL,
                                            [EXPR_INT] = TYPE_INT,
                                            [EXPR_TEXT] = TYPE_TEXT,
                                            [EXPR_DATE] = TYPE_DATE,
                                            [EXPR_TIME] = TYPE_TIME};
    return types[t];
}

static enum value_type type_of(const struct expr *x)
{
    return x->note->type;
}

static bool numeric(enum value_type t)
{
    return t == TYPE_INT || t == TYPE_NUMBER || t == TYPE_ANY;
}

static enum err_code wrong(const struct expr *x, const char *wanted, struct err *e)
{
    return ERR(e, ERR_VALUE, x->pos, "a %s is expected here, not a %s", wanted,
               type_name(type_of(x)));
}

static enum err_code check_path(const struct place *w, const struct expr *x, struct err *e)
{
    size_t inside = x->sub ? 1 : 0;
    if (!w->world) {
        x->note->type = TYPE_ANY;
        struct err why = {0};
        enum err_code code = record_path(w->arena, w->names, x->text, &x->note->path, &why);
        return code == ERR_NONE ? code : ERR(e, code, x->pos + inside + why.pos, "%s", why.msg);
    }
    if (!x->sub) {
        return ERR(e, ERR_UNSUPPORTED, x->pos, "a path of a message means nothing in this rule");
    }
    for (const struct expr_param *p = w->world->params; p && p->name; p++) {
        if (str_is(x->text, p->name)) {
            x->note->param = p;
            x->note->type = world_type(p->type);
            return ERR_NONE;
        }
    }
    return ERR(e, ERR_UNSUPPORTED, x->pos, "this rule has no parameter of this name");
}

static const struct expr_name *find_name(const struct expr_name *n, struct str name)
{
    for (; n && n->name; n++) {
        if (str_is(name, n->name)) {
            return n;
        }
    }
    return NULL;
}

static enum err_code check_name(const struct place *w, const struct expr *x, struct err *e)
{
    if (!w->world) {
        return ERR(e, ERR_UNSUPPORTED, x->pos,
                   "a name means nothing on a message: write a path, or text in quotes");
    }
    const struct expr_name *n = w->inside ? find_name(w->inside->names, x->text) : NULL;
    n = n ? n : find_name(w->world->names, x->text);
    if (!n) {
        return ERR(e, ERR_UNSUPPORTED, x->pos, "no attribute of this name");
    }
    x->note->name = n;
    x->note->type = world_type(n->type);
    return ERR_NONE;
}

static enum err_code check_set(const struct place *w, const struct expr *x, struct err *e)
{
    if (!w->world) {
        return ERR(e, ERR_UNSUPPORTED, x->pos, "exists and count mean nothing on a message");
    }
    if (w->inside) {
        /* Both would use the same alias in SQL. */
        return ERR(e, ERR_UNSUPPORTED, x->pos, "exists and count cannot stand inside each other");
    }
    const struct expr_set *s = w->world->sets;
    while (s && s->name && !str_is(x->text, s->name)) {
        s++;
    }
    if (!s || !s->name) {
        return ERR(e, ERR_UNSUPPORTED, x->pos, "no set of this name");
    }
    struct place within = *w;
    within.inside = s;
    x->note->set = s;
    x->note->type = x->op == OP_COUNT ? TYPE_INT : TYPE_BOOL;
    return expr_check_root(&within, x->kids, e);
}

/* A text literal that stands against a date or a time is one. */
static enum err_code adopt(const struct expr *x, enum value_type wanted, struct err *e)
{
    int32_t day;
    usec at;
    bool good = wanted == TYPE_DATE ? day_parse(x->text, &day, NULL) == ERR_NONE
                                    : clock_parse(x->text, &at, NULL) == ERR_NONE;
    if (!good) {
        return ERR(e, ERR_VALUE, x->pos, "not a %s like %s", type_name(wanted),
                   wanted == TYPE_DATE ? "2026-03-11" : "2026-03-11T09:00:00+09:00");
    }
    x->note->type = wanted;
    return ERR_NONE;
}

/* May two values be compared? Leaves literals with the type of the other side. */
static enum err_code unify(const struct expr *a, const struct expr *b, struct err *e)
{
    enum value_type s = type_of(a), t = type_of(b);
    if (s == t || (numeric(s) && numeric(t)) || (s == TYPE_ANY && t == TYPE_TEXT) ||
        (s == TYPE_TEXT && t == TYPE_ANY)) {
        return ERR_NONE;
    }
    if (a->op == OP_TEXT && (t == TYPE_DATE || t == TYPE_TIME)) {
        return adopt(a, t, e);
    }
    if (b->op == OP_TEXT && (s == TYPE_DATE || s == TYPE_TIME)) {
        return adopt(b, s, e);
    }
    return ERR(e, ERR_VALUE, b->pos, "cannot compare a %s with a %s%s", type_name(s), type_name(t),
               s == TYPE_DATE || t == TYPE_DATE ? ": make it a date with date(…)" : "");
}

static enum err_code check_compare(const struct expr *x, struct err *e)
{
    const struct expr *first = x->kids;
    for (const struct expr *k = first->next; k; k = k->next) {
        enum err_code code = unify(first, k, e);
        if (code != ERR_NONE) {
            return code;
        }
        bool order = x->op == OP_BETWEEN || (x->op == OP_COMPARE && x->sub > CMP_NE);
        if (order && type_of(first) == TYPE_BOOL) {
            return ERR(e, ERR_VALUE, x->pos, "true and false have no order");
        }
    }
    x->note->type = TYPE_BOOL;
    return ERR_NONE;
}

static enum err_code check_texts(const struct expr *x, struct err *e)
{
    for (const struct expr *k = x->kids; k; k = k->next) {
        if (type_of(k) != TYPE_TEXT && type_of(k) != TYPE_ANY) {
            return wrong(k, "text", e);
        }
    }
    x->note->type = TYPE_BOOL;
    return ERR_NONE;
}

static enum err_code check_conditions(const struct expr *x, struct err *e)
{
    for (const struct expr *k = x->kids; k; k = k->next) {
        if (type_of(k) != TYPE_BOOL) {
            return wrong(k, "condition", e);
        }
    }
    x->note->type = TYPE_BOOL;
    return ERR_NONE;
}

static enum err_code check_is(const struct expr *x, struct err *e)
{
    x->note->type = TYPE_BOOL;
    if (x->sub <= STATE_NULL && !x->kids->note->path) {
        return ERR(e, ERR_UNSUPPORTED, x->pos,
                   "only a path of a message can be absent, empty or null: say is unknown");
    }
    return ERR_NONE;
}

static enum err_code check_arithmetic(const struct expr *x, struct err *e)
{
    const struct expr *a = x->kids, *b = a->next;
    enum value_type s = type_of(a), t = type_of(b);
    if (numeric(s) && numeric(t)) {
        x->note->type = s == TYPE_INT && t == TYPE_INT ? TYPE_INT : TYPE_NUMBER;
        return ERR_NONE;
    }
    if (x->op != OP_MULTIPLY && (s == TYPE_DATE || s == TYPE_TIME) && t == TYPE_INT) {
        x->note->type = s;
        return ERR_NONE;
    }
    if (x->op == OP_ADD && s == TYPE_INT && (t == TYPE_DATE || t == TYPE_TIME)) {
        x->note->type = t;
        return ERR_NONE;
    }
    if (x->op == OP_SUBTRACT && s == TYPE_DATE && t == TYPE_DATE) {
        x->note->type = TYPE_INT;
        return ERR_NONE;
    }
    return ERR(e, ERR_VALUE, x->pos, "cannot %s a %s and a %s",
               x->op == OP_ADD        ? "add"
               : x->op == OP_SUBTRACT ? "subtract"
                                      : "multiply",
               type_name(s), type_name(t));
}

/* Text literals are dates here. */
static enum err_code as_date(const struct expr *x, struct err *e)
{
    if (type_of(x) == TYPE_DATE) {
        return ERR_NONE;
    }
    return x->op == OP_TEXT ? adopt(x, TYPE_DATE, e) : wrong(x, "date", e);
}

static enum err_code check_dates(const struct expr *x, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (const struct expr *k = x->kids; k && code == ERR_NONE; k = k->next) {
        code = as_date(k, e);
    }
    x->note->type = TYPE_INT;
    return code;
}

static enum err_code check_to_date(const struct expr *x, struct err *e)
{
    enum value_type t = type_of(x->kids);
    x->note->type = TYPE_DATE;
    if (t == TYPE_ANY || t == TYPE_TIME) {
        return ERR_NONE;
    }
    return as_date(x->kids, e);
}

/* coalesce, greatest, least: values of one type. */
static enum err_code check_same(const struct expr *x, struct err *e)
{
    const struct expr *typed = x->kids;
    for (const struct expr *k = x->kids; k; k = k->next) {
        if (typed->op == OP_TEXT) {
            typed = k; /* a literal takes the type of its neighbours */
        }
    }
    enum value_type t = type_of(typed);
    for (const struct expr *k = x->kids; k; k = k->next) {
        enum err_code code = unify(typed, k, e);
        if (code != ERR_NONE) {
            return code;
        }
        if (type_of(k) != t) {
            bool numbers = type_of(k) != TYPE_TEXT && t != TYPE_ANY && t != TYPE_TEXT;
            t = numbers && type_of(k) != TYPE_ANY ? TYPE_NUMBER : TYPE_ANY;
        }
    }
    if (x->sub != FN_COALESCE && (t == TYPE_TEXT || t == TYPE_BOOL)) {
        return wrong(x->kids, "number or date", e);
    }
    x->note->type = x->sub != FN_COALESCE && t == TYPE_ANY ? TYPE_NUMBER : t;
    return ERR_NONE;
}

static enum err_code check_call(const struct expr *x, struct err *e)
{
    enum err_code code;
    switch ((enum function)x->sub) {
    case FN_LOWER:
    case FN_LENGTH:
        code = check_texts(x, e);
        x->note->type = x->sub == FN_LOWER ? TYPE_TEXT : TYPE_INT;
        return code;
    case FN_DATE:
        return check_to_date(x, e);
    case FN_YEAR:
    case FN_DAYS:
    case FN_YEARS:
        return check_dates(x, e);
    case FN_COALESCE:
    case FN_GREATEST:
    case FN_LEAST:
        return check_same(x, e);
    }
    return ERR(e, ERR_BUG, x->pos, "unknown function");
}

static enum err_code check_kids(const struct place *w, const struct expr *x, struct err *e)
{
    for (const struct expr *k = x->kids; k; k = k->next) {
        enum err_code code = expr_check(w, k, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}

static enum err_code check_node(const struct place *w, const struct expr *x, struct err *e)
{
    switch (x->op) {
    case OP_OR:
    case OP_AND:
    case OP_NOT:
        return check_conditions(x, e);
    case OP_COMPARE:
    case OP_IN:
    case OP_BETWEEN:
        return check_compare(x, e);
    case OP_STARTS:
    case OP_CONTAINS:
        return check_texts(x, e);
    case OP_IS:
        return check_is(x, e);
    case OP_EXISTS:
    case OP_COUNT:
        return check_set(w, x, e);
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
        return check_arithmetic(x, e);
    case OP_TEXT:
        x->note->type = TYPE_TEXT;
        return ERR_NONE;
    case OP_NUMBER:
        x->note->type = str_find(x->text, '.', 0) < x->text.n ? TYPE_NUMBER : TYPE_INT;
        return ERR_NONE;
    case OP_BOOL:
        x->note->type = TYPE_BOOL;
        return ERR_NONE;
    case OP_NAME:
        return check_name(w, x, e);
    case OP_PATH:
        return check_path(w, x, e);
    case OP_CALL:
        return check_call(x, e);
    }
    return ERR(e, ERR_BUG, x->pos, "unknown node");
}

enum err_code expr_check(const struct place *w, const struct expr *x, struct err *e)
{
    *x->note = (struct note){.type = TYPE_ANY};
    if (x->op == OP_EXISTS || x->op == OP_COUNT) {
        return check_set(w, x, e); /* its kid is checked with the names of the set */
    }
    enum err_code code = check_kids(w, x, e);
    return code == ERR_NONE ? check_node(w, x, e) : code;
}

enum err_code expr_check_root(const struct place *w, const struct expr *x, struct err *e)
{
    enum err_code code = expr_check(w, x, e);
    return code == ERR_NONE && type_of(x) != TYPE_BOOL ? wrong(x, "condition", e) : code;
}
