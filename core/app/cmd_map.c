#include "core/app/command.h"

#include "core/app/config.h"
#include "core/app/map_rows.h"
#include "core/app/map_parts.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/crypto/keys.h"
#include "core/hl7/split.h"
#include "core/intake/prepare.h"
#include "core/xml/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "usage: dari map (--feed NAME [--config FILE] | --mapping PATH) [OPTIONS] FILE...\n"
    "\n"
    "Prints the events that messages become, one JSON line each, as they would be recorded: HL7 "
    "v2,\n"
    "XML, FHIR, or with a mapping for tables the rows of a CSV file or a workbook (.xlsx).\n"
    "Needs no database. FILE - is standard input; a file may hold several messages;\n"
    "parts of a message (DSC, MSH-14) are joined when all of them are there.\n"
    "\n"
    "  --feed NAME       mapping, character set, site and keys of this feed\n"
    "  --config FILE     the configuration (default: config/dari.xml)\n"
    "  --mapping PATH    this mapping file, or all mappings of this folder\n"
    "  --catalogue FILE  the event catalogue (default: the configuration's, else the\n"
    "                    catalogue.xml in the folder above the mapping)\n"
    "  --charset NAME    the character set, whatever MSH-18 says (utf-8, cp949, ...)\n"
    "  --delimiter C     of a table: what separates its cells (, ; | or tab)\n"
    "  --header-row N    of a table: which row holds its headers\n"
    "  --sheet NAME      of a workbook: which sheet\n"
    "  --zone NAME       the site's time zone with --mapping (default: Asia/Seoul)\n"
    "  --keys FOLDER     keys to make ids with (default: the configuration's; without keys a\n"
    "                    fixed demo key is used, and ids differ from those of the site)\n"
    "  --verbose         also say which messages were ignored, and why\n"
    "\n"
    "Exit status: 0 done, 1 a message would be quarantined (FILE#N, place and reason are on\n"
    "standard error) or could not be read, 2 usage.\n";

enum { MAX_FILE = 1 << 30, MAX_MESSAGE = 16 * 1024 * 1024, MAX_HEADER_ROW = 1000 };

struct map_options {
    const char *feed, *config, *mapping, *catalogue, *charset, *zone, *keys;
    const char *delimiter, *header_row, *sheet;
    bool verbose;
};

struct map_job {
    struct prepare_settings settings;
    enum charset charset;
    struct catalogue *catalogue;
    struct mapping_set *mapping;
    struct keyring *keys;
    struct arena *files, *message;
    struct table_settings table;
    struct map_parts parts;
    struct buf out;
    size_t messages, ignored;
    bool verbose, failed;
};

/* ---- messages ---- */

static bool allow_all(void *ctx, const struct event_type *t, const struct field *f)
{
    (void)ctx, (void)t, (void)f;
    return true;
}

static enum err_code print_event(struct map_job *j, const struct prepared *p, const struct event *v,
                                 usec at, struct err *e)
{
    static const struct event_cut whole = {.allow = allow_all};
    struct buf payload;
    char *source = arena_printf(j->message, "feed:%s", j->settings.feed);
    buf_init(&payload, 1 << 20);
    enum err_code rc = event_payload(&payload, v->type, v->data, v->secret, &whole, e);
    if (rc == ERR_NONE && (!buf_ok(&payload) || !source)) {
        rc = ERR(e, ERR_NOMEM, 0, "no memory for an event");
    }
    if (rc == ERR_NONE) {
        struct envelope envelope = {.site = j->settings.site,
                                    .source = source,
                                    .id = v->id,
                                    .type = v->type->name,
                                    .subject = v->subject,
                                    .schema = v->type->schema,
                                    .time = v->time,
                                    .recorded_at = at,
                                    .mapping = p->mapped.mapping,
                                    .cause = v->cause,
                                    .test = v->test,
                                    .data = buf_str(&payload)};
        envelope_json(&j->out, &envelope);
        if (j->out.n && j->out.p[j->out.n - 1] != '\n') {
            buf_addc(&j->out, '\n');
        }
    }
    buf_release(&payload);
    return rc;
}

