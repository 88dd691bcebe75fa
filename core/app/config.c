#include "core/app/config.h"

#include "core/app/config_read.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/store/migrate.h"
#include "core/xml/xml.h"

#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(struct config, member)

static const struct option_row site_rows[] = {
    {"id", OPTION_TEXT, NULL, 1, 32, AT(site), "short name of the site, in every key: a-z 0-9 -"},
    {"name", OPTION_TEXT, NULL, 1, 100, AT(site_name), "name of the hospital, for message texts"},
    {"zone", OPTION_TEXT, "Asia/Seoul", 0, 0, AT(zone), "time zone of the site"},
    {"phone", OPTION_TEXT, "", 0, 0, AT(site_phone), "telephone number shown in message texts"},
    {"sender", OPTION_TEXT, "", 0, 0, AT(site_sender), "registered sender number, digits only"},
    {0}};
static const struct option_row keys_rows[] = {
    {"folder", OPTION_PATH, NULL, 0, 0, AT(keys), "the site's secrets, made by dari keys init"},
    {0}};
static const struct option_row log_rows[] = {
    {"file", OPTION_PATH, "", 0, 0, AT(log4crc), "log4c levels per role; none: level info"}, {0}};
static const struct option_row run_rows[] = {
    {"folder", OPTION_PATH, "var/run", 0, 0, AT(run), "local sockets and state files"}, {0}};
static const struct option_row catalogue_rows[] = {{"file", OPTION_PATH, "mappings/catalogue.xml",
                                                    0, 0, AT(catalogue),
                                                    "types and fields of events"},
                                                   {0}};
static const struct option_row relay_rows[] = {
    {"local", OPTION_TEXT, "var/run/relay", 1, 90, AT(relay.local), "local socket, below home"},
    {"address", OPTION_TEXT, "", 0, 0, AT(relay.address),
     "address for consumers elsewhere; none: local only"},
    {"port", OPTION_INT, "5575", 1, 65535, AT(relay.port), "port for consumers elsewhere"},
    {"contracts", OPTION_PATH, "config/contracts", 0, 0, AT(relay.contracts),
     "folder of contracts"},
    {"max-credit", OPTION_INT, "10000", 1, 1000000, AT(relay.max_credit),
     "events in flight to one consumer"},
    {0}};
static const struct option_row segment_rows[] = {
    {"folder", OPTION_PATH, "config/segments", 0, 0, AT(segment.segments), "folder of segments"},
    {"sweep", OPTION_MS, "5m", 1000, 86400000, AT(segment.sweep_ms),
     "how often time alone is looked at"},
    {0}};
static const struct option_row messaging_rows[] = {
    {"journeys", OPTION_PATH, "config/journeys", 0, 0, AT(messaging.journeys),
     "folder of journeys"},
    {"templates", OPTION_PATH, "config/templates", 0, 0, AT(messaging.templates),
     "folder of templates"},
    {"channel", OPTION_TEXT, "file", 0, 0, AT(messaging.channel),
     "file (an outbox folder) or http"},
    {"outbox", OPTION_PATH, "var/outbox", 0, 0, AT(messaging.outbox), "folder of channel file"},
    {"url", OPTION_TEXT, "", 0, 0, AT(messaging.url), "address of channel http"},
    {"timeout", OPTION_MS, "10s", 100, 120000, AT(messaging.timeout_ms),
     "of one call of channel http"},
    {0}};
static const struct option_row steward_rows[] = {
    {"tick", OPTION_MS, "1s", 100, 60000, AT(steward.tick_ms), "how often the steward looks"},
    {"checkpoint-entries", OPTION_INT, "10000", 1, 10000000, AT(steward.checkpoint_entries),
     "ledger entries between checkpoints, at the most"},
    {"checkpoint-every", OPTION_MS, "5m", 1000, 86400000, AT(steward.checkpoint_ms),
     "time between checkpoints, at the most"},
    {0}};

struct database_options {
    const char *conninfo, *file;
    bool migrate, set_role;
};
#define DB_AT(member) offsetof(struct database_options, member)
static const struct option_row database_rows[] = {
    {"conninfo", OPTION_TEXT, "", 0, 0, DB_AT(conninfo),
     "libpq connection string, without a password"},
    {"conninfo-file", OPTION_PATH, "", 0, 0, DB_AT(file), "file that holds the connection string"},
    {"migrate", OPTION_BOOL, "no", 0, 0, DB_AT(migrate),
     "dari run brings the schema up to date first"},
    {"set-role", OPTION_BOOL, "no", 0, 0, DB_AT(set_role),
     "each role becomes its own database role (dari_feed, …)"},
    {0}};

