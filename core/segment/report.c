#include "core/segment/report.h"

#include "core/segment/compile.h"

#include <string.h>

DB_STATEMENT(status, "SELECT s.at, s.last_sweep_at, p.seq, h.head FROM dari.stream h "
                     "LEFT JOIN dari.segment_state s ON s.site = h.site "
                     "LEFT JOIN dari.position p ON p.site = h.site AND p.role = 'segment' "
                     "WHERE h.site = $1");
DB_STATEMENT(counts, "SELECT segment, count(*) FROM dari.segment_member WHERE site = $1 "
                     "GROUP BY segment");
DB_STATEMENT(members, "SELECT patient, since, rule_version, array_to_json(reasons) "
                      "FROM dari.segment_member WHERE site = $1 AND segment = $2 "
                      "AND patient > $3 ORDER BY patient LIMIT $4");
DB_STATEMENT(member, "SELECT m.since, p.merged_into FROM dari.profile p "
                     "LEFT JOIN dari.segment_member m ON m.site = p.site "
                     "AND m.patient = p.patient AND m.segment = $3 "
                     "WHERE p.site = $1 AND p.patient = $2");

enum err_code segment_status(const struct segment_report *r, struct segment_status *out,
                             struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    *out = (struct segment_status){0};
    arg_z(&q, r->site);
    enum err_code code = db_run(r->db, r->a, &status, &q, &rows, e);
    if (code == ERR_NONE && db_count(rows) == 1) {
        out->known = !db_null(rows, 0, 0);
        out->at = db_time(rows, 0, 0);
        out->swept = db_time(rows, 0, 1);
        out->seq = db_i64(rows, 0, 2);
        out->head = db_i64(rows, 0, 3);
    }
    return code;
}

enum err_code segment_counts(const struct segment_report *r, struct db_rows **rows, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, r->site);
    return db_run(r->db, r->a, &counts, &q, rows, e);
}

enum err_code segment_members(const struct segment_report *r, const char *segment,
                              const char *after, int64_t limit, struct db_rows **rows,
                              struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, r->site);
    arg_z(&q, segment);
    arg_z(&q, after);
    arg_i64(&q, limit);
    return db_run(r->db, r->a, &members, &q, rows, e);
}

/* Does a condition say this word? */
static bool mentions(const struct segment_rule *rule, const char *word)
{
    size_t n = strlen(word);
    for (size_t k = 0; k < rule->when_count; k++) {
        struct str t = rule->whens[k].text;
        for (size_t i = 0; i < t.n;) {
            size_t end = i;
            while (end < t.n && ((t.p[end] >= 'a' && t.p[end] <= 'z') || t.p[end] == '_' ||
                                 (t.p[end] >= '0' && t.p[end] <= '9'))) {
                end++;
            }
            if (end - i == n && memcmp(t.p + i, word, n) == 0) {
                return true;
            }
            i = end > i ? end : i + 1;
        }
    }
    return false;
}

static enum err_code read_member(const struct segment_report *r, const struct segment_rule *rule,
                                 const char *patient, struct segment_explanation *out,
                                 struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, r->site);
    arg_z(&q, patient);
    arg_z(&q, rule->id);
    enum err_code code = db_run(r->db, r->a, &member, &q, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (db_count(rows) == 0) {
        return ERR(e, ERR_NOTFOUND, 0, "nothing is known of a patient with this key");
    }
    char text[CLOCK_TEXT];
    out->member = !db_null(rows, 0, 0);
    out->since = out->member ? arena_z(r->a, str_of(clock_text(db_time(rows, 0, 0), text))) : NULL;
    out->merged_into = db_null(rows, 0, 1) ? NULL : db_z(rows, 0, 1);
    return ERR_NONE;
}

/* Instants in the site's zone, as everywhere. */
static const char *value_text(struct arena *a, const struct expr_name *name,
                              const struct db_rows *rows, int col)
{
    char text[CLOCK_TEXT];
    if (db_null(rows, 0, col)) {
        return NULL;
    }
    return name->type == EXPR_TIME ? arena_z(a, str_of(clock_text(db_time(rows, 0, col), text)))
                                   : db_z(rows, 0, col);
}

static enum err_code read_values(const struct segment_report *r, const struct segment_rule *rule,
                                 const struct db_rows *rows, struct segment_explanation *out,
                                 struct err *e)
{
    size_t names = 0, params = 0;
    while (rule->names[names].name) {
        names++;
    }
    while (rule->params[params].name) {
        params++;
    }
    enum segment_truth *truths = arena_array(r->a, rule->when_count, sizeof *truths);
    struct segment_attribute *values = arena_array(r->a, names + params, sizeof *values);
    if (!truths || !values) {
        return ERR(e, ERR_NOMEM, 0, "no memory for an explanation");
    }
    int col = 1;
    for (size_t k = 0; k < rule->when_count; k++, col++) {
        truths[k] = db_null(rows, 0, col)   ? SEGMENT_UNKNOWN
                    : db_bool(rows, 0, col) ? SEGMENT_TRUE
                                            : SEGMENT_FALSE;
    }
    for (const struct expr_param *q = rule->params; q->name; q++) {
        values[out->attribute_count++] = (struct segment_attribute){q->name, q->value};
    }
    for (size_t i = 0; i < names; i++, col++) {
        if (mentions(rule, rule->names[i].name)) {
            values[out->attribute_count++] = (struct segment_attribute){
                rule->names[i].name, value_text(r->a, &rule->names[i], rows, col)};
        }
    }
    out->truths = truths;
    out->attributes = values;
    return ERR_NONE;
}

enum err_code segment_explain(const struct segment_report *r, const struct segment_rule *rule,
                              const char *patient, usec at, struct segment_explanation *out,
                              struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    *out = (struct segment_explanation){0};
    const char *sql = rule_explain_sql(r->a, rule);
    if (!sql) {
        return ERR(e, ERR_NOMEM, 0, "no memory for an explanation");
    }
    arg_z(&q, r->site);
    arg_time(&q, at);
    arg_day(&q, zone_day(at));
    arg_z(&q, patient);
    enum err_code code = read_member(r, rule, patient, out, e);
    if (code == ERR_NONE) {
        code = db_text(r->db, r->a, sql, &q, &rows, e);
    }
    return code == ERR_NONE ? read_values(r, rule, rows, out, e) : code;
}
