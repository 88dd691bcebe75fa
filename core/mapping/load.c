#include "core/mapping/load.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/mapping/plan.h"
#include "core/xml/tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DIGEST = 16 * 1024 * 1024, MAX_MESSAGE_TYPES = 200 };

static const char *const header_paths[HEADER_PATHS] = {
    [HEADER_CODE] = "MSH-9.1", [HEADER_TRIGGER] = "MSH-9.2",  [HEADER_PROCESSING] = "MSH-11.1",
    [HEADER_TIME] = "MSH-7.1", [HEADER_RECORDED] = "EVN-2.1", [HEADER_OCCURRED] = "EVN-6.1",
};

/* ---- one file ---- */

/* "SIU^S12 ADT^*" */
static void load_types(struct loader *l, const struct xml_node *n, struct mapping *m)
{
    struct message_type *types = arena_array(l->a, MAX_MESSAGE_TYPES, sizeof *types);
    struct str rest = arena_copy(l->a, str_of(xml_attr_or(n, "message", ""))), word;
    while (types && str_next(&rest, ' ', &word)) {
        word = str_trim(word);
        size_t caret = str_find(word, '^', 0);
        bool plain = caret == word.n && m->names.format != RECORD_HL7;
        if (word.n == 0) {
            continue;
        }
        if (caret == 0 || (caret + 1 >= word.n && !plain) || m->type_count == MAX_MESSAGE_TYPES) {
            PROBLEM(l, n, "\"%.*s\" is not a message type: write %s", STR_ARG(word),
                    m->names.format == RECORD_XML     ? "the name of the root element"
                    : m->names.format == RECORD_TABLE ? "row^new, row^changed, or row^* for both"
                                                      : "ADT^A04, or ADT^* for all of them");
            continue;
        }
        types[m->type_count++] = (struct message_type){
            str_cut(word, 0, caret), plain ? STR("*") : str_cut(word, caret + 1, word.n)};
    }
    m->types = types;
    if (m->type_count == 0) {
        PROBLEM(l, n, "names no message type: write <for message=\"ADT^A04 ADT^A08\"/>");
    }
}

static void load_patient(struct loader *l, const struct xml_node *root, struct mapping *m)
{
    const struct xml_node *n = xml_child(root, "patient");
    m->patient.convert.as = CONVERT_PATIENT;
    if (n) {
        load_sources(l, n, xml_attr_or(n, "from", ""), xml_attr(n, "or"), &m->patient);
        return;
    }
    for (size_t i = 0; i < m->event_count; i++) {
        if (m->events[i].type && m->events[i].type->subject) {
            PROBLEM(l, root, "%s is about a patient: add <patient from=\"PID-3.1\"/>",
                    m->events[i].type->name);
            return;
        }
    }
}

static void load_events(struct loader *l, const struct xml_node *root, struct mapping *m)
{
    struct event_rule *events = arena_array(l->a, load_count(root, "event") + 1, sizeof *events);
    for (const struct xml_node *n = xml_child(root, "event"); n && events;
         n = xml_sibling(n, "event")) {
        load_event(l, n, &events[m->event_count++]);
    }
    m->events = events;
}

/* The schema lets no other word through. */
static enum record_format format_of(const char *word)
{
    return strcmp(word, "table") == 0 ? RECORD_TABLE
           : strcmp(word, "xml") == 0 ? RECORD_XML
                                      : RECORD_HL7;
}

/* <namespace prefix="cda" uri="urn:hl7-org:v3"/>: what the paths of this file may use. */
static void load_namespaces(struct loader *l, const struct xml_node *root, struct mapping *m)
{
    struct xml_names *names = arena_alloc(l->a, sizeof *names);
    struct xml_prefix *list = arena_array(l->a, load_count(root, "namespace") + 1, sizeof *list);
    const struct xml_node *n = xml_child(root, "namespace");
    if (!names || !list) {
        PROBLEM(l, root, "no memory for the mapping");
        return;
    }
    if (n && m->names.format != RECORD_XML) {
        PROBLEM(l, n, "namespaces are for format=\"xml\" only: remove it");
    }
    for (; n; n = xml_sibling(n, "namespace")) {
        list[names->count++] =
            (struct xml_prefix){arena_z(l->a, str_of(xml_attr_or(n, "prefix", ""))),
                                arena_z(l->a, str_of(xml_attr_or(n, "uri", "")))};
    }
    names->list = list;
    m->names.xml = names;
}