/* Elements whose options go straight into struct config. */
static const struct {
    const char *element;
    const struct option_row *rows;
} elements[] = {{"site", site_rows},
                {"keys", keys_rows},
                {"log", log_rows},
                {"run", run_rows},
                {"catalogue", catalogue_rows},
                {"relay", relay_rows},
                {"segments", segment_rows},
                {"messaging", messaging_rows},
                {"steward", steward_rows},
                {NULL, NULL}};

struct attr_ctx {
    struct config_reader *r;
    const struct xml_node *n;
    const struct option_row *rows;
};

static void check_known(void *ctx, const char *name, const char *value)
{
    struct attr_ctx *c = ctx;
    (void)value;
    if (!option_find(c->rows, str_of(name))) {
        problem_add(c->r->p, c->r->path, xml_line(c->n),
                    "<%s> has no attribute \"%s\": see dari check --options", xml_name(c->n), name);
    }
}

static void make_absolute(struct config_reader *r, const struct option_row *row, void *options)
{
    const char **at = (const char **)(void *)((char *)options + row->offset);
    if (*at && **at) {
        *at = file_path(r->a, r->home, *at);
    }
}

void config_options(struct config_reader *r, const struct xml_node *n,
                    const struct option_row *rows, void *options)
{
    option_defaults(rows, options);
    struct attr_ctx ctx = {r, n, rows};
    if (n) {
        xml_attrs(n, check_known, &ctx);
    }
    for (const struct option_row *row = rows; row->name; row++) {
        const char *value = n ? xml_attr(n, row->name) : NULL;
        struct err e;
        if (value && option_set(r->a, row, options, str_of(value), &e) != ERR_NONE) {
            problem_add(r->p, r->path, xml_line(n), "%s=\"%s\": %s", row->name, value, e.msg);
        }
        if (!value && !row->dflt && n) {
            problem_add(r->p, r->path, xml_line(n), "<%s> needs %s: %s", xml_name(n), row->name,
                        row->help);
        }
        if (row->type == OPTION_PATH) {
            make_absolute(r, row, options);
        }
    }
}

static void read_database(struct config_reader *r, const struct xml_node *n, struct config *c)
{
    struct database_options o = {0};
    config_options(r, n, database_rows, &o);
    c->conninfo = o.conninfo;
    c->migrate = o.migrate;
    c->set_role = o.set_role;
    if (o.file[0] && !o.conninfo[0]) {
        /* Read when used: the file may be made after the configuration was checked. */
        c->conninfo = NULL;
        c->conninfo_file = o.file;
    } else if (!o.conninfo[0] && n) {
        problem_add(r->p, r->path, xml_line(n), "<database> needs conninfo or conninfo-file");
    }
}

static void check_meaning(struct config_reader *r, const struct xml_node *root,
                          const struct config *c)
{
    const struct xml_node *site = xml_child(root, "site"),
                          *messaging = xml_child(root, "messaging");
    struct err e;
    if (site && c->site && !config_short_name(c->site)) {
        problem_add(r->p, r->path, xml_line(site), "id=\"%s\": use a-z, 0-9 and -, at most 32",
                    c->site);
    }
    if (site && zone_set(c->zone, &e) != ERR_NONE) {
        problem_add(r->p, r->path, xml_line(site), "%s", e.msg);
    }
    bool http = strcmp(c->messaging.channel, "http") == 0;
    if (!http && strcmp(c->messaging.channel, "file") != 0) {
        problem_add(r->p, r->path, messaging ? xml_line(messaging) : 0,
                    "channel must be file or http");
    }
    if (http && !c->messaging.url[0]) {
        problem_add(r->p, r->path, messaging ? xml_line(messaging) : 0, "channel http needs url");
    }
    if (!file_exists(c->catalogue)) {
        problem_add(r->p, r->path, 0, "the catalogue %s does not exist", c->catalogue);
    }
}

static const char *find_home(struct arena *a, const char *path, const char *home)
{
    char full[PATH_MAX], joined[PATH_MAX + 300], out[PATH_MAX];
    if (!realpath(path, full)) {
        return "";
    }
    snprintf(joined, sizeof joined, home[0] == '/' ? "%.0s%s" : "%s/%s", dirname(full), home);
    return arena_z(a, str_of(realpath(joined, out) ? out : joined));
}

static void read_all(struct config_reader *r, const struct xml_node *root, struct config *c)
{
    r->home = c->home = find_home(r->a, r->path, xml_attr_or(root, "home", "."));
    for (int i = 0; elements[i].element; i++) {
        config_options(r, xml_child(root, elements[i].element), elements[i].rows, c);
    }
    if (c->log4crc && !c->log4crc[0]) {
        c->log4crc = NULL;
    }
    read_database(r, xml_child(root, "database"), c);
    config_feeds(r, root, c);
    check_meaning(r, root, c);
}

