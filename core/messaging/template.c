#include "core/messaging/template.h"

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/charset.h"
#include "core/base/file.h"
#include "core/messaging/lint.h"
#include "core/xml/xml.h"

#include <string.h>

static const char schema[] = "config/schemas/template.rng";

const char *message_class_name(enum message_class c)
{
    return c == MESSAGE_AD ? "ad" : "info";
}

const char *byte_class_name(enum byte_class c)
{
    return c == BYTE_CLASS_LMS ? "lms" : "sms";
}

static const char *const names[VARIABLE_COUNT] = {
    [VARIABLE_HOSPITAL] = "hospital", [VARIABLE_NAME] = "name",
    [VARIABLE_DATE] = "date",         [VARIABLE_LONG_DATE] = "long_date",
    [VARIABLE_WEEKDAY] = "weekday",   [VARIABLE_TIME] = "time",
    [VARIABLE_DAY] = "day",           [VARIABLE_PHONE] = "phone",
};

bool variable_named(struct str name, enum template_variable *out)
{
    for (int i = 0; i < VARIABLE_COUNT; i++) {
        if (str_is(name, names[i])) {
            *out = (enum template_variable)i;
            return true;
        }
    }
    return false;
}

/* ---- pieces ---- */

static size_t find_opening(struct str s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] == '#' && s.p[i + 1] == '{') {
            return i;
        }
    }
    return s.n;
}

bool template_next(struct str *rest, struct template_piece *out)
{
    if (rest->n == 0) {
        return false;
    }
    size_t opening = find_opening(*rest);
    if (opening > 0) {
        *out = (struct template_piece){str_cut(*rest, 0, opening), false};
        *rest = str_cut(*rest, opening, rest->n);
        return true;
    }
    size_t closing = str_find(*rest, '}', 2);
    *out = (struct template_piece){str_cut(*rest, 2, closing), true};
    *rest = str_cut(*rest, closing < rest->n ? closing + 1 : closing, rest->n);
    return true;
}

/* ---- rendering ---- */

/* What people type that CP949 does not have, and what every reader takes for the same. */
static const struct {
    const char *from, *to;
} replacements[] = {
    {"\xe2\x80\x93", "-"},        /* – en dash */
    {"\xe2\x80\x94", "-"},        /* — em dash */
    {"\xe2\x80\x91", "-"},        /* non-breaking hyphen */
    {"\xe2\x80\xa2", "\xc2\xb7"}, /* • bullet → · */
    {"\xc2\xa0", " "},            /* no-break space */
};

static void replace(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t k = 0, n = sizeof replacements / sizeof replacements[0];
        struct str rest = str_cut(s, i, s.n);
        while (k < n && !str_starts(rest, str_of(replacements[k].from))) {
            k++;
        }
        if (k < n) {
            buf_addz(out, replacements[k].to);
            i += str_of(replacements[k].from).n;
        } else {
            buf_addc(out, s.p[i++]);
        }
    }
}

static bool fill(const struct template *t, const struct template_values *v, struct buf *out)
{
    struct str rest = t->text;
    struct template_piece piece;
    while (template_next(&rest, &piece)) {
        enum template_variable var;
        if (!piece.variable) {
            replace(out, piece.text);
        } else if (variable_named(piece.text, &var) && str_trim(v->v[var]).n > 0) {
            replace(out, str_trim(v->v[var]));
        } else {
            return false;
        }
    }
    return true;
}

enum message_reason template_render(const struct template *t, const struct template_values *v,
                                    struct arena *a, struct rendered *out)
{
    enum message_reason reason = REASON_NONE;
    struct buf b;
    struct str encoded;
    buf_init(&b, 8 * LMS_BYTES);
    if (!fill(t, v, &b) || lint_resident_number(buf_str(&b))) {
        reason = REASON_LINT;
    } else if (!buf_ok(&b)) {
        reason = REASON_TOO_LONG;
    } else if (charset_encode(a, CHARSET_CP949, buf_str(&b), &encoded, NULL) != ERR_NONE) {
        reason = REASON_CHARSET;
    } else if (encoded.n > LMS_BYTES) {
        reason = REASON_TOO_LONG;
    } else {
        out->text = arena_copy(a, buf_str(&b));
        out->bytes = encoded.n;
        out->class = encoded.n <= SMS_BYTES ? BYTE_CLASS_SMS : BYTE_CLASS_LMS;
    }
    buf_release(&b);
    return reason;
}