/* <columns> and <key>: what the paths of this file may name. */
static void load_headers(struct loader *l, const struct xml_node *root, struct mapping *m)
{
    const struct xml_node *n = xml_child(root, "columns");
    if (m->names.format == RECORD_TABLE) {
        m->names.headers = load_columns(l, root);
    } else if (n || (n = xml_child(root, "key"))) {
        PROBLEM(l, n, "columns are for format=\"table\" only: remove them");
    }
}

static const struct mapping *load_mapping(struct loader *l, const struct xml_node *root)
{
    struct mapping *m = arena_alloc(l->a, sizeof *m);
    if (!m) {
        PROBLEM(l, root, "no memory for the mapping");
        return NULL;
    }
    m->file = l->file;
    m->names.format = format_of(xml_attr_or(root, "format", ""));
    l->names = &m->names;
    load_namespaces(l, root, m);
    load_headers(l, root, m);
    load_words(l, root);
    m->name = arena_z(l->a, str_of(xml_attr_or(root, "name", "")));
    m->label =
        arena_printf(l->a, "%s@%s", m->name ? m->name : "", xml_attr_or(root, "version", "0"));
    const struct xml_node *types = xml_child(root, "for");
    if (types) {
        load_types(l, types, m);
    }
    m->test = xml_child(root, "test") ? load_when(l, xml_child(root, "test")) : NULL;
    m->ignore = load_verdicts(l, root, "ignore", &m->ignore_count);
    m->refuse = load_verdicts(l, root, "refuse", &m->refuse_count);
    load_events(l, root, m);
    load_patient(l, root, m);
    return m;
}

static const struct mapping *load_file(struct loader *l, const char *path)
{
    const struct mapping *m = NULL;
    struct xml_doc *doc = xml_load(path, "config/schemas/mapping.rng", l->p);
    l->file = arena_z(l->a, str_of(path));
    if (doc && xml_root(doc) && strcmp(xml_name(xml_root(doc)), "mapping") == 0) {
        m = load_mapping(l, xml_root(doc));
    }
    xml_free(&doc);
    return m;
}

/* ---- the set ---- */

/* Code tables lie beside the mappings of all sources: mappings/hl7v2 → mappings/tables. */
static const char *tables_of(struct arena *a, const char *folder)
{
    const char *own = arena_printf(a, "%s/tables", folder);
    return own && file_exists(own) ? own : arena_printf(a, "%s/../tables", folder);
}

/* So does the dictionary of headers. */
static const char *headers_of(struct arena *a, const char *folder)
{
    const char *own = arena_printf(a, "%s/headers.xml", folder);
    return own && file_exists(own) ? own : arena_printf(a, "%s/../headers.xml", folder);
}

static const char *folder_of(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? arena_z(a, (struct str){path, (size_t)(slash - path)}) : ".";
}

/* The files of a set, in the order of their names. */
static bool list_files(struct arena *a, const char *path, char ***files, size_t *count,
                       const char **folder, struct problems *p)
{
    struct stat st;
    struct err e;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        *folder = path;
        if (file_list(a, path, ".xml", files, count, &e) != ERR_NONE) {
            problem_add(p, path, 0, "%s", e.msg);
            return false;
        }
        for (size_t i = 0; i < *count; i++) {
            (*files)[i] = arena_printf(a, "%s/%s", path, (*files)[i]);
        }
        if (*count == 0) {
            problem_add(p, path, 0, "there is no mapping (*.xml) in this folder");
        }
        return *count > 0;
    }
    *folder = folder_of(a, path);
    *files = arena_array(a, 1, sizeof **files);
    *count = 1;
    if (*files) {
        (*files)[0] = arena_z(a, str_of(path));
    }
    return *files != NULL;
}

static void check_names(const struct mapping_set *m, struct problems *p)
{
    for (size_t i = 1; i < m->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(m->mappings[i]->name, m->mappings[k]->name) == 0) {
                problem_add(
                    p, m->mappings[i]->file, 0,
                    "the name %s is taken by %s: names of mappings are told apart by people",
                    m->mappings[i]->name, m->mappings[k]->file);
            }
        }
    }
}

