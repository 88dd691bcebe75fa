#include "core/store/events.h"

#include <inttypes.h>
#include <stdio.h>

DB_STATEMENT(
    append,
    "SELECT dari.append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)");

enum { MAX_SECRET = 16 * 1024 * 1024 };

void event_row_digest(const struct event_row *r, unsigned char out[SHA256_BYTES])
{
    char time[32];
    int n = snprintf(time, sizeof time, "%" PRId64, r->time);
    const struct str lf = STR("\n");
    const struct str parts[] = {r->id,
                                lf,
                                r->type,
                                lf,
                                r->subject,
                                lf,
                                {time, (size_t)n},
                                lf,
                                r->source,
                                lf,
                                r->cause,
                                lf,
                                r->mapping,
                                lf,
                                r->test ? STR("t") : STR("f"),
                                lf,
                                r->data,
                                lf,
                                r->sealed.p ? r->sealed : STR("")};
    sha256_of(parts, sizeof parts / sizeof parts[0], out);
}

void message_row_digest(struct str control_id, struct str type, struct str charset,
                        struct str sealed, unsigned char out[SHA256_BYTES])
{
    const struct str parts[] = {control_id, STR("\n"), type, STR("\n"), charset, STR("\n"), sealed};
    sha256_of(parts, sizeof parts / sizeof parts[0], out);
}

enum err_code event_seal(const struct keyring *keys, struct arena *a, const char *site,
                         const struct event *ev, struct str *out, struct err *e)
{
    *out = (struct str){NULL, 0};
    if (ev->secret.n == 0) {
        return ERR_NONE;
    }
    struct buf b;
    buf_init(&b, MAX_SECRET);
    const char *context = arena_printf(a, "%s/event/%s", site, ev->id);
    enum err_code code = context ? seal(keys, str_of(context), ev->secret, &b, e)
                                 : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        *out = arena_copy(a, buf_str(&b));
        if (!out->p) {
            code = ERR(e, ERR_NOMEM, 0, "no memory");
        }
    }
    buf_release(&b);
    return code;
}

struct columns {
    struct db_array *ids, *types, *subjects, *times, *causes, *tests, *data, *sealed;
};

static bool columns_new(struct columns *c, struct arena *a)
{
    struct db_array **all[] = {&c->ids,    &c->types, &c->subjects, &c->times,
                               &c->causes, &c->tests, &c->data,     &c->sealed};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!(*all[i] = db_array_new(a))) {
            return false;
        }
    }
    return true;
}

enum err_code events_append(struct db *db, struct arena *a, const struct keyring *keys,
                            const struct event_batch *b, int64_t *first, struct err *e)
{
    struct columns c;
    *first = 0;
    if (b->count == 0) {
        return ERR_NONE;
    }
    if (!columns_new(&c, a)) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    for (size_t i = 0; i < b->count; i++) {
        const struct event *ev = &b->events[i];
        struct str sealed;
        enum err_code code = event_seal(keys, a, b->site, ev, &sealed, e);
        if (code != ERR_NONE) {
            return code;
        }
        db_array_z(c.ids, ev->id);
        db_array_z(c.types, ev->type->name);
        db_array_z(c.subjects, ev->subject[0] ? ev->subject : NULL);
        db_array_time(c.times, ev->time);
        db_array_z(c.causes, ev->cause);
        db_array_bool(c.tests, ev->test);
        db_array_str(c.data, ev->data);
        db_array_bytes(c.sealed, sealed);
    }
    struct db_args q = {0};
    arg_z(&q, b->site);
    arg_z(&q, b->source);
    arg_time(&q, b->at);
    b->message_no ? arg_i64(&q, b->message_no) : arg_null(&q);
    arg_z(&q, b->mapping);
    arg_z(&q, b->kind);
    arg_array(&q, c.ids);
    arg_array(&q, c.types);
    arg_array(&q, c.subjects);
    arg_array(&q, c.times);
    arg_array(&q, c.causes);
    arg_array(&q, c.tests);
    arg_array(&q, c.data);
    arg_array(&q, c.sealed);
    struct db_rows *rows;
    enum err_code code = db_run(db, a, &append, &q, &rows, e);
    if (code == ERR_NONE) {
        *first = db_i64(rows, 0, 0);
    }
    return code;
}
