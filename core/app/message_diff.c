/*
 * Which events would be others, had another mapping been live. Messages are taken from the store
 * one after another, opened here, mapped anew, and what comes of it is compared with the events
 * that are in the stream: ids are made from the message and the place of the event in it, so the
 * same event has the same id. Nothing is written but the ledger entry that says who looked.
 */
#include "core/app/message_verbs.h"

#include "core/app/command.h"
#include "core/app/event_compare.h"
#include "core/app/operator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PORTION = 100, MAX_LINE = 64 << 20, MAX_LABELS = 1000, TELL_EVERY = 1000 };

static const char columns[] =
    "no, id, feed, received_at, control_id, state, coalesce(mapping, '-') AS mapping, "
    "coalesce(first_seq, 0) AS first_seq, coalesce(last_seq, first_seq + events - 1, 0) AS "
    "last_seq, events, flags, day, sealed, type";
enum {
    NO,
    ID,
    FEED,
    AT,
    CONTROL_ID,
    STATE,
    MAPPING,
    FIRST,
    LAST,
    EVENTS,
    FLAGS,
    DAY,
    SEALED,
    TYPE
};
enum { REPROCESSED = 4 };

#define STORED                                                                                     \
    "SELECT id, type, coalesce(subject, ''), time, data, sealed FROM dari.event WHERE site = $1 "
#define OF_MESSAGE "AND seq BETWEEN $3 AND $4 AND message_no = $5 ORDER BY seq"
DB_STATEMENT(diff_events, STORED "AND day = $2 " OF_MESSAGE);
/* Those that were added later are of a later day. */
DB_STATEMENT(diff_events_later, STORED "AND day >= $2 " OF_MESSAGE);

static const char *const states[] = {"mapped", "ignored", "quarantined"};

struct tally {
    struct tally *next;
    const char *before, *after; /* labels of mappings */
    size_t messages, different;
    struct event_changes changes;
};

struct diff {
    struct session *s;
    const struct message_options *o;
    const struct mapping_set *mapping;
    struct tally *tallies;
    size_t labels, looked, different, parts, foreign, worse;
    struct event_changes changes;
};

/* ---- counts ---- */

static struct tally *tally_of(struct diff *d, struct str before, const char *after)
{
    struct tally **at = &d->tallies;
    for (; *at; at = &(*at)->next) {
        if (str_is(before, (*at)->before) && strcmp((*at)->after, after) == 0) {
            return *at;
        }
    }
    if (d->labels == MAX_LABELS || !(*at = arena_alloc(d->s->arena, sizeof **at))) {
        return NULL;
    }
    d->labels++;
    (*at)->before = arena_z(d->s->arena, before);
    (*at)->after = arena_z(d->s->arena, str_of(after));
    return *at;
}

static void add(struct event_changes *to, const struct event_changes *c)
{
    to->added += c->added;
    to->removed += c->removed;
    to->changed += c->changed;
}

/* ---- one message ---- */

