/* Which row of a table is its header, and what its columns are called. */
#include "core/base/text.h"
#include "core/table/table_internal.h"

#include <string.h>

/* ---- how well a row does ---- */

static size_t hits_of(const struct header_names *n, const struct header_key *keys, size_t count,
                      bool *complete)
{
    size_t hits = 0;
    *complete = true;
    for (size_t i = 0; i < n->count; i++) {
        bool there = header_has(&n->columns[i], keys, count);
        hits += there;
        *complete = *complete && (there || !n->columns[i].required);
    }
    return hits;
}

static struct header_key *keys_of(struct arena *a, const struct str *cells, size_t n)
{
    struct header_key *keys = arena_array(a, n + 1, sizeof *keys);
    for (size_t i = 0; keys && i < n; i++) {
        /* a long text is no header, and not worth the time */
        keys[i] = header_key(a, cells[i].n <= HEADER_BYTES ? cells[i] : STR(""));
        keys = keys[i].text.p ? keys : NULL;
    }
    return keys;
}

size_t header_hits(const struct header_names *names, struct arena *a, const struct raw_row *row,
                   const struct header_names **fits)
{
    size_t most = 0;
    struct header_key *keys = keys_of(a, row->cells, row->count);
    *fits = NULL;
    for (const struct header_names *n = names; n && keys; n = n->next) {
        bool complete;
        size_t hits = hits_of(n, keys, row->count, &complete);
        if (complete && hits && !*fits) {
            *fits = n;
        }
        most = hits > most ? hits : most;
    }
    return most;
}

static size_t filled(const struct raw_row *row)
{
    size_t n = 0;
    for (size_t i = 0; i < row->count; i++) {
        n += text_trim(row->cells[i]).n > 0;
    }
    return n;
}

/* ---- the search ---- */

struct candidate {
    int64_t row;
    size_t hits;
    const struct header_names *fits;
};

struct search {
    struct candidate best;    /* by its aliases, with all that is required */
    struct candidate nearest; /* by its aliases */
    size_t widest;            /* filled cells of a row, for tables without any alias */
    size_t width[TABLE_HEADER_SEARCH + 1];
    struct err problem; /* of the first row that is wrong by itself */
};

static bool requires(const struct header_names *names)
{
    for (const struct header_names *n = names; n; n = n->next) {
        for (size_t i = 0; i < n->count; i++) {
            if (n->columns[i].required) {
                return true;
            }
        }
    }
    return false;
}

static void look_at(struct search *s, const struct table *t, struct arena *a,
                    const struct raw_row *row)
{
    const struct header_names *fits = NULL;
    size_t n = filled(row);
    size_t hits = t->settings.names ? header_hits(t->settings.names, a, row, &fits) : 0;
    if (row->number <= TABLE_HEADER_SEARCH) {
        s->width[row->number] = n;
    }
    s->widest = n > s->widest ? n : s->widest;
    /* one word in a row of others is chance: a title, a value */
    bool header = fits && (hits > 1 || hits == n);
    if (header && hits > s->best.hits) {
        s->best = (struct candidate){row->number, hits, fits};
    }
    if (hits > s->nearest.hits) {
        s->nearest = (struct candidate){row->number, hits, NULL};
    }
}

static enum err_code search_rows(struct table *t, struct search *s, struct err *e)
{
    struct raw_row row;
    bool more = true;
    struct arena *a = arena_new(0);
    enum err_code code =
        a ? t->source->ops->rewind(t->source, e) : ERR(e, ERR_NOMEM, 0, "no memory for a table");
    int64_t last = t->settings.header_row > 0 ? t->settings.header_row : TABLE_HEADER_SEARCH;
    int64_t first = t->settings.header_row > 0 ? last : 1;
    while (code == ERR_NONE) {
        code = t->source->ops->next(t->source, &row, &more, e);
        if (code != ERR_NONE || !more || row.number > last) {
            break;
        }
        arena_reset(a);
        if (row.number >= first && row.problem.code == ERR_NONE) {
            look_at(s, t, a, &row);
        } else if (row.number >= first && s->problem.code == ERR_NONE) {
            s->problem = row.problem;
            err_at(&s->problem, "row %lld, column %zu", (long long)row.number, row.column);
        }
        if (row.number == last) {
            break;
        }
    }
    arena_free(&a);
    /* What is wrong further down is told when it is reached. */
    return err_class(code) == ERR_CLASS_DATA && s->widest ? ERR_NONE : code;
}

