/* Shared inside core/expr: tokens, the tree, and what checking leaves on it. */
#ifndef DARI_EXPR_EXPR_INTERNAL_H
#define DARI_EXPR_EXPR_INTERNAL_H

#include "core/expr/expr.h"

/* ---- lex.c ---- */

enum token_kind {
    TOKEN_END,
    TOKEN_TEXT,   /* 'it''s'; text is what is between the quotes, still doubled */
    TOKEN_NUMBER, /* digits, perhaps with a fraction */
    TOKEN_NAME,   /* also the words of the language */
    TOKEN_PATH,   /* PID-3.1 */
    TOKEN_BRACES, /* {…}; text is what is between them */
    TOKEN_SIGN    /* one or two characters */
};

struct token {
    enum token_kind kind;
    size_t pos;
    struct str text;
};

/* The token at *at, which moves behind it. ERR_SYNTAX with the offset. */
enum err_code expr_token(struct str text, size_t *at, struct token *out, struct err *e);

/* ---- the tree ---- */

enum expr_op {
    OP_OR,
    OP_AND,
    OP_NOT,
    OP_COMPARE, /* sub: enum compare */
    OP_IN,      /* the first kid is what is looked for */
    OP_BETWEEN,
    OP_STARTS,
    OP_CONTAINS,
    OP_IS, /* sub: enum state */
    OP_EXISTS,
    OP_COUNT,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_TEXT,
    OP_NUMBER,
    OP_BOOL, /* sub: 0 or 1 */
    OP_NAME,
    OP_PATH, /* sub: 1 when it stood in braces */
    OP_CALL  /* sub: enum function */
};

enum compare { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };
enum state { STATE_ABSENT, STATE_EMPTY, STATE_NULL, STATE_SET, STATE_UNKNOWN };
enum function {
    FN_LOWER,
    FN_LENGTH,
    FN_DATE,
    FN_YEAR,
    FN_DAYS,
    FN_YEARS,
    FN_COALESCE,
    FN_GREATEST,
    FN_LEAST
};

/* ANY: the value of a path, text or number as the other side asks. NUMBER: may have a fraction. */
enum value_type { TYPE_ANY, TYPE_BOOL, TYPE_INT, TYPE_NUMBER, TYPE_TEXT, TYPE_DATE, TYPE_TIME };

/* What checking found out about a node; belongs to the last expr_bind_record() or expr_sql(). */
struct note {
    enum value_type type;
    const struct record_path *path;
    const struct expr_name *name;
    const struct expr_set *set;
    const struct expr_param *param;
};

struct expr {
    enum expr_op op;
    int sub;
    size_t pos;      /* in the text of the rule */
    struct str text; /* of a leaf */
    const struct expr *kids, *next;
    struct note *note; /* writable, so that the tree itself can be const */
};

/* ---- check.c ---- */

/* Where a rule will run: on a record of this format, or in an SQL world. */
struct place {
    struct arena *arena; /* for compiled paths */
    const struct record_names *names;
    const struct expr_world *world; /* NULL: on a record */
    const struct expr_set *inside;  /* the set of the exists or count around it */
};

/* Resolves names and paths, works out types; ERR_UNSUPPORTED, ERR_VALUE, ERR_SYNTAX with offset. */
enum err_code expr_check(const struct place *w, const struct expr *x, struct err *e);

/* Must be a condition as a whole. */
enum err_code expr_check_root(const struct place *w, const struct expr *x, struct err *e);

#endif
