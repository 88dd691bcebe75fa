#include "core/app/operator.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

DB_STATEMENT(record_operator, "SELECT dari.ledger_append($1, $2, $3)");

/* Behind sudo the person is the one who called it. */
static const char *who(void)
{
    const char *name = getenv("SUDO_USER");
    if (!name || !name[0]) {
        const struct passwd *p = getpwuid(getuid());
        name = p ? p->pw_name : NULL;
    }
    return name;
}

static char *no_blanks(struct arena *a, const char *s)
{
    char *z = arena_z(a, str_of(s));
    for (char *c = z; c && *c; c++) {
        if ((unsigned char)*c <= ' ') {
            *c = '_';
        }
    }
    return z;
}

const char *operator_name(struct arena *a)
{
    const char *name = who();
    return name ? no_blanks(a, name) : arena_printf(a, "uid:%ld", (long)getuid());
}

enum err_code operator_record(struct db *db, struct arena *a, const char *site, const char *action,
                              const char *details, struct err *e)
{
    const char *by = operator_name(a);
    const char *body = arena_printf(a, "operator site=%s by=%s action=%s%s%s", site, by ? by : "?",
                                    action, details[0] ? " " : "", details);
    if (!body) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    struct db_args q = {0};
    arg_z(&q, site);
    arg_time(&q, clock_now());
    arg_z(&q, body);
    return db_run(db, a, &record_operator, &q, NULL, e);
}
