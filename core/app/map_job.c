#include "core/app/map_job.h"

#include "core/app/command.h"
#include "core/app/config.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/crypto/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_MESSAGE = 16 * 1024 * 1024, MAX_HEADER_ROW = 1000 };

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

/* What the feed says; options given by hand win. */
static bool use_feed(struct map_job *j, struct map_options *o, int *status)
{
    const struct config *c = config_open(j->memory, o->config, status);
    const struct config_feed *feed = c ? config_feed_named(c, o->feed) : NULL;
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

static bool load(struct map_job *j, const struct map_options *o)
{
    struct problems p = {0};
    if (access(o->mapping, R_OK) != 0) {
        problem_add(&p, o->mapping, 0,
                    "there is no such mapping: give a file or a folder of mappings");
        problems_print(&p, stderr);
        problems_release(&p);
        return false;
    }
    const char *path = o->catalogue ? o->catalogue : catalogue_beside(j->memory, o->mapping);
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
    int64_t row = j->table.header_row;
    if (o->header_row &&
        num_i64(str_of(o->header_row), TABLE_NO_HEADER, MAX_HEADER_ROW, &row, NULL) != ERR_NONE) {
        *status = command_usage("map", "--header-row is a number from 0 to %d, or -1 for none",
                                (int)MAX_HEADER_ROW);
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
    j->table.header_row = (int)row;
    j->table.sheet = o->sheet ? o->sheet : j->table.sheet;
    return true;
}

bool map_job_open(struct map_job *j, struct map_options *o, int *status)
{
    *j = (struct map_job){.verbose = o->verbose};
    j->memory = arena_new(0);
    j->files = arena_new(0);
    j->message = arena_new(0);
    buf_init(&j->out, (size_t)1 << 30);
    if (!j->memory || !j->files || !j->message) {
        *status = command_failed("map", "no memory");
        return false;
    }
    j->settings.max_message = MAX_MESSAGE;
    if (o->charset) {
        if (!charset_named(str_of(o->charset), &j->charset) &&
            !hl7_charset_named(str_of(o->charset), &j->charset)) {
            *status = command_usage("map", "unknown character set %s", o->charset);
            return false;
        }
        j->settings.charset = &j->charset;
    }
    bool ok = o->feed ? use_feed(j, o, status) : use_files(j, o, status);
    ok = ok && read_table_options(j, o, status);
    if (ok && !load(j, o)) {
        *status = EXIT_REFUSED;
        ok = false;
    }
    return ok;
}

void map_job_release(struct map_job *j)
{
    mapping_free(&j->mapping);
    catalogue_free(&j->catalogue);
    keyring_free(&j->keys);
    buf_release(&j->out);
    arena_free(&j->message);
    arena_free(&j->files);
    arena_free(&j->memory);
}
