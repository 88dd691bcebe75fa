/*
 * The steward: seals the ledger at every tick, keeps partitions ready for the days to come, and
 * tells about feeds that have fallen silent and parts of messages whose others did not come. What
 * belongs to the messages of days that are no longer there goes, too. It is the only role that
 * reads the ledger's private key.
 */
#include "core/app/role.h"

#include "core/base/log.h"
#include "core/intake/parts.h"
#include "core/ledger/sealing.h"

#include <poll.h>
#include <stdio.h>

enum { PARTITION_DAYS = 8, REFUSED_PAUSE_S = 60, DAYS_PAUSE_S = 10, SLICE_MS = 100 };

DB_STATEMENT(steward_partitions, "SELECT dari.make_partitions($1, $2)");

struct steward {
    const struct config *config;
    struct signer *signer;
    struct keyring *keys;
    struct catalogue *catalogue;
    struct db *db;
    struct backoff backoff;
    int32_t prepared;   /* the day partitions were last made for */
    bool have_prepared; /* … if at all */
    usec days_again;    /* monotonic: not tried before */
    usec quiet_until;   /* real time: after a refusal, people need time more than logs */
};

/* A new partition needs its table to itself for a moment. Behind a long reader (ledger verify)
 * every writer would queue up with us: better to give way soon and come again. */
static enum err_code make_partitions(struct steward *s, struct arena *a, int32_t today,
                                     struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_day(&q, today);
    arg_i64(&q, PARTITION_DAYS);
    enum err_code code = db_begin(s->db, e);
    if (code == ERR_NONE) {
        code = db_script(s->db, "SET LOCAL lock_timeout = '500ms'", e);
    }
    if (code == ERR_NONE) {
        code = db_run(s->db, a, &steward_partitions, &q, &rows, e);
    }
    if (code == ERR_NONE) {
        code = db_commit(s->db, e);
    }
    if (code == ERR_NONE) {
        log_info("steward.partitions", "made=%lld days=%d", (long long)db_i64(rows, 0, 0),
                 PARTITION_DAYS);
    } else {
        db_rollback(s->db);
    }
    return code;
}

/* Once a day. Days are prepared well before they come, so a failure is only said; sealing goes on.
 */
static enum err_code prepare_days(struct steward *s, struct err *e)
{
    int32_t today = (int32_t)(clock_now() / USEC_DAY);
    if ((s->have_prepared && s->prepared == today) || clock_mono() < s->days_again) {
        return ERR_NONE;
    }
    struct arena *a = arena_new(0);
    enum err_code code =
        a ? make_partitions(s, a, today, e) : ERR(e, ERR_NOMEM, 0, "no memory to make partitions");
    arena_free(&a);
    code = code == ERR_NONE ? parts_forget(s->db, s->config->site, e) : code;
    if (code == ERR_NONE) {
        s->prepared = today;
        s->have_prepared = true;
    } else if (db_alive(s->db)) {
        log_err(LOG_WARN_, "steward.partitions", e);
        s->days_again = clock_mono() + (usec)DAYS_PAUSE_S * USEC_SECOND;
        code = ERR_NONE;
    }
    return code;
}

static enum err_code seal_all(struct steward *s, struct err *e)
{
    const struct sealing settings = {.site = s->config->site,
                                     .signer = s->signer,
                                     .every_entries = s->config->steward.checkpoint_entries,
                                     .every_ms = s->config->steward.checkpoint_ms};
    struct sealed done = {.more = true};
    enum err_code code = ERR_NONE;
    if (clock_mono() < s->quiet_until) {
        return ERR_NONE;
    }
    while (code == ERR_NONE && done.more && !role_stop) {
        code = ledger_seal(s->db, &settings, clock_now(), &done, e);
        if (code == ERR_NONE && done.checkpoint) {
            log_info("ledger.checkpoint", "site=%s size=%lld", s->config->site,
                     (long long)done.checkpoint);
        }
    }
    return code;
}

static enum err_code look_at_feeds(struct steward *s, struct err *e)
{
    for (size_t i = 0; i < s->config->feed_count; i++) {
        const struct silence_watch w = {s->config->site, s->keys, s->catalogue,
                                        &s->config->feeds[i].silence, 1};
        usec now = clock_now();
        enum err_code code = silence_look(s->db, &w, now, e);
        if (code == ERR_NONE) {
            code = parts_give_up(s->db, s->config->site, s->config->feeds[i].name,
                                 now - s->config->feeds[i].parts_wait_ms * 1000, now, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}

static enum err_code tick(struct steward *s, struct err *e)
{
    enum err_code code = ERR_NONE;
    if (!s->db) {
        code = config_db(s->config, "steward", &s->db, e);
    }
    code = code == ERR_NONE ? prepare_days(s, e) : code;
    code = code == ERR_NONE ? look_at_feeds(s, e) : code;
    return code == ERR_NONE ? seal_all(s, e) : code;
}

/* Waits until the next tick is due, in slices: a signal may fall between the check and poll(). */
static void rest(int64_t ms)
{
    usec until = clock_mono() + ms * 1000;
    while (!role_stop && clock_mono() < until) {
        poll(NULL, 0, ms < SLICE_MS ? (int)ms : SLICE_MS);
    }
}

static void one_round(struct steward *s)
{
    struct err e = {0};
    enum err_code code = tick(s, &e);
    if (code == ERR_NONE) {
        if (backoff_leave(&s->backoff)) {
            log_info("steward.resumed", "site=%s", s->config->site);
        }
        rest(s->config->steward.tick_ms);
        return;
    }
    if (code == ERR_REFUSED) {
        log_err(LOG_ERROR_, "ledger.refused", &e);
        s->quiet_until = clock_mono() + (usec)REFUSED_PAUSE_S * USEC_SECOND;
        rest(s->config->steward.tick_ms);
        return;
    }
    if (backoff_enter(&s->backoff)) {
        log_err(LOG_WARN_, "steward.waiting", &e);
    }
    db_free(&s->db);
    backoff_wait(&s->backoff);
}

static enum err_code load(struct steward *s, struct err *e)
{
    struct problems p = {0};
    enum err_code code = keyring_open(s->config->keys, &s->keys, e);
    if (code == ERR_NONE && !(s->catalogue = catalogue_load(s->config->catalogue, &p))) {
        code = ERR(e, ERR_CONFIG, 0, "%zu problems in %s: see dari check", p.count,
                   s->config->catalogue);
    }
    problems_release(&p);
    return code;
}

int role_steward(const struct config *c, const struct config_feed *feed)
{
    (void)feed;
    struct steward s = {.config = c};
    struct err e = {0};
    char path[4096];
    enum err_code code = role_begin(c, "steward", &e);
    if (code == ERR_NONE &&
        snprintf(path, sizeof path, "%s/ledger.key", c->keys) >= (int)sizeof path) {
        code = ERR(&e, ERR_CONFIG, 0, "the path of the keys folder is too long");
    }
    code = code == ERR_NONE ? signer_open(path, &s.signer, &e) : code;
    code = code == ERR_NONE ? load(&s, &e) : code;
    if (code != ERR_NONE) {
        return role_failed("steward.failed", &e);
    }
    role_ready();
    log_info("steward.started", "site=%s", c->site);
    while (!role_stop) {
        one_round(&s);
    }
    log_info("steward.stopped", "site=%s", c->site);
    db_free(&s.db);
    signer_free(&s.signer);
    keyring_free(&s.keys);
    catalogue_free(&s.catalogue);
    log_close();
    return 0;
}
