#include "core/app/command.h"

#include "core/app/config.h"
#include "core/base/file.h"
#include "core/event/asyncapi.h"
#include "core/event/schema.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari schema [TYPE] [--strict] [--out FOLDER] [OPTIONS]\n"
    "       dari schema --asyncapi [--out FOLDER] [OPTIONS]\n"
    "\n"
    "Prints the JSON Schema (2020-12) of an event type, made from the catalogue; without TYPE, "
    "which\n"
    "types there are. With --out a file per type is written: FOLDER/schemas/TYPE.json.\n"
    "\n"
    "  --strict          closed: no unknown members or codes, all that the catalogue requires; "
    "for\n"
    "                    events with all of their fields, not for those that a contract has cut\n"
    "  --asyncapi        the AsyncAPI 3.0 document of the stream; with --out also what it refers "
    "to:\n"
    "                    FOLDER/asyncapi.json and FOLDER/schemas/TYPE.json\n"
    "  --out FOLDER      write files instead of printing\n"
    "  --catalogue FILE  the event catalogue (default: the configuration's)\n"
    "  --config FILE     the configuration (default: config/dari.xml)\n";

enum { MAX_DOCUMENT = 4 << 20 };

struct schema_options {
    const char *catalogue, *config, *out;
    bool strict, asyncapi;
};

static struct catalogue *load(const struct schema_options *o, struct arena *a)
{
    const char *path = o->catalogue;
    struct problems p = {0};
    if (!path) {
        int status;
        const struct config *c = config_open(a, o->config, &status);
        path = c ? c->catalogue : NULL;
    }
    struct catalogue *c = path ? catalogue_load(path, &p) : NULL;
    problems_print(&p, stderr);
    problems_release(&p);
    return c;
}

static void list_types(const struct catalogue *c)
{
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct event_type *t = catalogue_at(c, i);
        printf("%-26s %d  %s  %s\n", t->name, t->schema, class_name(t->class), t->title);
    }
}

static bool save(struct arena *a, const char *folder, const char *name, const struct buf *text)
{
    struct err e = {.code = ERR_NONE};
    const char *path = arena_printf(a, "%s/%s.json", folder, name);
    if (!path || !buf_ok(text)) {
        command_failed("schema", "no memory");
        return false;
    }
    if (file_write(path, buf_str(text), 0644, &e) != ERR_NONE) {
        command_failed("schema", "%s", e.msg);
        return false;
    }
    return true;
}

/* `only` NULL: all types. */
static bool save_schemas(struct arena *a, const struct schema_options *o, const struct catalogue *c,
                         const struct event_type *only, struct buf *text)
{
    struct err e = {.code = ERR_NONE};
    const char *folder = arena_printf(a, "%s/schemas", o->out);
    if (!folder || file_make_folder(folder, 0755, &e) != ERR_NONE) {
        command_failed("schema", "%s", folder ? e.msg : "no memory");
        return false;
    }
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct event_type *t = catalogue_at(c, i);
        if (only && only != t) {
            continue;
        }
        buf_reset(text);
        schema_write(text, t, o->strict ? SCHEMA_STRICT : SCHEMA_OPEN);
        if (!save(a, folder, t->name, text)) {
            return false;
        }
    }
    return true;
}

static bool print(const struct buf *text)
{
    if (!buf_ok(text) || fwrite(text->p, 1, text->n, stdout) != text->n) {
        command_failed("schema", "the document could not be written");
        return false;
    }
    return true;
}

static bool run(struct arena *a, const struct schema_options *o, const struct catalogue *c,
                const char *name, struct buf *text)
{
    const struct event_type *t = name ? catalogue_find(c, str_of(name)) : NULL;
    if (name && !t) {
        command_failed("schema", "the catalogue knows no %s", name);
        return false;
    }
    if (o->out && !save_schemas(a, o, c, t, text)) {
        return false;
    }
    buf_reset(text);
    if (o->asyncapi) {
        asyncapi_write(text, c);
        return o->out ? save(a, o->out, "asyncapi", text) : print(text);
    }
    if (o->out) {
        return true;
    }
    if (!t) {
        list_types(c);
        return true;
    }
    schema_write(text, t, o->strict ? SCHEMA_STRICT : SCHEMA_OPEN);
    return print(text);
}

int cmd_schema(int argc, char **argv)
{
    struct schema_options o = {.out = NULL};
    const struct command_option options[] = {{"--catalogue", &o.catalogue, NULL},
                                             {"--config", &o.config, NULL},
                                             {"--out", &o.out, NULL},
                                             {"--strict", NULL, &o.strict},
                                             {"--asyncapi", NULL, &o.asyncapi},
                                             {NULL, NULL, NULL}};
    int status = EXIT_DONE;
    int words = command_options(argc, argv, help, options, &status);
    if (words < 0) {
        return status;
    }
    if (words > 1) {
        return command_usage("schema", "give one TYPE, or none");
    }
    if (o.asyncapi && (words || o.strict)) {
        return command_usage("schema", "--asyncapi is about all types, in the open form");
    }
    struct arena *a = arena_new(0);
    struct buf text;
    buf_init(&text, MAX_DOCUMENT);
    struct catalogue *c = a ? load(&o, a) : NULL;
    bool ok = c && run(a, &o, c, words ? argv[1] : NULL, &text);
    catalogue_free(&c);
    buf_release(&text);
    arena_free(&a);
    return ok ? EXIT_DONE : EXIT_REFUSED;
}
