#include "core/base/log.h"
#include "core/stream/cursor.h"
#include "core/stream/relay_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static enum socket_sent reply2(struct relay *r, struct str route, const char *command,
                               const char *a, const char *b)
{
    const struct str frames[] = {str_of(command), str_of(a), str_of(b)};
    return socket_send(r->router, route, frames, b ? 3 : 2);
}

/* ---- sessions ---- */

static struct session *by_route(struct relay *r, struct str route)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!r->sessions[i]->over && str_eq(session_route(r->sessions[i]), route)) {
            return r->sessions[i];
        }
    }
    return NULL;
}

void session_end(struct relay *r, struct session *x, const char *reason)
{
    if (x->over) {
        return;
    }
    x->over = true;
    if (reason) {
        reply2(r, session_route(x), "BYE", reason, NULL);
    }
    log_info("relay.session-ended",
             "consumer=%s epoch=%" PRId64 " reason=%s sent=%" PRId64 " confirmed=%" PRId64, x->name,
             x->epoch, reason ? reason : "gone", x->sent, x->confirmed);
}

void session_fail(struct relay *r, struct session *x, const char *code, const char *text)
{
    if (!x->over) {
        reply2(r, session_route(x), "ERROR", code, text);
        log_warn("relay.error", "consumer=%s code=%s", x->name, code);
        session_end(r, x, NULL);
    }
}

/* What left and was not acknowledged is on record, too. */
static void record_unconfirmed(struct relay *r, const struct session *x)
{
    struct err e;
    if (x->sent <= x->confirmed) {
        return;
    }
    if (!r->db ||
        cursor_unconfirmed(r->db, r->turn, r->s->site, x->name, contract_label(x->contract),
                           x->epoch, x->confirmed + 1, x->sent, clock_now(), &e) != ERR_NONE) {
        log_warn("relay.unconfirmed",
                 "consumer=%s epoch=%" PRId64 " first=%" PRId64 " last=%" PRId64, x->name, x->epoch,
                 x->confirmed + 1, x->sent);
        if (r->db) {
            relay_db_failed(r, &e);
        }
    }
}

void relay_reap(struct relay *r)
{
    for (size_t i = 0; i < r->count;) {
        struct session *x = r->sessions[i];
        if (!x->over) {
            i++;
            continue;
        }
        record_unconfirmed(r, x);
        contract_free(&x->contract);
        free(x);
        r->sessions[i] = r->sessions[--r->count];
    }
}

void relay_check_keys(struct relay *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct session *x = r->sessions[i];
        const struct allowed *who = allow_find(&r->allowed, x->key);
        if (!x->over && (!who || strcmp(who->name, x->name) != 0)) {
            session_end(r, x, "revoked");
        }
    }
}

/* ---- HELLO ---- */

struct greeting {
    const struct wire_request *q;
    const char *name, *key;
    struct str route;
    struct cursor_view view;
    int64_t start, confirmed, claimed;
};

static void refuse(struct relay *r, const struct greeting *g, const char *code, const char *text)
{
    log_warn("relay.hello-refused", "consumer=%s code=%s", g->name, code);
    reply2(r, g->route, "ERROR", code, text);
}

/* Where the session begins. False: refused. */
static bool find_start(struct relay *r, struct greeting *g)
{
    const struct cursor_view *v = &g->view;
    switch (g->q->from) {
    case FROM_CURSOR:
        g->start = v->acked;
        break;
    case FROM_FIRST:
        g->start = v->first - 1;
        break;
    case FROM_HEAD:
        g->start = v->head;
        break;
    case FROM_TIME:
        g->start = v->at_time - 1;
        break;
    case FROM_NUMBER:
        g->start = g->q->seq;
        break;
    }
    if (g->start > v->head) {
        refuse(r, g, "range", "from is behind the stream's head");
        return false;
    }
    if (g->start < v->first - 1) {
        char text[96];
        snprintf(text, sizeof text, "these events are no longer here; the first is %" PRId64,
                 v->first);
        refuse(r, g, "expired", text);
        return false;
    }
    /* A number is a claim: "I have everything up to it". The other words skip or replay. */
    bool claims = g->q->from == FROM_NUMBER && g->start > v->acked;
    g->confirmed = claims ? v->acked : g->start;
    g->claimed = claims ? g->start : 0;
    return true;
}

