/*
 * A consumer of the stream: the library that our own roles, dari tail and C clients use. Protocol:
 * core/stream/README.md. One socket, one thread, nothing blocks; the caller polls
 * stream_client_fd() or calls stream_next() with a time-out.
 *
 * The promise kept here: events come in order; after event n comes the next one the contract lets
 * through (`prev` is checked; a gap makes the client say HELLO again by itself). At least once:
 * after a reconnect events above the acknowledged number come again; the caller ignores numbers it
 * has.
 */
#ifndef DARI_STREAM_CLIENT_H
#define DARI_STREAM_CLIENT_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/err.h"

struct stream_client;

struct stream_settings {
    const char *endpoint;                /* ipc://… or tcp://host:port */
    const char *server_key;              /* Z85, of the relay */
    const char *public_key, *secret_key; /* Z85, our own */
    const char *site;
    int64_t from;     /* resume after this number; STREAM_FROM_CURSOR, _FIRST, _HEAD, _TIME */
    usec from_time;   /* with STREAM_FROM_TIME */
    int64_t messages; /* credit kept granted: events in flight, default 256 */
    int64_t bytes;    /* default 4 MiB */
};
enum {
    STREAM_FROM_CURSOR = -1,
    STREAM_FROM_FIRST = -2,
    STREAM_FROM_HEAD = -3,
    STREAM_FROM_TIME = -4
};

/*
 * Copies the settings; the first stream_next() makes the ZeroMQ context, so a process may still
 * fork before. Connects in the background, reconnects for ever (a refused key looks like no
 * answer). After a reconnect or a gap it goes on behind the last event it handed out. ERR_VALUE: a
 * key is not Z85.
 */
enum err_code stream_open(const struct stream_settings *s, struct stream_client **out,
                          struct err *e);
void stream_free(struct stream_client **c);
/*
 * Readable: call stream_next() until NOTHING; call it at least once a second also when it is not
 * (heartbeats). -1 before the first stream_next(). A reconnect changes it: ask before each poll.
 */
int stream_fd(const struct stream_client *c);

enum stream_what {
    STREAM_NOTHING, /* the time-out passed */
    STREAM_WELCOME, /* a session began: acked, first, head, checkpoint are set */
    STREAM_EVENT,   /* seq, prev, json */
    STREAM_ACKED,   /* seq: the relay has committed our acknowledgement */
    STREAM_REFUSED, /* the relay said ERROR or BYE (revoked, replaced, paused): code and text. The
                       client tries again after 1 s (away), 5 s, or 30 s (revoked, replaced). */
    STREAM_SILENT   /* no answer for three heartbeats; said once, then reconnecting quietly */
};

struct stream_item {
    enum stream_what what;
    int64_t seq, prev;
    struct str json;                          /* valid until the next call */
    int64_t epoch, acked, start, first, head; /* start: the first event's prev */
    struct str contract, checkpoint;
    struct str code, text;
};

enum stream_what stream_next(struct stream_client *c, int timeout_ms, struct stream_item *out);

/* All up to this number was handed out, or is not for this consumer; 0 before WELCOME. */
int64_t stream_passed(const struct stream_client *c);

/* Cumulative; call after your own commit. */
void stream_ack(struct stream_client *c, int64_t seq);
void stream_nack(struct stream_client *c, int64_t seq, const char *code);
/* Start again after `from` (a role whose transaction failed takes its events a second time). */
void stream_restart(struct stream_client *c, int64_t from);

#endif
