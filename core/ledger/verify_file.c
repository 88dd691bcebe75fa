#include "core/ledger/verify.h"

#include "core/base/num.h"
#include "core/ledger/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    const char *path;
    FILE *file;
    char *line; /* of getline() */
    size_t cap;
    int64_t number; /* of the line */
};

/* The next line without its LF; *more false at the end. A last line without LF was cut off. */
static enum err_code next_line(struct reading *r, struct str *out, bool *more, struct err *e)
{
    ssize_t n = getline(&r->line, &r->cap, r->file);
    *more = n > 0;
    if (n <= 0) {
        return ferror(r->file)
                   ? ERR(e, ERR_IO, 0, "could not read %s: %s", r->path, strerror(errno))
                   : ERR_NONE;
    }
    r->number++;
    if (r->line[n - 1] != '\n') {
        return ERR(e, ERR_SYNTAX, 0, "%s:%lld: the file is cut off", r->path, (long long)r->number);
    }
    *out = (struct str){r->line, (size_t)n - 1};
    return ERR_NONE;
}

/* The first word of *rest, and what is behind the blank after it. */
static struct str word(struct str *rest)
{
    size_t end = str_find(*rest, ' ', 0);
    struct str w = str_cut(*rest, 0, end);
    *rest = str_cut(*rest, end + 1, rest->n);
    return w;
}

static enum err_code not_a_line(const struct reading *r, struct err *e)
{
    return ERR(e, ERR_SYNTAX, 0, "%s:%lld: not a line of a ledger export", r->path,
               (long long)r->number);
}

static enum err_code read_checkpoint(struct walk *w, int64_t size, struct str rest)
{
    unsigned char note[CHECKPOINT_MAX];
    size_t n = sizeof note;
    word(&rest); /* when it was signed: for people */
    if (!base64_get(rest, note, &n)) {
        n = 0;
    }
    walk_checkpoint(w, size, (struct str){(const char *)note, n});
    return ERR_NONE;
}

static enum err_code read_lines(struct reading *r, struct walk *w, struct err *e)
{
    struct str line;
    bool more = true, ended = false;
    for (;;) {
        enum err_code code = next_line(r, &line, &more, e);
        if (code != ERR_NONE) {
            return code;
        }
        if (!more) {
            break;
        }
        struct str kind = word(&line), number = word(&line);
        int64_t n;
        if (ended || num_i64(number, 0, INT64_MAX, &n, NULL) != ERR_NONE) {
            return not_a_line(r, e);
        }
        if (str_is(kind, "entry")) {
            code = walk_entry(w, n, line, e);
        } else if (str_is(kind, "checkpoint")) {
            code = read_checkpoint(w, n, line);
        } else if (str_is(kind, "end")) {
            ended = true;
            if (n != w->report->entries && !w->stopped) {
                walk_problem(w, 0, "the export ends with %lld entries, not %lld",
                             (long long)w->report->entries, (long long)n);
            }
        } else {
            return not_a_line(r, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
    }
    if (!ended) {
        walk_problem(w, 0, "the export is cut off: its last line is missing");
    }
    walk_end(w);
    return ERR_NONE;
}

static enum err_code read_head(struct reading *r, const struct ledger_check *c, char site[64],
                               struct err *e)
{
    struct str line, head = STR(LEDGER_EXPORT_HEAD);
    bool more;
    enum err_code code = next_line(r, &line, &more, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (!more || !str_starts(line, head) || line.n - head.n >= 64) {
        return ERR(e, ERR_SYNTAX, 0, "%s is not a ledger export", r->path);
    }
    line = str_cut(line, head.n, line.n);
    memcpy(site, line.p, line.n);
    site[line.n] = '\0';
    return !c->site || str_is(line, c->site)
               ? ERR_NONE
               : ERR(e, ERR_REFUSED, 0, "%s is the ledger of another site", r->path);
}

enum err_code ledger_verify_file(const char *path, const struct ledger_check *c,
                                 struct ledger_report *out, struct err *e)
{
    struct reading r = {.path = path};
    struct walk w;
    char site[64];
    struct tree *tree = calloc(1, sizeof *tree);
    enum err_code code = tree ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for %s", path);
    memset(out, 0, sizeof *out);
    if (code == ERR_NONE && !(r.file = fopen(path, "re"))) {
        code = ERR(e, ERR_NOTFOUND, 0, "could not open %s: %s", path, strerror(errno));
    }
    code = code == ERR_NONE ? read_head(&r, c, site, e) : code;
    if (code == ERR_NONE) {
        walk_begin(&w, c, site, out, tree, NULL);
        code = read_lines(&r, &w, e);
    }
    if (r.file) {
        fclose(r.file);
    }
    free(r.line);
    free(tree);
    return code;
}
