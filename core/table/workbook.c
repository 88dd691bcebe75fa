#include "core/table/workbook.h"

#include "core/base/num.h"
#include "core/base/text.h"
#include "core/table/archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum {
    MAX_PARTS = 4096, /* a workbook has some dozen */
    MAX_DIRECTORY = 4 << 20,
    MAX_SHEETS = 500,
    MAX_TAG = 64 * 1024,
    MAX_RATIO = 400, /* what sheets reach is below 100 */
    FREE = 16 << 20, /* below this the ratio does not matter */
    PATH = 256
};

struct sheet {
    char *name, *part;
    bool hidden;
};

struct workbook {
    struct source_limits limit;
    struct zip *zip;
    struct arena *arena;
    struct sheet *sheets;
    size_t sheet_count;
    struct formats formats;
    struct strings *strings;
    char folder[PATH], main[PATH], shared[PATH], styles[PATH];
    int64_t unpacked;
};

/* ---- parts ---- */

static enum err_code in_part(const char *name, struct err *e)
{
    return err_at(e, "%.60s", name);
}

/* Bombs: much out of little, or too much in all. */
static bool bomb(const struct part *p)
{
    return p->unpacked > FREE && p->unpacked / MAX_RATIO > p->packed;
}

static ssize_t read_part(void *ctx, char *to, size_t n, struct err *e)
{
    struct part *p = ctx;
    zip_int64_t got = zip_fread(p->file, to, n);
    if (got < 0) {
        ERR(e, ERR_SYNTAX, 0, "the part cannot be unpacked");
        in_part(p->name, e);
        return -1;
    }
    p->unpacked += got;
    p->w->unpacked += got;
    if (bomb(p) || p->w->unpacked > (int64_t)p->w->limit.unpacked) {
        ERR(e, ERR_LIMIT, 0,
            bomb(p) ? "the part unpacks to more than %d times its size"
                    : "the workbook unpacks to more than its limit",
            (int)MAX_RATIO);
        in_part(p->name, e);
        return -1;
    }
    return (ssize_t)got;
}

enum err_code part_open(struct workbook *w, const char *name, struct part *p, struct xml_reader **r,
                        struct err *e)
{
    struct zip_stat st;
    /* a little more than a cell may hold: its own check knows the place better */
    struct xml_reader_limits limits = {MAX_TAG, w->limit.cell + MAX_TAG};
    *p = (struct part){.w = w, .name = name};
    *r = NULL;
    zip_int64_t i = zip_name_locate(w->zip, name, ZIP_FL_NOCASE);
    if (i < 0 || zip_stat_index(w->zip, (zip_uint64_t)i, 0, &st) != 0) {
        ERR(e, ERR_SYNTAX, 0, "the workbook lacks a part");
        return in_part(name, e);
    }
    if ((st.valid & ZIP_STAT_ENCRYPTION_METHOD) && st.encryption_method != ZIP_EM_NONE) {
        ERR(e, ERR_UNSUPPORTED, 0, "the workbook is encrypted: save it without a password");
        return in_part(name, e);
    }
    p->packed = (int64_t)st.comp_size;
    p->size = (int64_t)st.size;
    p->file = zip_fopen_index(w->zip, (zip_uint64_t)i, 0);
    if (!p->file) {
        ERR(e, ERR_UNSUPPORTED, 0, "the part cannot be unpacked");
        return in_part(name, e);
    }
    enum err_code code = xml_reader_new(read_part, p, &limits, r, e);
    if (code != ERR_NONE) {
        part_close(p, r);
        return in_part(name, e);
    }
    return ERR_NONE;
}

void part_close(struct part *p, struct xml_reader **r)
{
    xml_reader_free(r);
    if (p->file) {
        zip_fclose(p->file);
        p->file = NULL;
    }
}

/* Calls fn at every start of an element; stops when it fails. */
typedef enum err_code (*element_fn)(struct workbook *w, struct xml_reader *r, const char *name,
                                    struct err *e);

