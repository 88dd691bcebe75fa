#include "adapters/http/http.h"

#include "adapters/http/http_internal.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/net/secure.h"

#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct http_options, field)
#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)
#define GIB ((int64_t)1 << 30)

enum { TIDY_MS = 250 };

static const struct option_row rows[] = {
    {"address", OPTION_TEXT, "127.0.0.1", 0, 0, AT(address), "numeric address to listen on"},
    {"port", OPTION_INT, "8080", 0, 65535, AT(port), "TCP port"},
    {"path", OPTION_TEXT, "/", 1, 200, AT(path), "what is posted to: / or /hospital/inbox"},
    {"work", OPTION_PATH, "", 0, 0, AT(work),
     "folder for bodies on their way; everything but HL7 v2 messages needs it"},
    {"tokens", OPTION_PATH, "", 0, 0, AT(tokens),
     "who may come: lines NAME SHA-256-OF-THE-TOKEN, sent as Authorization: Bearer TOKEN"},
    {"tls", OPTION_BOOL, "no", 0, 0, AT(tls), "yes: HTTPS only, TLS 1.2 or newer"},
    {"cert", OPTION_PATH, "", 0, 0, AT(cert), "our certificate with its chain, PEM"},
    {"key", OPTION_PATH, "", 0, 0, AT(key), "its private key, PEM"},
    {"ca", OPTION_PATH, "", 0, 0, AT(ca), "who signs the certificates of clients, PEM"},
    {"crl", OPTION_PATH, "", 0, 0, AT(crl), "clients whose certificates were revoked, PEM"},
    {"clients", OPTION_TEXT, "none", 0, 0, AT(clients),
     "certificates of clients: none, optional or required"},
    {"max-connections", OPTION_INT, "256", 1, 65536, AT(max_connections), "connections at a time"},
    {"max-per-address", OPTION_INT, "64", 1, 65536, AT(max_per_address),
     "connections at a time from one address"},
    {"max-message", OPTION_SIZE, "16m", 1024, GIB, AT(max_message), "largest HL7 v2 message"},
    {"max-in-flight", OPTION_SIZE, "64m", 1024, 64 * GIB, AT(max_in_flight),
     "bytes of HL7 v2 messages received and not answered yet; more are told to come later"},
    {"max-body", OPTION_SIZE, "1g", 1024, 1024 * GIB, AT(max_body), "largest body"},
    {"deadline", OPTION_MS, "60s", 100, DAY_MS, AT(deadline_ms),
     "for a whole request to come, from its first byte to its last"},
    {"idle-timeout", OPTION_MS, "60s", 100, DAY_MS, AT(idle_ms),
     "a connection without a request is closed after this"},
    {"answer-within", OPTION_MS, "60s", 100, DAY_MS, AT(answer_ms),
     "no commit within this: 503; the same request again gets what became of it"},
    {"keep-keys", OPTION_MS, "24h", 1000, 365 * DAY_MS, AT(keep_keys_ms),
     "how long the answer to an Idempotency-Key is remembered"},
    {"max-keys", OPTION_INT, "100000", 1, 100000000, AT(max_keys),
     "answers remembered at a time; a request with another key is told to come again later"},
    {NULL, OPTION_TEXT, NULL, 0, 0, 0, NULL}};

/* ---- options ---- */

static enum err_code make_tls(const struct http_options *o, struct tls **out, struct err *e)
{
    const struct net_tls_files files = {.cert = o->cert, .key = o->key, .ca = o->ca, .crl = o->crl};
    return net_tls_listener(o->tls, &files, o->clients, out, e);
}

static enum err_code usable(const struct http_options *o, struct tls **tls,
                            struct net_tokens **tokens, struct err *e)
{
    *tokens = NULL;
    enum err_code rc = make_tls(o, tls, e);
    if (rc == ERR_NONE && o->path[0] != '/') {
        rc = ERR(e, ERR_CONFIG, 0, "path must begin with /");
    }
    if (rc == ERR_NONE && o->max_in_flight < o->max_message) {
        rc = ERR(e, ERR_CONFIG, 0, "max-in-flight must be at least max-message");
    }
    if (rc == ERR_NONE && o->tokens[0]) {
        rc = net_tokens_load(o->tokens, tokens, e);
    }
    return rc;
}

static void check(const void *options, const char *file, int line, struct problems *p)
{
    struct tls *tls = NULL;
    struct net_tokens *tokens = NULL;
    struct err e = {0};
    if (usable(options, &tls, &tokens, &e) != ERR_NONE) {
        problem_add(p, file, line, "%s", e.msg);
    }
    net_tls_free(&tls);
    net_tokens_free(&tokens);
}

/* ---- life ---- */