static void welcome(struct relay *r, const struct session *x, const struct cursor_view *v,
                    int64_t start)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:s}", "protocol",
                  WIRE_PROTOCOL, "site", r->s->site, "consumer", x->name, "epoch",
                  (json_int_t)x->epoch, "acked", (json_int_t)v->acked, "start", (json_int_t)start,
                  "first", (json_int_t)v->first, "head", (json_int_t)v->head, "contract",
                  contract_label(x->contract), "max_messages", (json_int_t)r->s->max_messages,
                  "max_bytes", (json_int_t)RELAY_MAX_BYTES, "checkpoint", v->checkpoint);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    if (text) {
        reply2(r, session_route(x), "WELCOME", text, NULL);
    }
    free(text);
    json_decref(o);
}

static struct contract *load_contract(struct relay *r, const struct greeting *g)
{
    struct problems p = {0};
    struct contract *c = contract_load(r->s->contracts, g->view.contract, r->catalogue, &p);
    if (!c) {
        log_error("relay.contract", "consumer=%s contract=%s problems=%zu", g->name,
                  g->view.contract, p.count);
        problems_print(&p, stderr);
        refuse(r, g, "contract", "the contract cannot be loaded: the operator was told");
    }
    problems_release(&p);
    return c;
}

static void open_session(struct relay *r, struct greeting *g, struct contract *contract)
{
    struct err e;
    int64_t epoch = 0;
    struct session *x = r->count < RELAY_SESSIONS ? calloc(1, sizeof *x) : NULL;
    enum err_code code =
        x && g->route.n < sizeof x->route
            ? cursor_begin(r->db, r->turn, r->s->site, g->name, g->view.contract,
                           contract_label(contract), g->start, clock_now(), &epoch, &e)
            : ERR(&e, ERR_FULL, 0, "too many sessions");
    if (code != ERR_NONE) {
        refuse(r, g, "away", "not now: try again");
        log_err(LOG_WARN_, "relay.hello", &e);
        contract_free(&contract);
        free(x);
        if (code != ERR_FULL && code != ERR_REFUSED) {
            relay_db_failed(r, &e);
        }
        return;
    }
    *x = (struct session){.route_size = g->route.n,
                          .contract = contract,
                          .epoch = epoch,
                          .confirmed = g->confirmed,
                          .wanted = g->confirmed,
                          .claimed = g->claimed,
                          .sent = g->start,
                          .passed = g->start,
                          .hint_passed = g->start,
                          .heard = clock_mono()};
    memcpy(x->route, g->route.p, g->route.n);
    snprintf(x->name, sizeof x->name, "%s", g->name);
    snprintf(x->key, sizeof x->key, "%s", g->key);
    r->sessions[r->count++] = x;
    r->head = g->view.head > r->head ? g->view.head : r->head;
    log_info("relay.session", "consumer=%s epoch=%" PRId64 " start=%" PRId64 " contract=%s",
             x->name, epoch, g->start, contract_label(contract));
    welcome(r, x, &g->view, g->start);
}

/* The newest session of a consumer is the only one. */
static void replace_older(struct relay *r, const struct greeting *g)
{
    for (size_t i = 0; i < r->count; i++) {
        struct session *x = r->sessions[i];
        if (!x->over && strcmp(x->name, g->name) == 0) {
            bool same = str_eq(session_route(x), g->route);
            session_end(r, x, same ? NULL : "replaced");
        }
    }
    relay_commit(r); /* its acknowledgements belong to its epoch */
    relay_reap(r);
}

/* A HELLO costs a ledger entry and the reading of a contract, while everybody else waits. */
static bool too_eager(struct relay *r, const char *name)
{
    enum { WINDOW_S = 10, HELLOS = 100 };
    usec now = clock_mono();
    struct greeted *g = &r->greeted[0];
    for (size_t i = 0; i < RELAY_SESSIONS && strcmp(g->name, name) != 0; i++) {
        struct greeted *o = &r->greeted[i];
        g = strcmp(o->name, name) == 0 || o->since < g->since ? o : g;
    }
    if (strcmp(g->name, name) != 0 || now - g->since > WINDOW_S * USEC_SECOND) {
        *g = (struct greeted){.since = now};
        snprintf(g->name, sizeof g->name, "%s", name);
    }
    return ++g->count > HELLOS;
}

