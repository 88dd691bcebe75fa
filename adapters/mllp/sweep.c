/*
 * Looks at all connections from time to time: who is silent, stuck inside a message, or does not
 * read his replies is closed. Whoever is kept waiting by us is not timed out for it.
 */
#include "adapters/mllp/mllp_internal.h"

#include "core/base/log.h"

enum {
    FRAME_STALLS = 10 /* a whole frame may take so many stall-timeouts, however it drips,
                         but only one while everybody else waits for it */
};

void peer_give_up(struct peer *p, const char *reason)
{
    log_warn("mllp.refused", "peer=%s reason=%s", net_peer(p->conn), reason);
    adapter_count(p->a->host, "connections_refused", 1);
    peer_hang_up(p);
}

void peer_give_way(struct peer *p)
{
    adapter_count(p->a->host, "reclaimed", 1);
    log_warn("mllp.reclaimed", "peer=%s silent_ms=%lld", net_peer(p->conn),
             (long long)((clock_mono() - p->heard) / 1000));
    peer_hang_up(p);
}

void peers_sweep(struct adapter *a)
{
    gate_sweep(a);
    usec now = clock_mono();
    usec stall = a->options->stall_ms * 1000, idle = a->options->idle_ms * 1000;
    struct peer *next;
    for (struct peer *p = a->peers; p; p = next) {
        next = p->next;
        int stalls = a->over ? 1 : FRAME_STALLS;
        bool read = !peer_blocked(p) && p->input_done && !(a->over && a->chosen != p);
        uint64_t left = p->replied - net_queued(p->conn);
        if (left != p->replies_left) {
            p->replies_left = left;
            p->reply_stuck = now;
        }
        if (p->broken) {
            peer_give_up(p, "no-memory");
        } else if (net_queued(p->conn) && now - p->reply_stuck > stall) {
            peer_give_up(p, "replies-not-read");
        } else if (!read) {
            p->heard = now; /* we keep it waiting, not it us */
            p->frame_began = p->frame_began ? now : 0;
        } else if (p->frame_began &&
                   (now - p->heard > stall || now - p->frame_began > stall * stalls)) {
            peer_give_up(p, "message-not-finished");
        } else if (idle && !p->frame_began && !p->under_way && now - p->heard > idle) {
            log_info("mllp.idle", "peer=%s", net_peer(p->conn));
            peer_hang_up(p);
        }
    }
}
