#include "core/stream/relay.h"

#include "core/base/log.h"
#include "core/stream/consumers.h"
#include "core/stream/cursor.h"
#include "core/stream/relay_internal.h"
#include "core/stream/wake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OUT_MAX = 4 * 1024 * 1024, INBOX = 512, KNOCKS = 3, DB_FIRST_MS = 200, DB_LAST_MS = 5000 };

/* ---- the database ---- */

void relay_db_failed(struct relay *r, const struct err *e)
{
    if (r->db && db_alive(r->db)) {
        log_err(LOG_ERROR_, "relay.statement", e);
    } else if (!r->db_away) {
        log_err(LOG_WARN_, "relay.database-away", e);
        r->db_away = true;
    }
    db_free(&r->db);
    r->db_wait_ms = r->db_wait_ms ? r->db_wait_ms * 2 : DB_FIRST_MS;
    r->db_wait_ms = r->db_wait_ms < DB_LAST_MS ? r->db_wait_ms : DB_LAST_MS;
    r->db_at = clock_mono() + r->db_wait_ms * 1000;
}

static void read_keys(struct relay *r, const struct consumers *c)
{
    struct allow_list now;
    struct err e;
    if (consumers_allowed(c, &now, &e) != ERR_NONE) {
        relay_db_failed(r, &e);
        return;
    }
    allow_release(&r->allowed);
    r->allowed = now;
    relay_check_keys(r);
}

static void look_after_db(struct relay *r)
{
    struct err e;
    if (!r->db && clock_mono() >= r->db_at) {
        if (r->s->open_db(r->s->ctx, &r->db, &e) != ERR_NONE) {
            relay_db_failed(r, &e);
            return;
        }
        const struct consumers c = {r->db, r->turn, r->s->site, "relay"};
        if (consumers_own(&c, r->s->keys, &e) != ERR_NONE) {
            relay_db_failed(r, &e);
            return;
        }
        if (r->db_away) {
            log_info("relay.database-back", "");
        }
        r->db_away = false;
        r->db_wait_ms = 0;
        r->keys = r->look = true;
    }
    if (r->db && (r->keys || clock_mono() >= r->keys_at)) {
        const struct consumers c = {r->db, r->turn, r->s->site, "relay"};
        r->keys = false;
        r->keys_at = clock_mono() + (usec)KEYS_MS * 1000;
        read_keys(r, &c);
    }
}

/* Somebody could take events: look often. Nobody could: once a second, for HINT and PONG. */
static int64_t look_ms(const struct relay *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (session_may(r->sessions[i])) {
            return LOOK_MS;
        }
    }
    return KEYS_MS;
}

static void look_at_head(struct relay *r)
{
    struct err e;
    bool late = clock_mono() - r->looked >= look_ms(r) * 1000;
    if (!r->db || r->count == 0 || !(r->look || late)) {
        return;
    }
    r->look = false;
    r->looked = clock_mono();
    if (cursor_head(r->db, r->turn, r->s->site, &r->head, &e) != ERR_NONE) {
        relay_db_failed(r, &e);
    }
}

/* ---- the self-test ---- */

static void knock(struct relay *r)
{
    char endpoint[512];
    struct err e;
    snprintf(endpoint, sizeof endpoint, "ipc://%s", r->s->local);
    door_free(&r->door);
    if (door_knock(r->context, endpoint, r->public_key, &r->door, &e) != ERR_NONE) {
        log_err(LOG_ERROR_, "relay.self-test", &e);
        r->failed = true;
    }
    r->knocks++;
}

static void look_at_door(struct relay *r)
{
    enum door_state state = r->door ? door_look(r->door) : DOOR_WAITING;
    if (!r->door && clock_mono() >= r->door_at) {
        knock(r);
    }
    if (state == DOOR_WAITING) {
        return;
    }
    if (state == DOOR_SHUT) {
        door_free(&r->door);
        r->knocks = 0;
        r->proven = true;
        r->door_at = clock_mono() + (usec)DOOR_MS * 1000;
        log_info("relay.self-test", "result=passed stranger=refused");
    } else if (state == DOOR_OPEN) {
        log_error("relay.self-test", "result=failed stranger=admitted");
        r->failed = true;
    } else if (r->knocks >= KNOCKS) {
        log_error("relay.self-test", "result=failed stranger=%s",
                  state == DOOR_DEAF ? "not-asked-about" : "without-answer");
        r->failed = true;
    } else {
        knock(r);
    }
}

/* ---- the loop ---- */

static int wait_ms(const struct relay *r, bool more)
{
    if (more) {
        return 0;
    }
    bool full = false;
    for (size_t i = 0; i < r->count; i++) {
        full |= r->sessions[i]->full > clock_mono();
    }
    return full ? 10 : LOOK_MS;
}

static void wait_for_anything(struct relay *r, int ms)
{
    zmq_pollitem_t items[4] = {{.socket = zap_socket(r->zap), .events = ZMQ_POLLIN}};
    int n = 1;
    if (r->proven) {
        items[n++] = (zmq_pollitem_t){.socket = r->router, .events = ZMQ_POLLIN};
    }
    if (r->door) {
        items[n++] = (zmq_pollitem_t){.socket = door_socket(r->door), .events = ZMQ_POLLIN};
    }
    if (r->wake >= 0) {
        items[n++] = (zmq_pollitem_t){.fd = r->wake, .events = ZMQ_POLLIN};
    }
    zmq_poll(items, n, ms);
}

static void take_messages(struct relay *r)
{
    struct socket_message m;
    for (int i = 0; i < INBOX && socket_recv(r->router, SIDE_RELAY, &m); i++) {
        relay_serve(r, &m);
        socket_drop(&m);
    }
}