/* Not resolved: what a link leads to may change. */
static const char *absolute(struct arena *a, const char *path)
{
    char here[PATH_MAX];
    return getcwd(here, sizeof here) ? file_path(a, here, path) : path;
}

const struct config *config_load(struct arena *a, const char *path, struct problems *p)
{
    if (!path) {
        path = getenv("DARI_CONFIG") ? getenv("DARI_CONFIG") : "config/dari.xml";
    }
    struct config *c = arena_alloc(a, sizeof *c);
    struct xml_doc *doc = xml_load(path, "config/schemas/dari.rng", p);
    if (!c || !doc) {
        xml_free(&doc);
        return NULL;
    }
    struct config_reader r = {a, p, path, NULL};
    c->file = arena_z(a, str_of(path));
    c->path = absolute(a, path);
    const struct xml_node *root = xml_root(doc);
    if (strcmp(xml_name(root), "dari") == 0) {
        read_all(&r, root, c);
    }
    xml_free(&doc);
    return p->count ? NULL : c;
}

const struct config *config_open(struct arena *a, const char *path, int *status)
{
    struct problems p = {0};
    const struct config *c = config_load(a, path, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    *status = c ? 0 : 1;
    return c;
}

const struct config_feed *config_feed_named(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->feed_count; i++) {
        if (strcmp(c->feeds[i].name, name) == 0) {
            return &c->feeds[i];
        }
    }
    return NULL;
}

/* A private one is started by its folder, in which the file with the conninfo lies; "" for others.
 */
static const char *start_hint(const struct config *c, struct arena *a)
{
    struct str path = str_of(c->conninfo_file ? c->conninfo_file : ""), name = STR("/conninfo");
    const char *hint = str_ends(path, name) ? arena_printf(a, " (deploy/postgres.sh start '%.*s')",
                                                           (int)(path.n - name.n), path.p)
                                            : NULL;
    return hint ? hint : "";
}

const char *config_conninfo(const struct config *c, struct arena *a, struct err *e)
{
    struct str text;
    if (!c->conninfo_file) {
        return c->conninfo;
    }
    enum err_code code = file_read(a, c->conninfo_file, 4096, &text, e);
    if (code == ERR_NOTFOUND) {
        ERR(e, ERR_DB, 0, "%s does not exist: start the database%s or set conninfo",
            c->conninfo_file, start_hint(c, a));
    }
    const char *z = code == ERR_NONE ? arena_z(a, str_trim(text)) : NULL;
    if (code == ERR_NONE && !z) {
        ERR(e, ERR_NOMEM, 0, "no memory");
    }
    return z;
}

enum err_code config_db(const struct config *c, const char *role, struct db **out, struct err *e)
{
    char name[64], app[64];
    snprintf(name, sizeof name, "dari_%s", role);
    snprintf(app, sizeof app, "dari %s", role);
    struct arena *a = arena_new(0);
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    struct db_settings s = {.conninfo = config_conninfo(c, a, e),
                            .role = c->set_role && strcmp(role, "migrate") != 0 ? name : NULL,
                            .app = app};
    enum err_code code = s.conninfo ? ERR_NONE : ERR_DB;
    if (code == ERR_NONE) {
        code = db_open(&s, out, e);
        if (code == ERR_DB && str_starts(str_of(e->msg), STR("could not reach"))) {
            struct err why = *e;
            code = ERR(e, ERR_DB, 0, "%s: is PostgreSQL running?%s", why.msg, start_hint(c, a));
        }
    }
    if (code == ERR_NONE && strcmp(role, "migrate") != 0) {
        code = migrate_check(*out, e);
        if (code != ERR_NONE) {
            db_free(out);
        }
    }
    arena_free(&a);
    return code;
}

const struct option_row *config_rows(const char *element)
{
    if (strcmp(element, "feed") == 0) {
        return config_feed_rows;
    }
    for (int i = 0; elements[i].element; i++) {
        if (strcmp(elements[i].element, element) == 0) {
            return elements[i].rows;
        }
    }
    return NULL;
}

void config_print_options(FILE *to)
{
    const struct option_row *const tables[] = {database_rows, config_feed_rows};
    const char *const names[] = {"database", "feed"};
    for (int i = 0; elements[i].element; i++) {
        option_print(to, elements[i].element, elements[i].rows);
    }
    for (int i = 0; i < 2; i++) {
        option_print(to, names[i], tables[i]);
    }
    for (const struct adapter_ops *const *ad = adapters; *ad; ad++) {
        option_print(to, (*ad)->name, (*ad)->options);
    }
}
