/* What is left of a condition to be asked of each record when some values are known before. */
#include "core/expr/expr_internal.h"

static struct expr *copy_of(struct arena *a, const struct expr *x)
{
    struct expr *copy = arena_alloc(a, sizeof *copy);
    struct note *note = copy ? arena_alloc(a, sizeof *note) : NULL;
    if (!note) {
        return NULL;
    }
    *note = *x->note;
    *copy = *x;
    copy->note = note;
    copy->kids = copy->next = NULL;
    return copy;
}

static void become_bool(struct expr *x, bool holds)
{
    x->op = OP_BOOL;
    x->sub = holds;
    x->kids = NULL;
}

static void fill_in(struct expr *path, const struct expr_known *known)
{
    for (; known->path; known++) {
        if (str_is(path->text, known->path)) {
            path->op = OP_TEXT;
            path->text = known->text;
            *path->note = (struct note){.type = TYPE_TEXT};
            return;
        }
    }
}

static bool asks_record(const struct expr *x)
{
    bool asks = x->op == OP_PATH;
    for (const struct expr *k = x->kids; k && !asks; k = k->next) {
        asks = asks_record(k);
    }
    return asks;
}

static struct expr *given(struct arena *a, const struct expr *x, const struct expr_known *known);

/*
 * "and" and "or" are asked from left to right until one decides. So what never decides goes, and so
 * does everything behind one that always does; nothing before it, since asking may fail.
 */
static struct expr *given_joined(struct arena *a, const struct expr *x,
                                 const struct expr_known *known)
{
    struct expr *joined = copy_of(a, x), *last = NULL;
    bool decides = x->op == OP_OR, done = false;
    for (const struct expr *k = x->kids; k && joined && !done; k = k->next) {
        struct expr *one = given(a, k, known);
        if (!one) {
            return NULL;
        }
        bool settled = one->op == OP_BOOL;
        done = settled && (one->sub != 0) == decides;
        if (settled && !done) {
            continue;
        }
        if (last) {
            last->next = one;
        } else {
            joined->kids = one;
        }
        last = one;
    }
    if (joined && !last) {
        become_bool(joined, !decides);
    }
    return joined && last && joined->kids == last ? last : joined;
}

static struct expr *given(struct arena *a, const struct expr *x, const struct expr_known *known)
{
    if (x->op == OP_AND || x->op == OP_OR) {
        return given_joined(a, x, known);
    }
    struct expr *copy = copy_of(a, x), *last = NULL;
    for (const struct expr *k = x->kids; k && copy; k = k->next) {
        struct expr *one = given(a, k, known);
        if (!one) {
            return NULL;
        }
        if (last) {
            last->next = one;
        } else {
            copy->kids = one;
        }
        last = one;
    }
    if (copy && copy->op == OP_PATH) {
        fill_in(copy, known);
    }
    enum truth t;
    if (copy && copy->kids && copy->note->type == TYPE_BOOL && !asks_record(copy) &&
        expr_test(copy, NULL, a, NULL, &t, NULL) == ERR_NONE && t != TRUTH_UNKNOWN) {
        become_bool(copy, t == TRUTH_TRUE);
    }
    return copy;
}

enum err_code expr_given(struct arena *a, const struct expr *x, const struct expr_known *known,
                         const struct expr **out, enum truth *settled)
{
    *out = given(a, x, known);
    if (!*out) {
        return ERR_NOMEM;
    }
    *settled = (*out)->op != OP_BOOL ? TRUTH_UNKNOWN : (*out)->sub ? TRUTH_TRUE : TRUTH_FALSE;
    return ERR_NONE;
}