static enum err_code walk(struct workbook *w, const char *name, element_fn fn, struct err *e)
{
    struct part p;
    struct xml_reader *r;
    enum xml_step step = XML_START;
    enum err_code code = part_open(w, name, &p, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    while (code == ERR_NONE && step != XML_DONE) {
        code = xml_reader_next(r, &step, e);
        if (code == ERR_NONE && step == XML_START) {
            code = fn(w, r, xml_reader_name(r), e);
        }
    }
    part_close(&p, &r);
    return code == ERR_NONE ? code : in_part(name, e);
}

static bool has_part(struct workbook *w, const char *name)
{
    return *name && zip_name_locate(w->zip, name, ZIP_FL_NOCASE) >= 0;
}

/* ---- how parts refer to each other ---- */

/* Of %41 the letter; a backslash, which some writers have, as a slash. */
static char target_char(struct str t, size_t *i)
{
    char c = t.p[(*i)++], byte[1];
    if (c == '%' && *i + 2 <= t.n && text_unhex(str_cut(t, *i, *i + 2), byte, NULL) == ERR_NONE) {
        *i += 2;
        return byte[0];
    }
    return c == '\\' ? '/' : c;
}

/* The name ends with a slash: "." goes, ".." takes the folder before it along. */
static void drop_dots(char *out, size_t *n)
{
    size_t from = *n - 1;
    while (from > 0 && out[from - 1] != '/') {
        from--;
    }
    struct str name = {out + from, *n - 1 - from};
    if (name.n == 0 || str_is(name, ".") || str_is(name, "..")) {
        *n = from;
        for (bool up = str_is(name, "..") && from > 0; up; up = *n > 0 && out[*n - 1] != '/') {
            --*n;
        }
    }
}

/* A target is relative to the folder of the part that names it, or begins with a slash. */
static bool resolve(const char *folder, const char *target, char out[PATH])
{
    struct str t = str_of(target), base = str_of(folder);
    size_t n = t.n && (t.p[0] == '/' || t.p[0] == '\\') ? 0 : base.n;
    if (n >= PATH) {
        return false;
    }
    memcpy(out, base.p, n);
    for (size_t i = 0; i < t.n;) {
        char c = target_char(t, &i);
        if (c == '\0' || n + 1 >= PATH) {
            return false;
        }
        out[n++] = c;
        if (c == '/') {
            drop_dots(out, &n);
        }
    }
    out[n] = '\0';
    return n > 0;
}

static bool type_is(struct xml_reader *r, const char *suffix)
{
    const char *type = xml_reader_attr(r, "Type");
    return type && str_ends(str_of(type), str_of(suffix));
}

static enum err_code root_relation(struct workbook *w, struct xml_reader *r, const char *name,
                                   struct err *e)
{
    (void)e;
    if (strcmp(name, "Relationship") == 0 && type_is(r, "/officeDocument")) {
        const char *target = xml_reader_attr(r, "Target");
        if (target && !resolve("", target, w->main)) {
            w->main[0] = '\0';
        }
    }
    return ERR_NONE;
}

static enum err_code main_relation(struct workbook *w, struct xml_reader *r, const char *name,
                                   struct err *e)
{
    if (strcmp(name, "Relationship") != 0) {
        return ERR_NONE;
    }
    if (type_is(r, "/externalLink")) {
        return ERR(e, ERR_REFUSED, 0,
                   "the workbook refers to another one: save it with values only");
    }
    const char *target = xml_reader_attr(r, "Target");
    char path[PATH];
    if (!target || !resolve(w->folder, target, path)) {
        return ERR_NONE;
    }
    if (type_is(r, "/sharedStrings")) {
        memcpy(w->shared, path, PATH);
    } else if (type_is(r, "/styles")) {
        memcpy(w->styles, path, PATH);
    } else if (type_is(r, "/worksheet")) {
        const char *id = xml_reader_attr(r, "Id");
        for (size_t i = 0; id && i < w->sheet_count; i++) {
            struct sheet *s = &w->sheets[i];
            if (s->part && s->part[0] == '#' && strcmp(s->part + 1, id) == 0) {
                s->part = arena_z(w->arena, str_of(path));
            }
        }
    }
    return ERR_NONE;
}

/* ---- the workbook's own part ---- */

static bool is_true(const char *value)
{
    return value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
}

static enum err_code workbook_element(struct workbook *w, struct xml_reader *r, const char *name,
                                      struct err *e)
{
    if (strcmp(name, "workbookPr") == 0) {
        w->formats.since_1904 = is_true(xml_reader_attr(r, "date1904"));
    }
    if (strcmp(name, "sheet") != 0) {
        return ERR_NONE;
    }
    if (w->sheet_count == MAX_SHEETS) {
        return ERR(e, ERR_LIMIT, 0, "more than %d sheets", (int)MAX_SHEETS);
    }
    struct sheet *s = &w->sheets[w->sheet_count];
    const char *title = xml_reader_attr(r, "name"), *state;
    s->name = arena_z(w->arena, str_of(title));
    state = xml_reader_attr(r, "state");
    s->hidden = state && strcmp(state, "visible") != 0;
    const char *id = xml_reader_prefixed(r, "id");           /* r:id, whatever the prefix */
    s->part = id ? arena_printf(w->arena, "#%s", id) : NULL; /* until the relations say which */
    w->sheet_count += s->name != NULL;
    return ERR_NONE;
}

/* ---- texts ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

void workbook_unescape(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t at = str_find(s, '_', i);
        buf_add(out, str_cut(s, i, at));
        i = at;
        bool code = at + 7 <= s.n && s.p[at + 1] == 'x' && s.p[at + 6] == '_';
        for (size_t k = at + 2; code && k < at + 6; k++) {
            code = is_hex(s.p[k]);
        }
        char bytes[2], put[TEXT_CHAR];
        if (code && text_unhex(str_cut(s, at + 2, at + 6), bytes, NULL) == ERR_NONE) {
            unsigned c = (unsigned)((unsigned char)bytes[0] << 8 | (unsigned char)bytes[1]);
            bool letter = c && (c < 0xd800 || c > 0xdfff);
            buf_add(out, (struct str){put, letter ? text_put(c, put) : 0});
            i += 7;
        } else if (at < s.n) {
            buf_addc(out, '_');
            i++;
        }
    }
}

enum err_code workbook_text(struct xml_reader *r, struct buf *out, struct err *e)
{
    enum xml_step step;
    unsigned depth = 1, phonetic = 0;
    bool text = strcmp(xml_reader_name(r), "t") == 0;
    while (depth) {
        enum err_code code = xml_reader_next(r, &step, e);
        if (code != ERR_NONE) {
            return code;
        }
        if (step == XML_TEXT && text && !phonetic) {
            workbook_unescape(out, xml_reader_text(r));
        } else if (step == XML_START) {
            depth++;
            text = strcmp(xml_reader_name(r), "t") == 0;
            phonetic = phonetic || strcmp(xml_reader_name(r), "rPh") == 0 ? phonetic + 1 : 0;
        } else if (step == XML_END) {
            depth--;
            text = false;
            phonetic -= phonetic > 0;
        } else if (step == XML_DONE) {
            return ERR(e, ERR_SYNTAX, 0, "the part ends in the middle of a text");
        }
    }
    return buf_ok(out) ? ERR_NONE
                       : ERR(e, ERR_LIMIT, 0, "a text is longer than %zu bytes", out->max);
}

static enum err_code shared_string(struct workbook *w, struct xml_reader *r, const char *name,
                                   struct err *e)
{
    if (strcmp(name, "si") != 0) {
        return ERR_NONE;
    }
    struct buf text;
    buf_init(&text, w->limit.cell);
    enum err_code code = workbook_text(r, &text, e);
    code = code == ERR_NONE ? strings_add(w->strings, buf_str(&text), e) : code;
    buf_release(&text);
    return code;
}

/* ---- opening ---- */

static enum err_code check_names(struct workbook *w, struct err *e)
{
    zip_int64_t n = zip_get_num_entries(w->zip, 0);
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(w->zip, (zip_uint64_t)i, 0);
        if (name && strstr(name, "externalLinks/")) {
            ERR(e, ERR_REFUSED, 0, "the workbook refers to another one: save it with values only");
            return in_part(name, e);
        }
    }
    return ERR_NONE;
}

