#include "core/app/message_verbs.h"

#include "core/app/command.h"
#include "core/app/operator.h"
#include "core/intake/reprocess.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PORTION = 200 };

struct workshop {
    struct session *s;
    const struct message_options *o;
    struct catalogue *catalogue;
    const struct config_feed *feed; /* whose mapping is loaded */
    struct mapping_set *mapping;
    bool still; /* a message is still quarantined */
};

static enum err_code load_feed(struct workshop *w, const char *name, struct err *e)
{
    struct problems p = {0};
    if (w->feed && strcmp(w->feed->name, name) == 0) {
        return ERR_NONE;
    }
    mapping_free(&w->mapping);
    w->feed = config_feed_named(w->s->config, name);
    if (!w->feed) {
        return ERR(e, ERR_NOTFOUND, 0, "feed %s is not in the configuration", name);
    }
    w->mapping = mapping_load(w->feed->mapping, w->catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    return w->mapping ? ERR_NONE : ERR(e, ERR_CONFIG, 0, "%s has problems", w->feed->mapping);
}

static void leave(struct workshop *w, int64_t no, const char *why)
{
    w->still = true;
    printf("message %" PRId64 ": left as it is: %s\n", no, why);
}

static const char columns[] = "no, feed, type, state, coalesce(mapping, '') AS mapping";

static enum err_code one_message(struct workshop *w, struct db_rows *r, int i, struct err *e)
{
    int64_t no = db_i64(r, i, 0);
    static const char *const states[] = {"mapped", "ignored", "quarantined"};
    struct reprocessed done;
    enum err_code code = load_feed(w, db_z(r, i, 1), e);
    if (code == ERR_NOTFOUND) { /* the others can be done all the same */
        leave(w, no, e->msg);
        return ERR_NONE;
    }
    if (code != ERR_NONE) {
        return code;
    }
    if (message_beside_snapshot(w->feed, db_str(r, i, 2), db_str(r, i, 3), db_str(r, i, 4))) {
        leave(w, no,
              "a row of a snapshot without a key of its own: mend the list and send it again");
        return ERR_NONE;
    }
    const struct prepare_settings ps = message_prepare(w->s, w->feed, w->mapping);
    struct arena *a = arena_new(0);
    code = a ? reprocess_message(w->s->db, a, &ps, no, w->o->dry_run, &done, e)
             : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        bool bad = done.after == MAPPING_QUARANTINED;
        w->still |= bad;
        printf("message %" PRId64 ": %s → %s, %zu new events%s%s%s%s%s\n", no, states[done.before],
               states[done.after], done.events, w->o->dry_run ? " (not done)" : "", bad ? ": " : "",
               bad ? done.problem.where : "", bad && done.problem.where[0] ? ": " : "",
               bad ? done.problem.msg : "");
    }
    arena_free(&a);
    return code;
}

static enum err_code all_of(struct workshop *w, const struct message_filter *f, size_t *count,
                            struct err *e)
{
    struct message_find *find;
    struct db_rows *r;
    struct arena *a = arena_new(0);
    enum err_code code =
        a ? message_find_new(w->s->db, w->s->arena, w->s->config->site, f, &find, e)
          : ERR(e, ERR_NOMEM, 0, "no memory");
    while (code == ERR_NONE) {
        arena_reset(a);
        code = message_find_next(find, a, columns, PORTION, &r, e);
        if (code != ERR_NONE || db_count(r) == 0) {
            break;
        }
        for (int i = 0; code == ERR_NONE && i < db_count(r); i++, ++*count) {
            code = one_message(w, r, i, e);
        }
    }
    arena_free(&a);
    return code;
}

/* Who does it, and to what, stands in the ledger before anything is done. */
static enum err_code record(struct workshop *w, const char *what, struct err *e)
{
    const char *details =
        arena_printf(w->s->arena, "%s%s", what, w->o->dry_run ? " dry-run=yes" : "");
    return details ? operator_record(w->s->db, w->s->arena, w->s->config->site, "message.reprocess",
                                     details, e)
                   : ERR(e, ERR_NOMEM, 0, "no memory");
}

static enum err_code by_number(struct workshop *w, int64_t no, struct err *e)
{
    struct message_filter f = {.number = no};
    size_t count = 0;
    const char *what = arena_printf(w->s->arena, "message=%" PRId64, no);
    enum err_code code = record(w, what ? what : "", e);
    if (code == ERR_NONE) {
        code = all_of(w, &f, &count, e);
    }
    return code == ERR_NONE && count == 0
               ? ERR(e, ERR_NOTFOUND, 0, "there is no message %" PRId64, no)
               : code;
}

static enum err_code by_filter(struct workshop *w, struct err *e)
{
    struct message_filter f = w->o->filter;
    size_t count = 0;
    const char *what = message_filter_text(w->s->arena, w->o);
    f.oldest_first = true;
    enum err_code code = what ? record(w, what, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        code = all_of(w, &f, &count, e);
    }
    if (code == ERR_NONE && count == 0) {
        printf("no message fits\n");
    }
    return code;
}

/* Before any of them is looked at. */
static bool are_numbers(char **numbers, int n)
{
    int64_t no;
    int k = 0;
    while (k < n && message_number(numbers[k], &no)) {
        k++;
    }
    return k == n;
}

int message_reprocess(struct session *s, char **numbers, int n, const struct message_options *o)
{
    struct workshop w = {.s = s, .o = o};
    struct problems p = {0};
    struct err e = {0};
    bool filter = o->state || o->feed || o->type || o->control_id || o->patient || o->from ||
                  o->to || o->batch;
    if ((n == 0) != filter) {
        return command_usage("message", "say which: numbers, or a filter like --state quarantined");
    }
    if (!are_numbers(numbers, n)) {
        return EXIT_USAGE;
    }
    w.catalogue = catalogue_load(s->config->catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    enum err_code code =
        w.catalogue ? ERR_NONE : ERR(&e, ERR_CONFIG, 0, "the catalogue has problems");
    if (code == ERR_NONE && filter) {
        code = by_filter(&w, &e);
    }
    for (int k = 0; code == ERR_NONE && k < n; k++) {
        int64_t no = 0;
        message_number(numbers[k], &no);
        code = by_number(&w, no, &e);
    }
    mapping_free(&w.mapping);
    catalogue_free(&w.catalogue);
    if (code != ERR_NONE) {
        return command_failed("message", "%s", e.msg);
    }
    return w.still ? EXIT_REFUSED : EXIT_DONE;
}
