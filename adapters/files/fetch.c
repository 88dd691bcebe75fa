/*
 * The two ends of the fetching process: the parent starts it, hears what it says and starts it
 * again; the child does round after round. What both know of each other is the work folder.
 */
#include "adapters/files/fetch.h"

#include "core/base/file.h"
#include "core/base/log.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { SLICE_MS = 2000, PAUSE_FIRST_MS = 1000, PAUSE_MAX_MS = 60000, SILENCE_MS = 60000 };

/* ---- the child ---- */

void fetch_on(const struct fetching *f, enum trouble t, const char *why)
{
    helper_say(f->out, "on %s %s", trouble_name(t), why);
}

void fetch_off(const struct fetching *f, enum trouble t)
{
    helper_say(f->out, "off %s", trouble_name(t));
}

static void alive(void *ctx)
{
    helper_say(((const struct fetching *)ctx)->out, "alive");
}

static void pause_ms(struct fetching *f, int64_t ms)
{
    while (ms > 0) {
        int now = ms < SLICE_MS ? (int)ms : SLICE_MS;
        poll(NULL, 0, now);
        ms -= now;
        alive(f);
    }
}

static bool one_round(struct fetching *f)
{
    struct err e = {0};
    arena_reset(f->m);
    if (!f->remote && remote_new(f->o, alive, f, &f->remote, &e) != ERR_NONE) {
        fetch_on(f, TROUBLE_SERVER, e.msg);
        return false;
    }
    bool ok = fetch_round(f);
    if (!ok) {
        remote_free(&f->remote);
    }
    return ok;
}

static int64_t until_next(struct fetching *f, bool ok)
{
    usec now = clock_mono(), due = look_due(&f->look, f->rules, now);
    int64_t ms = ok ? f->o->scan_ms : f->o->retry_ms;
    if (ok && due && (due - now) / 1000 + 1 < ms) {
        ms = due > now ? (due - now) / 1000 + 1 : 10;
    }
    if (ok && look_first(&f->look, f->rules, now) && ms > 1000) {
        ms = 1000; /* more is there, as soon as what was fetched has been read */
    }
    return ms;
}

static int fetch_for_ever(void *ctx, int out)
{
    const struct adapter *a = ctx;
    static struct fetching f;
    f = (struct fetching){
        .o = a->o, .work = a->work, .working = a->working, .rules = &a->rules, .out = out};
    f.m = arena_new(0);
    if (!f.m || look_init(&f.look, NULL) != ERR_NONE) {
        return 1;
    }
    static const char *const kinds[] = {"partial", "fetched"};
    for (int i = 0; i < 2; i++) {
        struct err e = {0};
        const char *folder = arena_printf(f.m, "%s/%s", f.work, kinds[i]);
        if (!folder || file_make_folder(folder, 0700, &e) != ERR_NONE) {
            fetch_on(&f, TROUBLE_WORK, e.msg);
            return 1;
        }
    }
    for (;;) {
        pause_ms(&f, until_next(&f, one_round(&f)));
    }
}

/* ---- the parent ---- */

static void heard(struct adapter *a, struct str verb, struct str rest)
{
    struct str name;
    if (str_is(verb, "got")) {
        struct err e = {0};
        adapter_count(a->host, "fetched", 1);
        if (desk_adopt(a, rest, &e) != ERR_NONE) {
            log_err(LOG_ERROR_, "files.adopt", &e); /* it lies in working: the next start sees it */
        }
        jobs_soon(a, 0);
        return;
    }
    bool on = str_is(verb, "on"), off = str_is(verb, "off");
    if ((!on && !off) || !str_next(&rest, ' ', &name)) {
        return;
    }
    enum trouble t = trouble_named(name);
    if (t != TROUBLE_COUNT && on) {
        char why[200];
        snprintf(why, sizeof why, "%.*s", STR_ARG(rest));
        trouble_on(a, t, why);
    } else if (t != TROUBLE_COUNT) {
        trouble_off(a, t);
        a->fetch_pause_ms = PAUSE_FIRST_MS;
    }
}

static void line(void *ctx, struct str said)
{
    struct str verb;
    if (str_next(&said, ' ', &verb)) {
        heard(ctx, verb, said);
    }
}

static void ended(void *ctx, bool ok)
{
    struct adapter *a = ctx;
    struct err e = {0};
    (void)ok;
    a->fetcher = NULL;
    if (desk_recover(a, &e) != ERR_NONE) { /* what it put there and could not tell us of */
        trouble_on(a, TROUBLE_WORK, e.msg);
    }
    log_warn("files.fetcher", "state=ended again_ms=%lld", (long long)a->fetch_pause_ms);
    a->fetch_at = clock_mono() + a->fetch_pause_ms * 1000;
    a->fetch_pause_ms = a->fetch_pause_ms * 2 < PAUSE_MAX_MS ? a->fetch_pause_ms * 2 : PAUSE_MAX_MS;
    net_timer_set(a->scan, a->fetch_pause_ms);
}

void fetch_turn(struct adapter *a)
{
    struct err e = {0};
    if (a->fetcher || a->draining || clock_mono() < a->fetch_at) {
        return;
    }
    a->fetch_pause_ms = a->fetch_pause_ms ? a->fetch_pause_ms : PAUSE_FIRST_MS;
    const struct helper_work work = {.run = fetch_for_ever,
                                     .line = line,
                                     .ended = ended,
                                     .ctx = a,
                                     .silence_ms = SILENCE_MS + a->o->connect_ms + a->o->stall_ms};
    if (helper_start(a->loop, &work, &a->fetcher, &e) != ERR_NONE) {
        trouble_on(a, TROUBLE_SERVER, e.msg);
    }
}
