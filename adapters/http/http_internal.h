/* What the files of this folder share: options, one request on its way, the adapter. */
#ifndef DARI_ADAPTERS_HTTP_INTERNAL_H
#define DARI_ADAPTERS_HTTP_INTERNAL_H

#include "adapters/http/http.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/net/digest.h"
#include "core/net/http.h"

struct http_options {
    const char *address;
    int64_t port;
    const char *path, *work, *tokens;
    bool tls;
    const char *cert, *key, *ca, *crl, *clients;
    int64_t max_connections, max_per_address, max_message, max_in_flight, max_body;
    int64_t deadline_ms, idle_ms, answer_ms, keep_keys_ms, max_keys;
};

/* What a body is, by its Content-Type. */
enum http_kind {
    HTTP_MESSAGE, /* one HL7 v2 message or batch: in memory, answered like over MLLP */
    HTTP_FILE     /* anything else: written to the work folder, taken like a file */
};
enum http_voice { /* how the answer is written */
                  HTTP_HL7,
                  HTTP_JSON,
                  HTTP_FHIR_JSON,
                  HTTP_FHIR_XML
};

/* One request, from its head to its answer; its ticket. Outlives a peer that left. */
struct exchange {
    struct adapter *a;
    struct exchange *next, **prev;
    struct net_request *request; /* NULL: nobody waits for the answer any more */
    enum http_kind kind;
    enum http_voice voice;
    const char *type; /* of the answer */
    struct buf body;  /* of a message, until the host has it */
    int64_t held;     /* its bytes, until it is answered */
    int fd;           /* of a file that is being written, else -1 */
    char *path;
    struct net_digest *digest;
    char *subject;                                 /* of its client's certificate, "" for none */
    char body_digest[NET_DIGEST], key[NET_DIGEST]; /* key "": none was given */
    bool complete, submitted;
    bool failed; /* it cannot be written, or there is no room for it */
    usec since;  /* complete; monotonic */
};

struct adapter {
    struct adapter_host *host;
    const struct http_options *options;
    struct net_http *server;
    struct net_timer *tidy;
    struct tls *tls;
    struct net_tokens *tokens;
    struct exchange *all, **last; /* the oldest first */
    uint64_t number;              /* of bodies, for their names */
    int64_t held;                 /* of all messages */
    int64_t keys;                 /* answers kept; counted when they are tidied */
    usec next_tidy;               /* of kept keys; monotonic */
    bool host_full, file_full;    /* no more messages, no other file, before resume() */
    bool draining;
};

/* ---- exchange.c ---- */
extern const struct net_http_handlers http_handlers;
struct exchange *exchange_new(struct adapter *a);
void exchange_free(struct exchange *x);
void exchange_submit_waiting(struct adapter *a); /* the oldest first */
void exchange_reply(struct exchange *x, enum adapter_outcome outcome, struct str reply);
void exchange_finished(struct exchange *x, const struct adapter_result *r);
/* Answers those that wait too long for their commit; what they sent is taken all the same. */
void exchange_sweep(struct adapter *a);
/* Files that were complete when the process ended are taken now, without anybody waiting. */
void exchange_recover(struct adapter *a);

/* ---- answer.c ---- */
/* The name of a type of answers, NULL for any other. */
const char *answer_named(struct str type);
bool answer_type(struct str content_type, struct exchange *x); /* false: none that is taken here */
void answer(struct exchange *x, int status, struct str body);
/* A refusal or a result in the voice of the exchange. */
void answer_problem(struct exchange *x, int status, const char *what);
void answer_result(struct exchange *x, int status, const struct adapter_result *r);

/* ---- idempotency.c: Idempotency-Key ---- */

/*
 * The key that was given, of this client: one that another one gives is another key, whatever it
 * says. `name` of its token, NULL or "" for none; with x->subject "" too nobody is told apart.
 * False: no memory.
 */
bool idempotency_begin(struct exchange *x, struct str key, const char *name);
/* True when the key was used, or no other can be kept: the stored answer, or the refusal, has been
 * given. */
bool idempotency_known(struct exchange *x);
void idempotency_keep(struct exchange *x, int status, struct str body);
void idempotency_tidy(struct adapter *a);

#endif
