#include "core/ledger/lineage_internal.h"

#include <string.h>

static void put_ledger(struct buf *out, int64_t idx)
{
    if (idx) {
        buf_printf(out, ", ledger %lld", (long long)idx);
    }
}

static bool caused_by(const struct lineage_event *e, const struct lineage_event *parent)
{
    return e->cause && strcmp(e->cause, parent->id) == 0;
}

static bool of_message(const struct lineage_event *e, const struct lineage_message *m)
{
    return !e->cause && e->message_no == m->no;
}

/* ---- text ---- */

/* Enough of a contract's label for people: its name, version and some digits. */
static int short_label(const char *label)
{
    enum { DIGITS = 12 };
    struct str s = str_of(label);
    size_t n = str_find(s, ':', 0) + 1 + DIGITS;
    return (int)(n < s.n ? n : s.n);
}

static void put_deliveries(const struct lineage *l, const struct lineage_event *e, int depth,
                           struct buf *out)
{
    char when[CLOCK_TEXT];
    for (int i = 0; i < l->delivery_count; i++) {
        const struct lineage_delivery *d = &l->deliveries[i];
        if (d->seq == e->seq) {
            buf_printf(out, "%*s> %s %s at %s under %.*s", 2 * depth + 2, "",
                       d->sure ? "acknowledged by" : "in a range acknowledged by", d->consumer,
                       clock_text(d->acked_at, when), short_label(d->contract), d->contract);
            put_ledger(out, d->ledger);
            buf_addc(out, '\n');
        }
    }
}

static void put_plans(const struct lineage *l, const struct lineage_event *e, int depth,
                      struct buf *out)
{
    char when[CLOCK_TEXT];
    for (int i = 0; i < l->plan_count; i++) {
        const struct lineage_plan *p = &l->plans[i];
        if (strcmp(p->cause, e->id) != 0) {
            continue;
        }
        buf_printf(out, "%*s= plan %s %s/%s by %s, due %s, %s", 2 * depth + 2, "", p->id,
                   p->journey, p->step, p->channel, clock_text(p->due_at, when), p->state);
        if (p->done_at) {
            buf_printf(out, " at %s", clock_text(p->done_at, when));
        }
        if (p->reason) {
            buf_printf(out, " (%s)", p->reason);
        }
        buf_addc(out, '\n');
    }
}

/* `depth` grows with the number of causes, which is bounded by the number of events. */
static void put_event(const struct lineage *l, const struct lineage_event *e, int depth,
                      struct buf *out)
{
    char when[CLOCK_TEXT];
    buf_printf(out, "%*s%s #%lld %s %s at %s from %s", 2 * depth, "", e->wanted ? "*" : "-",
               (long long)e->seq, e->type, e->id, clock_text(e->time, when), e->source);
    put_ledger(out, e->ledger);
    buf_addc(out, '\n');
    put_deliveries(l, e, depth, out);
    put_plans(l, e, depth, out);
    for (int i = 0; i < l->event_count; i++) {
        if (caused_by(&l->events[i], e) && l->events[i].seq > e->seq) {
            put_event(l, &l->events[i], depth + 1, out);
        }
    }
}

void lineage_text(const struct lineage *l, struct buf *out)
{
    char when[CLOCK_TEXT];
    for (int i = 0; i < l->message_count; i++) {
        const struct lineage_message *m = &l->messages[i];
        buf_printf(out, "message %lld %s %s from %s at %s, %lld bytes, %s", (long long)m->no, m->id,
                   m->type, m->feed, clock_text(m->received_at, when), (long long)m->size,
                   m->state);
        if (m->mapping) {
            buf_printf(out, " by %s", m->mapping);
        }
        if (m->parts) {
            buf_printf(out, ", one of the parts %s", m->parts);
        }
        put_ledger(out, m->ledger);
        buf_addc(out, '\n');
        for (int k = 0; k < l->event_count; k++) {
            if (of_message(&l->events[k], m)) {
                put_event(l, &l->events[k], 1, out);
            }
        }
    }
    for (int k = 0; k < l->event_count; k++) {
        if (!l->events[k].cause && !l->events[k].message_no) {
            put_event(l, &l->events[k], 0, out);
        }
    }
}

