/* The styles of a workbook's cells: which number format each has. */
#include "core/table/workbook.h"

#include "core/base/num.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STYLES = 65536 };

struct own_format {
    int id;
    struct format format;
};

/* While the styles are read. */
struct style_reader {
    struct formats *out;
    struct own_format *own;
    size_t own_count, own_room, room;
    bool cells; /* inside cellXfs */
};

static bool read_id(struct xml_reader *r, int *out)
{
    const char *text = xml_reader_attr(r, "numFmtId");
    int64_t id;
    if (!text || num_i64(str_of(text), 0, 1000000, &id, NULL) != ERR_NONE) {
        return false;
    }
    *out = (int)id;
    return true;
}

static enum err_code add_own(struct style_reader *s, struct xml_reader *r, struct err *e)
{
    struct own_format f;
    if (s->own_count == MAX_STYLES || !read_id(r, &f.id)) {
        return ERR_NONE;
    }
    if (s->own_count == s->own_room) {
        size_t room = s->own_room ? s->own_room * 2 : 64;
        struct own_format *own = realloc(s->own, room * sizeof *own);
        if (!own) {
            return ERR(e, ERR_NOMEM, 0, "no memory for number formats");
        }
        s->own = own;
        s->own_room = room;
    }
    f.format = format_of(str_of(xml_reader_attr(r, "formatCode")));
    s->own[s->own_count++] = f;
    return ERR_NONE;
}

static enum err_code add_style(struct style_reader *s, struct xml_reader *r, struct err *e)
{
    struct formats *f = s->out;
    int id = 0;
    if (f->count == MAX_STYLES) {
        return ERR(e, ERR_LIMIT, 0, "more than %d cell styles", (int)MAX_STYLES);
    }
    if (f->count == s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        struct format *styles = realloc(f->styles, room * sizeof *styles);
        if (!styles) {
            return ERR(e, ERR_NOMEM, 0, "no memory for cell styles");
        }
        f->styles = styles;
        s->room = room;
    }
    struct format shown = format_builtin(read_id(r, &id) ? id : 0);
    for (size_t i = 0; i < s->own_count; i++) {
        shown = s->own[i].id == id ? s->own[i].format : shown;
    }
    f->styles[f->count++] = shown;
    return ERR_NONE;
}

enum err_code styles_read(struct workbook *w, const char *part, struct formats *out, struct err *e)
{
    struct style_reader s = {.out = out};
    struct part p;
    struct xml_reader *r;
    enum xml_step step = XML_START;
    enum err_code code = part_open(w, part, &p, &r, e);
    while (code == ERR_NONE && step != XML_DONE) {
        code = xml_reader_next(r, &step, e);
        const char *name = code == ERR_NONE ? xml_reader_name(r) : "";
        if (strcmp(name, "cellXfs") == 0) {
            s.cells = step == XML_START;
        } else if (step == XML_START && strcmp(name, "numFmt") == 0) {
            code = add_own(&s, r, e);
        } else if (step == XML_START && s.cells && strcmp(name, "xf") == 0) {
            code = add_style(&s, r, e);
        }
    }
    part_close(&p, &r);
    free(s.own);
    return code == ERR_NONE ? code : err_at(e, "%.60s", part);
}
