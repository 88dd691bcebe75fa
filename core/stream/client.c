#include "core/stream/client.h"

#include "core/crypto/keys.h"
#include "core/stream/socket.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 *   DOWN ──time──▶ JOINING ──connected──▶ GREETING ──WELCOME──▶ OPEN
 *    ▲                │ too long             │ too long           │ ERROR, BYE, three heartbeats
 *    └────────────────┴──────────────────────┴────────────────────┘
 *
 * JOINING has a socket whose handshake is not over: libzmq gives up for good on some refusals, so
 * after a while the socket is thrown away and made again. OPEN goes back to JOINING when the
 * connection broke and to GREETING after a gap.
 */
enum state { DOWN, JOINING, GREETING, OPEN };

enum { HEARTBEAT_MS = 5000, MISSED = 3, PATIENCE_MIN_MS = 2000, PATIENCE_MAX_MS = 16000 };
/* How far the cursor may lag behind events that the contract does not let through. */
enum { SKIPPED_UNACKED = 256 };

struct stream_client {
    char *endpoint, *site;
    char server_key[CURVE_TEXT], public_key[CURVE_TEXT], secret_key[CURVE_TEXT];
    int64_t wish_messages, wish_bytes; /* what the caller asked for */

    void *context, *socket;
    enum state state;
    usec at;         /* DOWN: when to try; JOINING, GREETING: when to give up */
    int patience_ms; /* how long JOINING may last; doubles */
    usec pinged, heard;
    int unanswered;
    bool told_silent, again; /* again: greet once more as soon as WELCOME came */

    int64_t from; /* what to greet with: a number, or STREAM_FROM_… */
    usec from_time;
    int64_t last, passed;                                       /* of this session */
    int64_t max_messages, max_bytes, left_messages, left_bytes; /* credit */
    int64_t ack_wanted, ack_sent;

    struct socket_message message; /* what the caller's slices point into */
    json_t *welcome;
};

static usec in_ms(int64_t ms)
{
    return clock_mono() + ms * 1000;
}

static bool take_key(char out[CURVE_TEXT], const char *key)
{
    unsigned char raw[32];
    if (!key || str_of(key).n != CURVE_TEXT - 1 || !z85_decode(key, raw)) {
        return false;
    }
    memcpy(out, key, CURVE_TEXT);
    return true;
}

enum err_code stream_open(const struct stream_settings *s, struct stream_client **out,
                          struct err *e)
{
    *out = NULL;
    struct stream_client *c = calloc(1, sizeof *c);
    if (!c || !(c->endpoint = strdup(s->endpoint)) || !(c->site = strdup(s->site))) {
        stream_free(&c);
        return ERR(e, ERR_NOMEM, 0, "no memory for a stream client");
    }
    if (!take_key(c->server_key, s->server_key) || !take_key(c->public_key, s->public_key) ||
        !take_key(c->secret_key, s->secret_key)) {
        stream_free(&c);
        return ERR(e, ERR_VALUE, 0, "not a CURVE key: 40 characters of Z85 expected");
    }
    c->wish_messages = s->messages > 0 ? s->messages : 256;
    c->wish_bytes = s->bytes > 0 ? s->bytes : 4 << 20;
    c->from = s->from;
    c->from_time = s->from_time;
    c->patience_ms = PATIENCE_MIN_MS;
    c->heard = clock_mono();
    *out = c;
    return ERR_NONE;
}

static void hang_up(struct stream_client *c, int64_t wait_ms)
{
    struct socket_message unread;
    socket_drop(&c->message);
    if (c->socket) {
        /* libzmq leaks a buffer when messages lie unread at the end; credit bounds their number. */
        while (socket_recv(c->socket, SIDE_CONSUMER, &unread)) {
            socket_drop(&unread);
        }
        zmq_close(c->socket);
        c->socket = NULL;
    }
    c->state = DOWN;
    c->at = in_ms(wait_ms);
}

