#include "core/intake/backlog.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/intake/group.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 4 * 1024 * 1024 }; /* in one flush, unless one message is larger */

struct backlog {
    const struct intake_settings *s;
    struct spool *spool;
};

enum err_code backlog_open(const struct intake_settings *s, struct backlog **out, struct err *e)
{
    char path[PATH_MAX];
    int64_t limit = s->sequence ? 0 : s->spool_max;
    *out = NULL;
    snprintf(path, sizeof path, "%s/%s.spool", s->spool, s->feed);
    if (limit == 0 && !file_exists(path)) {
        return ERR_NONE;
    }
    struct backlog *b = calloc(1, sizeof *b);
    if (!b) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    b->s = s;
    enum err_code code = spool_open(s->spool, s->feed, limit, &b->spool, e);
    if (code != ERR_NONE) {
        backlog_free(&b);
        return code;
    }
    if (spool_count(b->spool)) {
        log_info("spool.found", "feed=%s messages=%zu", s->feed, spool_count(b->spool));
    }
    *out = b;
    return ERR_NONE;
}

void backlog_free(struct backlog **pb)
{
    struct backlog *b = *pb;
    if (b) {
        spool_free(&b->spool);
        free(b);
        *pb = NULL;
    }
}

static const char *context(const struct backlog *b, struct arena *a, const char *kind,
                           const unsigned char id[16])
{
    struct buf hex;
    buf_init(&hex, 64);
    buf_hex(&hex, (struct str){(const char *)id, 16});
    const char *text = buf_ok(&hex) ? arena_printf(a, "%s/%s/%s", b->s->site, kind, hex.p) : NULL;
    buf_release(&hex);
    return text;
}

/* ---- in ---- */

static enum err_code seal_reply(const struct backlog *b, const struct job *j, struct buf *out,
                                struct err *e)
{
    const char *where = context(b, j->arena, "spool", j->p.id);
    buf_reset(out);
    return where ? seal(b->s->keys, str_of(where), j->reply, out, e)
                 : ERR(e, ERR_NOMEM, 0, "no memory for the spool");
}

/* Is it there already? Then it is answered like its first copy. */
static bool known(struct backlog *b, struct job *j)
{
    struct spool_record r;
    struct str reply;
    const char *where = context(b, j->arena, "spool", j->p.id);
    if (!where || spool_find(b->spool, j->arena, j->p.id, &r, NULL) != ERR_NONE ||
        unseal(b->s->keys, j->arena, str_of(where), r.reply, &reply, NULL) != ERR_NONE) {
        return false;
    }
    j->reply = reply;
    return true;
}

static bool put(struct backlog *b, struct job *j, struct buf *reply)
{
    struct err e = {0};
    struct spool_record r = {.at = j->at, .sealed = j->sealed};
    enum err_code code = seal_reply(b, j, reply, &e);
    if (code == ERR_NONE) {
        memcpy(r.id, j->p.id, sizeof r.id);
        r.reply = buf_str(reply);
        code = spool_add(b->spool, &r, &e);
    }
    if (code != ERR_NONE && code != ERR_FULL) {
        log_err(LOG_ERROR_, "spool.add", &e);
    }
    return code == ERR_NONE;
}

size_t backlog_put(struct backlog *b, const struct jobs *from, size_t max)
{
    struct err e = {0};
    struct buf reply;
    size_t n = 0, bytes = 0;
    buf_init(&reply, 1 << 20);
    for (struct job *j = from->first; j && n < max && bytes < MAX_BYTES; j = j->next, n++) {
        j->spooled = !j->refused && (known(b, j) || put(b, j, &reply));
        bytes += j->sealed.n + j->reply.n;
    }
    buf_release(&reply);
    if (spool_sync(b->spool, &e) != ERR_NONE) {
        log_err(LOG_ERROR_, "spool.sync", &e);
        size_t i = 0;
        for (struct job *j = from->first; i < n; j = j->next, i++) {
            j->spooled = false;
        }
    }
    return n;
}

/* ---- out ---- */

static enum err_code prepare_again(const struct backlog *b, const struct prepare_settings *p,
                                   struct job *j, const struct spool_record *r, struct err *e)
{
    struct str raw;
    const char *message = context(b, j->arena, "message", r->id),
               *spool = context(b, j->arena, "spool", r->id);
    if (!message || !spool) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    enum err_code code = unseal(b->s->keys, j->arena, str_of(message), r->sealed, &raw, e);
    if (code == ERR_NONE) {
        code = unseal(b->s->keys, j->arena, str_of(spool), r->reply, &j->reply, e);
    }
    if (code == ERR_NONE) {
        code = prepare_message(p, j->arena, STR(""), raw, r->at, &j->p, e);
    }
    /* The configuration may have changed since: it stays the message that was answered. */
    memcpy(j->p.id, r->id, sizeof j->p.id);
    return code;
}

enum err_code backlog_take(struct backlog *b, const struct prepare_settings *p, struct job *j,
                           struct err *e)
{
    struct spool_record r;
    enum err_code code = spool_read(b->spool, j->arena, &r, e);
    if (code == ERR_NONE) {
        code = prepare_again(b, p, j, &r, e);
        j->sealed = r.sealed;
        j->at = r.at;
        j->spooled = true;
        job_read_code(j);
        if (code != ERR_NONE) {
            spool_unread(b->spool);
        }
    }
    return code;
}

void backlog_return(struct backlog *b)
{
    spool_unread(b->spool);
}

void backlog_done(struct backlog *b)
{
    spool_done(b->spool);
}

void backlog_again(struct backlog *b)
{
    spool_rewind(b->spool);
}

size_t backlog_count(const struct backlog *b)
{
    return b ? spool_count(b->spool) : 0;
}

const struct spool *backlog_spool(const struct backlog *b)
{
    return b ? b->spool : NULL;
}
