#include "core/app/map_rows.h"

#include "core/intake/prepare.h"
#include "core/table/row.h"

#include <stdio.h>
#include <sys/stat.h>

enum { MAX_ROW = 16 * 1024 * 1024, BEGINNING = 512 };

static enum err_code read_rows(struct table *t, const struct map_rows *to, struct err *e)
{
    struct table_row row;
    struct buf raw;
    size_t columns;
    bool more = true;
    enum err_code rc = ERR_NONE;
    const struct str *header = table_header(t, &columns);
    buf_init(&raw, MAX_ROW);
    while (rc == ERR_NONE && (rc = table_next(t, &row, &more, e)) == ERR_NONE && more) {
        if (row.problem.code != ERR_NONE) {
            to->wrong(to->ctx, to->file, &row.problem);
            continue;
        }
        buf_reset(&raw);
        row_write(&raw, header, columns, NULL, row.cells);
        if (buf_ok(&raw)) {
            to->row(to->ctx, to->file, row.number, buf_str(&raw));
        } else {
            rc = ERR(e, ERR_LIMIT, 0, "the row is longer than %d bytes", (int)MAX_ROW);
            err_at(e, "row %lld", (long long)row.number);
        }
    }
    buf_release(&raw);
    return rc;
}

void map_rows(const char *path, const struct table_settings *s, const struct map_rows *to)
{
    struct err e = {.code = ERR_NONE};
    struct table *t = NULL;
    enum err_code rc = table_open(path, s, &t, &e);
    rc = rc == ERR_NONE ? read_rows(t, to, &e) : rc;
    if (rc != ERR_NONE) {
        to->wrong(to->ctx, to->file, &e);
    }
    table_close(&t);
}

bool map_is_table(struct str raw)
{
    static const char *const hl7[] = {"MSH", "FHS", "BHS"};
    struct str text = str_starts(raw, STR("\xEF\xBB\xBF")) ? str_cut(raw, 3, raw.n) : raw;
    for (size_t i = 0; i < sizeof hl7 / sizeof hl7[0]; i++) {
        if (str_starts(str_trim(text), str_of(hl7[i]))) {
            return false;
        }
    }
    return content_of(raw) == CONTENT_HL7 || content_is_page(raw);
}

bool map_begins_as_table(const char *path)
{
    char beginning[BEGINNING];
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rbe") : NULL;
    size_t n = f ? fread(beginning, 1, sizeof beginning, f) : 0;
    if (f) {
        fclose(f);
    }
    return f && map_is_table((struct str){beginning, n});
}
