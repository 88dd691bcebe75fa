#include "core/intake/source.h"

#include "core/base/file.h"
#include "core/hl7/hl7.h"
#include "core/hl7/split.h"
#include "core/intake/prepare.h"
#include "core/xml/batch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { BEGINNING = 512 };

struct source {
    struct table *table;
    struct table_row row;
    struct arena *arena, *one;   /* of everything but tables; of the last part */
    struct xml_batch *documents; /* XML and JSON */
    struct str loaded, bytes;    /* the file, and as it is split */
    bool hl7, batch;
    struct hl7_split split;
    struct hl7_batch lines;
    int64_t number;
};

/* ---- what is it? ---- */

static enum err_code read_beginning(const char *path, char *out, size_t *n, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd >= 0 ? read(fd, out, BEGINNING) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (got < 0) {
        return ERR(e, ERR_IO, 0, "the file cannot be read");
    }
    *n = (size_t)got;
    return ERR_NONE;
}

/* HL7 v2 is known by its first segment; what is nothing else is a table. */
static bool begins_hl7(struct str bytes)
{
    static const char *const names[] = {"MSH", "FHS", "BHS"};
    char first[3];
    size_t found = 0;
    for (size_t i = 0; i < bytes.n && found < 3; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        if (c != 0 && c != 0xEF && c != 0xBB && c != 0xBF && c < 0xFE && (found || c > ' ')) {
            first[found++] = (char)c;
        }
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (found == 3 && str_is((struct str){first, 3}, names[i])) {
            return true;
        }
    }
    return false;
}

/* ---- not a table ---- */

static enum err_code open_whole(struct source *x, const char *path, const struct source_settings *s,
                                enum content content, struct err *e)
{
    enum charset used;
    x->arena = arena_new(0);
    x->one = arena_new(0);
    if (!x->arena || !x->one) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a file");
    }
    enum err_code rc = file_load(path, SOURCE_MAX, &x->loaded, e);
    x->bytes = x->loaded;
    x->hl7 = content == CONTENT_HL7;
    if (rc == ERR_NONE && x->hl7 && hl7_wide(x->bytes, s->charset)) {
        rc = hl7_decode(x->arena, x->bytes, s->charset, s->fallback, &x->bytes, &used, e);
    }
    if (rc == ERR_NONE && x->hl7) {
        x->split.text = x->bytes;
        x->batch = hl7_is_batch(x->bytes);
        hl7_batch_read(x->bytes, &x->lines);
    } else if (rc == ERR_NONE) {
        rc = xml_batch_open(x->arena, x->bytes, s->charset, NULL, &x->documents, e);
    }
    return rc;
}

static enum err_code next_whole(struct source *s, struct part *p, bool *more, struct err *e)
{
    struct xml_message m;
    enum err_code rc = ERR_NONE;
    if (s->hl7) {
        *more = hl7_split_next(&s->split, &p->bytes, NULL);
    } else {
        arena_reset(s->one);
        rc = xml_batch_next(s->documents, s->one, &m, more, e);
        p->bytes = m.raw;
    }
    p->number = ++s->number;
    return rc;
}

/* ---- all of them ---- */

enum err_code source_open(const char *path, const struct source_settings *s, struct source **out,
                          struct err *e)
{
    char beginning[BEGINNING];
    size_t n = 0;
    struct source *x = calloc(1, sizeof *x);
    *out = NULL;
    if (!x) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a file");
    }
    enum err_code rc = read_beginning(path, beginning, &n, e);
    if (rc == ERR_NONE) {
        struct str bytes = {beginning, n};
        enum content content = content_of(bytes);
        /* The first column of an export may well be called "#"; for a feed of tables a page is one
         * that it cannot read, and says so. */
        bool table = content == CONTENT_ROW || (content == CONTENT_HL7 && !begins_hl7(bytes)) ||
                     (s->table.names && content_is_page(bytes));
        rc = table ? table_open(path, &s->table, &x->table, e) : open_whole(x, path, s, content, e);
    }
    if (rc != ERR_NONE) {
        source_close(&x);
        return rc;
    }
    *out = x;
    return ERR_NONE;
}

void source_close(struct source **ps)
{
    struct source *s = *ps;
    if (s) {
        table_close(&s->table);
        arena_free(&s->arena);
        arena_free(&s->one);
        file_unload(&s->loaded);
        free(s);
        *ps = NULL;
    }
}

enum err_code source_next(struct source *s, struct part *p, bool *more, struct err *e)
{
    *p = (struct part){.row = NULL};
    if (!s->table) {
        return next_whole(s, p, more, e);
    }
    enum err_code rc = table_next(s->table, &s->row, more, e);
    if (rc == ERR_NONE && *more) {
        p->row = &s->row;
        p->number = s->row.number;
    }
    return rc;
}

enum err_code source_seek(struct source *s, int64_t after, struct err *e)
{
    struct part p;
    bool more = true;
    if (s->table) {
        return table_seek(s->table, after, e);
    }
    enum err_code rc = ERR_NONE;
    if (s->documents) {
        xml_batch_seek(s->documents, (size_t)after);
        s->number = after;
    }
    while (rc == ERR_NONE && more && s->number < after) {
        rc = next_whole(s, &p, &more, e);
    }
    return rc;
}

const struct table *source_table(const struct source *s)
{
    return s->table;
}

const struct hl7_batch *source_batch(const struct source *s)
{
    return s->batch ? &s->lines : NULL;
}

int64_t source_bytes(const struct source *s)
{
    return s->table ? table_bytes_read(s->table)
           : s->hl7 ? (int64_t)s->split.at
                    : (int64_t)xml_batch_offset(s->documents);
}