static void complain(struct map_job *j, const char *file, size_t n, const struct err *e)
{
    fflush(stdout);
    fprintf(stderr, "%s#%zu: %s%s%s: %s\n", file, n, e->where, e->where[0] ? ": " : "",
            err_name(e->code), e->msg);
    j->failed = true;
}

/* Rows are found by their number and header: FILE#row 214, column 예약일시. */
static void complain_row(struct map_job *j, const char *file, const struct err *e)
{
    fflush(stdout);
    fprintf(stderr, "%s%s%s: %s: %s\n", file, e->where[0] ? "#" : "", e->where, err_name(e->code),
            e->msg);
    j->failed = true;
}

/* Row 0: no row of a table, but message n of the file. */
static void map_one(struct map_job *j, const char *file, size_t n, int64_t row, struct str raw)
{
    struct err e = {.code = ERR_NONE};
    struct prepared p;
    usec at = clock_now();
    char given[32] = "";
    arena_reset(j->message);
    buf_reset(&j->out);
    if (row) {
        snprintf(given, sizeof given, "#%lld", (long long)row);
    }
    enum err_code rc = prepare_message(&j->settings, j->message, str_of(given), raw, at, &p, &e);
    if (rc == ERR_NONE && p.part.is) {
        rc = map_parts_add(&j->parts, &j->settings, j->message, file, n, at, &p, &e);
    }
    if (rc == ERR_NONE && p.mapped.state == MAPPING_QUARANTINED) {
        if (row) {
            complain_row(j, file, &p.mapped.problem);
        } else {
            complain(j, file, n, &p.mapped.problem);
        }
        return;
    }
    j->messages++;
    j->ignored += rc == ERR_NONE && p.mapped.state == MAPPING_IGNORED;
    if (rc == ERR_NONE && p.mapped.state == MAPPING_IGNORED && j->verbose) {
        fflush(stdout);
        fprintf(stderr, "%s#%s%zu: ignored: %s\n", file, row ? "row " : "", n, p.mapped.reason);
    }
    for (size_t i = 0; rc == ERR_NONE && i < p.mapped.count; i++) {
        rc = print_event(j, &p, &p.mapped.events[i], at, &e);
    }
    if (rc == ERR_NONE && !buf_ok(&j->out)) {
        rc = ERR(&e, ERR_NOMEM, 0, "no memory for the output");
    }
    if (rc != ERR_NONE) {
        complain(j, file, n, &e);
    } else if (j->out.n) {
        fwrite(j->out.p, 1, j->out.n, stdout);
    }
}

/* Nothing printed and no word why would look like success. */
static void tell_ignored(const struct map_job *j)
{
    if (j->ignored && j->ignored == j->messages && !j->verbose) {
        fflush(stdout);
        fputs("dari map: the mapping has nothing for what is in there (--verbose says why)\n",
              stderr);
    }
}

/* Parts whose others are in none of the files. */
static void complain_parts(struct map_job *j)
{
    struct err e = {.code = ERR_NONE};
    ERR(&e, ERR_REQUIRED, 0, "the other parts of the message are missing");
    for (const struct map_part *p = j->parts.waiting; p; p = p->next) {
        snprintf(e.where, sizeof e.where, "%s", p->pointers.continued[0] ? "DSC-1" : "MSH-14");
        complain(j, p->file, p->n, &e);
    }
    map_parts_free(&j->parts);
}

static void map_message(struct map_job *j, const char *file, size_t n, struct str raw)
{
    map_one(j, file, n, 0, raw);
}

/* A document is one message; a Bundle, or JSON in lines, is several. */
static void map_document(struct map_job *j, const char *file, struct str raw)
{
    struct err e = {.code = ERR_NONE};
    struct xml_batch *batch;
    struct xml_message m;
    bool more = true;
    struct arena *one = arena_new(0);
    enum err_code rc = one ? xml_batch_open(j->files, raw, j->settings.charset, NULL, &batch, &e)
                           : ERR(&e, ERR_NOMEM, 0, "no memory for a document");
    while (rc == ERR_NONE && (rc = xml_batch_next(batch, one, &m, &more, &e)) == ERR_NONE && more) {
        map_message(j, file, m.number, m.raw);
        arena_reset(one);
    }
    if (rc != ERR_NONE) {
        complain(j, file, 1, &e);
    }
    arena_free(&one);
}