static enum err_code find_folder(struct workbook *w, char relations[PATH], struct err *e)
{
    char *slash = strrchr(w->main, '/');
    size_t n = slash ? (size_t)(slash - w->main) + 1 : 0;
    memcpy(w->folder, w->main, n);
    w->folder[n] = '\0';
    int wanted = snprintf(relations, PATH, "%s_rels/%s.rels", w->folder, w->main + n);
    return wanted > 0 && wanted < PATH ? ERR_NONE
                                       : ERR(e, ERR_SYNTAX, 0, "a part's name is too long");
}

static enum err_code read_parts(struct workbook *w, struct err *e)
{
    char relations[PATH];
    enum err_code code = check_names(w, e);
    if (code == ERR_NONE && has_part(w, "_rels/.rels")) {
        code = walk(w, "_rels/.rels", root_relation, e);
    }
    if (code == ERR_NONE && (!has_part(w, w->main) || str_ends(str_of(w->main), STR(".bin")))) {
        return ERR(e, ERR_UNSUPPORTED, 0, "this archive is no workbook (.xlsx)");
    }
    code = code == ERR_NONE ? find_folder(w, relations, e) : code;
    code = code == ERR_NONE ? walk(w, w->main, workbook_element, e) : code;
    code = code == ERR_NONE ? walk(w, relations, main_relation, e) : code;
    if (code == ERR_NONE && has_part(w, w->styles)) {
        code = styles_read(w, w->styles, &w->formats, e);
    }
    if (code == ERR_NONE && has_part(w, w->shared)) {
        code = walk(w, w->shared, shared_string, e);
    }
    return code;
}

