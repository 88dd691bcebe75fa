#include "core/app/ledger_flow.h"

#include "core/app/command.h"
#include "core/app/contract_view.h"
#include "core/base/buf.h"

#include <stdio.h>

/*
 * A delivery row says which range of the stream a consumer acknowledged, under which contract, and
 * how many events of it the contract let through. Which types those were follows from the contract
 * as long as its file is the same. The ledger entry that a row names must be there.
 */
DB_STATEMENT(flow_consumers, "SELECT d.consumer, d.contract, sum(d.events), min(d.first_seq), "
                             "max(d.last_seq), min(d.acked_at), max(d.acked_at), "
                             "count(*) FILTER (WHERE l.idx IS NULL) "
                             "FROM dari.delivery d LEFT JOIN dari.ledger l "
                             "ON l.site = d.site AND l.idx = d.ledger AND l.day = d.day "
                             "WHERE d.site = $1 AND d.acked_at >= $2 AND d.acked_at < $3 "
                             "GROUP BY d.consumer, d.contract "
                             "ORDER BY d.consumer, min(d.first_seq)");
DB_STATEMENT(flow_types, "SELECT e.type, count(*) FROM dari.delivery d JOIN dari.event e "
                         "ON e.site = d.site AND e.seq BETWEEN d.first_seq AND d.last_seq "
                         "WHERE d.site = $1 AND d.acked_at >= $2 AND d.acked_at < $3 "
                         "AND d.consumer = $4 AND d.contract = $5 "
                         "GROUP BY e.type ORDER BY e.type");

enum { MAX_OUTPUT = 16 << 20, LABEL = 40 }; /* LABEL: so much of a contract is printed */

struct flow {
    struct db *db;
    struct arena *a;
    const char *site;
    usec from, to; /* `to` is the first instant after it */
    bool json;
    struct contract_view *contracts;
    struct buf out;
    int64_t unrecorded;
};

static enum err_code read_days(struct flow *f, const char *from, const char *to, struct err *e)
{
    int32_t day;
    f->from = 0;
    f->to = INT64_C(4102444800) * USEC_SECOND; /* the year 2100 */
    enum err_code code = from ? day_parse(str_of(from), &day, e) : ERR_NONE;
    if (code == ERR_NONE && from) {
        f->from = zone_instant(day, 0, 0, 0);
    }
    code = code == ERR_NONE && to ? day_parse(str_of(to), &day, e) : code;
    if (code == ERR_NONE && to) {
        f->to = zone_instant(day + 1, 0, 0, 0);
    }
    return code;
}

static void put_type(struct flow *f, const struct db_rows *r, int i, bool first)
{
    if (f->json) {
        buf_addz(&f->out, first ? "" : ",");
        buf_json(&f->out, db_str(r, i, 0));
        buf_printf(&f->out, ":%lld", (long long)db_i64(r, i, 1));
    } else {
        buf_printf(&f->out, "  %-32s %8lld\n", db_z(r, i, 0), (long long)db_i64(r, i, 1));
    }
}

static enum err_code types(struct flow *f, struct str consumer, struct str contract, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, f->site);
    arg_time(&q, f->from);
    arg_time(&q, f->to);
    arg_str(&q, consumer);
    arg_str(&q, contract);
    enum err_code code = db_run(f->db, f->a, &flow_types, &q, &r, e);
    bool first = true;
    for (int i = 0; code == ERR_NONE && i < db_count(r); i++) {
        if (contract_view_type(f->contracts, contract, db_str(r, i, 0)) != PASSED_NO) {
            put_type(f, r, i, first);
            first = false;
        }
    }
    return code;
}

static enum err_code consumer(struct flow *f, const struct db_rows *r, int i, struct err *e)
{
    char first[CLOCK_TEXT], last[CLOCK_TEXT];
    clock_text(db_time(r, i, 5), first);
    clock_text(db_time(r, i, 6), last);
    f->unrecorded += db_i64(r, i, 7);
    bool known = contract_view_type(f->contracts, db_str(r, i, 1), STR("")) != PASSED_UNKNOWN;
    if (f->json) {
        buf_addz(&f->out, "{\"consumer\":");
        buf_json(&f->out, db_str(r, i, 0));
        buf_addz(&f->out, ",\"contract\":");
        buf_json(&f->out, db_str(r, i, 1));
        buf_printf(&f->out,
                   ",\"events\":%lld,\"first\":%lld,\"last\":%lld,\"from\":\"%s\",\"to\":\"%s\","
                   "\"%s\":{",
                   (long long)db_i64(r, i, 2), (long long)db_i64(r, i, 3),
                   (long long)db_i64(r, i, 4), first, last, known ? "types" : "types_in_range");
    } else {
        buf_printf(&f->out, "%s under %.*s: got %lld events of #%lld to #%lld, %s to %s%s\n",
                   db_z(r, i, 0), LABEL, db_z(r, i, 1), (long long)db_i64(r, i, 2),
                   (long long)db_i64(r, i, 3), (long long)db_i64(r, i, 4), first, last,
                   known ? "" : " (the contract was changed since: all types of the range)");
    }
    enum err_code code = types(f, db_str(r, i, 0), db_str(r, i, 1), e);
    buf_addz(&f->out, f->json ? "}}\n" : "");
    return code;
}

static enum err_code collect(struct flow *f, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, f->site);
    arg_time(&q, f->from);
    arg_time(&q, f->to);
    enum err_code code = db_run(f->db, f->a, &flow_consumers, &q, &r, e);
    for (int i = 0; code == ERR_NONE && i < db_count(r); i++) {
        code = consumer(f, r, i, e);
    }
    if (code == ERR_NONE && !buf_ok(&f->out)) {
        code = ERR(e, ERR_NOMEM, 0, "no memory to print all of it");
    }
    return code;
}

int ledger_flow(struct db *db, struct arena *a, const struct config *c, const char *from,
                const char *to, bool json)
{
    struct flow f = {.db = db, .a = a, .site = c->site, .json = json};
    struct err e = {0};
    if (read_days(&f, from, to, &e) != ERR_NONE) {
        return command_usage("ledger", "--from and --to take days such as 2026-03-11");
    }
    buf_init(&f.out, MAX_OUTPUT);
    f.contracts = contract_view_new(c);
    int status = EXIT_DONE;
    if (!f.contracts) {
        return command_failed("ledger", "no memory");
    }
    if (collect(&f, &e) != ERR_NONE) {
        status = command_failed("ledger", "%s", e.msg);
    } else {
        fwrite(f.out.p ? f.out.p : "", 1, f.out.n, stdout);
        if (f.unrecorded) {
            status = command_failed("ledger", "%lld deliveries are not in the ledger",
                                    (long long)f.unrecorded);
        }
    }
    contract_view_free(&f.contracts);
    buf_release(&f.out);
    return status;
}