/* "chart_no (차트번호, 차트, 챠트번호 …)": what we call a column, and what people may. */
static void add_missing(struct buf *list, const struct header_column *c)
{
    enum { SHOWN = 3 };
    buf_printf(list, "%s%s", list->n ? " " : "", c->name);
    for (size_t i = 1; i < c->key_count && i <= SHOWN; i++) {
        buf_printf(list, "%s%.*s", i == 1 ? " (" : ", ", STR_ARG(c->keys[i].text));
    }
    if (c->key_count > 1) {
        buf_addz(list, c->key_count > SHOWN + 1 ? " …)" : ")");
    }
}

/* Which required columns the row lacks that came nearest. */
static enum err_code missing(struct table *t, const struct search *s, struct err *e)
{
    struct buf list;
    const struct header_names *n = t->settings.names;
    const struct header_key *keys = NULL;
    size_t count = 0;
    if (s->nearest.row) {
        enum err_code code = header_read(t, s->nearest.row, e);
        if (code != ERR_NONE) {
            return code;
        }
        keys = t->keys;
        count = t->count;
    }
    buf_init(&list, 220);
    for (size_t i = 0; i < n->count; i++) {
        const struct header_column *c = &n->columns[i];
        if (c->required && !header_has(c, keys, count)) {
            add_missing(&list, c);
        }
    }
    if (!s->nearest.row) {
        ERR(e, ERR_REQUIRED, 0, "no header in the first %d rows: it needs %.*s",
            (int)TABLE_HEADER_SEARCH, STR_ARG(buf_str(&list)));
    } else if (list.n == 0) { /* all that is required, but one word alone may be chance */
        ERR(e, ERR_REQUIRED, 0,
            "only one of the headers is known; <alias header=…> in the mapping adds names");
    } else {
        ERR(e, ERR_REQUIRED, 0,
            "the header lacks %.*s; <alias header=…> in the mapping adds a name",
            STR_ARG(buf_str(&list)));
    }
    buf_release(&list);
    return err_at(e, "row %lld", s->nearest.row ? (long long)s->nearest.row : 1);
}

/* A table that no alias is known of: its header is the first row that is about as wide as any. */
static int64_t first_wide(const struct search *s)
{
    for (int64_t i = 1; i <= TABLE_HEADER_SEARCH; i++) {
        if (s->width[i] && s->width[i] * 5 >= s->widest * 3) {
            return i;
        }
    }
    return 0;
}

