#include "core/app/config.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/store/migrate.h"
#include "core/intake/senders.h"
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

struct feed_options {
    const char *name, *adapter, *mapping, *charset, *fallback;
    bool refuse_reuse, accept_quarantined, sequence;
    int64_t max_pending, max_group, silent_after, spool_max;
    int64_t max_parts, max_whole, parts_wait;
    const char *senders;
    const char *silent_hours, *spool;
    const char *rows, *covers, *delimiter, *sheet;
    int64_t header_row, max_gone;
};
#define FEED_AT(member) offsetof(struct feed_options, member)
static const struct option_row feed_rows[] = {
    {"name", OPTION_TEXT, NULL, 1, 32, FEED_AT(name), "short name of the feed: a-z 0-9 -"},
    {"adapter", OPTION_TEXT, NULL, 0, 0, FEED_AT(adapter), "transport: mllp or files"},
    {"mapping", OPTION_PATH, NULL, 0, 0, FEED_AT(mapping), "mapping file, or folder of mappings"},
    {"charset", OPTION_TEXT, "", 0, 0, FEED_AT(charset),
     "what the bytes are, whatever MSH-18 says"},
    {"charset-fallback", OPTION_TEXT, "utf-8", 0, 0, FEED_AT(fallback),
     "what the bytes are when MSH-18 is empty"},
    {"refuse-reused-id", OPTION_BOOL, "no", 0, 0, FEED_AT(refuse_reuse),
     "AR when a control id comes again with another body (no: accepted and flagged)"},
    {"accept-quarantined", OPTION_BOOL, "no", 0, 0, FEED_AT(accept_quarantined),
     "AA for a message that went to quarantine, for senders that stop at an error"},
    {"sequence", OPTION_BOOL, "no", 0, 0, FEED_AT(sequence),
     "MSH-13 counts the messages of one sender: gaps are refused until filled (HL7 2.10.1)"},
    {"max-pending", OPTION_INT, "2048", 1, 100000, FEED_AT(max_pending),
     "messages waiting for their commit"},
    {"max-group", OPTION_INT, "256", 1, 10000, FEED_AT(max_group), "messages in one commit"},
    {"senders", OPTION_TEXT, "", 0, 0, FEED_AT(senders),
     "which client certificate speaks for which application: CN: MSH-3/MSH-4; CN: MSH-3; empty: "
     "any"},
    {"max-parts", OPTION_INT, "100", 0, 10000, FEED_AT(max_parts),
     "parts of a message that comes in several (DSC, MSH-14); 0: MSH-14 means nothing here"},
    {"max-whole", OPTION_SIZE, "64m", 1024, (int64_t)256 << 20, FEED_AT(max_whole),
     "bytes of such a message, all parts together"},
    {"parts-wait", OPTION_MS, "1h", 100, (int64_t)7 * 86400000, FEED_AT(parts_wait),
     "so long a part waits for the others; then it goes to quarantine"},
    {"silent-after", OPTION_MS, "0s", 0, (int64_t)7 * 86400000, FEED_AT(silent_after),
     "a feed silent for so long within its hours is told about; 0s: never"},
    {"silent-hours", OPTION_TEXT, "00:00-00:00", 0, 0, FEED_AT(silent_hours),
     "its usual hours, like 08:00-20:00; equal: always"},
    {"spool", OPTION_PATH, "var/spool", 0, 0, FEED_AT(spool),
     "folder that keeps messages, sealed, while the database is away"},
    {"spool-max-size", OPTION_SIZE, "256m", 0, (int64_t)1 << 40, FEED_AT(spool_max),
     "so much is accepted while the database is away; then senders shall try again (0, and with "
     "sequence: at once)"},
    {"rows", OPTION_TEXT, "append", 0, 0, FEED_AT(rows),
     "append: every row of a file is news; snapshot: a file is the whole state, changes are news"},
    {"covers", OPTION_TEXT, "nothing", 0, 0, FEED_AT(covers),
     "which rows that a snapshot no longer has are gone: nothing, all, or COLUMN FROM..TO: those "
     "whose day lies so many days from today, like appt_date 0..30"},
    {"max-gone", OPTION_INT, "25", 0, 100, FEED_AT(max_gone),
     "per cent of the rows that may be gone at once; more are left as they are, and told about"},
    {"delimiter", OPTION_TEXT, "", 0, 1, FEED_AT(delimiter),
     "between the cells of a text file: , ; | or tab; empty: found out"},
    {"header-row", OPTION_INT, "0", 0, 1000, FEED_AT(header_row),
     "which row holds the headers; 0: found out"},
    {"sheet", OPTION_TEXT, "", 0, 31, FEED_AT(sheet),
     "name of the sheet of a workbook; empty: the first whose headers fit"},
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

struct reader {
    struct arena *a;
    struct problems *p;
    const char *path, *home;
};

static void read_options(struct reader *r, const struct xml_node *n, const struct option_row *rows,
                         void *options);

struct attr_ctx {
    struct reader *r;
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

static void make_absolute(struct reader *r, const struct option_row *row, void *options)
{
    const char **at = (const char **)(void *)((char *)options + row->offset);
    if (*at && **at) {
        *at = file_path(r->a, r->home, *at);
    }
}

static void read_options(struct reader *r, const struct xml_node *n, const struct option_row *rows,
                         void *options)
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

static bool is_short_name(const char *s)
{
    size_t n = strlen(s);
    return n >= 1 && n <= 32 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static void read_database(struct reader *r, const struct xml_node *n, struct config *c)
{
    struct database_options o = {0};
    read_options(r, n, database_rows, &o);
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

static const struct adapter_ops *adapter_named(const char *name)
{
    for (const struct adapter_ops *const *a = adapters; *a; a++) {
        if (strcmp((*a)->name, name) == 0) {
            return *a;
        }
    }
    return NULL;
}

static bool read_charset(struct reader *r, const struct xml_node *n, const char *name,
                         const char *value, enum charset *out)
{
    if (!value[0]) {
        return false;
    }
    if (!charset_named(str_of(value), out)) {
        problem_add(r->p, r->path, xml_line(n),
                    "%s=\"%s\": unknown character set (utf-8, cp949, ascii, iso-8859-1, …)", name,
                    value);
        return false;
    }
    return true;
}

static void read_adapter(struct reader *r, const struct xml_node *n, struct config_feed *f,
                         const char *adapter)
{
    f->adapter = adapter_named(adapter);
    if (!f->adapter) {
        problem_add(r->p, r->path, xml_line(n),
                    "adapter=\"%s\": there is no such adapter (dari check --options lists them)",
                    adapter);
        return;
    }
    const struct xml_node *child = xml_child(n, NULL);
    if (child && strcmp(xml_name(child), f->adapter->name) != 0) {
        problem_add(r->p, r->path, xml_line(child),
                    "a feed of adapter %s has options in <%s>, not <%s>", adapter, f->adapter->name,
                    xml_name(child));
        return;
    }
    void *options = arena_alloc(r->a, f->adapter->options_size);
    if (options) {
        read_options(r, child, f->adapter->options, options);
    }
    f->options_line = xml_line(child ? child : n);
    f->options = options;
}

/* True when `value` is `word`, false when it is `other`; anything else is a problem. */
static bool read_choice(struct reader *r, const struct xml_node *n, const char *name,
                        const char *value, const char *word, const char *other)
{
    bool is = strcmp(value, word) == 0;
    if (!is && strcmp(value, other) != 0) {
        problem_add(r->p, r->path, xml_line(n), "%s=\"%s\": write %s or %s", name, value, word,
                    other);
    }
    return is;
}

/* "nothing", "all", "appt_date 0..30" */
static void read_covers(struct reader *r, const struct xml_node *n, const char *value,
                        struct snapshot_covers *out)
{
    struct str rest = str_of(value);
    size_t blank = str_find(rest, ' ', 0), dots = str_find(rest, '.', blank);
    *out = (struct snapshot_covers){.any = strcmp(value, "nothing") != 0};
    if (!out->any || strcmp(value, "all") == 0) {
        return;
    }
    out->column = arena_z(r->a, str_cut(rest, 0, blank));
    if (!out->column || dots + 1 >= rest.n || rest.p[dots + 1] != '.' ||
        num_i64(str_cut(rest, blank + 1, dots), -36500, 36500, &out->from, NULL) != ERR_NONE ||
        num_i64(str_cut(rest, dots + 2, rest.n), -36500, 36500, &out->to, NULL) != ERR_NONE ||
        out->from > out->to) {
        problem_add(r->p, r->path, xml_line(n),
                    "covers=\"%s\": write nothing, all, or COLUMN FROM..TO in days from today, "
                    "like appt_date 0..30",
                    value);
    }
}

static void read_table(struct reader *r, const struct xml_node *n, const struct feed_options *o,
                       struct config_feed *f)
{
    bool tab = strcmp(o->delimiter, "tab") == 0;
    f->snapshot = read_choice(r, n, "rows", o->rows, "snapshot", "append");
    read_covers(r, n, o->covers, &f->covers);
    if (f->covers.any && !f->snapshot) {
        problem_add(r->p, r->path, xml_line(n), "covers needs rows=\"snapshot\"");
    }
    if (o->delimiter[0] && !tab && (o->delimiter[1] || !strchr(",;|", o->delimiter[0]))) {
        problem_add(r->p, r->path, xml_line(n), "delimiter=\"%s\": write , or ; or | or tab",
                    o->delimiter);
    }
    f->max_gone = o->max_gone;
    f->delimiter = tab ? '\t' : o->delimiter[0];
    f->header_row = (int)o->header_row;
    f->sheet = o->sheet[0] ? o->sheet : NULL;
}

static void read_feed(struct reader *r, const struct xml_node *n, struct config_feed *f)
{
    struct feed_options *o = arena_alloc(r->a, sizeof *o);
    if (!o) {
        return;
    }
    read_options(r, n, feed_rows, o);
    if (!o->name || !o->adapter || !o->mapping) {
        return;
    }
    *f = (struct config_feed){.name = o->name,
                              .line = xml_line(n),
                              .attributes = o,
                              .mapping = o->mapping,
                              .refuse_reuse = o->refuse_reuse,
                              .accept_quarantined = o->accept_quarantined,
                              .sequence = o->sequence,
                              .max_pending = o->max_pending,
                              .max_group = o->max_group,
                              .senders = o->senders,
                              .max_parts = o->max_parts,
                              .max_whole = o->max_whole,
                              .parts_wait_ms = o->parts_wait,
                              .spool = o->spool,
                              .spool_max = o->spool_max,
                              .silence = {.feed = o->name, .after_ms = o->silent_after}};
    struct err e;
    if (silence_hours(o->silent_hours, &f->silence.from, &f->silence.until, &e) != ERR_NONE) {
        problem_add(r->p, r->path, xml_line(n), "silent-hours=\"%s\": %s", o->silent_hours, e.msg);
    }
    if (senders_check(str_of(o->senders), &e) != ERR_NONE) {
        problem_add(r->p, r->path, xml_line(n), "senders: %s", e.msg);
    }
    if (!is_short_name(o->name)) {
        problem_add(r->p, r->path, xml_line(n), "name=\"%s\": use a-z, 0-9 and -, at most 32",
                    o->name);
    }
    f->has_charset = read_charset(r, n, "charset", o->charset, &f->charset);
    f->fallback = CHARSET_UTF8;
    read_charset(r, n, "charset-fallback", o->fallback, &f->fallback);
    read_table(r, n, o, f);
    if (!file_exists(o->mapping)) {
        problem_add(r->p, r->path, xml_line(n), "mapping: %s does not exist", o->mapping);
    }
    read_adapter(r, n, f, o->adapter);
}

static void read_feeds(struct reader *r, const struct xml_node *root, struct config *c)
{
    size_t count = 0;
    for (const struct xml_node *n = xml_child(root, "feed"); n; n = xml_sibling(n, "feed")) {
        count++;
    }
    struct config_feed *feeds = arena_array(r->a, count + 1, sizeof *feeds);
    if (!feeds) {
        return;
    }
    size_t i = 0;
    for (const struct xml_node *n = xml_child(root, "feed"); n; n = xml_sibling(n, "feed")) {
        read_feed(r, n, &feeds[i]);
        for (size_t k = 0; k < i; k++) {
            if (feeds[i].name && feeds[k].name && strcmp(feeds[i].name, feeds[k].name) == 0) {
                problem_add(r->p, r->path, xml_line(n), "feed \"%s\" stands in line %d already",
                            feeds[i].name, feeds[k].line);
            }
        }
        i++;
    }
    c->feeds = feeds;
    c->feed_count = count;
}

static void check_meaning(struct reader *r, const struct xml_node *root, const struct config *c)
{
    const struct xml_node *site = xml_child(root, "site"),
                          *messaging = xml_child(root, "messaging");
    struct err e;
    if (site && c->site && !is_short_name(c->site)) {
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

static void read_all(struct reader *r, const struct xml_node *root, struct config *c)
{
    r->home = c->home = find_home(r->a, r->path, xml_attr_or(root, "home", "."));
    for (int i = 0; elements[i].element; i++) {
        read_options(r, xml_child(root, elements[i].element), elements[i].rows, c);
    }
    if (c->log4crc && !c->log4crc[0]) {
        c->log4crc = NULL;
    }
    read_database(r, xml_child(root, "database"), c);
    read_feeds(r, root, c);
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
    struct reader r = {a, p, path, NULL};
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

const char *config_conninfo(const struct config *c, struct arena *a, struct err *e)
{
    struct str text;
    if (!c->conninfo_file) {
        return c->conninfo;
    }
    enum err_code code = file_read(a, c->conninfo_file, 4096, &text, e);
    if (code == ERR_NOTFOUND) {
        ERR(e, ERR_DB, 0,
            "%s does not exist: start the database (deploy/postgres.sh start var/postgres) or set "
            "conninfo",
            c->conninfo_file);
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
            code = ERR(e, ERR_DB, 0,
                       "%s (is PostgreSQL running? deploy/postgres.sh start var/postgres starts a "
                       "private one)",
                       why.msg);
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
        return feed_rows;
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
    const struct option_row *const tables[] = {database_rows, feed_rows};
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