void stream_free(struct stream_client **client)
{
    struct stream_client *c = *client;
    if (!c) {
        return;
    }
    if (c->state == OPEN) {
        const struct str bye = STR("BYE");
        socket_send(c->socket, (struct str){0}, &bye, 1);
    }
    hang_up(c, 0);
    if (c->context) {
        zmq_ctx_term(c->context);
    }
    json_decref(c->welcome);
    explicit_bzero(c->secret_key, sizeof c->secret_key);
    free(c->endpoint);
    free(c->site);
    free(c);
    *client = NULL;
}

int stream_fd(const struct stream_client *c)
{
    int fd = -1;
    size_t n = sizeof fd;
    if (!c->socket || zmq_getsockopt(c->socket, ZMQ_FD, &fd, &n) != 0) {
        return -1;
    }
    return fd;
}

/* ---- out ---- */

static bool say(struct stream_client *c, const struct str *frames, size_t n)
{
    return socket_send(c->socket, (struct str){0}, frames, n) == SENT;
}

static struct str from_text(const struct stream_client *c, char *text, size_t size)
{
    char at[CLOCK_TEXT];
    switch (c->from) {
    case STREAM_FROM_CURSOR:
        return STR("cursor");
    case STREAM_FROM_FIRST:
        return STR("first");
    case STREAM_FROM_HEAD:
        return STR("head");
    case STREAM_FROM_TIME:
        snprintf(text, size, "time:%s", clock_text_utc(c->from_time, at));
        return str_of(text);
    default:
        return wire_number(c->from, text);
    }
}

static void greet(struct stream_client *c)
{
    char text[CLOCK_TEXT + 8];
    const struct str frames[] = {STR("HELLO"), STR(WIRE_PROTOCOL), str_of(c->site),
                                 from_text(c, text, sizeof text)};
    c->again = false;
    if (say(c, frames, 4)) {
        c->state = GREETING;
        c->at = in_ms(HEARTBEAT_MS);
    } else {
        hang_up(c, 200);
    }
}

static void grant(struct stream_client *c)
{
    char messages[WIRE_DIGITS], bytes[WIRE_DIGITS];
    if (c->left_messages > c->max_messages / 2 && c->left_bytes > c->max_bytes / 2) {
        return;
    }
    const struct str frames[] = {STR("CREDIT"),
                                 wire_number(c->max_messages - c->left_messages, messages),
                                 wire_number(c->max_bytes - c->left_bytes, bytes)};
    if (say(c, frames, 3)) {
        c->left_messages = c->max_messages;
        c->left_bytes = c->max_bytes;
    }
}

/* An acknowledgement waits until the session has come so far (again). */
static void acknowledge(struct stream_client *c)
{
    char seq[WIRE_DIGITS];
    int64_t reached = stream_passed(c);
    if (c->ack_wanted > 0 && c->ack_wanted == c->last && reached - c->last >= SKIPPED_UNACKED) {
        c->ack_wanted = reached;
    }
    if (c->ack_wanted <= c->ack_sent || c->ack_wanted > reached) {
        return;
    }
    const struct str frames[] = {STR("ACK"), wire_number(c->ack_wanted, seq)};
    if (say(c, frames, 2)) {
        c->ack_sent = c->ack_wanted;
    }
}

int64_t stream_passed(const struct stream_client *c)
{
    return c->passed > c->last ? c->passed : c->last;
}

void stream_ack(struct stream_client *c, int64_t seq)
{
    if (seq > c->ack_wanted) {
        c->ack_wanted = seq;
    }
    if (c->state == OPEN) {
        acknowledge(c);
    }
}

void stream_nack(struct stream_client *c, int64_t seq, const char *code)
{
    char text[WIRE_DIGITS];
    const struct str frames[] = {STR("NACK"), wire_number(seq, text), str_of(code)};
    if (c->state == OPEN) {
        say(c, frames, 3);
    }
}

void stream_restart(struct stream_client *c, int64_t from)
{
    c->from = from;
    if (c->state == OPEN) {
        greet(c);
    } else if (c->state == GREETING) {
        c->again = true;
    }
}