/* UTF-16 is converted before it is split: its line ends are two bytes each. */
static void map_messages(struct map_job *j, const char *file, struct str raw)
{
    struct err e = {.code = ERR_NONE};
    struct str message;
    const enum charset *override = j->settings.charset;
    static const enum charset utf8 = CHARSET_UTF8;
    enum charset used;
    size_t n = 0;
    if (hl7_wide(raw, override)) {
        if (hl7_decode(j->files, raw, override, j->settings.fallback, &raw, &used, &e) !=
            ERR_NONE) {
            complain(j, file, 1, &e);
            return;
        }
        j->settings.charset = &utf8;
    }
    struct hl7_split split = {.text = raw, .at = 0};
    while (hl7_split_next(&split, &message, NULL)) {
        map_message(j, file, ++n, message);
    }
    j->settings.charset = override;
    if (n == 0) {
        ERR(&e, ERR_SYNTAX, 0, "the file holds no message");
        complain(j, file, 1, &e);
    }
}

/* ---- tables ---- */

static void map_row(void *ctx, const char *file, int64_t number, struct str raw)
{
    map_one(ctx, file, (size_t)number, number, raw);
}

static void wrong_row(void *ctx, const char *file, const struct err *e)
{
    complain_row(ctx, file, e);
}

static void map_table(struct map_job *j, const char *file, const char *path)
{
    const struct map_rows to = {.ctx = j, .file = file, .row = map_row, .wrong = wrong_row};
    struct table_settings s = j->table;
    s.charset = j->settings.charset;
    s.names = mapping_headers(j->mapping);
    map_rows(path, &s, &to);
}

/* Standard input cannot be read twice: a table gets a file of its own. */
static void map_piped_table(struct map_job *j, struct str raw)
{
    struct err e = {.code = ERR_NONE};
    char path[] = "/tmp/dari-map-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || file_write(path, raw, 0600, &e) != ERR_NONE) {
        command_failed("map", "could not keep a table of standard input");
        j->failed = true;
    } else {
        map_table(j, "-", path);
    }
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
}

static void map_content(struct map_job *j, const char *file, struct str raw)
{
    enum content content = content_of(raw);
    if (mapping_headers(j->mapping) && content_is_page(raw)) {
        map_piped_table(j, raw);
    } else if (content == CONTENT_XML || content == CONTENT_JSON) {
        map_document(j, file, raw);
    } else if (content == CONTENT_ROW) {
        map_message(j, file, 1, raw);
    } else if (mapping_headers(j->mapping) && map_is_table(raw)) {
        map_piped_table(j, raw);
    } else {
        map_messages(j, file, raw);
    }
}

static void map_file(struct map_job *j, const char *file)
{
    struct err e = {.code = ERR_NONE};
    struct str raw;
    bool piped = strcmp(file, "-") == 0;
    arena_reset(j->files);
    if (!piped && mapping_headers(j->mapping) && map_begins_as_table(file)) {
        map_table(j, file, file);
    } else if (file_read(j->files, piped ? "/dev/stdin" : file, MAX_FILE, &raw, &e) == ERR_NONE) {
        map_content(j, file, raw);
    } else {
        fprintf(stderr, "dari map: %s\n", e.msg);
        j->failed = true;
    }
}

/* ---- keys ---- */

/* Ids for trying things out; the same on every machine, and worth nothing. */
static bool demo_keys(struct keyring **out)
{
    static const struct str hex =
        STR_INIT("64617269206d61702064656d6f206b65792c206e6f7420612073656372657421\n");
    char folder[] = "/tmp/dari-map-XXXXXX", path[64];
    struct err e = {.code = ERR_NONE};
    if (!mkdtemp(folder)) {
        command_failed("map", "could not make a folder for the demo key");
        return false;
    }
    snprintf(path, sizeof path, "%s/site.key", folder);
    enum err_code rc = file_write(path, hex, 0600, &e);
    if (rc == ERR_NONE) {
        rc = keyring_open(folder, out, &e);
    }
    unlink(path);
    rmdir(folder);
    if (rc != ERR_NONE) {
        command_failed("map", "%s", e.msg);
    }
    return rc == ERR_NONE;
}

