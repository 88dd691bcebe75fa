#include "core/table/archive.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    END = 22,
    LOCATOR = 20,
    END64 = 56,
    COMMENT = 65535,
    TAIL = END + LOCATOR + END64 + COMMENT
};

struct tail {
    unsigned char *p;
    size_t n;
    uint64_t from; /* where in the file it begins */
};

struct directory {
    uint64_t parts, size, offset;
};

static uint64_t number(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    while (n-- > 0) {
        v = v << 8 | p[n];
    }
    return v;
}

static bool read_tail(const char *path, struct tail *t)
{
    FILE *f = fopen(path, "rbe");
    t->p = malloc(TAIL);
    if (f && t->p && fseek(f, 0, SEEK_END) == 0) {
        long size = ftell(f);
        long from = size > TAIL ? size - TAIL : 0;
        t->from = (uint64_t)from;
        t->n = fseek(f, from, SEEK_SET) == 0 ? fread(t->p, 1, TAIL, f) : 0;
    }
    bool ok = f && t->p && !ferror(f);
    if (f) {
        fclose(f);
    }
    return ok;
}

/* The larger form, when its locator stands before the end at i. False: it points where we cannot
 * look, which no writer does. */
static bool read_end64(const struct tail *t, size_t i, struct directory *d)
{
    if (i < LOCATOR || memcmp(t->p + i - LOCATOR, "PK\6\7", 4) != 0) {
        return true;
    }
    uint64_t at = number(t->p + i - LOCATOR + 8, 8);
    if (at < t->from || at - t->from > t->n - END64 || t->n < END64) {
        return false;
    }
    const unsigned char *p = t->p + (at - t->from);
    if (memcmp(p, "PK\6\6", 4) == 0) {
        *d = (struct directory){number(p + 32, 8), number(p + 40, 8), number(p + 48, 8)};
    }
    return true;
}

enum err_code archive_check(const char *path, size_t max_parts, size_t max_directory, struct err *e)
{
    struct tail t = {.n = 0};
    enum err_code code = ERR_NONE;
    bool found = false;
    if (!read_tail(path, &t)) {
        code = t.p ? ERR(e, ERR_IO, 0, "could not read a workbook")
                   : ERR(e, ERR_NOMEM, 0, "no memory for a workbook");
    }
    for (size_t i = 0; code == ERR_NONE && i + END <= t.n; i++) {
        if (t.p[i] != 'P' || memcmp(t.p + i, "PK\5\6", 4) != 0) {
            continue;
        }
        struct directory d = {number(t.p + i + 10, 2), number(t.p + i + 12, 4),
                              number(t.p + i + 16, 4)};
        if (!read_end64(&t, i, &d)) {
            code = ERR(e, ERR_SYNTAX, 0, "the workbook is damaged");
        } else if (d.offset + d.size <= t.from + i) { /* else it is no end, but looks like one */
            found = true;
            code = d.parts <= max_parts && d.size <= max_directory
                       ? ERR_NONE
                       : ERR(e, ERR_LIMIT, 0, "the workbook has more than %zu parts", max_parts);
        }
    }
    free(t.p);
    return code == ERR_NONE && !found ? ERR(e, ERR_SYNTAX, 0, "the workbook is cut short") : code;
}
