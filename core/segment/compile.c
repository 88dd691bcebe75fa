#include "core/segment/compile.h"

enum { MAX_STATEMENT = 8 * 1024 * 1024 };

void sql_literal(struct buf *b, const char *text)
{
    buf_addc(b, '\'');
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            buf_addc(b, '\'');
        }
        buf_addc(b, *c);
    }
    buf_addc(b, '\'');
}

/* ('SG02', (…) IS TRUE AND (…) IS TRUE), … : a condition that is unknown does not hold. */
static void memberships(struct buf *b, const struct segment_rules *r)
{
    for (size_t i = 0; i < r->count; i++) {
        buf_addz(b, i ? ",\n (" : " (");
        sql_literal(b, r->rules[i].id);
        buf_addz(b, ", p.merged_into IS NULL");
        for (size_t k = 0; k < r->rules[i].when_count; k++) {
            buf_printf(b, " AND (%s) IS TRUE", r->rules[i].whens[k].sql);
        }
        buf_addc(b, ')');
    }
}

/* CASE d.segment WHEN 'SG02' THEN … END, for something written per rule. */
static void per_rule(struct buf *b, const struct segment_rules *r,
                     void (*value)(struct buf *b, const struct segment_rule *rule))
{
    buf_addz(b, "CASE d.segment");
    for (size_t i = 0; i < r->count; i++) {
        buf_addz(b, " WHEN ");
        sql_literal(b, r->rules[i].id);
        buf_addz(b, " THEN ");
        value(b, &r->rules[i]);
    }
    buf_addz(b, " END");
}

static void holds(struct buf *b, const struct segment_rule *rule)
{
    buf_addz(b, "ARRAY[");
    for (size_t k = 0; k < rule->when_count; k++) {
        buf_printf(b, "%s(%s) IS TRUE", k ? ", " : "", rule->whens[k].sql);
    }
    buf_addc(b, ']');
}

static void reasons(struct buf *b, const struct segment_rule *rule)
{
    buf_addz(b, "ARRAY[");
    for (size_t k = 0; k < rule->when_count; k++) {
        buf_addz(b, k ? ", " : "");
        sql_literal(b, rule->whens[k].reason);
    }
    buf_addc(b, ']');
}

static void version(struct buf *b, const struct segment_rule *rule)
{
    buf_printf(b, "%d", rule->version);
}

/* First who differs (cheap: conditions stop at the first that does not hold), then why. */
static const char *evaluation(struct arena *a, const struct segment_rules *r, const char *who)
{
    struct buf b;
    buf_init(&b, MAX_STATEMENT);
    buf_addz(&b, "WITH v AS (SELECT p.patient, s.segment, s.is_in\n"
                 "FROM (SELECT $2::timestamptz AS now, $3::date AS today) t, dari.profile p,\n"
                 "LATERAL (VALUES\n");
    memberships(&b, r);
    buf_printf(&b,
               ") AS s(segment, is_in)\nWHERE p.site = $1%s),\n"
               "d AS (SELECT v.patient, v.segment, v.is_in FROM v\n"
               "LEFT JOIN dari.segment_member m ON m.site = $1 AND m.segment = v.segment "
               "AND m.patient = v.patient\n"
               "WHERE v.is_in <> (m.patient IS NOT NULL)\n"
               "ORDER BY v.patient, v.segment LIMIT $4),\n"
               "gone AS (DELETE FROM dari.segment_member m USING d WHERE m.site = $1 "
               "AND m.segment = d.segment AND m.patient = d.patient AND NOT d.is_in),\n"
               "come AS (INSERT INTO dari.segment_member (site, segment, patient, since, "
               "rule_version, reasons)\nSELECT $1, d.segment, d.patient, $2, ",
               who);
    per_rule(&b, r, version);
    buf_addz(&b, ", ");
    per_rule(&b, r, reasons);
    buf_addz(&b, " FROM d WHERE d.is_in)\nSELECT d.patient, d.segment, d.is_in, ");
    per_rule(&b, r, holds);
    buf_addz(&b, ", p.merged_into IS NOT NULL\n"
                 "FROM (SELECT $2::timestamptz AS now, $3::date AS today) t, d\n"
                 "JOIN dari.profile p ON p.site = $1 AND p.patient = d.patient\n"
                 "ORDER BY d.patient, d.segment");
    const char *sql = buf_ok(&b) ? arena_z(a, buf_str(&b)) : NULL;
    buf_release(&b);
    return sql;
}

bool rules_compile(struct arena *a, struct segment_rules *r)
{
    r->some = (struct db_statement){"segment_some",
                                    evaluation(a, r, " AND p.patient = ANY ($5::text[])")};
    r->due = (struct db_statement){
        "segment_due",
        evaluation(a, r,
                   " AND p.patient IN (SELECT a.patient FROM dari.profile_appointment a "
                   "WHERE a.site = $1 AND a.start_at = $2)")};
    r->all = (struct db_statement){"segment_all", evaluation(a, r, "")};
    return r->some.sql && r->due.sql && r->all.sql;
}

const char *rule_explain_sql(struct arena *a, const struct segment_rule *r)
{
    struct buf b;
    buf_init(&b, MAX_STATEMENT);
    buf_addz(&b, "SELECT p.merged_into IS NOT NULL");
    for (size_t k = 0; k < r->when_count; k++) {
        buf_printf(&b, ", (%s)", r->whens[k].sql);
    }
    for (const struct expr_name *n = r->names; n->name; n++) {
        buf_printf(&b, ", (%s)::text", n->sql);
    }
    buf_addz(&b, "\nFROM (SELECT $2::timestamptz AS now, $3::date AS today) t, dari.profile p\n"
                 "WHERE p.site = $1 AND p.patient = $4");
    const char *sql = buf_ok(&b) ? arena_z(a, buf_str(&b)) : NULL;
    buf_release(&b);
    return sql;
}
