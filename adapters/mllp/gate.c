/*
 * Who may connect, and how fast he may send. What is refused is counted and logged here.
 *
 * An address at its limit of connections takes over its own longest silent one: a sender that was
 * restarted, or whose line broke without a word, is not locked out by what it left behind. The rate
 * of messages is counted by address, so that more connections do not help; who is too fast is not
 * read for a while, and loses nothing.
 */
#include "adapters/mllp/mllp_internal.h"

#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>

static void refused(struct adapter *a, const char *peer, const char *reason)
{
    log_warn("mllp.refused", "peer=%s reason=%s", peer, reason);
    adapter_count(a->host, "connections_refused", 1);
}

bool gate_knock(void *listener_ctx, const char *peer)
{
    struct adapter *a = listener_ctx;
    if (net_allowed(&a->settings.allow, peer)) {
        return true;
    }
    refused(a, peer, "address");
    return false;
}

static struct source *find(const struct adapter *a, struct str host)
{
    struct source *s = a->sources;
    while (s && !str_eq(str_of(s->host), host)) {
        s = s->next;
    }
    return s;
}

static struct source *find_or_make(struct adapter *a, struct str host)
{
    struct source *s = find(a, host);
    if (s) {
        return s;
    }
    s = calloc(1, sizeof *s);
    if (s) {
        snprintf(s->host, sizeof s->host, "%.*s", STR_ARG(host));
        s->next = a->sources;
        a->sources = s;
    }
    return s;
}

/* The longest silent connection of the same address that has nothing under way; NULL: none. */
static struct peer *stale(const struct adapter *a, const struct source *s)
{
    usec limit = clock_mono() - a->options->reclaim_ms * 1000;
    struct peer *best = NULL;
    for (struct peer *p = a->peers; p && a->options->reclaim_ms; p = p->next) {
        if (p->source == s && !p->under_way && p->input_done && p->heard < limit &&
            (!best || p->heard < best->heard)) {
            best = p;
        }
    }
    return best;
}

struct source *gate_admit(struct adapter *a, const struct net_conn *c)
{
    struct source *s = find_or_make(a, net_host_of(net_peer(c)));
    if (!s) {
        refused(a, net_peer(c), "no-memory");
        return NULL;
    }
    bool crowded = s->connections >= a->options->max_per_address;
    if (crowded || a->count >= a->options->max_connections) {
        struct peer *old = stale(a, s);
        if (!old) {
            refused(a, net_peer(c), crowded ? "max-per-address" : "max-connections");
            return NULL;
        }
        s->connections++; /* it must outlive the other one */
        peer_give_way(old);
        return s;
    }
    s->connections++;
    return s;
}

void gate_leave(struct source *s)
{
    s->connections--;
}

/* ---- rate ---- */

static int64_t cost(const struct adapter *a)
{
    return a->options->max_rate ? USEC_SECOND / a->options->max_rate : 0;
}

/* A second's worth may come at once. */
static void count_credit(const struct adapter *a, struct source *s)
{
    usec now = clock_mono();
    int64_t most = cost(a) > USEC_SECOND ? cost(a) : USEC_SECOND;
    s->credit = s->credit >= most - (now - s->at) ? most : s->credit + (now - s->at);
    s->at = now;
}

bool gate_pass(struct peer *p)
{
    struct adapter *a = p->a;
    struct source *s = p->source;
    if (!a->options->max_rate) {
        return true;
    }
    count_credit(a, s);
    if (s->credit >= cost(a)) {
        s->credit -= cost(a);
        return true;
    }
    if (!s->told) {
        log_warn("mllp.throttled", "address=%s rate=%lld", s->host,
                 (long long)a->options->max_rate);
        adapter_count(a->host, "throttled", 1);
    }
    s->told = true;
    p->throttled = true;
    net_timer_set(a->rate, (cost(a) - s->credit) / 1000 + 1);
    return false;
}

void gate_give_back(struct peer *p)
{
    p->source->credit += cost(p->a);
}

/* Forgets addresses that nobody comes from any more, once their credit is whole again. */
void gate_sweep(struct adapter *a)
{
    for (struct source **at = &a->sources; *at;) {
        struct source *s = *at;
        count_credit(a, s);
        if (s->credit < USEC_SECOND) {
            at = &s->next;
            continue;
        }
        s->told = false; /* it has been slow enough for a second: the next time is told again */
        if (s->connections) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        free(s);
    }
}

void gate_free(struct adapter *a)
{
    while (a->sources) {
        struct source *s = a->sources;
        a->sources = s->next;
        free(s);
    }
}
