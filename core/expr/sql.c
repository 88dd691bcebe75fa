/*
 * Writes SQL. Every part stands in brackets of its own, so precedence never matters. Nothing of
 * the rule's text is written except as a quoted literal; names become the SQL of the world's table.
 */
#include "core/expr/expr_internal.h"

#include "core/base/clock.h"
#include "core/base/num.h"

static enum err_code write_sql(struct buf *out, const struct expr *x, struct err *e);

static void quoted(struct buf *out, struct str s, const char *type)
{
    bool escapes = str_find(s, '\\', 0) < s.n;
    buf_addz(out, escapes ? "E'" : "'");
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'' || s.p[i] == '\\') {
            buf_addc(out, s.p[i]);
        }
        buf_addc(out, s.p[i]);
    }
    buf_addz(out, "'::");
    buf_addz(out, type);
}

static const char *sql_type(enum value_type t)
{
    static const char *const names[] = {
        [TYPE_ANY] = "text",        [TYPE_BOOL] = "boolean", [TYPE_INT] = "bigint",
        [TYPE_NUMBER] = "numeric",  [TYPE_TEXT] = "text",    [TYPE_DATE] = "date",
        [TYPE_TIME] = "timestamptz"};
    return names[t];
}

static enum err_code write_literal(struct buf *out, struct str s, enum value_type t, size_t pos,
                                   struct err *e)
{
    int64_t n;
    if (t == TYPE_INT && num_i64(s, INT64_MIN / 4, INT64_MAX / 4, &n, NULL) != ERR_NONE) {
        return ERR(e, ERR_VALUE, pos, "not a whole number, or too large");
    }
    quoted(out, s, sql_type(t));
    return ERR_NONE;
}

static enum err_code write_param(struct buf *out, const struct expr *x, struct err *e)
{
    struct str v = str_of(x->note->param->value);
    int32_t day;
    usec at;
    bool good = true;
    if (x->note->type == TYPE_BOOL) {
        good = str_is(v, "true") || str_is(v, "false");
    } else if (x->note->type == TYPE_DATE) {
        good = day_parse(v, &day, NULL) == ERR_NONE;
    } else if (x->note->type == TYPE_TIME) {
        good = clock_parse(v, &at, NULL) == ERR_NONE;
    }
    if (!good) {
        return ERR(e, ERR_VALUE, x->pos, "the value of this parameter does not fit its type");
    }
    return write_literal(out, v, x->note->type, x->pos, e);
}

/* (a SEP b SEP c) */
static enum err_code write_joined(struct buf *out, const char *before, const struct expr *first,
                                  const char *between, const char *after, struct err *e)
{
    enum err_code code = ERR_NONE;
    buf_addz(out, before);
    for (const struct expr *k = first; k && code == ERR_NONE; k = k->next) {
        if (k != first) {
            buf_addz(out, between);
        }
        code = write_sql(out, k, e);
    }
    buf_addz(out, after);
    return code;
}

/* Texts are ordered by byte, as on a record, whatever the database's collation is. */
static enum err_code write_compare(struct buf *out, const struct expr *x, struct err *e)
{
    static const char *const signs[] = {[CMP_EQ] = " = ",  [CMP_NE] = " <> ", [CMP_LT] = " < ",
                                        [CMP_LE] = " <= ", [CMP_GT] = " > ",  [CMP_GE] = " >= "};
    bool bytes = x->sub > CMP_NE && x->kids->note->type == TYPE_TEXT;
    return write_joined(out, "(", x->kids, signs[x->sub], bytes ? " COLLATE \"C\")" : ")", e);
}

static enum err_code write_in(struct buf *out, const struct expr *x, struct err *e)
{
    buf_addc(out, '(');
    enum err_code code = write_sql(out, x->kids, e);
    return code == ERR_NONE ? write_joined(out, " IN (", x->kids->next, ", ", "))", e) : code;
}

static enum err_code write_between(struct buf *out, const struct expr *x, struct err *e)
{
    bool bytes = x->kids->note->type == TYPE_TEXT;
    buf_addc(out, '(');
    enum err_code code = write_sql(out, x->kids, e);
    if (code == ERR_NONE) {
        buf_addz(out, bytes ? " COLLATE \"C\" BETWEEN " : " BETWEEN ");
        code = write_joined(out, "", x->kids->next, " AND ", ")", e);
    }
    return code;
}

/* exists and count: the world's SELECT, which ends in a WHERE, with one condition more. */
static enum err_code write_set(struct buf *out, const struct expr *x, struct err *e)
{
    bool count = x->op == OP_COUNT;
    buf_addz(out, count ? "(SELECT count(*) FROM (" : "EXISTS (");
    buf_addz(out, x->note->set->sql);
    buf_addz(out, " AND ");
    enum err_code code = write_sql(out, x->kids, e);
    buf_addz(out, count ? ") AS n)" : ")");
    return code;
}