static void hello(struct relay *r, struct greeting *g)
{
    struct err e;
    if (!str_is(g->q->site, r->s->site)) {
        refuse(r, g, "site", "this relay serves another site");
        return;
    }
    replace_older(r, g);
    if (too_eager(r, g->name)) {
        refuse(r, g, "away", "too many HELLOs: wait a little");
        return;
    }
    enum err_code code = ERR_DB;
    if (r->db) {
        code = cursor_view(r->db, r->turn, r->s->site, g->name,
                           g->q->from == FROM_TIME ? g->q->time : 0, &g->view, &e);
        if (code != ERR_NONE) {
            relay_db_failed(r, &e);
        }
    }
    if (code != ERR_NONE) {
        refuse(r, g, "away", "the database is away: try again");
    } else if (str_is(g->view.state, "paused")) {
        log_warn("relay.hello-refused", "consumer=%s code=paused", g->name);
        reply2(r, g->route, "BYE", "paused", NULL);
    } else if (!str_is(g->view.state, "active")) {
        reply2(r, g->route, "BYE", "revoked", NULL);
    } else if (find_start(r, g)) {
        struct contract *contract = load_contract(r, g);
        if (contract) {
            open_session(r, g, contract);
        }
    }
}

/* ---- the other requests ---- */

static void credit(struct relay *r, struct session *x, const struct wire_request *q)
{
    if (q->messages > r->s->max_messages - x->messages || q->bytes > RELAY_MAX_BYTES - x->bytes) {
        session_fail(r, x, "credit", "more credit than WELCOME allows");
        return;
    }
    x->messages += q->messages;
    x->bytes += q->bytes;
}

static void ack(struct relay *r, struct session *x, const struct wire_request *q)
{
    char text[WIRE_DIGITS];
    if (q->seq > x->passed) {
        session_fail(r, x, "ack", "above what was sent");
        return;
    }
    if (q->seq > x->wanted) {
        x->wanted = q->seq;
    } else if (q->seq <= x->confirmed) {
        wire_number(q->seq, text); /* committed already: say so again */
        reply2(r, session_route(x), "ACKED", text, NULL);
    }
}

static void nack(struct relay *r, struct session *x, const struct wire_request *q)
{
    struct err e;
    if (q->seq <= x->confirmed || q->seq > x->sent) {
        session_fail(r, x, "nack", "not a number that was sent and is unacknowledged");
        return;
    }
    relay_commit(r);
    if (!r->db || x->over) {
        session_fail(r, x, "away", "the database is away: try again");
        return;
    }
    enum err_code code = cursor_pause(r->db, r->turn, r->s->site, x->name, x->epoch, q->seq,
                                      q->code, clock_now(), &e);
    if (code == ERR_NONE) {
        log_error("relay.paused", "consumer=%s seq=%" PRId64 " code=%.*s", x->name, q->seq,
                  STR_ARG(q->code));
        session_end(r, x, "paused");
    } else if (code == ERR_REFUSED) {
        session_end(r, x, "replaced");
    } else {
        relay_db_failed(r, &e);
        session_fail(r, x, "away", "the database is away: try again");
    }
}

static void request(struct relay *r, struct session *x, const struct wire_request *q)
{
    char head[WIRE_DIGITS];
    x->heard = clock_mono();
    switch (q->kind) {
    case REQUEST_CREDIT:
        credit(r, x, q);
        break;
    case REQUEST_ACK:
        ack(r, x, q);
        break;
    case REQUEST_NACK:
        nack(r, x, q);
        break;
    case REQUEST_PING:
        wire_number(r->head, head);
        reply2(r, session_route(x), "PONG", head, NULL);
        break;
    case REQUEST_BYE:
        session_end(r, x, NULL);
        break;
    case REQUEST_HELLO:
        break;
    }
}