enum err_code header_search(struct table *t, struct err *e)
{
    struct search s = {.best = {0, 0, NULL}};
    if (t->settings.header_row == TABLE_NO_HEADER) {
        return header_number(t, e);
    }
    enum err_code code = search_rows(t, &s, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (s.best.row) {
        t->names = s.best.fits;
        return header_read(t, s.best.row, e);
    }
    if (s.problem.code != ERR_NONE && !s.widest) { /* no row could be read */
        if (e) {
            *e = s.problem;
        }
        return s.problem.code;
    }
    if (!s.widest && t->settings.header_row <= 0) {
        return ERR(e, ERR_SYNTAX, 0, "the file is empty, or its first %d rows are",
                   (int)TABLE_HEADER_SEARCH);
    }
    if (requires(t->settings.names)) {
        return missing(t, &s, e);
    }
    int64_t row = t->settings.header_row > 0 ? t->settings.header_row : first_wide(&s);
    if (!row) {
        return ERR(e, ERR_SYNTAX, 0, "the table is empty");
    }
    t->names = t->settings.names;
    return header_read(t, row, e);
}

/* ---- the columns ---- */

static enum err_code same_twice(const struct table *t, size_t first, size_t second, struct err *e)
{
    ERR(e, ERR_SYNTAX, 0, "columns %zu and %zu have the same header, and it is needed", first + 1,
        second + 1);
    return err_at(e, "row %lld, column %zu", (long long)t->header_row, second + 1);
}

static size_t first_same(const struct table *t, size_t i)
{
    size_t k = 0;
    while (k < i && !str_eq(t->keys[k].text, t->keys[i].text)) {
        k++;
    }
    return k;
}

/* The same header again: "메모 (2)"; a refusal when the mapping would have to choose. */
static enum err_code tell_apart(struct table *t, size_t i, struct err *e)
{
    struct str own = t->header[i];
    size_t k = first_same(t, i);
    const struct header_column *c = t->names ? header_find(t->names, &t->keys[i]) : NULL;
    if (k < i && c && c->declared) {
        return same_twice(t, k, i, e);
    }
    for (int number = 2; first_same(t, i) < i; number++) {
        char *name = arena_printf(t->arena, "%.*s (%d)", STR_ARG(own), number);
        t->header[i] = str_of(name);
        t->keys[i] = header_key(t->arena, t->header[i]);
        if (!name || !t->keys[i].text.p) {
            return ERR(e, ERR_NOMEM, 0, "no memory for a header");
        }
    }
    return ERR_NONE;
}

static enum err_code make_columns(struct table *t, const struct raw_row *row, struct err *e)
{
    size_t n = row->count;
    while (n > 1 && text_trim(row->cells[n - 1]).n == 0) {
        n--;
    }
    t->header = arena_array(t->arena, n, sizeof *t->header);
    t->keys = arena_array(t->arena, n, sizeof *t->keys);
    t->cells = arena_array(t->arena, n, sizeof *t->cells);
    t->columns = arena_array(t->arena, n, sizeof *t->columns);
    t->count = n;
    bool ok = t->header && t->keys && t->cells && t->columns;
    for (size_t i = 0; ok && i < n; i++) {
        struct str cell = text_trim(row->cells[i]);
        if (cell.n > HEADER_BYTES) {
            ERR(e, ERR_LIMIT, 0, "a header is longer than %d bytes", (int)HEADER_BYTES);
            return err_at(e, "row %lld, column %zu", (long long)row->number, i + 1);
        }
        t->header[i] = cell.n ? arena_copy(t->arena, cell)
                              : str_of(arena_printf(t->arena, "column %zu", i + 1));
        t->keys[i] = header_key(t->arena, t->header[i]);
        ok = t->header[i].p && t->keys[i].text.p;
    }
    return ok ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a header");
}

enum err_code header_read(struct table *t, int64_t number, struct err *e)
{
    struct raw_row row;
    bool more = true;
    t->header_row = number;
    enum err_code code = t->source->ops->rewind(t->source, e);
    do {
        if (code == ERR_NONE) {
            code = t->source->ops->next(t->source, &row, &more, e);
        }
        if (code != ERR_NONE || !more) {
            return code != ERR_NONE ? code : ERR(e, ERR_SYNTAX, 0, "there is no header row");
        }
    } while (row.number < number);
    if (row.problem.code != ERR_NONE) {
        if (e) {
            *e = row.problem;
        }
        return err_at(e, "row %lld, column %zu", (long long)number, row.column);
    }
    code = make_columns(t, &row, e);
    for (size_t i = 1; i < t->count && code == ERR_NONE; i++) {
        code = tell_apart(t, i, e);
    }
    for (size_t i = 0; i < t->count && code == ERR_NONE; i++) {
        t->columns[i] = t->names ? header_find(t->names, &t->keys[i]) : NULL;
    }
    return code;
}

/* No header: the columns of the first row are 1, 2, 3 … */
enum err_code header_number(struct table *t, struct err *e)
{
    struct raw_row row = {.count = 0};
    bool more = true;
    enum err_code code = t->source->ops->rewind(t->source, e);
    if (code == ERR_NONE) {
        code = t->source->ops->next(t->source, &row, &more, e);
    }
    if (code != ERR_NONE || !more) {
        return code != ERR_NONE ? code : ERR(e, ERR_SYNTAX, 0, "the table is empty");
    }
    struct str *numbers = arena_array(t->arena, row.count + 1, sizeof *numbers);
    for (size_t i = 0; numbers && i < row.count; i++) {
        numbers[i] = str_of(arena_printf(t->arena, "%zu", i + 1));
    }
    row.cells = numbers;
    t->header_row = 0;
    t->names = t->settings.names;
    return numbers ? make_columns(t, &row, e) : ERR(e, ERR_NOMEM, 0, "no memory for a header");
}