/* Days are added to a date as an integer, to a time as an interval. */
static enum err_code write_days(struct buf *out, const struct expr *x, const struct expr *base,
                                const struct expr *days, struct err *e)
{
    bool time = base->note->type == TYPE_TIME;
    buf_addc(out, '(');
    enum err_code code = write_sql(out, base, e);
    buf_addz(out, x->op == OP_ADD ? " + " : " - ");
    buf_addz(out, time ? "make_interval(days => (" : "(");
    code = code == ERR_NONE ? write_sql(out, days, e) : code;
    buf_addz(out, time ? ")::integer))" : ")::integer)");
    return code;
}

static enum err_code write_arithmetic(struct buf *out, const struct expr *x, struct err *e)
{
    const struct expr *a = x->kids, *b = a->next;
    if (x->note->type == TYPE_DATE || x->note->type == TYPE_TIME) {
        bool first = a->note->type == x->note->type;
        return write_days(out, x, first ? a : b, first ? b : a, e);
    }
    return write_joined(out, "(", a,
                        x->op == OP_ADD        ? " + "
                        : x->op == OP_SUBTRACT ? " - "
                                               : " * ",
                        ")", e);
}

static enum err_code write_call(struct buf *out, const struct expr *x, struct err *e)
{
    enum err_code code;
    switch ((enum function)x->sub) {
    case FN_LOWER:
        return write_joined(out, "lower(", x->kids, "", " COLLATE \"C\")", e);
    case FN_LENGTH:
        return write_joined(out, "char_length(", x->kids, "", ")::bigint", e);
    case FN_DATE:
        return write_joined(out, "(", x->kids, "", ")::date", e);
    case FN_YEAR:
        return write_joined(out, "extract(year FROM ", x->kids, "", ")::bigint", e);
    case FN_DAYS:
    case FN_YEARS:
        buf_addz(out, x->sub == FN_DAYS ? "(" : "extract(year FROM age(");
        code = write_sql(out, x->kids->next, e);
        buf_addz(out, x->sub == FN_DAYS ? " - " : ", ");
        code = code == ERR_NONE ? write_sql(out, x->kids, e) : code;
        buf_addz(out, x->sub == FN_DAYS ? ")::bigint" : "))::bigint");
        return code;
    case FN_COALESCE:
        return write_joined(out, "coalesce(", x->kids, ", ", ")", e);
    case FN_GREATEST:
        return write_joined(out, "greatest(", x->kids, ", ", ")", e);
    case FN_LEAST:
        return write_joined(out, "least(", x->kids, ", ", ")", e);
    }
    return ERR(e, ERR_BUG, x->pos, "unknown function");
}

static enum err_code write_leaf(struct buf *out, const struct expr *x, struct err *e)
{
    if (x->op == OP_NAME) {
        buf_addc(out, '(');
        buf_addz(out, x->note->name->sql);
        buf_addc(out, ')');
        return ERR_NONE;
    }
    if (x->op == OP_BOOL) {
        buf_addz(out, x->sub ? "true" : "false");
        return ERR_NONE;
    }
    return x->op == OP_PATH ? write_param(out, x, e)
                            : write_literal(out, x->text, x->note->type, x->pos, e);
}

static enum err_code write_sql(struct buf *out, const struct expr *x, struct err *e)
{
    switch (x->op) {
    case OP_OR:
        return write_joined(out, "(", x->kids, " OR ", ")", e);
    case OP_AND:
        return write_joined(out, "(", x->kids, " AND ", ")", e);
    case OP_NOT:
        return write_joined(out, "(NOT ", x->kids, "", ")", e);
    case OP_COMPARE:
        return write_compare(out, x, e);
    case OP_IN:
        return write_in(out, x, e);
    case OP_BETWEEN:
        return write_between(out, x, e);
    case OP_STARTS:
        return write_joined(out, "starts_with(", x->kids, ", ", ")", e);
    case OP_CONTAINS:
        return write_joined(out, "(strpos(", x->kids, ", ", ") > 0)", e);
    case OP_IS:
        return write_joined(out, "(", x->kids, "",
                            x->sub == STATE_SET ? " IS NOT NULL)" : " IS NULL)", e);
    case OP_EXISTS:
    case OP_COUNT:
        return write_set(out, x, e);
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
        return write_arithmetic(out, x, e);
    case OP_TEXT:
    case OP_NUMBER:
    case OP_BOOL:
    case OP_NAME:
    case OP_PATH:
        return write_leaf(out, x, e);
    case OP_CALL:
        return write_call(out, x, e);
    }
    return ERR(e, ERR_BUG, x->pos, "unknown node");
}

enum err_code expr_sql(const struct expr *x, const struct expr_world *w, struct buf *out,
                       struct err *e)
{
    struct place place = {.world = w};
    enum err_code code = expr_check_root(&place, x, e);
    code = code == ERR_NONE ? write_sql(out, x, e) : code;
    if (code == ERR_NONE && !buf_ok(out)) {
        code = ERR(e, ERR_LIMIT, 0, "the SQL of this rule does not fit its buffer");
    }
    return code;
}