/* ---- JSON: flat lists, joined by their numbers and ids ---- */

static void put_text(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "\"%s\":", name);
    if (value) {
        buf_json(out, str_of(value));
    } else {
        buf_addz(out, "null");
    }
    buf_addc(out, ',');
}

static void put_time(struct buf *out, const char *name, usec at)
{
    char when[CLOCK_TEXT];
    put_text(out, name, clock_text(at, when));
}

static void put_number(struct buf *out, const char *name, int64_t n)
{
    if (n) {
        buf_printf(out, "\"%s\":%lld,", name, (long long)n);
    } else {
        put_text(out, name, NULL);
    }
}

/* Takes the comma of the last member back and closes the object. */
static void close_object(struct buf *out)
{
    if (buf_ok(out)) {
        out->p[out->n - 1] = '}';
    }
}

static void json_message(const struct lineage_message *m, struct buf *out)
{
    buf_addc(out, '{');
    put_number(out, "no", m->no);
    put_text(out, "id", m->id);
    put_text(out, "feed", m->feed);
    put_text(out, "type", m->type);
    put_time(out, "received", m->received_at);
    put_text(out, "state", m->state);
    put_text(out, "mapping", m->mapping);
    put_number(out, "bytes", m->size);
    put_text(out, "parts", m->parts);
    put_number(out, "ledger", m->ledger);
    close_object(out);
}

static void json_event(const struct lineage_event *e, struct buf *out)
{
    buf_addc(out, '{');
    put_number(out, "seq", e->seq);
    put_text(out, "id", e->id);
    put_text(out, "type", e->type);
    put_time(out, "time", e->time);
    put_time(out, "recorded", e->recorded_at);
    put_text(out, "source", e->source);
    put_number(out, "message", e->message_no);
    put_text(out, "cause", e->cause);
    put_text(out, "mapping", e->mapping);
    put_number(out, "ledger", e->ledger);
    close_object(out);
}

static void json_delivery(const struct lineage_delivery *d, struct buf *out)
{
    buf_addc(out, '{');
    put_number(out, "seq", d->seq);
    put_text(out, "consumer", d->consumer);
    put_text(out, "contract", d->contract);
    put_time(out, "acknowledged", d->acked_at);
    buf_printf(out, "\"sure\":%s,", d->sure ? "true" : "false");
    put_number(out, "ledger", d->ledger);
    close_object(out);
}

static void json_plan(const struct lineage_plan *p, struct buf *out)
{
    buf_addc(out, '{');
    put_text(out, "id", p->id);
    put_text(out, "journey", p->journey);
    put_text(out, "step", p->step);
    put_text(out, "channel", p->channel);
    put_text(out, "purpose", p->purpose);
    put_text(out, "cause", p->cause);
    put_time(out, "planned", p->planned_at);
    put_time(out, "due", p->due_at);
    put_text(out, "state", p->state);
    put_text(out, "reason", p->reason);
    if (p->done_at) {
        put_time(out, "done", p->done_at);
    } else {
        put_text(out, "done", NULL);
    }
    close_object(out);
}

void lineage_json(const struct lineage *l, struct buf *out)
{
    buf_addz(out, "{\"messages\":[");
    for (int i = 0; i < l->message_count; i++) {
        buf_addz(out, i ? "," : "");
        json_message(&l->messages[i], out);
    }
    buf_addz(out, "],\"events\":[");
    for (int i = 0; i < l->event_count; i++) {
        buf_addz(out, i ? "," : "");
        json_event(&l->events[i], out);
    }
    buf_addz(out, "],\"deliveries\":[");
    for (int i = 0; i < l->delivery_count; i++) {
        buf_addz(out, i ? "," : "");
        json_delivery(&l->deliveries[i], out);
    }
    buf_addz(out, "],\"plans\":[");
    for (int i = 0; i < l->plan_count; i++) {
        buf_addz(out, i ? "," : "");
        json_plan(&l->plans[i], out);
    }
    buf_addz(out, "]}\n");
}
