#include "core/base/log.h"
#include "core/stream/page.h"
#include "core/stream/relay_internal.h"

#include <inttypes.h>

/* Per session and round: keeps one far behind from starving the others. */
enum { ROUND_EVENTS = 64, ROUNDS = 8, FULL_MS = 20 };

bool session_may(const struct session *x)
{
    return !x->over && x->messages > 0 && x->bytes > 0;
}

static bool due(const struct relay *r, const struct session *x)
{
    return session_may(x) && x->passed < r->head && clock_mono() >= x->full;
}

/* False: not now, or never again. */
static bool send_event(struct relay *r, struct session *x, const struct stored *s)
{
    char seq[WIRE_DIGITS], prev[WIRE_DIGITS];
    struct err e;
    buf_reset(&r->out);
    if (contract_event(x->contract, r->ring, r->s->site, x->name, s, r->turn, &r->out, &e) !=
        ERR_NONE) {
        err_in(&e, "event %" PRId64 " for %s", s->seq, x->name);
        log_err(LOG_ERROR_, "relay.event", &e);
        session_fail(r, x, "internal", "an event could not be made ready: the operator was told");
        return false;
    }
    const struct str frames[] = {STR("EVENT"), wire_number(s->seq, seq), wire_number(x->sent, prev),
                                 buf_str(&r->out)};
    switch (socket_send(r->router, session_route(x), frames, 4)) {
    case SENT:
        x->sent = x->passed = s->seq;
        x->messages--;
        x->bytes -= (int64_t)r->out.n;
        return true;
    case SENT_FULL:
        x->full = clock_mono() + (usec)FULL_MS * 1000;
        return false;
    case SENT_GONE:
        session_end(r, x, NULL);
        return false;
    }
    return false;
}

static void pump_session(struct relay *r, struct session *x)
{
    const struct stored *events;
    size_t count;
    struct err e;
    enum err_code code =
        pages_find(r->pages, r->db, r->s->site, x->passed + 1, r->head, &events, &count, &e);
    if (code == ERR_BUG) {
        log_err(LOG_ERROR_, "relay.gap", &e);
        session_fail(r, x, "internal", "the stream has a hole: the operator was told");
        return;
    }
    if (code != ERR_NONE) {
        relay_db_failed(r, &e);
        return;
    }
    int sent = 0;
    for (size_t i = 0; i < count && sent < ROUND_EVENTS && session_may(x); i++) {
        if (!contract_lets(x->contract, events[i].type)) {
            x->passed = events[i].seq;
        } else if (send_event(r, x, &events[i])) {
            sent++;
        } else {
            break;
        }
    }
    arena_reset(r->turn);
}

/* Tells where the stream is when no event does: without credit, or when nothing was let through. */
static void hint(struct relay *r, struct session *x)
{
    char head[WIRE_DIGITS], passed[WIRE_DIGITS];
    bool skipped = x->passed > x->sent && x->passed > x->hint_passed;
    bool waiting = !session_may(x) && r->head > x->passed && r->head > x->hint_head;
    if (x->over || !(skipped || waiting) || clock_mono() - x->hinted < (usec)HINT_MS * 1000) {
        return;
    }
    const struct str frames[] = {STR("HINT"), wire_number(r->head, head),
                                 wire_number(x->passed, passed)};
    x->hinted = clock_mono();
    if (socket_send(r->router, session_route(x), frames, 3) == SENT) {
        x->hint_head = r->head;
        x->hint_passed = x->passed;
    }
}

bool relay_pump(struct relay *r)
{
    bool more = r->db != NULL;
    for (int round = 0; more && round < ROUNDS; round++) {
        more = false;
        for (size_t i = 0; i < r->count && r->db; i++) {
            if (due(r, r->sessions[i])) {
                pump_session(r, r->sessions[i]);
                more |= due(r, r->sessions[i]);
            }
        }
    }
    for (size_t i = 0; i < r->count; i++) {
        hint(r, r->sessions[i]);
    }
    return more && r->db;
}
