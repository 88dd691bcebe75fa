#include "core/messaging/messaging_internal.h"

#include <string.h>

enum { MAX_SEALED = 64 * 1024 };

DB_STATEMENT(resolve, "SELECT coalesce(merged_into, patient) FROM dari.contact "
                      "WHERE site = $1 AND patient = $2");

/* $n + 1 says whether $n is known: unknown leaves the column as it is, NULL deletes it. */
DB_STATEMENT(
    put_contact,
    "INSERT INTO dari.contact AS c (site, patient, name, phone, language, privacy, seq) "
    "VALUES ($1, $2, $3, $5, $7, coalesce($9, false), $11) "
    "ON CONFLICT (site, patient) DO UPDATE SET "
    "name = CASE WHEN $4 THEN excluded.name ELSE c.name END, "
    "phone = CASE WHEN $6 THEN excluded.phone ELSE c.phone END, "
    "language = CASE WHEN $8 THEN excluded.language ELSE c.language END, "
    "privacy = CASE WHEN $10 THEN excluded.privacy ELSE c.privacy END, seq = excluded.seq");

DB_STATEMENT(put_deceased, "INSERT INTO dari.contact AS c (site, patient, deceased, seq) "
                           "VALUES ($1, $2, true, $3) ON CONFLICT (site, patient) DO UPDATE "
                           "SET deceased = true, seq = excluded.seq");

/* The newest word counts; of two at the same moment the refusal. A refusal is lifted only by a
 * consent with evidence, so that an import of an old list does not bring somebody back. */
DB_STATEMENT(put_consent,
             "INSERT INTO dari.contact_consent AS k "
             "(site, patient, purpose, channel, granted, at, expires_on, evidence, seq) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
             "ON CONFLICT (site, patient, purpose, channel) DO UPDATE SET "
             "granted = excluded.granted, at = excluded.at, expires_on = excluded.expires_on, "
             "evidence = excluded.evidence, seq = excluded.seq "
             "WHERE (excluded.at > k.at AND (NOT excluded.granted OR k.granted "
             "OR excluded.evidence IS NOT NULL)) OR (excluded.at = k.at AND NOT excluded.granted)");

DB_STATEMENT(merge_row, "INSERT INTO dari.contact AS c (site, patient, merged_into, seq) "
                        "VALUES ($1, $2, $3, $4) ON CONFLICT (site, patient) DO UPDATE "
                        "SET merged_into = excluded.merged_into, seq = excluded.seq");
DB_STATEMENT(merge_chain, "UPDATE dari.contact SET merged_into = $3 "
                          "WHERE site = $1 AND merged_into = $2 AND patient <> $3");
/* The strictest of both counts: flags add up, refusals go along, consents do not. */
DB_STATEMENT(merge_flags,
             "UPDATE dari.contact s SET privacy = s.privacy OR r.privacy, "
             "deceased = s.deceased OR r.deceased FROM dari.contact r "
             "WHERE s.site = $1 AND s.patient = $3 AND r.site = $1 AND r.patient = $2");
DB_STATEMENT(merge_consent,
             "INSERT INTO dari.contact_consent AS k "
             "(site, patient, purpose, channel, granted, at, expires_on, evidence, seq) "
             "SELECT site, $3, purpose, channel, false, at, expires_on, evidence, $4 "
             "FROM dari.contact_consent WHERE site = $1 AND patient = $2 AND NOT granted "
             "ON CONFLICT (site, patient, purpose, channel) DO UPDATE SET granted = false, "
             "at = greatest(k.at, excluded.at), evidence = excluded.evidence, seq = excluded.seq");

const char *contact_context(struct arena *a, const char *site, struct str patient,
                            const char *column)
{
    return arena_printf(a, "%s/contact/%.*s/%s", site, STR_ARG(patient), column);
}

enum err_code contact_resolve(struct db *db, struct arena *a, const char *site, struct str patient,
                              struct str *out, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, site);
    arg_str(&q, patient);
    enum err_code code = db_run(db, a, &resolve, &q, &rows, e);
    if (code == ERR_NONE) {
        *out = db_count(rows) ? db_str(rows, 0, 0) : patient;
    }
    return code;
}

/* What an event says about a person; `known` without a value is "deleted". */
struct change {
    struct {
        bool known;
        const char *value;
    } name, phone, language;
    bool privacy_known, privacy;
};

/* A number that takes a text: Korean mobile, 010 and the older 011, 016-019. */
static bool takes_text(const char *e164)
{
    struct str s = str_of(e164);
    if (s.n < 12 || s.n > 13 || !str_starts(s, STR("+821")) || !memchr("016789", s.p[4], 6)) {
        return false;
    }
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return true;
}

/* The patient's own mobile number before another one (a guardian's). */
static const char *choose_phone(const json_t *phones)
{
    const char *other = NULL;
    size_t i;
    json_t *item;
    json_array_foreach(phones, i, item)
    {
        const char *e164 = data_str(item, "e164"), *use = data_str(item, "use");
        if (!e164 || !takes_text(e164) || !data_bool(item, "valid", true)) {
            continue;
        }
        if (!use || strcmp(use, "mobile") == 0) {
            return e164;
        }
        other = other ? other : e164;
    }
    return other;
}

static void read_texts(const json_t *data, struct change *c)
{
    if (data_has(data, "name") || data_null(data, "name")) {
        c->name.known = true;
        c->name.value = data_str(data, "name");
    }
    if (data_has(data, "language") || data_null(data, "language")) {
        c->language.known = true;
        c->language.value = data_str(data, "language");
    }
}

