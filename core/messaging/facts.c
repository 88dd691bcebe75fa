#include "core/messaging/messaging_internal.h"

#include <string.h>

/* The newest word about a purpose, of the channel or of all; of two at one moment the refusal. The
 * numbers are enum consent. */
#define CONSENT(purpose)                                                                           \
    "coalesce((SELECT CASE WHEN NOT k.granted THEN 1 WHEN k.expires_on < $2::date THEN 2 ELSE 3 "  \
    "END FROM dari.contact_consent k WHERE k.site = p.site AND k.patient = p.patient AND "         \
    "k.purpose = '" purpose "' AND k.channel IN ('all', p.channel) "                               \
    "ORDER BY k.at DESC, k.granted LIMIT 1), 0)"

#define FACTS                                                                                      \
    "SELECT p.id, p.journey, p.step, p.state, p.patient, p.appointment, p.version, p.due_at, "     \
    "p.test, p.uncertain, p.rendered_on, coalesce(p.via = 'http', false), p.attempts, p.cause, "   \
    "coalesce(a.status, ''), coalesce(a.version = p.version AND a.patient = p.patient, false), "   \
    "a.start, c.name, c.phone, coalesce(c.privacy, false), coalesce(c.deceased, false), "          \
    "c.merged_into IS NOT NULL, " CONSENT("ad") ", " CONSENT(                                      \
        "night_ad") ", "                                                                           \
                    "CASE WHEN p.class = 'ad' THEN (SELECT count(*) FROM dari.plan s WHERE "       \
                    "s.site = p.site AND s.patient = p.patient AND s.class = 'ad' AND "            \
                    "s.id <> p.id AND ((s.state = 'sent' AND s.done_at > $3::timestamptz - "       \
                    "interval '7 days') OR (s.state = 'handing' AND s.id < p.id))) ELSE 0 END "    \
                    "FROM dari.plan p "                                                            \
                    "LEFT JOIN dari.contact_appointment a ON a.site = p.site AND "                 \
                    "a.appointment = p.appointment "                                               \
                    "LEFT JOIN dari.contact c ON c.site = p.site AND c.patient = p.patient "       \
                    "WHERE p.site = $1 AND "

DB_STATEMENT(due, FACTS "((p.state = 'planned' AND p.due_at <= $3) OR "
                        "(p.state = 'handing' AND p.next_try_at <= $4)) "
                        "ORDER BY p.due_at, p.id LIMIT $5");
DB_STATEMENT(again, FACTS "p.id = ANY($4::text[]) AND p.state IN ('planned', 'handing') "
                          "ORDER BY p.due_at, p.id");

static void read_row(struct messaging *m, const struct db_rows *r, int i, struct facts *out)
{
    *out = (struct facts){
        .id = db_str(r, i, 0),
        .journey = db_z(r, i, 1),
        .step = db_z(r, i, 2),
        .state = db_str(r, i, 3),
        .patient = db_str(r, i, 4),
        .appointment = db_str(r, i, 5),
        .version = db_i64(r, i, 6),
        .uncertain = db_bool(r, i, 9),
        .has_day = !db_null(r, i, 10),
        .http = db_bool(r, i, 11),
        .attempts = db_i64(r, i, 12),
        .cause = db_str(r, i, 13),
        .name = db_str(r, i, 17),
        .phone = db_str(r, i, 18),
    };
    out->rendered_on = out->has_day ? db_day(r, i, 10) : 0;
    out->f = (struct plan_facts){
        .journey = journey_find(m->s.journeys, out->journey),
        .due = db_time(r, i, 7),
        .test = db_bool(r, i, 8),
        .status = db_str(r, i, 14),
        .current = db_bool(r, i, 15),
        .start = db_null(r, i, 16) ? 0 : db_time(r, i, 16),
        .has_phone = !db_null(r, i, 18),
        .privacy = db_bool(r, i, 19),
        .deceased = db_bool(r, i, 20),
        .merged = db_bool(r, i, 21),
        .ad = (enum consent)db_i64(r, i, 22),
        .night = (enum consent)db_i64(r, i, 23),
        .recent_ads = db_i64(r, i, 24),
    };
    out->f.step = out->f.journey ? journey_step_find(out->f.journey, out->step) : NULL;
}

