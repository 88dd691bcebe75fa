#include "adapters/files/files_internal.h"

#include "adapters/files/rules.h"
#include "core/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { AWAY_MAX = 1000 };

void jobs_soon(struct adapter *a, int64_t ms)
{
    net_timer_set(a->turn, ms);
}

static size_t parts(const struct job *j)
{
    return j->unpacked ? j->member_count : 1;
}

/* ---- putting away ---- */

static bool still_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static enum err_code put_file(struct adapter *a, const struct job *j, const char *from,
                              struct arena *m, struct err *e)
{
    char day[CLOCK_TEXT];
    if (j->refused) {
        return shelf_refuse(from, a->error, j->path, buf_str(&j->problem), j->id, e);
    }
    const char *dated = arena_printf(m, "%s/%s", a->archive, day_text(zone_day(clock_now()), day));
    return dated ? shelf_move(from, dated, j->path, j->taken ? "" : ".duplicate", j->id, e)
                 : ERR(e, ERR_NOMEM, 0, "no memory");
}

static enum err_code put_reply(struct adapter *a, struct job *j, struct err *e)
{
    if (!j->reply.n) {
        return ERR_NONE;
    }
    enum err_code code = shelf_write(a->reply, j->path, ".reply", buf_str(&j->reply), j->id, e);
    if (code == ERR_NONE) {
        adapter_count(a->host, "reply_files", 1);
        buf_reset(&j->reply);
    }
    return code;
}

/* The reply first: while the file is in working, a crash makes us come back to both. */
static enum err_code put_away(struct adapter *a, struct job *j, enum trouble *t, struct err *e)
{
    struct arena *m = arena_new(0);
    const char *from = m ? desk_file(m, a, j, 0) : NULL;
    enum err_code code = from ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory");
    *t = TROUBLE_REPLY;
    if (code == ERR_NONE) {
        code = put_reply(a, j, e);
    }
    if (code == ERR_NONE) {
        *t = TROUBLE_ARCHIVE;
        code = still_there(from) ? put_file(a, j, from, m, e) : ERR_NONE;
    }
    arena_free(&m);
    return code;
}

/* False: it stays and is tried again later. */
static bool try_put_away(struct adapter *a, struct job *j)
{
    struct err e = {0};
    enum trouble t;
    if (put_away(a, j, &t, &e) != ERR_NONE) {
        trouble_on(a, t, e.msg);
        j->not_before = clock_mono() + a->o->retry_ms * 1000;
        return false;
    }
    trouble_off(a, TROUBLE_REPLY);
    trouble_off(a, TROUBLE_ARCHIVE);
    log_info("files.put-away", "id=%s as=%s", j->id,
             j->refused ? "error"
             : j->taken ? "taken"
                        : "duplicate");
    adapter_count(a->host, j->refused ? "refused" : j->taken ? "archived" : "duplicates", 1);
    a->waiting_away--;
    desk_close(a, j);
    return true;
}

/* ---- submitting ---- */

static void done(struct job *j)
{
    struct stat st;
    struct arena *m = arena_new(0);
    const char *file = m ? desk_file(m, j->a, j, 0) : NULL;
    if (file && lstat(file, &st) == 0 &&
        (st.st_size != j->size ||
         st.st_mtim.tv_sec * (int64_t)1000000000 + st.st_mtim.tv_nsec != j->time)) {
        buf_addz(&j->problem, "it was written to while it was being read; what stood in it then "
                              "was taken\n");
        j->refused++;
    }
    arena_free(&m);
    j->state = JOB_DONE;
    j->not_before = 0;
    j->a->waiting_away++;
}

static void next_part(struct job *j)
{
    j->at++;
    j->state = JOB_READY;
    if (j->at >= parts(j)) {
        done(j);
    }
}

void job_finished(struct job *j, const struct adapter_result *r)
{
    struct adapter *a = j->a;
    if (r->outcome == ADAPTER_RETRY) {
        j->state = JOB_READY;
        j->not_before = clock_mono() + a->o->retry_ms * 1000;
        jobs_soon(a, a->o->retry_ms);
        return;
    }
    log_info("files.read",
             "id=%s part=%zu outcome=%s read=%" PRId64 " mapped=%" PRId64 " rejected=%" PRId64
             " duplicates=%" PRId64,
             j->id, j->at + 1,
             r->outcome == ADAPTER_TAKEN   ? "taken"
             : r->outcome == ADAPTER_KNOWN ? "known"
                                           : "refused",
             r->read, r->mapped, r->rejected, r->duplicates);
    j->taken += r->outcome == ADAPTER_TAKEN;
    j->known += r->outcome == ADAPTER_KNOWN;
    if (r->outcome == ADAPTER_REFUSED) {
        j->refused++;
        if (j->unpacked) {
            buf_printf(&j->problem, "part %zu: ", j->at + 1);
        }
        buf_add(&j->problem, r->problem);
        buf_addc(&j->problem, '\n');
    }
    buf_add(&j->reply, r->reply);
    if (!buf_ok(&j->reply)) { /* half a reply would be worse than none */
        log_warn("files.no-reply", "id=%s why=\"it is too large\"", j->id);
        buf_reset(&j->reply);
    }
    next_part(j);
    jobs_soon(a, 0);
}

