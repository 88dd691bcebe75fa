#include "core/mapping/load.h"

#include "core/mapping/find.h"

#include <string.h>

struct conversion_name {
    const char *name;
    enum conversion as;
    unsigned kinds; /* bit per enum kind that it can fill */
};

#define K(kind) (1u << (kind))

static const struct conversion_name conversions[] = {
    {"text", CONVERT_TEXT, K(KIND_STR) | K(KIND_CODE)},
    {"id", CONVERT_ID, K(KIND_STR) | K(KIND_CODE)},
    {"date", CONVERT_DATE, K(KIND_DATE) | K(KIND_STR)},
    {"time", CONVERT_TIME, K(KIND_TS) | K(KIND_STR)},
    {"int", CONVERT_INT, K(KIND_INT) | K(KIND_STR)},
    {"krw", CONVERT_KRW, K(KIND_KRW) | K(KIND_STR)},
    {"krw-man", CONVERT_KRW_MAN, K(KIND_KRW) | K(KIND_STR)},
    {"krw-size", CONVERT_KRW_SIZE, K(KIND_KRW) | K(KIND_STR)},
    {"krw-minus", CONVERT_KRW_MINUS, K(KIND_BOOL)},
    {"month", CONVERT_MONTH, K(KIND_DATE) | K(KIND_STR)},
    {"minutes", CONVERT_MINUTES, K(KIND_INT)},
    {"days", CONVERT_DAYS, K(KIND_INT)},
    {"bool", CONVERT_BOOL, K(KIND_BOOL) | K(KIND_STR)},
    {"name", CONVERT_NAME, K(KIND_STR)},
    {"address", CONVERT_ADDRESS, K(KIND_STR)},
    {"phone", CONVERT_PHONE, K(KIND_STR)},
    {"phone-mobile", CONVERT_PHONE_MOBILE, K(KIND_STR)},
    {"phone-fixed", CONVERT_PHONE_FIXED, K(KIND_STR)},
    {"phone-use", CONVERT_PHONE_USE, K(KIND_CODE) | K(KIND_STR)},
    {"phone-valid", CONVERT_PHONE_VALID, K(KIND_BOOL)},
    {"rrn-birth", CONVERT_RRN_BIRTH, K(KIND_DATE) | K(KIND_STR)},
    {"rrn-sex", CONVERT_RRN_SEX, K(KIND_CODE) | K(KIND_STR)},
    {"key", CONVERT_KEY, K(KIND_KEY)},
    {"patient", CONVERT_PATIENT, K(KIND_KEY)},
};

static const char *const kind_names[] = {
    [KIND_KEY] = "key",    [KIND_STR] = "text",       [KIND_CODE] = "code",
    [KIND_DATE] = "date",  [KIND_TS] = "instant",     [KIND_INT] = "number",
    [KIND_KRW] = "amount", [KIND_BOOL] = "yes or no", [KIND_LIST] = "list",
};

/* What a field gets when its rule does not say. */
static const char *const default_conversion[] = {
    [KIND_KEY] = "key",   [KIND_STR] = "text",  [KIND_CODE] = "text",
    [KIND_DATE] = "date", [KIND_TS] = "time",   [KIND_INT] = "int",
    [KIND_KRW] = "krw",   [KIND_BOOL] = "bool", [KIND_LIST] = "text",
};

size_t load_count(const struct xml_node *n, const char *name)
{
    size_t count = 0;
    for (const struct xml_node *c = xml_child(n, name); c; c = xml_sibling(c, name)) {
        count++;
    }
    return count;
}

static void no_memory(struct loader *l, const struct xml_node *n)
{
    PROBLEM(l, n, "no memory for this rule");
}

/* The next path of a list; blanks in quotes and brackets are part of it. */
static struct str next_path(struct str *rest)
{
    *rest = str_trim(*rest);
    bool quoted = false;
    int depth = 0;
    size_t i = 0;
    for (; i < rest->n; i++) {
        char c = rest->p[i];
        if (c == '\'') {
            quoted = !quoted;
        } else if (!quoted && (c == '[' || c == '{' || c == '(')) {
            depth++;
        } else if (!quoted && (c == ']' || c == '}' || c == ')')) {
            depth--;
        } else if (!quoted && depth <= 0 && (c == ' ' || c == '\t' || c == '\n')) {
            break;
        }
    }
    struct str path = str_cut(*rest, 0, i);
    *rest = str_cut(*rest, i, rest->n);
    return path;
}