static void end_idle(struct relay *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (clock_mono() - r->sessions[i]->heard > (usec)IDLE_MS * 1000) {
            session_end(r, r->sessions[i], "idle");
        }
    }
}

static void say_refused(struct relay *r, int refused)
{
    if (refused && r->proven) {
        log_warn("relay.unknown-key", "handshakes=%d", refused);
    }
}

static bool turn(struct relay *r)
{
    bool more = false;
    say_refused(r, zap_serve(r->zap, &r->allowed));
    look_at_door(r);
    if (r->wake >= 0) {
        r->look |= wake_take(r->wake, &r->keys);
    }
    if (r->proven) {
        look_after_db(r);
        take_messages(r);
        end_idle(r);
        relay_commit(r);
        relay_reap(r);
        look_at_head(r);
        more = relay_pump(r);
        relay_commit(r);
        relay_reap(r);
    }
    arena_reset(r->turn);
    return more;
}

/* ---- beginning and end ---- */

static enum err_code bind_to(struct relay *r, const char *endpoint, struct err *e)
{
    if (zmq_bind(r->router, endpoint) == 0) {
        return ERR_NONE;
    }
    return ERR(e, ERR_CONFIG, 0, "cannot serve the stream at %s: %s", endpoint,
               zmq_strerror(zmq_errno()));
}

/* The handler first: a CURVE socket without one would let everybody in. */
static enum err_code open_sockets(struct relay *r, const char *secret_key, struct err *e)
{
    char endpoint[512];
    r->context = zmq_ctx_new();
    enum err_code code = r->context ? zap_open(r->context, &r->zap, e)
                                    : ERR(e, ERR_NOMEM, 0, "no memory for ZeroMQ");
    if (code == ERR_NONE) {
        r->router = socket_new(r->context, SIDE_RELAY, r->s->max_messages, e);
        code = r->router ? socket_serve_curve(r->router, secret_key, e) : ERR_PEER;
    }
    if (code == ERR_NONE) {
        mode_t before = umask(077); /* the folder is ours alone, and so is the socket */
        snprintf(endpoint, sizeof endpoint, "ipc://%s", r->s->local);
        code = bind_to(r, endpoint, e);
        umask(before);
    }
    if (code == ERR_NONE && r->s->address) {
        snprintf(endpoint, sizeof endpoint, "tcp://%s:%d", r->s->address, r->s->port);
        code = bind_to(r, endpoint, e);
    }
    return code;
}

static enum err_code load(struct relay *r, struct err *e)
{
    struct problems p = {0};
    enum err_code code = keyring_open(r->s->keys, &r->ring, e);
    if (code == ERR_NONE) {
        r->catalogue = catalogue_load(r->s->catalogue, &p);
        if (!r->catalogue) {
            problems_print(&p, stderr);
            code = ERR(e, ERR_CONFIG, 0, "%zu problems in %s: correct them, see dari check",
                       p.count, r->s->catalogue);
        }
    }
    problems_release(&p);
    if (code == ERR_NONE) {
        r->turn = arena_new(0);
        r->pages = pages_new();
        buf_init(&r->out, OUT_MAX);
        code = r->turn && r->pages ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for the relay");
    }
    return code;
}

static enum err_code start(struct relay *r, struct err *e)
{
    char secret_key[CURVE_TEXT];
    enum err_code code = load(r, e);
    if (code == ERR_NONE) {
        code = curve_read(r->s->keys, "stream.pub", r->public_key, e);
    }
    if (code == ERR_NONE) {
        code = curve_read(r->s->keys, "stream.key", secret_key, e);
    }
    if (code == ERR_NONE) {
        code = open_sockets(r, secret_key, e);
    }
    explicit_bzero(secret_key, sizeof secret_key);
    if (code == ERR_NONE) {
        r->wake = wake_open(r->s->run);
    }
    return code;
}

static void finish(struct relay *r)
{
    for (size_t i = 0; i < r->count; i++) {
        session_end(r, r->sessions[i], "stopping");
    }
    if (r->turn) {
        relay_commit(r);
        relay_reap(r);
    }
    wake_close(r->wake, r->s->run);
    door_free(&r->door);
    if (r->router) {
        int linger = 200; /* for the BYE; state is in PostgreSQL */
        zmq_setsockopt(r->router, ZMQ_LINGER, &linger, sizeof linger);
        zmq_close(r->router);
    }
    zap_free(&r->zap);
    if (r->context) {
        zmq_ctx_term(r->context);
    }
    db_free(&r->db);
    pages_free(&r->pages);
    arena_free(&r->turn);
    buf_release(&r->out);
    allow_release(&r->allowed);
    catalogue_free(&r->catalogue);
    keyring_free(&r->ring);
}

enum err_code relay_run(const struct relay_settings *s, struct err *e)
{
    struct relay *r = calloc(1, sizeof *r);
    if (!r) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the relay");
    }
    r->s = s;
    r->wake = -1;
    enum err_code code = start(r, e);
    if (code == ERR_NONE) {
        log_info("relay.ready", "local=%s address=%s port=%d", s->local,
                 s->address ? s->address : "-", s->address ? s->port : 0);
        if (s->ready) {
            s->ready();
        }
    }
    bool more = false;
    while (code == ERR_NONE && !*s->stop) {
        wait_for_anything(r, wait_ms(r, more));
        more = turn(r);
        if (r->failed) {
            code = ERR(e, ERR_REFUSED, 0,
                       "the self-test failed: a stranger was not refused by our own list");
        }
    }
    finish(r);
    free(r);
    return code;
}