static void submit(struct adapter *a, struct job *j)
{
    struct arena *m = arena_new(0);
    const char *path = m ? desk_file(m, a, j, j->unpacked ? j->at + 1 : 0) : NULL;
    const char *name = m ? rule_text(m, str_of(j->path)) : NULL;
    if (name && j->unpacked) {
        const char *member = j->members[j->at];
        name = arena_printf(m, "%s:%s", name, member ? member : "");
    }
    if (!path || !name) {
        j->not_before = clock_mono() + a->o->retry_ms * 1000;
    } else {
        const struct adapter_file f = {.path = path, .name = name, .mark = NULL};
        j->state = JOB_SUBMITTED; /* finished() may come from inside */
        if (!adapter_submit_file(a->host, &f, j)) {
            j->state = JOB_READY;
            a->host_full = true;
        }
    }
    arena_free(&m);
}

static void refuse(struct job *j, const char *why)
{
    buf_addz(&j->problem, why);
    buf_addc(&j->problem, '\n');
    j->refused++;
    done(j);
}

/* "ok", "bad WHY" or "later WHY"; none: the helper crashed or hung. */
static void unpacked(struct adapter *a, struct job *j)
{
    const char *v = j->verdict;
    if (!v || strncmp(v, "bad ", 4) == 0) {
        refuse(j, v ? v + 4 : "it could not be unpacked: the process that did it ended or hung");
    } else if (strcmp(v, "ok") == 0 && j->member_count == 0) {
        refuse(j, "there is no file in it");
    } else if (strcmp(v, "ok") == 0) {
        trouble_off(a, TROUBLE_WORK);
        j->unpacked = true;
        j->state = JOB_READY;
    } else {
        trouble_on(a, TROUBLE_WORK, v + 6);
        j->state = JOB_NEW;
        j->not_before = clock_mono() + a->o->retry_ms * 1000;
    }
    free(j->verdict);
    j->verdict = NULL;
}

static void begin(struct adapter *a, struct job *j)
{
    struct err e = {0};
    if (!a->o->unpack || !unpack_wanted(j)) {
        j->state = JOB_READY;
    } else if (unpack_start(j, &e) != ERR_NONE) {
        trouble_on(a, TROUBLE_WORK, e.msg);
        j->not_before = clock_mono() + a->o->retry_ms * 1000;
    } else {
        j->state = JOB_UNPACKING;
    }
}

/* ---- the turn ---- */

/* Puts away what can be; false: nothing more can wait for that. */
static bool put_all_away(struct adapter *a, usec now)
{
    for (struct job *j = a->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state == JOB_DONE && j->not_before <= now && !try_put_away(a, j)) {
            break; /* the next one would fail as this did */
        }
    }
    return a->waiting_away < AWAY_MAX;
}

static struct job *first_open(struct adapter *a)
{
    struct job *j = a->jobs;
    while (j && j->state == JOB_DONE) {
        j = j->next;
    }
    return j;
}

/* The next complete file becomes a job. NULL: there is none, or it cannot be taken now. */
static struct job *claim(struct adapter *a)
{
    struct look_file *f;
    while (a->o->folder[0] && (f = look_first(&a->look, &a->rules, clock_mono()))) {
        struct err e = {0};
        struct job *j;
        enum err_code code = desk_claim(a, f, &j, &e);
        if (code == ERR_REFUSED) {
            f->unreadable = true;
            trouble_on(a, TROUBLE_UNREADABLE, e.msg);
            continue;
        }
        f->looks = 0;
        if (code == ERR_NONE) {
            trouble_off(a, TROUBLE_CLAIM);
            log_info("files.claimed", "id=%s size=%" PRId64, j->id, j->size);
            return j;
        }
        if (code != ERR_NOTFOUND) {
            trouble_on(a, TROUBLE_CLAIM, e.msg);
            a->opened = false; /* our folders may be gone: the next look makes them */
            return NULL;
        }
    }
    return NULL;
}

/* When something that waits may go on. */
static void sleep_until_due(struct adapter *a, usec now)
{
    usec due = 0;
    for (const struct job *j = a->jobs; j; j = j->next) {
        bool waits = j->state == JOB_DONE || j->state == JOB_NEW || j->state == JOB_READY;
        if (waits && j->not_before > now && (!due || j->not_before < due)) {
            due = j->not_before;
        }
    }
    if (due) {
        jobs_soon(a, (due - now) / 1000 + 1);
    }
}

static bool may_submit(const struct adapter *a, const struct job *j, usec now)
{
    return j && j->state == JOB_READY && j->not_before <= now && !a->host_full && !a->draining;
}

void jobs_turn(struct adapter *a)
{
    usec now = clock_mono();
    bool room = put_all_away(a, now);
    struct job *j = first_open(a);
    if (!j && room && !a->draining) {
        j = claim(a);
    }
    if (j && j->state == JOB_NEW && j->not_before <= now && !a->draining) {
        begin(a, j);
    }
    if (j && j->state == JOB_UNPACKING && !a->unpacker) {
        unpacked(a, j);
    }
    if (may_submit(a, j, now)) {
        submit(a, j);
    }
    if (may_submit(a, j, now) || (j && j->state == JOB_DONE)) {
        jobs_soon(a, 0);
    } else {
        sleep_until_due(a, now);
    }
}
