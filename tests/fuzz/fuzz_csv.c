/*
 * A text table, read with the dictionary that is shipped. Each row that comes out is written in its
 * canonical form, must be the same once parsed, and holds no resident registration number; the rest
 * of the file must come again behind any row.
 */
#include "core/base/file.h"
#include "core/base/rrn.h"
#include "core/table/row.h"
#include "core/table/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 256 * 1024 };

static const struct header_names *names;
static char path[] = "/tmp/dari-fuzz-XXXXXX";

static bool prepare(void)
{
    static struct arena *a;
    struct problems p = {0};
    if (!a) {
        int fd = mkstemp(path);
        if (fd >= 0) {
            close(fd);
        }
        a = arena_new(0);
        names = a ? header_load(a, "mappings/headers.xml", &p) : NULL;
        problems_release(&p);
    }
    return names != NULL;
}

static void check_row(const struct str *header, const struct table_row *row)
{
    struct buf b;
    struct row parsed;
    struct arena *a = arena_new(0);
    buf_init(&b, MOST * 8);
    row_write(&b, header, row->count, NULL, row->cells);
    if (!a || !buf_ok(&b) || row_parse(a, buf_str(&b), &parsed, NULL) != ERR_NONE) {
        abort();
    }
    for (size_t i = 0; i < row->count; i++) {
        if (!str_eq(parsed.now[i], row->cells[i]) || rrn_inside(row->cells[i])) {
            abort();
        }
    }
    buf_release(&b);
    arena_free(&a);
}

static size_t read_rows(struct table *t, int64_t *some)
{
    struct table_row row;
    size_t columns, n = 0;
    bool more = true;
    const struct str *header = table_header(t, &columns);
    while (table_next(t, &row, &more, NULL) == ERR_NONE && more) {
        if (row.cells) {
            check_row(header, &row);
        } else if (!row.problem.where[0]) {
            abort(); /* a problem has its place */
        }
        *some = n == 1 ? row.number : *some;
        n++;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct table *t;
    if (!prepare() || size > MOST || file_write(path, bytes, 0600, NULL) != ERR_NONE) {
        return 0;
    }
    struct table_settings s = {.fallback = CHARSET_CP949,
                               .names = size % 2 ? names : NULL,
                               .max_cell = 4096,
                               .max_row = 16384,
                               .max_columns = 64};
    if (table_open(path, &s, &t, NULL) == ERR_NONE) {
        int64_t some = 0, ignored = 0;
        size_t n = read_rows(t, &some);
        if (n > 1 && (table_seek(t, some, NULL) != ERR_NONE || read_rows(t, &ignored) != n - 2)) {
            abort();
        }
        table_close(&t);
    }
    unlink(path);
    return 0;
}