const struct record_path *load_path(struct loader *l, const struct xml_node *n, struct str text)
{
    const struct record_path *path = NULL;
    struct err e;
    if (record_path(l->a, l->names, text, &path, &e) != ERR_NONE) {
        PROBLEM(l, n, "path %.*s: %s (at character %zu)", STR_ARG(text), e.msg, e.pos + 1);
        return NULL;
    }
    return path;
}

bool load_paths(struct loader *l, const struct xml_node *n, const char *text,
                const struct record_path ***out, size_t *count)
{
    struct str rest = str_of(text), path;
    size_t most = 1;
    for (size_t i = 0; i < rest.n; i++) {
        most += rest.p[i] == ' ' || rest.p[i] == '\t' || rest.p[i] == '\n';
    }
    const struct record_path **paths = arena_array(l->a, most, sizeof *paths);
    if (!paths) {
        no_memory(l, n);
        return false;
    }
    bool ok = true;
    *count = 0;
    for (path = next_path(&rest); path.n; path = next_path(&rest)) {
        /* libxml2's text goes away with the document */
        const struct record_path *p = load_path(l, n, arena_copy(l->a, path));
        ok = ok && p;
        paths[(*count)++] = p;
    }
    *out = paths;
    return ok;
}

/* <words name="cancelled" are="취소, 예약취소"/> */
static void load_list(struct loader *l, const struct xml_node *n, struct expr_words *out)
{
    struct str rest = arena_copy(l->a, str_of(xml_attr_or(n, "are", ""))), word;
    size_t most = 1;
    for (size_t i = 0; i < rest.n; i++) {
        most += rest.p[i] == ',';
    }
    struct str *words = arena_array(l->a, most, sizeof *words);
    out->name = arena_z(l->a, str_of(xml_attr_or(n, "name", "")));
    out->words = words;
    while (words && str_next(&rest, ',', &word)) {
        words[out->count] = str_trim(word);
        out->count += words[out->count].n > 0;
    }
    if (!words || !out->name) {
        no_memory(l, n);
    } else if (out->count == 0) {
        PROBLEM(l, n, "%s names no words: give them, with commas between", out->name);
    }
}

void load_words(struct loader *l, const struct xml_node *root)
{
    l->words = NULL;
    for (const struct xml_node *n = xml_child(root, "words"); n; n = xml_sibling(n, "words")) {
        struct expr_words *w = arena_alloc(l->a, sizeof *w);
        if (!w) {
            no_memory(l, n);
            return;
        }
        load_list(l, n, w);
        for (const struct expr_words *x = l->words; x && w->name; x = x->next) {
            if (strcmp(x->name, w->name) == 0) {
                PROBLEM(l, n, "there are two lists of words named %s", w->name);
            }
        }
        w->next = l->words;
        l->words = w;
    }
}

const struct expr *load_when(struct loader *l, const struct xml_node *n)
{
    const char *text = xml_attr(n, "when");
    const struct expr *x = NULL;
    struct err e;
    if (!text) {
        return NULL;
    }
    struct str copy = arena_copy(l->a, str_of(text));
    if (expr_parse_with(l->a, copy, l->words, &x, &e) != ERR_NONE ||
        expr_bind_record(l->a, x, l->names, &e) != ERR_NONE) {
        PROBLEM(l, n, "when: %s (at character %zu)", e.msg, e.pos + 1);
        return NULL;
    }
    return x;
}

void load_each(struct loader *l, const struct xml_node *n, struct each *out)
{
    const char *text = xml_attr(n, "each");
    if (text && load_paths(l, n, text, &out->paths, &out->count) && out->count == 0) {
        PROBLEM(l, n, "each names nothing: give a segment (FT1) or a repeating field (PID-13)");
    }
    if (out->count > 1 && l->names->format == RECORD_XML) {
        PROBLEM(l, n, "each names several paths: in a document it is one, which may be a|b");
        out->count = 0;
    }
    if (out->count > EACH_PATHS) {
        PROBLEM(l, n, "each names more than %d things", EACH_PATHS);
        out->count = 0;
    }
}

void load_sources(struct loader *l, const struct xml_node *n, const char *from, const char * or,
                  struct rule *out)
{
    const char *all = arena_printf(l->a, "%s %s", from ? from : "", or ? or : "");
    const struct record_path **paths = NULL;
    size_t count = 0;
    out->line = xml_line(n);
    if (!all) {
        no_memory(l, n);
        return;
    }
    if (!load_paths(l, n, all, &paths, &count)) {
        return;
    }
    if (count == 0 && from) {
        PROBLEM(l, n, "from is empty: name a path like PID-3.1");
        return;
    }
    struct source *sources = arena_array(l->a, count + 1, sizeof *sources);
    if (!sources) {
        no_memory(l, n);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        sources[i].path = paths[i];
        load_parts(l, n, out->convert.as, &sources[i]);
    }
    out->sources = sources;
    out->source_count = count;
}