void relay_serve(struct relay *r, const struct socket_message *m)
{
    struct wire_request q;
    struct err e;
    struct session *x = by_route(r, m->route);
    const struct allowed *who = allow_find(&r->allowed, m->key);
    if (!who || !m->user || strcmp(who->name, m->user) != 0) {
        if (x) {
            session_end(r, x, "revoked");
        } else {
            reply2(r, m->route, "BYE", "revoked", NULL);
        }
        return;
    }
    if (x && (strcmp(x->name, who->name) != 0 || strcmp(x->key, who->key) != 0)) {
        session_end(r, x, NULL); /* somebody else took the place of that connection */
        x = NULL;
    }
    enum err_code code = wire_request(m->frames, m->count, &q, &e);
    if (code != ERR_NONE) {
        const char *word = code == ERR_UNSUPPORTED ? "protocol" : "command";
        if (x) {
            session_fail(r, x, word, e.msg);
        } else {
            reply2(r, m->route, "ERROR", word, e.msg);
        }
    } else if (q.kind == REQUEST_HELLO) {
        struct greeting g = {.q = &q, .name = who->name, .key = who->key, .route = m->route};
        hello(r, &g);
    } else if (x) {
        request(r, x, &q);
    } else if (q.kind != REQUEST_BYE) {
        reply2(r, m->route, "ERROR", "hello", "say HELLO first");
    }
    arena_reset(r->turn);
}

/* ---- acknowledgements ---- */

static enum err_code commit_one(struct relay *r, struct session *x, struct err *e)
{
    const struct cursor_ack k = {
        .site = r->s->site,
        .name = x->name,
        .label = contract_label(x->contract),
        .epoch = x->epoch,
        .first = x->confirmed + 1,
        .last = x->wanted,
        .claimed = x->claimed,
        .types = contract_types(x->contract),
        .now = clock_now(),
    };
    enum err_code code = cursor_ack(r->db, r->turn, &k, e);
    if (code == ERR_REFUSED) {
        x->wanted = x->confirmed;
        session_end(r, x, "replaced");
        return ERR_NONE;
    }
    return code;
}

static void acked(struct relay *r, struct session *x, int64_t seq)
{
    char text[WIRE_DIGITS];
    if (seq <= x->confirmed) {
        return;
    }
    x->confirmed = seq;
    if (!x->over) {
        wire_number(seq, text);
        reply2(r, session_route(x), "ACKED", text, NULL);
    }
}

/* After a commit without an answer: did it happen? Only then may the next one follow. */
static enum err_code settle(struct relay *r, struct session *x, struct err *e)
{
    bool yes = false;
    if (!x->doubt) {
        return ERR_NONE;
    }
    enum err_code code =
        cursor_acked(r->db, r->turn, r->s->site, x->name, x->epoch, x->doubt, &yes, e);
    if (code == ERR_NONE) {
        acked(r, x, yes ? x->doubt : 0);
        x->doubt = 0;
    }
    return code;
}

void relay_commit(struct relay *r)
{
    struct err e;
    enum err_code code = ERR_NONE;
    size_t waiting = 0;
    for (size_t i = 0; i < r->count && r->db && code == ERR_NONE; i++) {
        code = settle(r, r->sessions[i], &e);
        waiting += r->sessions[i]->wanted > r->sessions[i]->confirmed;
    }
    if (!r->db || (code == ERR_NONE && waiting == 0)) {
        return;
    }
    bool grouped = waiting > 1;
    code = code == ERR_NONE && grouped ? db_begin(r->db, &e) : code;
    for (size_t i = 0; i < r->count && code == ERR_NONE; i++) {
        if (r->sessions[i]->wanted > r->sessions[i]->confirmed) {
            code = commit_one(r, r->sessions[i], &e);
        }
    }
    code = code == ERR_NONE && grouped ? db_commit(r->db, &e) : code;
    for (size_t i = 0; i < r->count; i++) {
        if (code == ERR_NONE) {
            acked(r, r->sessions[i], r->sessions[i]->wanted);
        } else if (!r->sessions[i]->doubt && r->sessions[i]->wanted > r->sessions[i]->confirmed) {
            r->sessions[i]->doubt = r->sessions[i]->wanted; /* an unsettled one stays as it is */
        }
    }
    if (code != ERR_NONE) {
        db_rollback(r->db);
        relay_db_failed(r, &e);
    }
}
