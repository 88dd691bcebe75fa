#include "adapters/sql/sql_internal.h"

#include "core/base/log.h"
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

enum { NO_COLUMN = -1 };

static bool marked(const struct adapter *a)
{
    return a->options->mark[0];
}

static bool takes(const struct adapter *a)
{
    return a->options->taken[0];
}

/* Databases differ in how they write a name that was not quoted: as written, else whatever case. */
static int find_column(const struct str *names, size_t n, struct str name)
{
    int found = NO_COLUMN;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(names[i], name)) {
            return (int)i;
        }
        if (str_same(names[i], name)) {
            found = (int)i;
        }
    }
    return found;
}

static enum err_code check_names(const struct str *names, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        size_t bad;
        if (str_trim(names[i]).n == 0) {
            return ERR(e, ERR_CONFIG, i + 1, "column %zu has no name: give it one with AS", i + 1);
        }
        if (!text_utf8(names[i], &bad)) {
            return ERR(e, ERR_CHARSET, i + 1, "the name of column %zu is not UTF-8", i + 1);
        }
        for (size_t k = 0; k < i; k++) {
            if (str_eq(names[i], names[k])) {
                return ERR(e, ERR_CONFIG, i + 1,
                           "columns %zu and %zu have the same name: give one another with AS",
                           k + 1, i + 1);
            }
        }
    }
    return ERR_NONE;
}

static enum err_code find_columns(struct adapter *a, const struct str *names, size_t n,
                                  struct err *e)
{
    int mark = marked(a) ? find_column(names, n, str_of(a->options->mark)) : 0;
    if (mark == NO_COLUMN) {
        return ERR(e, ERR_CONFIG, 0, "the query has no column %s, which mark= names",
                   a->options->mark);
    }
    a->mark_column = (size_t)mark;
    for (size_t i = 0; i < a->taken.count; i++) {
        int key = find_column(names, n, a->taken.names[i]);
        if (key == NO_COLUMN) {
            return ERR(e, ERR_CONFIG, 0, "the query has no column %.*s, which taken= names",
                       STR_ARG(a->taken.names[i]));
        }
        a->key_columns[i] = (size_t)key;
    }
    return ERR_NONE;
}

bool result_columns(void *ctx, const struct str *names, size_t n)
{
    struct adapter *a = ctx;
    struct cell *cells = arena_array(a->job_memory, n, sizeof *cells);
    struct str row;
    if (!cells) {
        ERR(&a->failed, ERR_NOMEM, 0, "no memory for the header");
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        cells[i].text = names[i];
    }
    return check_names(names, n, &a->failed) == ERR_NONE &&
           find_columns(a, names, n, &a->failed) == ERR_NONE &&
           spill_format(a->spill, cells, n, &row, &a->failed) == ERR_NONE &&
           spill_row(a->spill, row, &a->failed) == ERR_NONE;
}

/* A part of a snapshot is none; what is marked or taken row by row goes on with the next round. */
static bool may_cut(const struct adapter *a)
{
    return a->rows > 0 && (takes(a) || (marked(a) && overlap_past(a->seen)));
}

static enum err_code keep_row(struct adapter *a, const struct cell *cells, struct str row,
                              struct err *e)
{
    struct cell keys[STATEMENT_PLACES];
    if (a->rows == a->options->max_rows && !may_cut(a)) {
        return ERR(e, ERR_LIMIT, 0, "the result has more than max-rows=\"%lld\" rows",
                   (long long)a->options->max_rows);
    }
    enum err_code code = spill_row(a->spill, row, e);
    for (size_t i = 0; i < a->taken.count; i++) {
        keys[i] = cells[a->key_columns[i]];
    }
    if (code == ERR_NONE && takes(a)) {
        code = spill_keys(a->spill, keys, a->taken.count, e);
    }
    a->rows += code == ERR_NONE;
    return code;
}

static enum err_code take_row(struct adapter *a, const struct cell *cells, size_t n, struct err *e)
{
    struct str row;
    bool known = false;
    enum err_code code = spill_format(a->spill, cells, n, &row, e);
    if (code != ERR_NONE) {
        return code;
    }
    int64_t need = (int64_t)row.n * 2; /* with its keys */
    if (may_cut(a) &&
        (a->rows >= a->options->max_rows || spill_size(a->spill) + need > a->options->max_size)) {
        a->cut = true;
        return ERR_NONE;
    }
    if (marked(a) && cells[a->mark_column].null) {
        return ERR(e, ERR_VALUE, 0, "no mark: leave such rows out (WHERE … IS NOT NULL)");
    }
    if (marked(a)) {
        code = overlap_row(a->seen, row, cells[a->mark_column].text, &known, e);
    }
    if (code == ERR_NONE && known) {
        a->again++;
    } else if (code == ERR_NONE) {
        code = keep_row(a, cells, row, e);
    }
    return code;
}

bool result_row(void *ctx, const struct cell *cells, size_t n)
{
    struct adapter *a = ctx;
    if (take_row(a, cells, n, &a->failed) != ERR_NONE) {
        err_in(&a->failed, "row %lld of the result", (long long)(a->rows + a->again + 1));
        return false;
    }
    return !a->cut;
}

void result_key_names(const struct adapter *a, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < a->taken.count && at < size; i++) {
        at += (size_t)snprintf(out + at, size - at, "%s%.*s", i ? "," : "",
                               STR_ARG(a->taken.names[i]));
    }
}

enum err_code result_end(struct adapter *a, bool *any, struct err *e)
{
    char text[CLOCK_TEXT];
    int64_t bytes = spill_size(a->spill);
    enum err_code code = ERR_NONE;
    a->ready = (struct spill_ready){.marked = marked(a), .rows = a->rows, .more = a->cut};
    *any = a->rows > 0 || !(marked(a) || takes(a));
    if (!*any) {
        spill_discard(a->spill);
        return ERR_NONE;
    }
    snprintf(a->ready.name, sizeof a->ready.name, "query %s", clock_text_utc(a->began, text));
    result_key_names(a, a->ready.keys, sizeof a->ready.keys);
    if (marked(a)) {
        snprintf(a->ready.mark, sizeof a->ready.mark, "%.*s", STR_ARG(overlap_mark(a->seen)));
        code = overlap_save(a->seen, spill_path(a->spill, "seen.next"), e);
    }
    if (code == ERR_NONE) {
        code = spill_publish(a->spill, &a->ready, e);
    }
    if (code == ERR_NONE) {
        log_info("sql.result", "rows=%lld again=%lld bytes=%lld more=%s ms=%lld",
                 (long long)a->rows, (long long)a->again, (long long)bytes, a->cut ? "yes" : "no",
                 (long long)((clock_mono() - a->began_mono) / 1000));
    }
    return code;
}