/* ---- what a value says of itself ---- */

static void load_conversion(struct loader *l, const struct xml_node *n, const struct field *f,
                            struct rule *out)
{
    const char *as = xml_attr_or(n, "as", default_conversion[f->kind]);
    for (size_t i = 0; i < sizeof conversions / sizeof conversions[0]; i++) {
        const struct conversion_name *c = &conversions[i];
        if (strcmp(c->name, as) != 0) {
            continue;
        }
        out->convert.as = c->as;
        if (!(c->kinds & K(f->kind))) {
            PROBLEM(l, n, "%s is a %s in the catalogue: as=\"%s\" cannot fill it", f->name,
                    kind_names[f->kind], as);
        }
        return;
    }
}

static void load_key(struct loader *l, const struct xml_node *n, struct rule *out)
{
    const char *kind = xml_attr(n, "kind");
    bool key = out->convert.as == CONVERT_KEY;
    if (key && !kind) {
        PROBLEM(l, n, "a key needs kind=\"…\": appointment, visit, provider, plan, …");
    } else if (!key && (kind || xml_attr(n, "per"))) {
        PROBLEM(l, n, "kind and per are for as=\"key\" only: remove them");
    } else if (key) {
        out->key_kind = arena_z(l->a, str_of(kind));
        const char *per = xml_attr_or(n, "per", "");
        out->per_day = strcmp(per, "day") == 0;
        out->per = *per && !out->per_day ? load_path(l, n, str_of(per)) : NULL;
    }
}

static const struct table *find_table(struct loader *l, const char *name)
{
    for (const struct table *t = *l->loaded; t; t = t->next) {
        if (strcmp(t->name, name) == 0) {
            return t;
        }
    }
    const char *path = arena_printf(l->a, "%s/%s.xml", l->tables, name);
    struct table *t = path ? table_load(l->a, path, name, l->p) : NULL;
    if (t) {
        t->next = *l->loaded;
        *l->loaded = t;
    }
    return t;
}

static bool code_known(const struct field *f, struct str code)
{
    if (f->kind != KIND_CODE || !f->codes) {
        return true;
    }
    for (size_t i = 0; f->codes[i]; i++) {
        if (str_is(code, f->codes[i])) {
            return true;
        }
    }
    return false;
}

/* What a table can give must be what the field may hold. */
static void check_table(struct loader *l, const struct xml_node *n, const struct field *f,
                        const struct rule *rule)
{
    const struct table *t = rule->table;
    for (size_t i = 0; i < t->count; i++) {
        if (!code_known(f, t->rows[i].to)) {
            problem_add(l->p, t->file, t->rows[i].line,
                        "%.*s is not a code that %s may hold (see the catalogue)",
                        STR_ARG(t->rows[i].to), f->name);
        }
    }
    if (rule->unknown == UNKNOWN_BECOMES && !code_known(f, t->becomes)) {
        problem_add(l->p, t->file, t->line, "becomes=\"%.*s\" is not a code that %s may hold",
                    STR_ARG(t->becomes), f->name);
    }
    if (rule->unknown == UNKNOWN_KEEP && f->kind == KIND_CODE && f->codes) {
        PROBLEM(l, n, "table %s keeps unknown codes, but %s may only hold those of the catalogue",
                t->name, f->name);
    }
}

static void load_table(struct loader *l, const struct xml_node *n, const struct field *f,
                       struct rule *out)
{
    const char *name = xml_attr(n, "table");
    if (!name) {
        return;
    }
    if (out->convert.as != CONVERT_TEXT) {
        PROBLEM(l, n, "a table translates texts: remove as=\"%s\"", xml_attr(n, "as"));
        return;
    }
    out->table = find_table(l, name);
    if (!out->table) {
        return;
    }
    const char *policy = xml_attr(n, "unknown");
    out->unknown = !policy                            ? out->table->unknown
                   : strcmp(policy, "keep") == 0      ? UNKNOWN_KEEP
                   : strcmp(policy, "leave-out") == 0 ? UNKNOWN_LEAVE_OUT
                                                      : UNKNOWN_REFUSE;
    check_table(l, n, f, out);
}