enum err_code workbook_open(const char *path, const struct source_limits *l, struct workbook **out,
                            struct err *e)
{
    int why = 0;
    *out = NULL;
    enum err_code code = archive_check(path, MAX_PARTS, MAX_DIRECTORY, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct workbook *w = calloc(1, sizeof *w);
    if (!w) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a workbook");
    }
    w->limit = *l;
    w->arena = arena_new(0);
    w->strings = strings_new();
    w->sheets = w->arena ? arena_array(w->arena, MAX_SHEETS, sizeof *w->sheets) : NULL;
    w->zip = zip_open(path, ZIP_RDONLY, &why);
    if (!w->sheets || !w->strings) {
        code = ERR(e, ERR_NOMEM, 0, "no memory for a workbook");
    } else if (!w->zip) {
        code = ERR(e, ERR_SYNTAX, 0, "the workbook is damaged");
    } else {
        code = read_parts(w, e);
    }
    if (code != ERR_NONE) {
        workbook_close(&w);
        return code;
    }
    *out = w;
    return ERR_NONE;
}

void workbook_close(struct workbook **w)
{
    if (!*w) {
        return;
    }
    if ((*w)->zip) {
        zip_discard((*w)->zip);
    }
    strings_free(&(*w)->strings);
    free((*w)->formats.styles);
    arena_free(&(*w)->arena);
    free(*w);
    *w = NULL;
}

/* ---- what it holds ---- */

size_t workbook_sheets(const struct workbook *w)
{
    return w->sheet_count;
}

bool workbook_sheet_is(const struct workbook *w, size_t i, const char *name)
{
    return name ? strcmp(w->sheets[i].name, name) == 0 : !w->sheets[i].hidden;
}

const char *workbook_sheet_part(const struct workbook *w, size_t i)
{
    const char *part = w->sheets[i].part;
    return part && part[0] != '#' ? part : "";
}

struct strings *workbook_strings(const struct workbook *w)
{
    return w->strings;
}

const struct formats *workbook_formats(const struct workbook *w)
{
    return &w->formats;
}

const struct source_limits *workbook_limits(const struct workbook *w)
{
    return &w->limit;
}