static enum err_code read_rows(struct messaging *m, const struct db_rows *r, struct facts **out,
                               size_t *count, struct err *e)
{
    size_t n = (size_t)db_count(r);
    *count = 0;
    *out = arena_array(m->arena, n ? n : 1, sizeof **out);
    if (!*out) {
        return ERR(e, ERR_NOMEM, 0, "no memory for plans");
    }
    for (size_t i = 0; i < n; i++) {
        read_row(m, r, (int)i, &(*out)[i]);
    }
    *count = n;
    return ERR_NONE;
}

enum err_code facts_due(struct messaging *m, struct db *db, usec now, usec wall, int limit,
                        struct facts **out, size_t *count, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, m->s.site);
    arg_day(&q, zone_day(now));
    arg_time(&q, now);
    arg_time(&q, wall);
    arg_i64(&q, limit);
    enum err_code code = db_run(db, m->arena, &due, &q, &rows, e);
    return code == ERR_NONE ? read_rows(m, rows, out, count, e) : code;
}

enum err_code facts_again(struct messaging *m, struct db *db, struct db_array *ids, usec now,
                          struct facts **out, size_t *count, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, m->s.site);
    arg_day(&q, zone_day(now));
    arg_time(&q, now);
    arg_array(&q, ids);
    enum err_code code = db_run(db, m->arena, &again, &q, &rows, e);
    return code == ERR_NONE ? read_rows(m, rows, out, count, e) : code;
}

/* ---- the text ---- */

static enum err_code open_value(struct messaging *m, struct arena *a, struct str patient,
                                const char *column, struct str sealed, struct str *out,
                                struct err *e)
{
    *out = (struct str){NULL, 0};
    if (sealed.n == 0) {
        return ERR_NONE;
    }
    const char *context = contact_context(a, m->s.site, patient, column);
    return context ? unseal(m->s.keys, a, str_of(context), sealed, out, e)
                   : ERR(e, ERR_NOMEM, 0, "no memory");
}

enum err_code message_phone(struct messaging *m, struct arena *a, const struct facts *f,
                            struct str *out, struct err *e)
{
    return open_value(m, a, f->patient, "phone", f->phone, out, e);
}

static void member(struct buf *json, const char *name, struct str value)
{
    buf_printf(json, "%s\"%s\":", json->n > 1 ? "," : "", name);
    buf_json(json, value);
}

static void write_json(const struct messaging *m, const struct facts *f, const struct rendered *r,
                       struct str to, struct buf *json)
{
    char start[CLOCK_TEXT];
    buf_reset(json);
    buf_addc(json, '{');
    member(json, "id", f->id);
    member(json, "site", str_of(m->s.site));
    member(json, "to", to);
    member(json, "from", str_of(m->s.sender));
    member(json, "channel", str_of(byte_class_name(r->class)));
    member(json, "text", r->text);
    buf_printf(json, ",\"bytes\":%zu", r->bytes);
    member(json, "purpose", str_of(message_class_name(f->f.journey->class)));
    member(json, "template", str_of(f->f.step->template->id));
    member(json, "journey", str_of(f->journey));
    member(json, "step", str_of(f->step));
    member(json, "patient", f->patient);
    member(json, "appointment", f->appointment);
    buf_printf(json, ",\"version\":%lld", (long long)f->version);
    member(json, "start", str_of(clock_text(f->f.start, start)));
    buf_addz(json, "}\n");
}

enum err_code message_make(struct messaging *m, struct arena *a, const struct facts *f, usec now,
                           struct buf *json, size_t *bytes, enum message_reason *reason,
                           struct err *e)
{
    struct template_values v = {0};
    struct str to;
    struct rendered r = {0};
    *reason = REASON_NONE;
    enum err_code code = message_phone(m, a, f, &to, e);
    if (code == ERR_NONE) {
        code = open_value(m, a, f->patient, "name", f->name, &v.v[VARIABLE_NAME], e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    v.v[VARIABLE_HOSPITAL] = str_of(m->s.site_name);
    v.v[VARIABLE_PHONE] = str_of(m->s.site_phone);
    template_appointment(&v, a, f->f.start, now);
    *reason = template_render(f->f.step->template, &v, a, &r);
    if (*reason == REASON_NONE) {
        *bytes = r.bytes;
        write_json(m, f, &r, to, json);
    }
    return buf_ok(json) ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a message");
}