/* ---- time ---- */

static void join(struct stream_client *c)
{
    struct err e;
    if (!c->context && !(c->context = zmq_ctx_new())) {
        c->at = in_ms(PATIENCE_MAX_MS);
        return;
    }
    c->socket = socket_new(c->context, SIDE_CONSUMER, c->wish_messages, &e);
    if (!c->socket ||
        socket_use_curve(c->socket, c->server_key, c->public_key, c->secret_key, &e) != ERR_NONE ||
        zmq_connect(c->socket, c->endpoint) != 0) {
        hang_up(c, PATIENCE_MAX_MS);
        return;
    }
    c->state = JOINING;
    c->at = in_ms(c->patience_ms);
}

static bool connected(const struct stream_client *c)
{
    int events = 0;
    size_t n = sizeof events;
    return zmq_getsockopt(c->socket, ZMQ_EVENTS, &events, &n) == 0 && (events & ZMQ_POLLOUT);
}

/* True when the caller should hear of it, which is once. */
static bool silence(struct stream_client *c)
{
    bool first = !c->told_silent && clock_mono() - c->heard >= (usec)MISSED * HEARTBEAT_MS * 1000;
    c->told_silent |= first;
    return first;
}

static void patience_lost(struct stream_client *c)
{
    hang_up(c, 0);
    c->patience_ms = c->patience_ms * 2 < PATIENCE_MAX_MS ? c->patience_ms * 2 : PATIENCE_MAX_MS;
}

static void keep_open(struct stream_client *c)
{
    if (!connected(c)) {
        c->state = JOINING;
        c->at = in_ms(c->patience_ms);
        return;
    }
    if (clock_mono() - c->pinged >= (usec)HEARTBEAT_MS * 1000) {
        if (c->unanswered >= MISSED) {
            hang_up(c, 0);
            return;
        }
        const struct str ping = STR("PING");
        say(c, &ping, 1);
        c->pinged = clock_mono();
        c->unanswered++;
    }
    grant(c);
    acknowledge(c);
}

/* What is due by the clock. */
static void advance(struct stream_client *c)
{
    if (c->state == DOWN && clock_mono() >= c->at) {
        join(c);
    }
    if (c->state == JOINING && connected(c)) {
        greet(c);
    } else if ((c->state == JOINING || c->state == GREETING) && clock_mono() >= c->at) {
        patience_lost(c);
    } else if (c->state == OPEN) {
        keep_open(c);
    }
}

/* ---- in ---- */

static int64_t welcome_int(const struct stream_client *c, const char *name)
{
    return json_integer_value(json_object_get(c->welcome, name));
}

static struct str welcome_text(const struct stream_client *c, const char *name)
{
    return str_of(json_string_value(json_object_get(c->welcome, name)));
}

static bool on_welcome(struct stream_client *c, const struct wire_reply *r, struct stream_item *out)
{
    if (c->state != GREETING) {
        return false;
    }
    json_decref(c->welcome);
    c->welcome = json_loadb(r->json.p, r->json.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(c->welcome)) {
        hang_up(c, HEARTBEAT_MS);
        return false;
    }
    if (c->again) {
        greet(c);
        return false;
    }
    c->state = OPEN;
    c->patience_ms = PATIENCE_MIN_MS;
    c->told_silent = false;
    c->pinged = clock_mono();
    c->last = c->passed = c->from = welcome_int(c, "start");
    c->ack_sent = welcome_int(c, "acked");
    int64_t messages = welcome_int(c, "max_messages"), bytes = welcome_int(c, "max_bytes");
    c->max_messages = c->wish_messages < messages ? c->wish_messages : messages;
    c->max_bytes = c->wish_bytes < bytes ? c->wish_bytes : bytes;
    c->left_messages = c->left_bytes = 0;
    out->what = STREAM_WELCOME;
    out->seq = out->start = c->last;
    out->epoch = welcome_int(c, "epoch");
    out->acked = c->ack_sent;
    out->first = welcome_int(c, "first");
    out->head = welcome_int(c, "head");
    out->contract = welcome_text(c, "contract");
    out->checkpoint = welcome_text(c, "checkpoint");
    return true;
}

