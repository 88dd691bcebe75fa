#include "core/store/migrate.h"

#include "core/base/embed.h"
#include "core/base/num.h"
#include "core/crypto/digest.h"

#include <stdio.h>
#include <string.h>

static const char prefix[] = "core/store/migrations/";

/* Any number will do, as long as it stays the same: "dari". */
DB_STATEMENT(lock, "SELECT pg_advisory_lock(1684107881)");
DB_STATEMENT(unlock, "SELECT pg_advisory_unlock(1684107881)");
DB_STATEMENT(has_table, "SELECT to_regclass('public.dari_migration') IS NOT NULL");

static const char make_table[] =
    "CREATE TABLE IF NOT EXISTS public.dari_migration ("
    "number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
    "applied_at timestamptz NOT NULL DEFAULT now())";
static const char list_applied[] =
    "SELECT number, name, checksum FROM public.dari_migration ORDER BY number";
static const char remember[] =
    "INSERT INTO public.dari_migration (number, name, checksum) VALUES ($1, $2, $3)";

struct migration {
    int number;
    const char *name;
    struct str sql;
    char checksum[65];
};

enum { MAX_MIGRATIONS = 200 };

static int known(struct migration *out)
{
    int n = 0;
    for (const struct embedded *f = embedded_files; f->name; f++) {
        int64_t number;
        if (strncmp(f->name, prefix, sizeof prefix - 1) != 0 || n == MAX_MIGRATIONS ||
            num_i64(str_cut(str_of(f->name + sizeof prefix - 1), 0, 4), 1, 9999, &number, NULL) !=
                ERR_NONE) {
            continue;
        }
        unsigned char digest[SHA256_BYTES];
        sha256(f->bytes, digest);
        struct migration *m = &out[n++];
        *m = (struct migration){
            .number = (int)number, .name = f->name + sizeof prefix - 1, .sql = f->bytes};
        for (int i = 0; i < SHA256_BYTES; i++) {
            snprintf(m->checksum + 2 * i, 3, "%02x", digest[i]);
        }
    }
    return n;
}

/* Compares what is applied with what this binary knows. */
static enum err_code compare(struct db *db, struct arena *a, const struct migration *list, int n,
                             int *applied, struct err *e)
{
    struct db_rows *rows;
    *applied = 0;
    enum err_code code = db_run(db, a, &has_table, NULL, &rows, e);
    if (code != ERR_NONE || !db_bool(rows, 0, 0)) {
        return code;
    }
    code = db_text(db, a, list_applied, NULL, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    *applied = db_count(rows);
    if (*applied > n) {
        return ERR(e, ERR_CONFIG, 0,
                   "the database is newer than this dari (%d migrations, known %d): upgrade dari",
                   *applied, n);
    }
    for (int i = 0; i < *applied; i++) {
        if (db_i64(rows, i, 0) != list[i].number || !str_is(db_str(rows, i, 2), list[i].checksum)) {
            return ERR(
                e, ERR_CONFIG, 0,
                "migration %s differs from the one applied: this database belongs to another dari",
                list[i].name);
        }
    }
    return ERR_NONE;
}

enum err_code migrate_state(struct db *db, struct migration_state *out, struct err *e)
{
    struct migration list[MAX_MIGRATIONS];
    struct arena *a = arena_new(0);
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    out->known = known(list);
    enum err_code code = compare(db, a, list, out->known, &out->applied, e);
    arena_free(&a);
    return code;
}

enum err_code migrate_check(struct db *db, struct err *e)
{
    struct migration_state s;
    enum err_code code = migrate_state(db, &s, e);
    if (code == ERR_NONE && s.applied < s.known) {
        code = ERR(e, ERR_CONFIG, 0, "the database has %d of %d migrations: run dari db migrate",
                   s.applied, s.known);
    }
    return code;
}

static enum err_code apply_one(struct db *db, struct arena *a, const struct migration *m,
                               struct err *e)
{
    enum err_code code = db_begin(db, e);
    char *sql = arena_z(a, m->sql);
    if (code == ERR_NONE && !sql) {
        code = ERR(e, ERR_NOMEM, 0, "no memory");
    }
    if (code == ERR_NONE) {
        code = db_script(db, sql, e);
    }
    if (code == ERR_NONE) {
        struct db_args q = {0};
        arg_i64(&q, m->number);
        arg_z(&q, m->name);
        arg_z(&q, m->checksum);
        code = db_text(db, a, remember, &q, NULL, e);
    }
    if (code == ERR_NONE) {
        code = db_commit(db, e);
    }
    if (code != ERR_NONE) {
        db_rollback(db);
        err_in(e, "migration %s", m->name);
    }
    return code;
}

static enum err_code apply_all(struct db *db, struct arena *a, int *applied, struct err *e)
{
    struct migration list[MAX_MIGRATIONS];
    int n = known(list), have = 0;
    enum err_code code = db_script(db, make_table, e);
    if (code == ERR_NONE) {
        code = compare(db, a, list, n, &have, e);
    }
    for (int i = have; code == ERR_NONE && i < n; i++) {
        code = apply_one(db, a, &list[i], e);
        *applied += code == ERR_NONE;
    }
    if (code == ERR_NONE) {
        struct db_args q = {0};
        arg_day(&q, (int32_t)(clock_now() / USEC_DAY) - 1);
        code = db_text(db, a, "SELECT dari.make_partitions($1, 9)", &q, NULL, e);
    }
    return code;
}

enum err_code migrate_apply(struct db *db, int *applied, struct err *e)
{
    struct arena *a = arena_new(0);
    *applied = 0;
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    /* An index on a large table takes as long as it takes. */
    enum err_code code = db_script(db, "SET statement_timeout = 0", e);
    if (code == ERR_NONE) {
        code = db_run(db, a, &lock, NULL, NULL, e);
    }
    if (code == ERR_NONE) {
        code = apply_all(db, a, applied, e);
        db_run(db, a, &unlock, NULL, NULL, NULL);
    }
    arena_free(&a);
    return code;
}

DB_STATEMENT(
    site_row,
    "INSERT INTO dari.stream AS s (site, key_check) VALUES ($1, $2) ON CONFLICT (site) DO UPDATE "
    "SET key_check = coalesce(s.key_check, excluded.key_check) RETURNING key_check");

enum err_code migrate_site(struct db *db, const char *site, const char *key_check, struct err *e)
{
    struct arena *a = arena_new(0);
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, site);
    arg_z(&q, key_check);
    enum err_code code = db_run(db, a, &site_row, &q, &rows, e);
    if (code == ERR_NONE && key_check && !str_is(db_str(rows, 0, 0), key_check)) {
        code = ERR(e, ERR_CONFIG, 0,
                   "site %s in this database was written with another site.key: put that one back",
                   site);
    }
    arena_free(&a);
    return code;
}
