/*
 * What frames hold. MLLP release 1: a message, and its reply. Release 2: a frame of one byte says
 * whether the message was kept (ACK) or not (NAK), then comes the reply if the sender asked for
 * one; he says the same of the reply. The hybrid protocol puts a count and a checksum around each.
 *
 * A NAK is the whole answer: what was not kept has no reply that would mean anything.
 */
#include "adapters/mllp/mllp_internal.h"

#include "core/base/log.h"
#include "core/net/hllp.h"

enum block_what block_read(struct peer *p, struct str *frame, char *nak)
{
    struct adapter *a = p->a;
    struct str data;
    bool told = false;
    *nak = 0;
    if (a->settings.framing == FRAMING_MLLP2) {
        told = frame->n == 1 && (frame->p[0] == MLLP_ACK || frame->p[0] == MLLP_NAK);
        *nak = told && frame->p[0] == MLLP_NAK ? 'N' : 0;
    } else if (a->settings.framing == FRAMING_HLLP) {
        enum hllp_what what = hllp_read(*frame, &data, nak, &p->hllp_counts_vt);
        if (what == HLLP_BROKEN) {
            return BLOCK_BROKEN;
        }
        told = what == HLLP_REFUSED;
        *nak = told ? 'N' : 0;
        *frame = data;
    }
    if (told && *nak) {
        adapter_count(a->host, "replies_refused", 1);
        log_warn("mllp.reply-refused", "peer=%s", net_peer(p->conn));
    }
    return told ? BLOCK_TOLD : BLOCK_MESSAGE;
}

static void send_frame(struct peer *p, struct str content)
{
    const struct mllp_marks *m = &p->a->settings.marks;
    const char end[2] = {m->end, m->last};
    net_send(p->conn, (struct str){&m->start, 1}); /* one write: it leaves when the loop turns */
    net_send(p->conn, content);
    net_send(p->conn, (struct str){end, m->last ? 2 : 1});
    p->replied += content.n + (m->last ? 3 : 2);
}

/* A reply, by the connection it came from or by the one that the feed names. */
static void send_reply(struct peer *p, struct str content)
{
    struct adapter *a = p->a;
    const struct mllp_marks *m = &a->settings.marks;
    struct buf frame;
    if (!a->answers) {
        send_frame(p, content);
        return;
    }
    buf_init(&frame, content.n + 4);
    buf_addc(&frame, m->start);
    buf_add(&frame, content);
    buf_addc(&frame, m->end);
    if (m->last) {
        buf_addc(&frame, m->last);
    }
    answers_send(a->answers, buf_str(&frame));
    buf_release(&frame);
}

static void send_hybrid(struct peer *p, char type, struct str data)
{
    struct buf block;
    buf_init(&block, data.n + 64);
    hllp_write(&block, type, data, p->hllp_counts_vt);
    if (type == 'N') {
        send_frame(p, buf_str(&block));
    } else {
        send_reply(p, buf_str(&block));
    }
    buf_release(&block);
}

void block_answer(struct peer *p, const struct request *r, struct str reply)
{
    static const char ack = MLLP_ACK, nak = MLLP_NAK;
    enum framing framing = p->a->settings.framing;
    if (r->nak) {
        send_hybrid(p, 'N', (struct str){&r->nak, 1});
        return;
    }
    if (framing == FRAMING_MLLP2) {
        send_frame(p, (struct str){r->kept ? &ack : &nak, 1});
    }
    if (!reply.n || (framing == FRAMING_MLLP2 && !r->kept)) {
        return;
    }
    if (framing == FRAMING_HLLP) {
        send_hybrid(p, 'D', reply);
    } else {
        send_reply(p, reply);
    }
}
