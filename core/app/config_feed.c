#include "core/app/config_read.h"

#include "core/base/file.h"
#include "core/base/num.h"
#include "core/intake/senders.h"

#include <stddef.h>
#include <string.h>

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
const struct option_row config_feed_rows[] = {
    {"name", OPTION_TEXT, NULL, 1, 32, FEED_AT(name), "short name of the feed: a-z 0-9 -"},
    {"adapter", OPTION_TEXT, NULL, 0, 0, FEED_AT(adapter), "transport: mllp, files, http or sql"},
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
    {"header-row", OPTION_INT, "0", -1, 1000, FEED_AT(header_row),
     "which row holds the headers; 0: found out; -1: none, columns are called 1 2 3"},
    {"sheet", OPTION_TEXT, "", 0, 31, FEED_AT(sheet),
     "name of the sheet of a workbook; empty: the first whose headers fit"},
    {0}};

bool config_short_name(const char *s)
{
    size_t n = strlen(s);
    return n >= 1 && n <= 32 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
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

static bool read_charset(struct config_reader *r, const struct xml_node *n, const char *name,
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

static void read_adapter(struct config_reader *r, const struct xml_node *n, struct config_feed *f,
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
        config_options(r, child, f->adapter->options, options);
    }
    f->options_line = xml_line(child ? child : n);
    f->options = options;
}

/* True when `value` is `word`, false when it is `other`; anything else is a problem. */
static bool read_choice(struct config_reader *r, const struct xml_node *n, const char *name,
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
static void read_covers(struct config_reader *r, const struct xml_node *n, const char *value,
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

static void read_table(struct config_reader *r, const struct xml_node *n,
                       const struct feed_options *o, struct config_feed *f)
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

static void read_feed(struct config_reader *r, const struct xml_node *n, struct config_feed *f)
{
    struct feed_options *o = arena_alloc(r->a, sizeof *o);
    if (!o) {
        return;
    }
    config_options(r, n, config_feed_rows, o);
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
    if (!config_short_name(o->name)) {
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

void config_feeds(struct config_reader *r, const struct xml_node *root, struct config *c)
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