static bool on_event(struct stream_client *c, const struct wire_reply *r, struct stream_item *out)
{
    if (c->state != OPEN) {
        return false; /* of the session before */
    }
    if (r->prev != c->last || r->seq <= c->last) {
        greet(c); /* something is missing: once more, behind what we have */
        return false;
    }
    c->last = c->from = r->seq;
    c->left_messages -= 1;
    c->left_bytes -= (int64_t)r->json.n;
    out->what = STREAM_EVENT;
    out->seq = r->seq;
    out->prev = r->prev;
    out->json = r->json;
    return true;
}

static bool on_refusal(struct stream_client *c, const struct wire_reply *r, struct stream_item *out)
{
    static const struct {
        const char *code;
        int wait_ms;
        bool quiet;
    } table[] = {
        {"hello", 0, true}, /* the relay was started again and does not know our session */
        {"idle", 0, true},         {"stopping", 500, true},    {"away", 1000, false},
        {"revoked", 30000, false}, {"replaced", 30000, false}, {NULL, HEARTBEAT_MS, false},
    };
    size_t i = 0;
    while (table[i].code && !str_is(r->code, table[i].code)) {
        i++;
    }
    if (table[i].quiet && table[i].wait_ms == 0) {
        if (c->state == OPEN) {
            greet(c);
        }
        return false;
    }
    size_t held = c->message.held; /* stays open: the caller reads code and text from it */
    c->message.held = 0;
    hang_up(c, table[i].wait_ms);
    c->message.held = held;
    out->what = STREAM_REFUSED;
    out->code = r->code;
    out->text = r->text;
    return !table[i].quiet;
}

static bool handle(struct stream_client *c, struct stream_item *out)
{
    struct wire_reply r;
    if (wire_reply(c->message.frames, c->message.count, &r, NULL) != ERR_NONE) {
        hang_up(c, HEARTBEAT_MS); /* not a relay of ours */
        return false;
    }
    c->heard = clock_mono();
    c->unanswered = 0;
    switch (r.kind) {
    case REPLY_WELCOME:
        return on_welcome(c, &r, out);
    case REPLY_EVENT:
        return on_event(c, &r, out);
    case REPLY_ACKED:
        out->what = STREAM_ACKED;
        out->seq = out->acked = r.seq;
        return c->state == OPEN;
    case REPLY_HINT:
        if (c->state == OPEN) {
            c->passed = r.prev;
            c->from = stream_passed(c);
        }
        return false;
    case REPLY_PONG:
        return false;
    case REPLY_ERROR:
    case REPLY_BYE:
        return on_refusal(c, &r, out);
    }
    return false;
}

/* False: nothing came within the time, or a signal did. */
static bool wait_for_input(const struct stream_client *c, int64_t ms)
{
    int64_t slice = c->state == OPEN ? 500 : 50;
    zmq_pollitem_t item = {.socket = c->socket, .events = ZMQ_POLLIN};
    return zmq_poll(&item, c->socket ? 1 : 0, (long)(ms < slice ? ms : slice)) >= 0;
}

enum stream_what stream_next(struct stream_client *c, int timeout_ms, struct stream_item *out)
{
    usec until = in_ms(timeout_ms);
    for (;;) {
        *out = (struct stream_item){.what = STREAM_NOTHING};
        socket_drop(&c->message);
        advance(c);
        while (c->socket && socket_recv(c->socket, SIDE_CONSUMER, &c->message)) {
            if (handle(c, out)) {
                return out->what;
            }
            socket_drop(&c->message);
        }
        if (silence(c)) {
            return out->what = STREAM_SILENT;
        }
        usec left = until - clock_mono();
        if (left <= 0 || !wait_for_input(c, (left + 999) / 1000)) {
            return STREAM_NOTHING;
        }
    }
}