static void read_changed(const json_t *list, struct change *c)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *field = data_str(item, "field"), *value = data_str(item, "new");
        if (!field) {
            continue;
        }
        if (strcmp(field, "name") == 0) {
            c->name.known = true;
            c->name.value = value;
        } else if (strcmp(field, "phone_mobile") == 0) {
            c->phone.known = true;
            c->phone.value = value && takes_text(value) ? value : NULL;
        } else if (strcmp(field, "language") == 0) {
            c->language.known = true;
            c->language.value = value;
        } else if (strcmp(field, "privacy_flag") == 0) {
            c->privacy_known = true;
            c->privacy = value && (strcmp(value, "true") == 0 || strcmp(value, "Y") == 0);
        }
    }
}

static enum err_code seal_value(struct applying *x, struct str patient, const char *column,
                                const char *value, struct buf *out, struct err *e)
{
    if (!value || !value[0]) {
        return ERR_NONE;
    }
    const char *context = contact_context(x->a, x->m->s.site, patient, column);
    return context ? seal(x->m->s.keys, str_of(context), str_of(value), out, e)
                   : ERR(e, ERR_NOMEM, 0, "no memory");
}

static enum err_code put(struct applying *x, const struct change *c, struct err *e)
{
    struct str patient = str_of(x->event->subject);
    struct buf name, phone;
    struct db_args q = {0};
    buf_init(&name, MAX_SEALED);
    buf_init(&phone, MAX_SEALED);
    enum err_code code = seal_value(x, patient, "name", c->name.value, &name, e);
    if (code == ERR_NONE) {
        code = seal_value(x, patient, "phone", c->phone.value, &phone, e);
    }
    if (code == ERR_NONE) {
        arg_z(&q, x->m->s.site);
        arg_str(&q, patient);
        arg_bytes(&q, name.n ? buf_str(&name) : (struct str){NULL, 0});
        arg_bool(&q, c->name.known);
        arg_bytes(&q, phone.n ? buf_str(&phone) : (struct str){NULL, 0});
        arg_bool(&q, c->phone.known);
        arg_z(&q, c->language.value);
        arg_bool(&q, c->language.known);
        c->privacy_known ? arg_bool(&q, c->privacy) : arg_null(&q);
        arg_bool(&q, c->privacy_known);
        arg_i64(&q, x->seq);
        code = db_run(x->db, x->a, &put_contact, &q, NULL, e);
    }
    buf_release(&name);
    buf_release(&phone);
    return code;
}

enum err_code contact_registered(struct applying *x, struct err *e)
{
    struct change c = {0};
    const json_t *phones = data_list(x->event->data, "phones");
    read_texts(x->event->data, &c);
    if (phones) {
        c.phone.known = true;
        c.phone.value = choose_phone(phones);
    }
    return put(x, &c, e);
}

enum err_code contact_updated(struct applying *x, struct err *e)
{
    struct change c = {0};
    read_changed(data_list(x->event->data, "changed"), &c);
    return put(x, &c, e);
}

enum err_code contact_consent(struct applying *x, struct err *e)
{
    const json_t *d = x->event->data;
    const char *purpose = data_str(d, "purpose"), *channel = data_str(d, "channel");
    usec at = x->event->time;
    int32_t expires;
    if (!purpose || !channel || !data_has(d, "granted")) {
        return ERR(e, ERR_REQUIRED, 0, "a consent without purpose, channel or granted");
    }
    data_instant(d, "at", &at);
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, x->patient);
    arg_z(&q, purpose);
    arg_z(&q, channel);
    arg_bool(&q, data_bool(d, "granted", false));
    arg_time(&q, at);
    data_date(d, "expires_on", &expires) ? arg_day(&q, expires) : arg_null(&q);
    arg_z(&q, data_str(d, "evidence"));
    arg_i64(&q, x->seq);
    return db_run(x->db, x->a, &put_consent, &q, NULL, e);
}

enum err_code contact_deceased(struct applying *x, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, x->patient);
    arg_i64(&q, x->seq);
    enum err_code code = db_run(x->db, x->a, &put_deceased, &q, NULL, e);
    return code == ERR_NONE ? plan_end_patient(x, x->patient, REASON_DECEASED, e) : code;
}

static enum err_code merge_run(struct applying *x, const struct db_statement *st,
                               struct str retired, struct str surviving, bool seq, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, retired);
    surviving.p ? arg_str(&q, surviving) : arg_null(&q);
    if (seq) {
        arg_i64(&q, x->seq);
    }
    return db_run(x->db, x->a, st, &q, NULL, e);
}

enum err_code contact_merged(struct applying *x, struct err *e)
{
    const struct str none = {NULL, 0};
    struct str survivor = str_of(data_str(x->event->data, "surviving_key"));
    struct str retired = str_of(data_str(x->event->data, "retired_key"));
    if (survivor.n == 0 || retired.n == 0 || str_eq(survivor, retired)) {
        return ERR(e, ERR_VALUE, 0, "a merge needs two different patients");
    }
    /* A key that survives now is not retired, whatever an earlier merge said. */
    enum err_code code = merge_run(x, &merge_row, survivor, none, true, e);
    if (code == ERR_NONE) {
        code = merge_run(x, &merge_row, retired, survivor, true, e);
    }
    if (code == ERR_NONE) {
        code = merge_run(x, &merge_chain, retired, survivor, false, e);
    }
    if (code == ERR_NONE) {
        code = merge_run(x, &merge_flags, retired, survivor, false, e);
    }
    if (code == ERR_NONE) {
        code = merge_run(x, &merge_consent, retired, survivor, true, e);
    }
    return code == ERR_NONE ? plan_merge(x, retired, survivor, e) : code;
}
