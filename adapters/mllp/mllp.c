#include "adapters/mllp/mllp.h"

#include "adapters/mllp/mllp_internal.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "core/net/secure.h"

#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct mllp_options, field)
#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)
#define GIB ((int64_t)1 << 30)

static const struct option_row rows[] = {
    {"address", OPTION_TEXT, "127.0.0.1", 0, 0, AT(address), "numeric address to listen on"},
    {"port", OPTION_INT, "2575", 0, 65535, AT(port), "TCP port; 2575 is HL7's own"},
    {"tls", OPTION_BOOL, "no", 0, 0, AT(tls), "yes: TLS 1.2 or newer, no plain connections"},
    {"cert", OPTION_PATH, "", 0, 0, AT(cert), "our certificate with its chain, PEM"},
    {"key", OPTION_PATH, "", 0, 0, AT(key), "its private key, PEM"},
    {"ca", OPTION_PATH, "", 0, 0, AT(ca), "who signs the certificates of senders, PEM"},
    {"crl", OPTION_PATH, "", 0, 0, AT(crl), "senders whose certificates were revoked, PEM"},
    {"clients", OPTION_TEXT, "none", 0, 0, AT(clients),
     "certificates of senders: none, optional or required"},
    {"max-connections", OPTION_INT, "256", 1, 65536, AT(max_connections), "connections at a time"},
    {"max-per-address", OPTION_INT, "64", 1, 65536, AT(max_per_address),
     "connections at a time from one address"},
    {"max-message", OPTION_SIZE, "16m", 1024, GIB, AT(max_message), "largest message"},
    {"max-in-flight", OPTION_SIZE, "64m", 1024, 16 * GIB, AT(max_in_flight),
     "bytes received and not answered, over all connections"},
    {"window", OPTION_INT, "64", 1, 65536, AT(window),
     "messages of one connection that may wait for their reply"},
    {"lone-fs", OPTION_BOOL, "no", 0, 0, AT(lone_fs),
     "yes: a message may end with FS alone, for senders that leave out the CR"},
    {"idle-timeout", OPTION_MS, "30m", 0, DAY_MS, AT(idle_ms),
     "a silent connection is closed after this; 0: never"},
    {"stall-timeout", OPTION_MS, "30s", 10, DAY_MS, AT(stall_ms),
     "a peer that stops inside a message, or does not read its replies, is closed after this"},
    {"handshake-timeout", OPTION_MS, "5s", 10, DAY_MS, AT(handshake_ms), "for the TLS handshake"},
    {"keepalive", OPTION_MS, "60s", 0, DAY_MS, AT(keepalive_ms),
     "TCP asks silent peers whether they live; 0: never"},
    {"reclaim-after", OPTION_MS, "60s", 0, DAY_MS, AT(reclaim_ms),
     "a connection silent for so long gives way to a new one of its address, where there is no "
     "room "
     "for both; 0: never"},
    {"allow", OPTION_TEXT, "", 0, 0, AT(allow),
     "who may connect: addresses and networks, like 10.1.0.0/16, 192.168.7.20; empty: everybody"},
    {"max-rate", OPTION_INT, "0", 0, 1000000, AT(max_rate),
     "messages a second from one address; more are read later; 0: any"},
    {"framing", OPTION_TEXT, "mllp", 0, 0, AT(framing),
     "mllp, mllp2 (release 2: commit bytes) or hllp (hybrid protocol: counts and checksums)"},
    {"start-byte", OPTION_TEXT, "0b", 0, 0, AT(start), "what a message begins with, hexadecimal"},
    {"end-bytes", OPTION_TEXT, "1c0d", 0, 0, AT(end),
     "what it ends with: one byte or two, hexadecimal"},
    {"reply-to", OPTION_TEXT, "", 0, 0, AT(reply_to),
     "HOST:PORT that replies go to, on a connection of our own; empty: where the message came "
     "from"},
    {NULL, OPTION_TEXT, NULL, 0, 0, 0, NULL}};

static bool read_framing(const char *text, enum framing *out)
{
    static const char *const names[] = {"mllp", "mllp2", "hllp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum framing)i;
            return true;
        }
    }
    return false;
}

/* "HOST:PORT", "[::1]:2576" */
static bool read_reply_to(struct str text, struct mllp_settings *s)
{
    struct str host = net_host_of(text.p);
    size_t port = text.n;
    int64_t n;
    while (port > 0 && text.p[port - 1] != ':') {
        port--;
    }
    if (!host.n || host.n >= sizeof s->reply_host ||
        num_i64(str_cut(text, port, text.n), 1, 65535, &n, NULL) != ERR_NONE) {
        return false;
    }
    memcpy(s->reply_host, host.p, host.n);
    s->reply_host[host.n] = '\0';
    s->reply_port = (int)n;
    return true;
}

static enum err_code read_settings(const struct mllp_options *o, struct mllp_settings *s,
                                   struct err *e)
{
    *s = (struct mllp_settings){.framing = FRAMING_MLLP};
    if (!read_framing(o->framing, &s->framing)) {
        return ERR(e, ERR_CONFIG, 0, "framing must be mllp, mllp2 or hllp");
    }
    if (mllp_marks_read(str_of(o->start), str_of(o->end), &s->marks, e) != ERR_NONE) {
        return err_in(e, "start-byte, end-bytes");
    }
    if (net_allow_read(str_of(o->allow), &s->allow, e) != ERR_NONE) {
        return err_in(e, "allow");
    }
    if (o->reply_to[0] && !read_reply_to(str_of(o->reply_to), s)) {
        return ERR(e, ERR_CONFIG, 0, "reply-to must be HOST:PORT");
    }
    return ERR_NONE;
}

