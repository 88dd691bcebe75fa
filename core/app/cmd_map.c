#include "core/app/command.h"

#include "core/app/map_job.h"
#include "core/app/map_rows.h"
#include "core/base/file.h"
#include "core/hl7/split.h"
#include "core/xml/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    "  --header-row N    of a table: which row holds its headers; 0: found out;\n"
    "                    -1: none, columns are called 1 2 3\n"
    "  --sheet NAME      of a workbook: which sheet\n"
    "  --zone NAME       the site's time zone with --mapping (default: Asia/Seoul)\n"
    "  --keys FOLDER     keys to make ids with (default with --feed: the site's; without keys a\n"
    "                    fixed demo key is used, and ids differ from those of the site)\n"
    "  --verbose         also say which messages were ignored, and why\n"
    "\n"
    "Exit status: 0 done, 1 a message would be quarantined (FILE#N, place and reason are on\n"
    "standard error) or could not be read, 2 usage.\n";

enum { MAX_FILE = 1 << 30 };

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
    struct map_job j;
    if (map_job_open(&j, &o, &status)) {
        for (int i = 1; i <= words; i++) {
            map_file(&j, argv[i]);
        }
        complain_parts(&j);
        tell_ignored(&j);
        status = j.failed ? EXIT_REFUSED : EXIT_DONE;
    }
    map_job_release(&j);
    return status;
}
