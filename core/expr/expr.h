/*
 * One small expression language for all conditions: on a record (mappings), or compiled to SQL
 * (segments, journeys).
 *
 *     expr := and { "or" and }
 *     and  := not { "and" not }
 *     not  := "not" not | test
 *     test := sum [ cmp sum | "is" ["not"] state | ["not"] "in" "(" sum {"," sum} ")"
 *                 | ["not"] "between" sum "and" sum | "starts" "with" sum | "contains" sum ]
 *     sum  := term { ("+" | "-") term }        term := item { "*" item }
 *     item := 'text' | number | "true" | "false" | name | path | "{" any "}" | "(" expr ")"
 *           | "exists" set "(" expr ")" | "count" set "(" expr ")" | function "(" sum {"," sum} ")"
 *     cmp  := = != < <= > >=         state := absent | empty | null | set | unknown
 *
 * In the list behind `in` a name may stand for words that the caller gave (expr_parse_with).
 *
 * A name is lower case (last_visit_on, today, now). A path is a record path: SEG, SEG-F… as it
 * stands, or any notation in braces; where there is no record, braces hold the name of a
 * parameter. A quote in a text is doubled. Numbers have up to 15 characters and may have a
 * fraction.
 *
 * Three-valued: a comparison with something unknown (on a record: absent, empty or null) is
 * unknown, and so is its negation; an unknown condition does not hold. `is` always knows: set is a
 * value, unknown is none; absent, empty and null are told apart on a record only.
 *
 * Text is compared by byte; two values of a record are texts. As soon as one side is a number the
 * comparison is numeric, and unknown when the other is none. Dates are compared with dates: text
 * in quotes beside a date is one ('2026-03-11'), the value of a path or a time becomes one by
 * date(…). Days are whole numbers: last_visit_on + 30, today - last_visit_on.
 *
 *     lower(text)        ASCII letters lowered            length(text)   characters
 *     date(x)            the day of 20260311093000+0900, 2026-03-11T…, or of a time
 *     year(date)         2026
 *     days(from, to)     days between two dates           years(from, to)   full years
 *     coalesce(a, b, …)  the first that is known
 *     greatest(a, b, …)  of those that are known          least(a, b, …)
 *
 * Limits: 8 KiB of text, depth 32, 512 nodes.
 */
#ifndef DARI_EXPR_EXPR_H
#define DARI_EXPR_EXPR_H

#include "core/base/buf.h"
#include "core/record/record.h"

struct expr;

enum truth { TRUTH_FALSE, TRUTH_TRUE, TRUTH_UNKNOWN };

/* ERR_SYNTAX / ERR_LIMIT with the offset in the text. Needs no knowledge of names. */
enum err_code expr_parse(struct arena *a, struct str text, const struct expr **out, struct err *e);

/* Words under a name: lower({status}) in (cancelled, 'deleted') looks for each of them. */
struct expr_words {
    const char *name;
    const struct str *words;
    size_t count;
    const struct expr_words *next; /* more of them */
};
/* The same with such names; `words` must live as long as the expression, or be NULL. */
enum err_code expr_parse_with(struct arena *a, struct str text, const struct expr_words *words,
                              const struct expr **out, struct err *e);

/* ---- on a record ---- */

/*
 * Compiles the paths; ERR_SYNTAX for a bad one, ERR_UNSUPPORTED for names, exists and count,
 * ERR_VALUE where types do not fit, each with the offset in the text. Belongs to the expression:
 * it is for one format, and not for expr_sql() afterwards.
 */
enum err_code expr_bind_record(struct arena *a, const struct expr *x,
                               const struct record_names *names, struct err *e);
/* After binding. Fails only as record_get() does. */
enum err_code expr_test(const struct expr *x, const struct record *r, struct arena *a,
                        const struct record_scope *scope, enum truth *out, struct err *e);
/*
 * The same condition for records of which some values are known (the list ends with a NULL path): a
 * new one, bound, that asks only for the others, and means and fails as the first one does.
 * `settled` says when nothing is left to ask; TRUTH_UNKNOWN: something is. ERR_NOMEM.
 */
struct expr_known {
    const char *path; /* as the condition writes it */
    struct str text;
};
enum err_code expr_given(struct arena *a, const struct expr *x, const struct expr_known *known,
                         const struct expr **out, enum truth *settled);

/* ---- as SQL ---- */

enum expr_type { EXPR_BOOL, EXPR_INT, EXPR_TEXT, EXPR_DATE, EXPR_TIME };

struct expr_name {
    const char *name; /* next_appointment_on */
    enum expr_type type;
    const char *sql; /* p.next_appointment_on: written by us, never from a file */
    const char *help;
};
struct expr_set {     /* for exists and count */
    const char *name; /* appointment */
    const char *sql;  /* "SELECT 1 FROM dari.profile_appointment x WHERE x.site = p.site AND …" */
    const struct expr_name *names; /* may be used inside, before the outer ones */
    const char *help;
};
struct expr_param { /* a number or text given by the user of a rule: {days} → 7 */
    const char *name;
    enum expr_type type;
    const char *value;
};
struct expr_world {
    const struct expr_name *names;   /* end with a NULL name */
    const struct expr_set *sets;     /* end with a NULL name */
    const struct expr_param *params; /* end with a NULL name, or NULL */
};

/*
 * Appends a boolean SQL expression. Names must be in the world and types must fit (ERR_UNSUPPORTED
 * / ERR_VALUE with the offset); text and numbers are written as quoted literals, so the result
 * holds no text of the rule unquoted. `today` and `now` are names of the world. exists and count
 * cannot stand inside each other. Days of times (date(t), t + 1) are those of the session's zone.
 */
enum err_code expr_sql(const struct expr *x, const struct expr_world *w, struct buf *out,
                       struct err *e);

#endif
