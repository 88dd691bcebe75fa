#include "core/xml/json.h"
#include "core/xml/tree.h"

#include "core/base/num.h"

/* ---- XML: a line ---- */

static bool find_line(struct str text, int64_t number, size_t *from, size_t *n)
{
    size_t at = 0;
    for (; number > 1 && at < text.n; number--) {
        at = str_find(text, '\n', at) + 1;
    }
    struct str line = str_trim(str_cut(text, at, str_find(text, '\n', at)));
    *from = line.n ? (size_t)(line.p - text.p) : at;
    *n = line.n;
    return number == 1 && at < text.n;
}

/* The element or attribute that the place ends with, when it is in that line. */
static void narrow(struct str text, struct str path, size_t *from, size_t *n)
{
    struct str rest = path, step = {"", 0}, line = str_cut(text, *from, *from + *n);
    while (str_next(&rest, '/', &step)) {
    }
    bool attribute = step.n && step.p[0] == '@';
    step = str_cut(step, attribute, str_find(step, '[', 0));
    for (size_t i = 0; step.n && i + step.n < line.n; i++) {
        char before = i ? line.p[i - 1] : '\0', after = line.p[i + step.n];
        bool begins = attribute ? before == ' ' || before == '\t' : before == '<' || before == ':';
        bool ends = attribute ? after == '=' || after == ' '
                              : after == '>' || after == ' ' || after == '/' || after == '\t';
        if (begins && ends && str_starts(str_cut(line, i, line.n), step)) {
            *from += i;
            *n = step.n;
            return;
        }
    }
}

/* ---- JSON: a path ---- */

static const struct json *nth(const struct json *list, int64_t index)
{
    const struct json *v = list ? list->first : NULL;
    while (v && index-- > 1) {
        v = v->next;
    }
    return v;
}

static const struct json *follow(const struct json *v, struct arena *a, struct str step)
{
    size_t bracket = str_find(step, '[', 0);
    int64_t index = 1;
    const char *name = arena_z(a, str_cut(step, step.n && step.p[0] == '@', bracket));
    num_i64(str_cut(step, bracket + 1, str_find(step, ']', 0)), 1, INT32_MAX, &index, NULL);
    if (str_is(step, "@value") || !name) {
        return name ? v : NULL; /* a primitive is its own value */
    }
    const struct json *member = v->type == JSON_OBJECT ? json_member(v, name) : NULL;
    return member && member->type == JSON_ARRAY ? nth(member, index) : index == 1 ? member : NULL;
}

/* The resource of the first entry of a Bundle that was split, else the document. */
static const struct json *subject(const struct json *root)
{
    const struct json *list = root->type == JSON_OBJECT ? json_member(root, "entry") : NULL;
    const struct json *entry = list && list->type == JSON_ARRAY ? list->first : NULL;
    const struct json *resource =
        entry && entry->type == JSON_OBJECT ? json_member(entry, "resource") : NULL;
    return resource ? resource : root;
}

static bool find_json(struct arena *a, struct str text, struct str place, size_t *from, size_t *n)
{
    const struct json *v, *ignored;
    struct str rest = place, step;
    if (json_read(a, text, &xml_default_limits, &v, NULL) != ERR_NONE) {
        return false;
    }
    for (v = subject(v); v && str_next(&rest, '/', &step);) {
        v = follow(v, a, step);
    }
    struct json_scan s = {.text = text, .limits = &xml_default_limits, .at = v ? v->at : 0};
    if (!v || json_value(&s, &ignored, NULL) != ERR_NONE) {
        return false;
    }
    *from = v->at;
    *n = s.at - v->at;
    return true;
}

bool xml_find_place(struct arena *a, struct str text, struct str place, size_t *from, size_t *n)
{
    int64_t number;
    struct str line = str_starts(place, STR("line ")) ? str_cut(place, 5, place.n) : STR("");
    size_t colon = str_find(line, ':', 0);
    size_t mark = str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0;
    if (num_i64(str_cut(line, 0, colon), 1, INT32_MAX, &number, NULL) == ERR_NONE) {
        bool found = find_line(text, number, from, n);
        if (found && colon < line.n) {
            narrow(text, str_cut(line, colon + 1, line.n), from, n);
        }
        return found;
    }
    if (xml_kind(text) != XML_KIND_JSON ||
        !find_json(a, str_cut(text, mark, text.n), place, from, n)) {
        return false;
    }
    *from += mark;
    return true;
}
