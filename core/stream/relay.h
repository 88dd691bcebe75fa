/*
 * The relay: serves the stream of one site to its consumers, over one ROUTER socket with CURVE
 * (README.md has the protocol). One loop, one thread of ours, PostgreSQL in short statements.
 *
 * Invariants
 *   1. Nothing is served before the self-test has proven that a stranger is refused; it is repeated
 *      every hour, and the relay ends when it fails.
 *   2. Who somebody is comes from the CURVE key of the connection, asked for every message, and
 *      never from what the message says.
 *   3. An event is sent when its session's contract lets it through and its credit allows it, in
 *      order, and what a contract does not let through is counted as passed.
 *   4. A cursor moves only by an ACK of something that passed, in one transaction with the delivery
 *      and the ledger entry; ACKED follows the commit.
 *   5. PostgreSQL away: sessions stay, PONG goes on, nothing is sent; it comes back by itself.
 *   6. Memory is bounded: sessions, pages (page.h) and high-water marks (twice the credit).
 */
#ifndef DARI_STREAM_RELAY_H
#define DARI_STREAM_RELAY_H

#include "core/event/event.h"
#include "core/store/db.h"

struct relay_settings {
    const char *site;
    const char *keys;      /* folder */
    const char *contracts; /* folder */
    const char *run;       /* folder of relay.wake */
    const char *local;     /* ipc path, short (relative to the working folder); its folder exists */
    const char *address;   /* tcp, or NULL */
    int port;
    const char *catalogue; /* file */
    int64_t max_messages;  /* most credit of a consumer */
    enum err_code (*open_db)(void *ctx, struct db **out, struct err *e);
    void *ctx;
    void (*ready)(void); /* called once, when it serves; or NULL */
    volatile int *stop;  /* becomes non-zero: end in order */
};

enum { RELAY_SESSIONS = 256, RELAY_MAX_BYTES = 64 * 1024 * 1024 };

/* Runs until told to stop. ERR_NONE then; anything else is why it could not start or go on. */
enum err_code relay_run(const struct relay_settings *s, struct err *e);

#endif
