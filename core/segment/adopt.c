/* Taking a connection, and taking up rules that changed since the last time. */
#include "core/segment/segment.h"

#include "core/base/log.h"
#include "core/segment/core.h"

#include <inttypes.h>
#include <string.h>

DB_STATEMENT(make_rows, "WITH a AS (INSERT INTO dari.segment_state (site) VALUES ($1) "
                        "ON CONFLICT DO NOTHING) "
                        "INSERT INTO dari.position (site, role) VALUES ($1, 'segment') "
                        "ON CONFLICT DO NOTHING");
DB_STATEMENT(read_rules, "SELECT segment, version, digest FROM dari.segment_rule WHERE site = $1");
DB_STATEMENT(put_rule, "INSERT INTO dari.segment_rule AS r (site, segment, version, digest) "
                       "VALUES ($1, $2, $3, $4) ON CONFLICT (site, segment) DO UPDATE "
                       "SET version = excluded.version, digest = excluded.digest");
DB_STATEMENT(drop_rules, "DELETE FROM dari.segment_rule WHERE site = $1 "
                         "AND segment <> ALL ($2::text[])");
DB_STATEMENT(drop_members,
             "WITH m AS (DELETE FROM dari.segment_member WHERE site = $1 "
             "AND segment <> ALL ($2::text[]) RETURNING patient, segment, rule_version) "
             "SELECT patient, segment, rule_version FROM m ORDER BY patient, segment");
DB_STATEMENT(keep_members, "UPDATE dari.segment_member SET rule_version = $3, reasons = $4::text[] "
                           "WHERE site = $1 AND segment = $2 "
                           "AND (rule_version <> $3 OR reasons <> $4::text[])");
DB_STATEMENT(save_rules, "UPDATE dari.segment_state SET rules = $2 WHERE site = $1");

static struct db_array *rule_ids(const struct segmenter *s)
{
    struct db_array *ids = db_array_new(s->scratch);
    for (size_t i = 0; ids && i < s->set.rules->count; i++) {
        db_array_z(ids, s->set.rules->rules[i].id);
    }
    return ids;
}

static void warn_of_versions(const struct segmenter *s, const struct db_rows *rows)
{
    for (int i = 0; i < db_count(rows); i++) {
        const struct segment_rule *r = segment_rule_find(s->set.rules, db_z(rows, i, 0));
        if (r && strcmp(r->digest, db_z(rows, i, 2)) != 0 && r->version == db_i64(rows, i, 1)) {
            log_warn("segment.version",
                     "segment=%s version=%d error=\"the rule changed but not its version: count it "
                     "up\"",
                     r->id, r->version);
        }
    }
}

/* Remembers the rule; who stays a member is one by this version now. */
static enum err_code put_one_rule(struct segmenter *s, const struct segment_rule *r, struct err *e)
{
    struct db_array *reasons = db_array_new(s->scratch);
    if (!reasons) {
        return ERR(e, ERR_NOMEM, 0, "no memory for segmentation");
    }
    for (size_t k = 0; k < r->when_count; k++) {
        db_array_z(reasons, r->whens[k].reason);
    }
    struct db_args put = {0}, keep = {0};
    arg_z(&put, s->set.site);
    arg_z(&put, r->id);
    arg_i64(&put, r->version);
    arg_z(&put, r->digest);
    arg_z(&keep, s->set.site);
    arg_z(&keep, r->id);
    arg_i64(&keep, r->version);
    arg_array(&keep, reasons);
    enum err_code code = db_run(s->db, s->scratch, &put_rule, &put, NULL, e);
    return code == ERR_NONE ? db_run(s->db, s->scratch, &keep_members, &keep, NULL, e) : code;
}

static enum err_code put_rules(struct segmenter *s, struct db_array *ids, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, s->set.site);
    arg_array(&q, ids);
    enum err_code code = db_run(s->db, s->scratch, &drop_rules, &q, NULL, e);
    for (size_t i = 0; code == ERR_NONE && i < s->set.rules->count; i++) {
        code = put_one_rule(s, &s->set.rules->rules[i], e);
    }
    return code;
}

/* Members of segments that are gone leave; then everybody is looked at by the new rules. */
static enum err_code adopt_rules(struct segmenter *s, struct err *e)
{
    static const struct change_cause rules = {.name = "rules"};
    struct db_array *ids = rule_ids(s);
    struct db_args q = {0};
    struct db_rows *rows;
    if (!ids) {
        return ERR(e, ERR_NOMEM, 0, "no memory for segmentation");
    }
    arg_z(&q, s->set.site);
    arg_array(&q, ids);
    enum err_code code = db_run(s->db, s->scratch, &drop_members, &q, &rows, e);
    if (code == ERR_NONE && s->at != SEGMENT_NEVER) {
        code = change_removed(&s->changes, rows, s->at, e);
    }
    if (code == ERR_NONE) {
        code = put_rules(s, ids, e);
    }
    struct db_args digest = {0};
    arg_z(&digest, s->set.site);
    arg_z(&digest, s->set.rules->digest);
    if (code == ERR_NONE) {
        code = db_run(s->db, s->scratch, &save_rules, &digest, NULL, e);
    }
    s->adopted = code == ERR_NONE;
    if (code == ERR_NONE && s->at != SEGMENT_NEVER) {
        s->swept = s->at;
        code = core_evaluate(s, &s->set.rules->all, s->at, &rules, NULL, e);
    }
    return code;
}

enum err_code segment_attach(struct segmenter *s, struct db *db, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    s->db = db;
    s->adopted = false;
    arg_z(&q, s->set.site);
    enum err_code code = db_run(db, s->scratch, &make_rows, &q, NULL, e);
    if (code == ERR_NONE) {
        code = segment_rollback(s, e);
    }
    if (code != ERR_NONE || s->adopted) {
        return code;
    }
    code = core_begin(s, e);
    if (code == ERR_NONE) {
        code = db_run(db, s->scratch, &read_rules, &q, &rows, e);
    }
    if (code == ERR_NONE) {
        warn_of_versions(s, rows);
        log_info("segment.rules", "segments=%zu", s->set.rules->count);
        code = adopt_rules(s, e);
    }
    return code == ERR_NONE ? segment_commit(s, e) : code;
}