static void load_unit(struct loader *l, const struct xml_node *n, struct rule *out)
{
    const char *unit = xml_attr(n, "unit");
    if (unit && out->convert.as != CONVERT_MINUTES && out->convert.as != CONVERT_DAYS) {
        PROBLEM(l, n, "unit is for as=\"minutes\" and as=\"days\" only: remove it");
    } else if (unit) {
        out->convert.has_unit = true;
        out->unit = load_path(l, n, arena_copy(l->a, str_of(unit)));
    }
}

/* Where the year of a day without one is found. */
static void load_about(struct loader *l, const struct xml_node *n, struct rule *out)
{
    const char *about = xml_attr(n, "about");
    bool date = out->convert.as == CONVERT_DATE || out->convert.as == CONVERT_TIME;
    if (about && (!date || !out->convert.sheet)) {
        PROBLEM(l, n, "about is for dates of tables only: remove it");
    } else if (about) {
        out->about = load_path(l, n, arena_copy(l->a, str_of(about)));
    }
}

/* A constant or a default is written in canonical form, so it can be checked now. */
static void check_literal(struct loader *l, const struct xml_node *n, const struct field *f,
                          const char *attribute, struct str value)
{
    int32_t day;
    usec at;
    bool ok = true;
    switch (f->kind) {
    case KIND_CODE:
        ok = value.n && code_known(f, value);
        break;
    case KIND_BOOL:
        ok = str_is(value, "true") || str_is(value, "false");
        break;
    case KIND_INT:
    case KIND_KRW:
        for (size_t i = 0; i < value.n; i++) {
            ok = ok && value.p[i] >= '0' && value.p[i] <= '9';
        }
        ok = ok && value.n && value.n < 16;
        break;
    case KIND_DATE:
        ok = day_parse(value, &day, NULL) == ERR_NONE;
        break;
    case KIND_TS:
        ok = clock_parse(value, &at, NULL) == ERR_NONE;
        break;
    case KIND_STR:
        break;
    case KIND_KEY:
    case KIND_LIST:
        ok = false;
        break;
    }
    if (!ok) {
        PROBLEM(l, n, "%s=\"%.*s\" is not a %s that %s may hold", attribute, STR_ARG(value),
                kind_names[f->kind], f->name);
    }
}

static void load_literals(struct loader *l, const struct xml_node *n, const struct field *f,
                          struct rule *out)
{
    const char *constant = xml_attr(n, "value"), *dflt = xml_attr(n, "default");
    if (constant) {
        out->has_constant = true;
        out->constant = arena_copy(l->a, str_of(constant));
        check_literal(l, n, f, "value", out->constant);
    }
    if (dflt) {
        out->has_default = true;
        out->dflt = arena_copy(l->a, str_of(dflt));
        check_literal(l, n, f, "default", out->dflt);
    }
}

void load_value(struct loader *l, const struct xml_node *n, const struct field *f, struct rule *out)
{
    const char *partial = xml_attr_or(n, "partial", "refuse");
    out->field = str_of(f->name);
    out->nullable = f->nullable;
    out->bad_left_out = xml_attr(n, "bad") != NULL;
    out->convert.partial = strcmp(partial, "leave-out") == 0 ? PARTIAL_LEAVE_OUT
                           : strcmp(partial, "start") == 0   ? PARTIAL_START
                                                             : PARTIAL_REFUSE;
    out->when = load_when(l, n);
    load_literals(l, n, f, out);
    if (out->has_constant) {
        out->line = xml_line(n);
        return;
    }
    load_conversion(l, n, f, out);
    out->convert.sheet = l->names->format == RECORD_TABLE;
    load_key(l, n, out);
    load_table(l, n, f, out);
    load_unit(l, n, out);
    load_about(l, n, out);
    load_sources(l, n, xml_attr(n, "from"), xml_attr(n, "or"), out);
}

struct verdict *load_verdicts(struct loader *l, const struct xml_node *parent, const char *name,
                              size_t *count)
{
    *count = 0;
    struct verdict *out = arena_array(l->a, load_count(parent, name) + 1, sizeof *out);
    if (!out) {
        no_memory(l, parent);
        return NULL;
    }
    for (const struct xml_node *n = xml_child(parent, name); n; n = xml_sibling(n, name)) {
        struct verdict *v = &out[(*count)++];
        v->when = load_when(l, n);
        v->reason = arena_z(l->a, str_of(xml_attr_or(n, "reason", "")));
        if (xml_attr(n, "at")) {
            v->at = load_path(l, n, arena_copy(l->a, str_of(xml_attr(n, "at"))));
        }
        if (!v->reason || !*v->reason) {
            PROBLEM(l, n, "%s needs a reason in words: people read it", name);
        }
    }
    return out;
}