/* Over the bytes of all mappings and tables that are used, names left out: a set that was moved
 * is the same set. */
static bool digest_file(unsigned char all[SHA256_BYTES], struct arena *a, const char *path,
                        struct problems *p)
{
    unsigned char sum[SHA256_BYTES];
    struct str bytes;
    struct err e;
    if (file_read(a, path, MAX_DIGEST, &bytes, &e) != ERR_NONE) {
        problem_add(p, path, 0, "%s", e.msg);
        return false;
    }
    struct str parts[2] = {{(const char *)all, SHA256_BYTES}, bytes};
    sha256_of(parts, 2, sum);
    memcpy(all, sum, SHA256_BYTES);
    arena_reset(a);
    return true;
}

static void make_digest(struct mapping_set *m, char **files, size_t count, struct problems *p)
{
    unsigned char all[SHA256_BYTES] = {0};
    struct arena *a = arena_new(0);
    bool ok = a != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        ok = digest_file(all, a, files[i], p);
    }
    for (const struct table *t = m->tables; ok && t; t = t->next) {
        ok = digest_file(all, a, t->file, p);
    }
    if (ok && m->headers_file) {
        digest_file(all, a, m->headers_file, p);
    }
    arena_free(&a);
    for (size_t i = 0; i < 8; i++) {
        snprintf(m->digest + i * 2, 3, "%02x", all[i]);
    }
}

static bool compile_header(struct mapping_set *m)
{
    for (size_t i = 0; i < HEADER_PATHS; i++) {
        if (record_path(m->arena, &record_hl7, str_of(header_paths[i]), &m->header[i], NULL) !=
            ERR_NONE) {
            return false;
        }
    }
    return true;
}

/* The columns of all mappings for tables, one behind the other: a header fits the first it can. */
static const struct header_names *link_headers(const struct mapping_set *m)
{
    struct header_names *first = NULL;
    for (size_t i = m->count; i-- > 0;) {
        const struct header_names *names = m->mappings[i]->names.headers;
        struct header_names *copy = names ? arena_alloc(m->arena, sizeof *copy) : NULL;
        if (copy) {
            *copy = *names;
            copy->next = first;
            first = copy;
        }
    }
    return first;
}

static void load_set(struct mapping_set *m, const char *path, const struct catalogue *c,
                     struct problems *p)
{
    char **files;
    size_t count;
    const char *folder;
    struct table *tables = NULL;
    if (!list_files(m->arena, path, &files, &count, &folder, p)) {
        return;
    }
    struct loader l = {.a = m->arena, .catalogue = c, .p = p, .loaded = &tables};
    l.tables = tables_of(m->arena, folder);
    l.headers = headers_of(m->arena, folder);
    m->mappings = arena_array(m->arena, count, sizeof *m->mappings);
    if (!m->mappings || !l.tables || !l.headers || !compile_header(m)) {
        problem_add(p, path, 0, "no memory for the mappings");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct mapping *one = load_file(&l, files[i]);
        if (one) {
            m->mappings[m->count++] = one;
        }
    }
    m->tables = tables;
    m->headers = link_headers(m);
    m->headers_file = l.dictionary && file_exists(l.headers) ? l.headers : NULL;
    check_names(m, p);
    if (p->count == 0) {
        make_digest(m, files, count, p);
    }
    if (p->count == 0 && !plan_all(m)) {
        problem_add(p, path, 0, "no memory for the mappings");
    }
}

struct mapping_set *mapping_load(const char *path, const struct catalogue *c, struct problems *p)
{
    size_t before = p->count;
    struct arena *a = arena_new(0);
    struct mapping_set *m = a ? arena_alloc(a, sizeof *m) : NULL;
    if (!m) {
        arena_free(&a);
        problem_add(p, path, 0, "no memory for the mappings");
        return NULL;
    }
    m->arena = a;
    load_set(m, path, c, p);
    if (p->count > before) {
        mapping_free(&m);
    }
    return m;
}

void mapping_free(struct mapping_set **m)
{
    if (*m) {
        struct arena *a = (*m)->arena;
        arena_free(&a);
        *m = NULL;
    }
}

const struct header_names *mapping_headers(const struct mapping_set *m)
{
    return m->headers;
}

const char *mapping_digest(const struct mapping_set *m)
{
    return m->digest;
}
