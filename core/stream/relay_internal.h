/* Inside core/stream: the relay's state. relay.c turns the loop, serve.c answers, pump.c sends. */
#ifndef DARI_STREAM_RELAY_INTERNAL_H
#define DARI_STREAM_RELAY_INTERNAL_H

#include "core/stream/contract.h"
#include "core/stream/door.h"
#include "core/stream/relay.h"
#include "core/stream/socket.h"
#include "core/stream/zap.h"

enum {
    IDLE_MS = 30000, /* a session without a word from its consumer */
    HINT_MS = 1000,
    LOOK_MS = 200, /* for new events, when somebody has credit */
    KEYS_MS = 1000,
    DOOR_MS = 3600 * 1000
};

/*
 * A session: from WELCOME to BYE, ERROR or silence.
 *
 *     cursor … confirmed ≤ wanted ≤ passed ≤ head
 *                             sent ≤ passed
 */
struct session {
    char name[ALLOWED_NAME], key[CURVE_TEXT];
    char route[256];
    size_t route_size;
    struct contract *contract;
    int64_t epoch;
    int64_t confirmed;       /* acknowledged and committed, in this session */
    int64_t wanted;          /* acknowledged, to be committed at the end of this turn */
    int64_t doubt;           /* an acknowledgement whose commit got no answer; 0: none */
    int64_t claimed;         /* HELLO said: I have these already */
    int64_t sent;            /* the last EVENT: prev of the next one */
    int64_t passed;          /* all up to here was sent, or is not for this consumer */
    int64_t messages, bytes; /* credit left; bytes may go below zero by one event */
    int64_t hint_head, hint_passed;
    usec hinted, heard, full; /* full: when the pipe may be tried again */
    bool over;                /* to be removed at the end of this turn */
};

/* How often a consumer has said HELLO lately. */
struct greeted {
    char name[ALLOWED_NAME];
    usec since;
    int count;
};

struct relay {
    const struct relay_settings *s;
    struct keyring *ring;
    struct catalogue *catalogue;
    char public_key[CURVE_TEXT];
    void *context, *router;
    struct zap *zap;
    struct door *door;
    int knocks; /* of the self-test that is under way */
    bool proven;
    usec door_at;

    struct db *db; /* NULL: away */
    usec db_at;    /* when to try again */
    int64_t db_wait_ms;
    bool db_away; /* said so */
    struct arena *turn;
    struct pages *pages;
    struct buf out;
    struct allow_list allowed;
    int64_t head;
    bool look; /* something new was announced */
    bool keys; /* consumers were changed */
    usec looked, keys_at;
    int wake;
    int refused;

    struct greeted greeted[RELAY_SESSIONS];
    struct session *sessions[RELAY_SESSIONS];
    size_t count;
    bool failed; /* the self-test failed: end */
};

/* serve.c: one message of a consumer. */
void relay_serve(struct relay *r, const struct socket_message *m);
/* Commits what was acknowledged in this turn. */
void relay_commit(struct relay *r);
/* Ends a session: BYE with this reason (NULL: the consumer is gone, or ERROR was said). */
void session_end(struct relay *r, struct session *x, const char *reason);
/* ERROR code text, and the end. */
void session_fail(struct relay *r, struct session *x, const char *code, const char *text);
/* Removes the ended ones, after the commit. */
void relay_reap(struct relay *r);
/* Ends the sessions whose key is no longer in the list. */
void relay_check_keys(struct relay *r);

/* pump.c: sends what may be sent; true when there is more to do at once. */
bool relay_pump(struct relay *r);
bool session_may(const struct session *x);

/* relay.c: a statement failed. Closes a lost connection and says so once. */
void relay_db_failed(struct relay *r, const struct err *e);

static inline struct str session_route(const struct session *x)
{
    return (struct str){x->route, x->route_size};
}

#endif