static bool open_keys(struct map_job *j, const char *folder, bool wanted)
{
    struct err e = {.code = ERR_NONE};
    enum err_code rc = folder ? keyring_open(folder, &j->keys, &e) : ERR_NOTFOUND;
    if (rc == ERR_NONE) {
        return true;
    }
    if (rc != ERR_NOTFOUND || wanted) {
        command_failed("map", "%s", e.msg);
        return false;
    }
    fputs("dari map: no keys here: ids are made with a demo key\n", stderr);
    return demo_keys(&j->keys);
}

/* ---- setting up ---- */

/* mappings/hl7v2 or mappings/hl7v2/x.xml → mappings/catalogue.xml */
static const char *catalogue_beside(struct arena *a, const char *mapping)
{
    struct stat st;
    bool folder = stat(mapping, &st) == 0 && S_ISDIR(st.st_mode);
    const char *slash = strrchr(mapping, '/');
    if (folder) {
        return arena_printf(a, "%s/../catalogue.xml", mapping);
    }
    int n = slash ? (int)(slash - mapping) : 1;
    return arena_printf(a, "%.*s/../catalogue.xml", n, slash ? mapping : ".");
}

static const struct config_feed *find_feed(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->feed_count; i++) {
        if (strcmp(c->feeds[i].name, name) == 0) {
            return &c->feeds[i];
        }
    }
    return NULL;
}

/* What the feed says; options given by hand win. */
static bool use_feed(struct map_job *j, struct map_options *o, struct arena *a, int *status)
{
    const struct config *c = config_open(a, o->config, status);
    const struct config_feed *feed = c ? find_feed(c, o->feed) : NULL;
    if (!feed) {
        *status =
            c ? command_failed("map", "there is no feed %s in %s", o->feed, c->file) : *status;
        return false;
    }
    o->mapping = o->mapping ? o->mapping : feed->mapping;
    o->catalogue = o->catalogue ? o->catalogue : c->catalogue;
    j->settings.site = c->site;
    j->settings.feed = feed->name;
    j->settings.fallback = feed->fallback;
    j->settings.no_parts = feed->max_parts == 0;
    j->table = (struct table_settings){.fallback = feed->fallback,
                                       .delimiter = feed->delimiter,
                                       .header_row = feed->header_row,
                                       .sheet = feed->sheet};
    if (feed->has_charset && !j->settings.charset) {
        j->charset = feed->charset;
        j->settings.charset = &j->charset;
    }
    if (!open_keys(j, o->keys ? o->keys : c->keys, o->keys != NULL)) {
        *status = EXIT_REFUSED;
        return false;
    }
    return true;
}

static bool use_files(struct map_job *j, struct map_options *o, int *status)
{
    struct err e = {.code = ERR_NONE};
    j->settings.site = "demo";
    j->settings.feed = "file";
    j->settings.fallback = CHARSET_UTF8;
    j->table.fallback = CHARSET_CP949; /* what lists are written in when they do not say */
    *status = EXIT_REFUSED;
    if (zone_set(o->zone ? o->zone : "Asia/Seoul", &e) != ERR_NONE) {
        command_failed("map", "%s", e.msg);
        return false;
    }
    return open_keys(j, o->keys, o->keys != NULL);
}