static void sweep(void *ctx)
{
    struct adapter *a = ctx;
    int64_t pace = a->options->stall_ms / 4;
    if (a->options->idle_ms && a->options->idle_ms / 4 < pace) {
        pace = a->options->idle_ms / 4;
    }
    net_timer_set(a->sweep, pace < 5 ? 5 : pace > 1000 ? 1000 : pace);
    peers_sweep(a);
}

static enum err_code make_tls(const struct mllp_options *o, struct tls **out, struct err *e)
{
    const struct net_tls_files files = {.cert = o->cert, .key = o->key, .ca = o->ca, .crl = o->crl};
    return net_tls_listener(o->tls, &files, o->clients, out, e);
}

static enum err_code usable(const struct mllp_options *o, struct mllp_settings *s, struct tls **tls,
                            struct err *e)
{
    enum err_code code = read_settings(o, s, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (o->max_in_flight < o->max_message) {
        return ERR(e, ERR_CONFIG, 0, "max-in-flight must be at least max-message");
    }
    return make_tls(o, tls, e);
}

static void check(const void *options, const char *file, int line, struct problems *p)
{
    struct tls *tls = NULL;
    struct mllp_settings s;
    struct err e = {0};
    if (usable(options, &s, &tls, &e) != ERR_NONE) {
        problem_add(p, file, line, "%s", e.msg);
    }
    net_tls_free(&tls);
}

static void unthrottle(void *ctx)
{
    peers_unthrottle(ctx);
}

static enum err_code open_listener(struct adapter *a, struct net_loop *loop, struct err *e)
{
    const struct mllp_options *o = a->options;
    enum err_code code = usable(o, &a->settings, &a->tls, e);
    if (code != ERR_NONE) {
        return code;
    }
    a->loop = loop;
    a->sweep = net_timer_new(loop, sweep, a);
    a->rate = net_timer_new(loop, unthrottle, a);
    if (!a->sweep || !a->rate) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a timer");
    }
    code = o->reply_to[0] ? answers_open(a, e) : ERR_NONE;
    if (code != ERR_NONE) {
        return code;
    }
    struct net_listen_options listen = {.address = o->address,
                                        .port = (int)o->port,
                                        .tls = a->tls,
                                        .handshake_ms = o->handshake_ms,
                                        .keepalive_s = (int)((o->keepalive_ms + 999) / 1000)};
    code = net_listen(loop, &listen, &mllp_handlers, a, &a->listener, e);
    if (code == ERR_NONE) {
        sweep(a);
    }
    return code;
}

static void stop(struct adapter **a)
{
    if (!*a) {
        return;
    }
    net_listener_free(&(*a)->listener);
    net_timer_free(&(*a)->sweep);
    net_timer_free(&(*a)->rate);
    peers_free(*a);
    gate_free(*a);
    answers_free(&(*a)->answers);
    net_tls_free(&(*a)->tls);
    free(*a);
    *a = NULL;
}

static enum err_code start(struct adapter_host *h, struct net_loop *loop, const void *options,
                           struct adapter **out, struct err *e)
{
    *out = NULL;
    struct adapter *a = calloc(1, sizeof *a);
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the adapter");
    }
    a->host = h;
    a->options = options;
    enum err_code code = open_listener(a, loop, e);
    if (code != ERR_NONE) {
        stop(&a);
        return code;
    }
    log_info("mllp.listening", "address=%s port=%d tls=%s clients=%s", a->options->address,
             mllp_port(a), a->tls ? "yes" : "no", a->options->clients);
    if (!a->tls && !net_is_loopback(a->options->address)) {
        log_warn("mllp.unencrypted", "address=%s hint=\"tls=yes keeps messages private\"",
                 a->options->address);
    }
    *out = a;
    return ERR_NONE;
}

static void reply(struct adapter *a, void *ticket, struct str bytes)
{
    peer_reply(a, ticket, bytes);
}

static void resume(struct adapter *a)
{
    peers_go_on(a);
}

static void drain(struct adapter *a)
{
    net_listener_free(&a->listener);
    peers_drain(a);
}

/* Certificates of new connections; those that stand keep theirs. */
static enum err_code reload(struct adapter *a, const void *options, struct err *e)
{
    struct tls *tls = NULL;
    struct mllp_settings s;
    enum err_code code = usable(options, &s, &tls, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (a->listener) {
        net_listener_set_tls(a->listener, tls);
    }
    net_tls_free(&a->tls);
    a->tls = tls;
    a->options = options;
    return ERR_NONE;
}

int mllp_port(const struct adapter *a)
{
    return net_listener_port(a->listener);
}

const struct adapter_ops adapter_mllp = {.name = "mllp",
                                         .help = "HL7 v2 over MLLP, plain or TLS",
                                         .options = rows,
                                         .options_size = sizeof(struct mllp_options),
                                         .check = check,
                                         .start = start,
                                         .reply = reply,
                                         .resume = resume,
                                         .drain = drain,
                                         .stop = stop,
                                         .reload = reload};