static enum err_code stored_events(struct diff *d, struct arena *a, struct db_rows *m, int i,
                                   struct compared *out, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    out->old = NULL;
    out->old_count = 0;
    if (db_i64(m, i, EVENTS) == 0) {
        return ERR_NONE;
    }
    arg_z(&q, d->s->config->site);
    arg_day(&q, db_day(m, i, DAY));
    arg_i64(&q, db_i64(m, i, FIRST));
    arg_i64(&q, db_i64(m, i, LAST));
    arg_i64(&q, db_i64(m, i, NO));
    bool later = db_i64(m, i, FLAGS) & REPROCESSED;
    enum err_code code = db_run(d->s->db, a, later ? &diff_events_later : &diff_events, &q, &r, e);
    struct old_event *old =
        code == ERR_NONE ? arena_array(a, (size_t)db_count(r) + 1, sizeof *old) : NULL;
    for (int k = 0; old && k < db_count(r); k++) {
        const char *context = arena_printf(a, "%s/event/%s", d->s->config->site, db_z(r, k, 0));
        old[k] = (struct old_event){.id = db_str(r, k, 0),
                                    .type = db_str(r, k, 1),
                                    .subject = db_str(r, k, 2),
                                    .time = db_time(r, k, 3),
                                    .data = db_str(r, k, 4)};
        if (context && !db_null(r, k, 5)) {
            code = unseal(d->s->keys, a, str_of(context), db_str(r, k, 5), &old[k].secret, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
        out->old_count++;
    }
    out->old = old;
    return code == ERR_NONE && !old ? ERR(e, ERR_NOMEM, 0, "no memory to compare") : code;
}

static void print_json(struct diff *d, struct db_rows *m, int i, const struct prepared *p,
                       struct buf *changes)
{
    struct buf b;
    buf_init(&b, MAX_LINE);
    buf_printf(&b, "{\"message\":%" PRId64 ",\"feed\":", db_i64(m, i, NO));
    buf_json(&b, db_str(m, i, FEED));
    buf_printf(&b, ",\"before\":{\"state\":\"%s\",\"mapping\":", db_z(m, i, STATE));
    buf_json(&b, db_str(m, i, MAPPING));
    buf_printf(&b, "},\"after\":{\"state\":\"%s\",\"mapping\":", states[p->mapped.state]);
    buf_json(&b, str_of(p->mapped.mapping ? p->mapped.mapping : "-"));
    if (p->mapped.state == MAPPING_QUARANTINED) {
        buf_addz(&b, ",\"place\":");
        buf_json(&b, str_of(p->mapped.problem.where));
        buf_addz(&b, ",\"reason\":");
        buf_json(&b, str_of(p->mapped.problem.msg));
    }
    buf_addz(&b, "},\"events\":[");
    buf_add(&b, buf_str(changes));
    buf_addz(&b, "]}");
    puts(buf_ok(&b) ? b.p : "{}");
    buf_release(&b);
    (void)d;
}

static void print_text(struct db_rows *m, int i, const struct prepared *p, struct buf *changes)
{
    bool bad = p->mapped.state == MAPPING_QUARANTINED;
    printf("message %" PRId64 " (%s): %s by %s → %s by %s%s%s%s%s\n%.*s", db_i64(m, i, NO),
           db_z(m, i, FEED), db_z(m, i, STATE), db_z(m, i, MAPPING), states[p->mapped.state],
           p->mapped.mapping ? p->mapped.mapping : "-", bad ? ": " : "",
           bad ? p->mapped.problem.where : "", bad && p->mapped.problem.where[0] ? ": " : "",
           bad ? p->mapped.problem.msg : "", STR_ARG(buf_str(changes)));
}

static enum err_code compare(struct diff *d, struct arena *a, struct db_rows *m, int i,
                             const struct prepared *p, struct err *e)
{
    struct buf changes;
    struct compared both = {.new = p->mapped.events,
                            .new_count = p->mapped.state == MAPPING_MAPPED ? p->mapped.count : 0,
                            .received_at = db_time(m, i, AT),
                            .json = d->o->json,
                            .values = d->o->values};
    struct event_changes n = {0};
    buf_init(&changes, MAX_LINE);
    enum err_code code = stored_events(d, a, m, i, &both, e);
    if (code == ERR_NONE) {
        code = event_compare(&both, &changes, &n, e);
    }
    if (code == ERR_NONE) {
        struct tally *t =
            tally_of(d, db_str(m, i, MAPPING), p->mapped.mapping ? p->mapped.mapping : "-");
        bool other = n.added + n.removed + n.changed > 0 ||
                     !str_is(db_str(m, i, STATE), states[p->mapped.state]);
        d->different += other;
        d->worse +=
            p->mapped.state == MAPPING_QUARANTINED && !str_is(db_str(m, i, STATE), "quarantined");
        add(&d->changes, &n);
        if (t) {
            t->messages++;
            t->different += other;
            add(&t->changes, &n);
        }
        if (other && d->o->json) {
            print_json(d, m, i, p, &changes);
        } else if (other) {
            print_text(m, i, p, &changes);
        }
    }
    buf_release(&changes);
    return code;
}

static enum err_code one_message(struct diff *d, struct arena *a, struct db_rows *m, int i,
                                 struct err *e)
{
    struct str raw;
    struct prepared p;
    const struct config_feed *f = config_feed_named(d->s->config, db_z(m, i, FEED));
    d->looked++;
    if (!f) {
        d->foreign++;
        return ERR_NONE;
    }
    struct str mapping = db_str(m, i, MAPPING);
    if (message_beside_snapshot(f, db_str(m, i, TYPE), db_str(m, i, STATE),
                                str_is(mapping, "-") ? STR("") : mapping)) {
        return ERR_NONE; /* no mapping gets to see it */
    }
    const struct prepare_settings ps = message_prepare(d->s, f, d->mapping);
    enum err_code code = message_open(d->s, a, db_str(m, i, ID), db_str(m, i, SEALED), &raw, e);
    if (code == ERR_NONE) {
        code = prepare_message(&ps, a, db_str(m, i, CONTROL_ID), raw, db_time(m, i, AT), &p, e);
    }
    if (code == ERR_NONE && p.part.is) {
        d->parts++;
        return ERR_NONE;
    }
    return code == ERR_NONE ? compare(d, a, m, i, &p, e) : code;
}

/* ---- all of them ---- */

static void tell_progress(const struct diff *d)
{
    if (d->looked % TELL_EVERY == 0 && isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%zu messages, %zu differ ", d->looked, d->different);
    }
}

static enum err_code go_through(struct diff *d, struct err *e)
{
    struct message_filter f = d->o->filter;
    struct message_find *find;
    struct db_rows *r;
    struct arena *portion = arena_new(0), *a = arena_new(0);
    f.oldest_first = true;
    enum err_code code =
        portion && a ? message_find_new(d->s->db, d->s->arena, d->s->config->site, &f, &find, e)
                     : ERR(e, ERR_NOMEM, 0, "no memory");
    while (code == ERR_NONE) {
        arena_reset(portion);
        code = message_find_next(find, portion, columns, PORTION, &r, e);
        if (code != ERR_NONE || db_count(r) == 0) {
            break;
        }
        for (int i = 0; code == ERR_NONE && i < db_count(r); i++) {
            arena_reset(a);
            code = one_message(d, a, r, i, e);
            tell_progress(d);
        }
    }
    arena_free(&portion);
    arena_free(&a);
    return code;
}

static void print_summary(const struct diff *d)
{
    printf("%zu messages looked at, %zu differ: %zu events added, %zu removed, %zu changed\n",
           d->looked, d->different, d->changes.added, d->changes.removed, d->changes.changed);
    for (const struct tally *t = d->tallies; t; t = t->next) {
        printf("  %s → %s: %zu messages, %zu differ: %zu added, %zu removed, %zu changed\n",
               t->before, t->after, t->messages, t->different, t->changes.added, t->changes.removed,
               t->changes.changed);
    }
    if (d->parts) {
        printf("  %zu parts of longer messages were not compared\n", d->parts);
    }
    if (d->foreign) {
        printf("  %zu messages of feeds that are not in the configuration were not compared\n",
               d->foreign);
    }
    if (d->worse) {
        printf("  %zu messages would go to quarantine that did not\n", d->worse);
    }
}

static void print_json_summary(const struct diff *d)
{
    printf("{\"summary\":{\"messages\":%zu,\"different\":%zu,\"added\":%zu,\"removed\":%zu,"
           "\"changed\":%zu,\"parts\":%zu,\"other_feeds\":%zu,\"newly_quarantined\":%zu,"
           "\"mappings\":[",
           d->looked, d->different, d->changes.added, d->changes.removed, d->changes.changed,
           d->parts, d->foreign, d->worse);
    for (const struct tally *t = d->tallies; t; t = t->next) {
        printf("%s{\"before\":\"%s\",\"after\":\"%s\",\"messages\":%zu,\"different\":%zu,"
               "\"added\":%zu,\"removed\":%zu,\"changed\":%zu}",
               t == d->tallies ? "" : ",", t->before, t->after, t->messages, t->different,
               t->changes.added, t->changes.removed, t->changes.changed);
    }
    puts("]}}");
}

/* First who looks, at what, with what; from there on nothing can be written. */
static enum err_code begin(struct diff *d, struct err *e)
{
    struct arena *a = d->s->arena;
    const char *filter = message_filter_text(a, d->o);
    const char *details =
        filter ? arena_printf(a, "mapping=%s %s", mapping_digest(d->mapping), filter) : NULL;
    if (!details) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    enum err_code code =
        operator_record(d->s->db, a, d->s->config->site, "message.diff", details, e);
    return code == ERR_NONE ? db_script(d->s->db, "SET default_transaction_read_only = on", e)
                            : code;
}

static struct mapping_set *load(const struct session *s, const char *path, struct catalogue **c)
{
    struct problems p = {0};
    struct mapping_set *m = NULL;
    *c = catalogue_load(s->config->catalogue, &p);
    if (*c) {
        m = mapping_load(path, *c, &p);
    }
    problems_print(&p, stderr);
    problems_release(&p);
    return m;
}

int message_diff(struct session *s, const struct message_options *o)
{
    struct diff d = {.s = s, .o = o};
    struct err e = {0};
    struct catalogue *catalogue;
    if (!o->mapping || !o->from || !o->to) {
        return command_usage("message", "diff needs --mapping, --from and --to");
    }
    struct mapping_set *mapping = load(s, o->mapping, &catalogue);
    d.mapping = mapping;
    enum err_code code =
        mapping ? begin(&d, &e) : ERR(&e, ERR_CONFIG, 0, "%s cannot be used", o->mapping);
    if (code == ERR_NONE) {
        code = go_through(&d, &e);
    }
    if (code == ERR_NONE) {
        (o->json ? print_json_summary : print_summary)(&d);
    }
    mapping_free(&mapping);
    catalogue_free(&catalogue);
    return code != ERR_NONE ? command_failed("message", "%s", e.msg)
           : d.worse        ? EXIT_REFUSED
                            : EXIT_DONE;
}