void template_appointment(struct template_values *v, struct arena *a, usec start, usec now)
{
    static const char *const weekdays[] = {"일", "월", "화", "수", "목", "금", "토"};
    struct civil at = zone_local(start);
    int32_t days = zone_day(start) - zone_day(now);
    v->v[VARIABLE_DATE] = str_of(arena_printf(a, "%d/%d", at.month, at.day));
    v->v[VARIABLE_LONG_DATE] = str_of(arena_printf(a, "%d월 %d일", at.month, at.day));
    v->v[VARIABLE_TIME] = str_of(arena_printf(a, "%02d:%02d", at.hour, at.minute));
    v->v[VARIABLE_WEEKDAY] = str_of(weekdays[at.weekday]);
    v->v[VARIABLE_DAY] = days == 0   ? STR("오늘")
                         : days == 1 ? STR("내일")
                         : days > 1  ? str_of(arena_printf(a, "%d일 뒤", (int)days))
                                     : STR("");
}

/* ---- loading ---- */

/* `line` is moved on by the line feeds of what lies before the piece. */
static int line_at(const struct template *t, struct str piece)
{
    int line = t->line;
    for (const char *p = t->text.p; p < piece.p; p++) {
        line += *p == '\n';
    }
    return line;
}

static void check_uses(struct template *t, const bool *declared, struct problems *p)
{
    struct str rest = t->text;
    struct template_piece piece;
    while (template_next(&rest, &piece)) {
        enum template_variable var;
        if (!piece.variable) {
            continue;
        }
        if (!variable_named(piece.text, &var) || !declared[var]) {
            problem_add(p, t->file, line_at(t, piece.text),
                        "#{%.*s} is not declared: add <variable name=\"…\"/>, or correct the name",
                        STR_ARG(piece.text));
        } else {
            t->used[var] = true;
        }
    }
}

static void read_variables(struct template *t, const struct xml_node *root, struct arena *a,
                           bool *declared, struct problems *p)
{
    for (const struct xml_node *n = xml_child(root, "variable"); n;
         n = xml_sibling(n, "variable")) {
        const char *name = xml_attr_or(n, "name", ""), *sample = xml_attr_or(n, "sample", "");
        enum template_variable var;
        if (!variable_named(str_of(name), &var)) {
            problem_add(p, t->file, xml_line(n),
                        "no variable %s: there are hospital, name, date, long_date, weekday, time, "
                        "day, phone",
                        name);
        } else if (declared[var]) {
            problem_add(p, t->file, xml_line(n), "variable %s is declared twice", name);
        } else {
            declared[var] = true;
            t->sample.v[var] = arena_copy(a, str_of(sample));
            t->longest.v[var] = arena_copy(a, str_of(xml_attr_or(n, "longest", sample)));
        }
    }
}

static void check_sample(const struct template *t, const struct template_values *v,
                         const char *which, struct arena *a, struct problems *p)
{
    struct rendered r;
    enum message_reason reason = template_render(t, v, a, &r);
    if (reason != REASON_NONE) {
        problem_add(p, t->file, t->line, "with its %s values the text is refused (%s)", which,
                    reason_plan(reason));
    }
}

static bool read_template(struct template *t, const char *path, struct arena *a, struct problems *p)
{
    size_t before = p->count;
    struct xml_doc *doc = xml_load(path, schema, p);
    if (!doc || p->count > before) {
        xml_free(&doc);
        return false;
    }
    const struct xml_node *root = xml_root(doc), *text = xml_child(root, "text");
    bool declared[VARIABLE_COUNT] = {false};
    t->file = arena_z(a, str_of(path));
    t->id = arena_z(a, str_of(xml_attr(root, "id")));
    t->class = strcmp(xml_attr(root, "class"), "ad") == 0 ? MESSAGE_AD : MESSAGE_INFO;
    t->line = xml_line(text);
    t->text = xml_text(text, a);
    read_variables(t, root, a, declared, p);
    check_uses(t, declared, p);
    for (int i = 0; i < VARIABLE_COUNT; i++) {
        if (declared[i] && !t->used[i]) {
            problem_add(p, t->file, t->line, "variable %s is declared, but not used", names[i]);
        }
    }
    template_lint(t, p);
    if (p->count == before) {
        check_sample(t, &t->sample, "sample", a, p);
        check_sample(t, &t->longest, "longest", a, p);
    }
    xml_free(&doc);
    return true;
}

void templates_load(struct arena *a, const char *folder, struct templates *out, struct problems *p)
{
    struct err e = {0};
    char **files;
    size_t n;
    *out = (struct templates){0};
    if (file_list(a, folder, ".xml", &files, &n, &e) != ERR_NONE) {
        problem_add(p, folder, 0, "%s", e.msg);
        return;
    }
    struct template *items = arena_array(a, n ? n : 1, sizeof *items);
    for (size_t i = 0; items && i < n; i++) {
        const char *path = file_path(a, folder, files[i]);
        if (!path || !read_template(&items[out->count], path, a, p)) {
            continue;
        }
        out->items = items;
        const struct template *same = template_find(out, items[out->count].id);
        if (same) {
            problem_add(p, path, 1, "template %s is already in %s", same->id, same->file);
        } else {
            out->count++;
        }
    }
}

const struct template *template_find(const struct templates *t, const char *id)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i].id, id) == 0) {
            return &t->items[i];
        }
    }
    return NULL;
}
