/*
 * A workbook: the file itself (it begins PK), or the rows of its sheet, a NUL byte and its shared
 * strings, which reach the parser without the archive around them.
 */
#include "core/base/file.h"
#include "core/table/table.h"
#include "tests/lib/book.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 128 * 1024 };

static void read_rows(const char *path)
{
    struct table *t;
    struct table_row row;
    bool more = true;
    static const struct table_settings s = {.fallback = CHARSET_UTF8,
                                            .max_cell = 4096,
                                            .max_row = 16384,
                                            .max_columns = 64,
                                            .max_unpacked = 8 << 20};
    if (table_open(path, &s, &t, NULL) != ERR_NONE) {
        return;
    }
    while (table_next(t, &row, &more, NULL) == ERR_NONE && more) {
        if (!row.cells && !row.problem.where[0]) {
            abort();
        }
    }
    table_close(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[] = "/tmp/dari-fuzz-XXXXXX";
    static bool made;
    struct str bytes = {(const char *)data, size};
    if (!made) {
        int fd = mkstemp(path);
        made = fd >= 0;
        if (made) {
            close(fd);
        }
    }
    if (!made || size > MOST) {
        return 0;
    }
    bool ok;
    if (str_starts(bytes, STR("PK"))) {
        ok = file_write(path, bytes, 0600, NULL) == ERR_NONE;
    } else {
        char *rows = calloc(1, size + 2);
        if (!rows) {
            return 0;
        }
        memcpy(rows, data, size);
        size_t nul = str_find(bytes, '\0', 0);
        ok = book_write(path, rows, rows + nul + 1, NULL);
        free(rows);
    }
    if (ok) {
        read_rows(path);
    }
    unlink(path);
    return 0;
}