static void tidy(void *ctx)
{
    struct adapter *a = ctx;
    net_timer_set(a->tidy, TIDY_MS);
    exchange_sweep(a);
    idempotency_tidy(a);
}

static void stop(struct adapter **pa)
{
    struct adapter *a = *pa;
    if (!a) {
        return;
    }
    net_http_free(&a->server);
    while (a->all) {
        exchange_free(a->all);
    }
    net_timer_free(&a->tidy);
    net_tls_free(&a->tls);
    net_tokens_free(&a->tokens);
    free(a);
    *pa = NULL;
}

static enum err_code make_folders(const struct http_options *o, struct err *e)
{
    char keys[4096];
    if (!o->work[0]) {
        return ERR_NONE;
    }
    size_t n = strlen(o->work);
    if (n + sizeof "/keys" > sizeof keys) {
        return ERR(e, ERR_CONFIG, 0, "work is too long a path");
    }
    memcpy(keys, o->work, n);
    memcpy(keys + n, "/keys", sizeof "/keys");
    return file_make_folder(keys, 0700, e);
}

static enum err_code open_server(struct adapter *a, struct net_loop *loop, struct err *e)
{
    const struct http_options *o = a->options;
    const struct net_http_options h = {
        .listen = {.address = o->address, .port = (int)o->port, .tls = a->tls, .keepalive_s = 60},
        .max_connections = o->max_connections,
        .max_per_address = o->max_per_address,
        .max_body = o->max_body,
        .deadline_ms = o->deadline_ms,
        .idle_ms = o->idle_ms};
    a->tidy = net_timer_new(loop, tidy, a);
    return a->tidy ? net_http_listen(loop, &h, &http_handlers, a, &a->server, e)
                   : ERR(e, ERR_NOMEM, 0, "no memory for a timer");
}

static enum err_code start(struct adapter_host *h, struct net_loop *loop, const void *options,
                           struct adapter **out, struct err *e)
{
    struct adapter *a = calloc(1, sizeof *a);
    *out = NULL;
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the adapter");
    }
    a->host = h;
    a->options = options;
    a->last = &a->all;
    enum err_code rc = usable(options, &a->tls, &a->tokens, e);
    if (rc == ERR_NONE) {
        rc = make_folders(options, e);
    }
    if (rc == ERR_NONE) {
        rc = open_server(a, loop, e);
    }
    if (rc != ERR_NONE) {
        stop(&a);
        return rc;
    }
    log_info("http.listening", "address=%s port=%d tls=%s clients=%s tokens=%s",
             a->options->address, http_port(a), a->tls ? "yes" : "no", a->options->clients,
             a->tokens ? "yes" : "no");
    if (!a->tls && !net_is_loopback(a->options->address)) {
        log_warn("http.unencrypted", "address=%s hint=\"tls=yes keeps messages private\"",
                 a->options->address);
    }
    exchange_recover(a);
    net_timer_set(a->tidy, TIDY_MS);
    *out = a;
    return ERR_NONE;
}

static void reply(struct adapter *a, void *ticket, struct str bytes)
{
    (void)a;
    exchange_reply(ticket, ADAPTER_TAKEN, bytes);
}

static void tell(struct adapter *a, void *ticket, enum adapter_outcome outcome, struct str bytes)
{
    (void)a;
    exchange_reply(ticket, outcome, bytes);
}

static void finished(struct adapter *a, void *ticket, const struct adapter_result *r)
{
    (void)a;
    exchange_finished(ticket, r);
}

static void resume(struct adapter *a)
{
    a->host_full = a->file_full = false;
    exchange_submit_waiting(a);
}

static void drain(struct adapter *a)
{
    a->draining = true;
    net_http_drain(a->server);
}

/* Certificates and tokens of requests from now on. */
static enum err_code reload(struct adapter *a, const void *options, struct err *e)
{
    struct tls *tls = NULL;
    struct net_tokens *tokens = NULL;
    enum err_code rc = usable(options, &tls, &tokens, e);
    if (rc != ERR_NONE) {
        net_tls_free(&tls);
        return rc;
    }
    net_http_set_tls(a->server, tls);
    net_tls_free(&a->tls);
    net_tokens_free(&a->tokens);
    a->tls = tls;
    a->tokens = tokens;
    a->options = options;
    return ERR_NONE;
}

int http_port(const struct adapter *a)
{
    return net_http_port(a->server);
}

const struct adapter_ops adapter_http = {.name = "http",
                                         .help = "HL7 v2, FHIR, XML and tables over HTTP(S)",
                                         .options = rows,
                                         .options_size = sizeof(struct http_options),
                                         .check = check,
                                         .start = start,
                                         .reply = reply,
                                         .answer = tell,
                                         .finished = finished,
                                         .resume = resume,
                                         .drain = drain,
                                         .stop = stop,
                                         .reload = reload};
