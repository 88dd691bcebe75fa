#include "core/messaging/messaging_internal.h"

#include "core/messaging/outbox.h"

#include <string.h>

static enum err_code no_memory(struct err *e)
{
    return ERR(e, ERR_NOMEM, 0, "no memory for events");
}

static struct event *next(struct arena *a, struct outgoing *out)
{
    if (out->count == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 16;
        struct event *bigger = cap <= MAX_OUTGOING ? arena_array(a, cap, sizeof *bigger) : NULL;
        if (!bigger) {
            return NULL;
        }
        if (out->count) {
            memcpy(bigger, out->events, out->count * sizeof *bigger);
        }
        out->events = bigger;
        out->cap = cap;
    }
    return &out->events[out->count];
}

struct pair {
    const char *field, *value;
};

/* The id comes from the plan's, so that the same plan never says the same thing twice. */
static enum err_code add(struct messaging *m, struct arena *a, struct outgoing *out,
                         const struct outgoing_plan *p, const struct event_type *type,
                         unsigned position, const struct pair *pairs, struct err *e)
{
    struct event *ev = next(a, out);
    struct event_builder *b = ev ? event_new(a, type) : NULL;
    if (!b) {
        return no_memory(e);
    }
    enum err_code code = event_set(b, STR("message_key"), p->id, e);
    for (; code == ERR_NONE && pairs->field; pairs++) {
        code = event_set(b, str_of(pairs->field), str_of(pairs->value), e);
    }
    if (code == ERR_NONE) {
        code = event_finish(b, ev, e);
    }
    if (code != ERR_NONE) {
        /* Our own values: if the catalogue does not take them, binary and catalogue differ. */
        const char *why = e ? e->msg : "";
        return ERR(e, ERR_BUG, 0, "%s does not fit the catalogue: %s", type->name,
                   arena_z(a, str_of(why)));
    }
    key_event(m->s.keys, p->id, str_of(type->name), position, ev->id);
    snprintf(ev->subject, sizeof ev->subject, "%.*s", STR_ARG(p->patient));
    ev->type = type;
    ev->time = p->at;
    ev->test = p->test;
    ev->cause = arena_z(a, p->cause);
    out->count++;
    return ev->cause ? ERR_NONE : no_memory(e);
}

enum err_code out_requested(struct messaging *m, struct arena *a, struct outgoing *out,
                            const struct outgoing_plan *p, const struct journey *j,
                            const struct journey_step *s, usec send_at, struct err *e)
{
    char at[CLOCK_TEXT];
    const struct pair pairs[] = {{"template", s->template->id},
                                 {"purpose", message_class_name(j->class)},
                                 {"channel", "sms"},
                                 {"send_at", clock_text(send_at, at)},
                                 {"journey", j->id},
                                 {"step", s->id},
                                 {NULL, NULL}};
    return add(m, a, out, p, m->requested, 0, pairs, e);
}

static const char *event_reason(const char *plan_reason)
{
    for (int r = 0; r <= REASON_UNKNOWN; r++) {
        if (strcmp(reason_plan((enum message_reason)r), plan_reason) == 0) {
            return reason_event((enum message_reason)r);
        }
    }
    return plan_reason;
}

enum err_code out_suppressed(struct messaging *m, struct arena *a, struct outgoing *out,
                             const struct outgoing_plan *p, const char *plan_reason, struct err *e)
{
    const struct pair pairs[] = {{"reason", event_reason(plan_reason)}, {NULL, NULL}};
    return add(m, a, out, p, m->suppressed, 0, pairs, e);
}

enum err_code out_status(struct messaging *m, struct arena *a, struct outgoing *out,
                         const struct outgoing_plan *p, enum message_status status, struct err *e)
{
    static const char *const names[] = {"accepted", "failed", "unknown"};
    char at[CLOCK_TEXT], provider[16];
    snprintf(provider, sizeof provider, "%ld", p->provider_code);
    const struct pair pairs[] = {{"status", names[status]},
                                 {"at", clock_text(p->at, at)},
                                 {p->provider_code ? "provider_code" : NULL, provider},
                                 {NULL, NULL}};
    return add(m, a, out, p, m->status_changed, (unsigned)status, pairs, e);
}

enum err_code out_ended(struct messaging *m, struct arena *a, struct outgoing *out,
                        const struct outgoing_plan *p, struct str state, struct str reason,
                        struct err *e)
{
    enum err_code code = out_unstage(a, out, p->id, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (str_is(state, "failed")) {
        return out_status(
            m, a, out, p,
            str_is(reason, reason_plan(REASON_UNKNOWN)) ? MESSAGE_UNKNOWN : MESSAGE_FAILED, e);
    }
    const char *z = arena_z(a, reason);
    return z ? out_suppressed(m, a, out, p, z, e) : no_memory(e);
}

enum err_code out_append(struct messaging *m, struct db *db, struct arena *a,
                         const struct outgoing *out, const char *kind, struct err *e)
{
    int64_t first;
    const struct event_batch batch = {.site = m->s.site,
                                      .source = "role:messaging",
                                      .kind = kind,
                                      .at = clock_now(),
                                      .events = out->events,
                                      .count = out->count};
    return out->count ? events_append(db, a, m->s.keys, &batch, &first, e) : ERR_NONE;
}

enum err_code out_unstage(struct arena *a, struct outgoing *out, struct str id, struct err *e)
{
    if (out->unstage_count == out->unstage_cap) {
        size_t cap = out->unstage_cap ? out->unstage_cap * 2 : 16;
        const char **bigger = arena_array(a, cap, sizeof *bigger);
        if (!bigger) {
            return no_memory(e);
        }
        if (out->unstage_count) {
            memcpy(bigger, out->unstage, out->unstage_count * sizeof *bigger);
        }
        out->unstage = bigger;
        out->unstage_cap = cap;
    }
    const char *z = arena_z(a, id);
    out->unstage[out->unstage_count] = z;
    out->unstage_count += z != NULL;
    return z ? ERR_NONE : no_memory(e);
}

void out_unstage_all(const struct messaging *m, const struct outgoing *out)
{
    for (size_t i = 0; i < out->unstage_count; i++) {
        outbox_unstage(m->s.outbox, out->unstage[i]);
    }
}