static bool load(struct map_job *j, struct map_options *o, struct arena *a)
{
    struct problems p = {0};
    if (access(o->mapping, R_OK) != 0) {
        problem_add(&p, o->mapping, 0,
                    "there is no such mapping: give a file or a folder of mappings");
        problems_print(&p, stderr);
        problems_release(&p);
        return false;
    }
    const char *path = o->catalogue ? o->catalogue : catalogue_beside(a, o->mapping);
    j->catalogue = path ? catalogue_load(path, &p) : NULL;
    if (j->catalogue) {
        j->mapping = mapping_load(o->mapping, j->catalogue, &p);
    }
    problems_print(&p, stderr);
    problems_release(&p);
    j->settings.keys = j->keys;
    j->settings.mapping = j->mapping;
    return j->mapping != NULL;
}

static bool read_table_options(struct map_job *j, const struct map_options *o, int *status)
{
    int64_t row = 0;
    if (o->header_row &&
        num_i64(str_of(o->header_row), 1, MAX_HEADER_ROW, &row, NULL) != ERR_NONE) {
        *status =
            command_usage("map", "--header-row is a number from 1 to %d", (int)MAX_HEADER_ROW);
        return false;
    }
    if (o->delimiter && strcmp(o->delimiter, "tab") != 0 &&
        (strlen(o->delimiter) != 1 || !strchr(",;|", o->delimiter[0]))) {
        *status = command_usage("map", "--delimiter is one of , ; | or tab");
        return false;
    }
    if (o->delimiter) {
        j->table.delimiter = o->delimiter[1] ? '\t' : o->delimiter[0];
    }
    j->table.header_row = row ? (int)row : j->table.header_row;
    j->table.sheet = o->sheet ? o->sheet : j->table.sheet;
    return true;
}

static bool set_up(struct map_job *j, struct map_options *o, struct arena *a, int *status)
{
    j->settings.max_message = MAX_MESSAGE;
    if (o->charset) {
        if (!charset_named(str_of(o->charset), &j->charset) &&
            !hl7_charset_named(str_of(o->charset), &j->charset)) {
            *status = command_usage("map", "unknown character set %s", o->charset);
            return false;
        }
        j->settings.charset = &j->charset;
    }
    bool ok = o->feed ? use_feed(j, o, a, status) : use_files(j, o, status);
    ok = ok && read_table_options(j, o, status);
    if (ok && !load(j, o, a)) {
        *status = EXIT_REFUSED;
        ok = false;
    }
    return ok;
}

int cmd_map(int argc, char **argv)
{
    struct map_options o = {.feed = NULL};
    const struct command_option options[] = {{"--feed", &o.feed, NULL},
                                             {"--config", &o.config, NULL},
                                             {"--mapping", &o.mapping, NULL},
                                             {"--catalogue", &o.catalogue, NULL},
                                             {"--charset", &o.charset, NULL},
                                             {"--zone", &o.zone, NULL},
                                             {"--keys", &o.keys, NULL},
                                             {"--delimiter", &o.delimiter, NULL},
                                             {"--header-row", &o.header_row, NULL},
                                             {"--sheet", &o.sheet, NULL},
                                             {"--verbose", NULL, &o.verbose},
                                             {NULL, NULL, NULL}};
    int status = EXIT_DONE;
    int words = command_options(argc, argv, help, options, &status);
    if (words < 0) {
        return status;
    }
    if (!o.feed == !o.mapping) {
        return command_usage("map", "give --feed NAME or --mapping PATH");
    }
    if (words == 0) {
        return command_usage("map", "no file given");
    }
    struct map_job j = {.verbose = o.verbose};
    struct arena *a = arena_new(0);
    j.files = arena_new(0);
    j.message = arena_new(0);
    buf_init(&j.out, (size_t)1 << 30);
    status = EXIT_REFUSED;
    if (!a || !j.files || !j.message) {
        command_failed("map", "no memory");
    } else if (set_up(&j, &o, a, &status)) {
        for (int i = 1; i <= words; i++) {
            map_file(&j, argv[i]);
        }
        complain_parts(&j);
        tell_ignored(&j);
        status = j.failed ? EXIT_REFUSED : EXIT_DONE;
    }
    mapping_free(&j.mapping);
    catalogue_free(&j.catalogue);
    keyring_free(&j.keys);
    buf_release(&j.out);
    arena_free(&j.message);
    arena_free(&j.files);
    arena_free(&a);
    return status;
}
