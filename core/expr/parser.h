/* The parser's parts share this: parse.c (conditions), parse_item.c (values), parser.c (tools). */
#ifndef DARI_EXPR_PARSER_H
#define DARI_EXPR_PARSER_H

#include "core/expr/expr_internal.h"

enum { TEXT_MAX = 8 * 1024, DEPTH_MAX = 32, NODES_MAX = 512, DIGITS_MAX = 15 };

struct parser {
    struct arena *arena;
    struct str text;
    size_t at;
    struct token token; /* the next one */
    const struct expr_words *words;
    unsigned nodes, depth;
};

struct kids {
    struct expr *first, *last;
    size_t count;
};

/* ---- tools ---- */

enum err_code parser_advance(struct parser *p, struct err *e);
bool parser_is_sign(const struct parser *p, const char *sign);
bool parser_is_word(const struct parser *p, const char *word);
/* "… is expected here", at the next token. */
enum err_code parser_expected(const struct parser *p, const char *what, struct err *e);
enum err_code parser_take_sign(struct parser *p, const char *sign, struct err *e);

enum err_code parser_node(struct parser *p, enum expr_op op, size_t pos, struct expr **out,
                          struct err *e);
void parser_add(struct kids *k, struct expr *x);
/* A node above one or two others; `b` may be NULL, or the first of several. */
enum err_code parser_join(struct parser *p, enum expr_op op, int sub, size_t pos, struct expr *a,
                          struct expr *b, struct expr **out, struct err *e);
/* ERR_SYNTAX when by its form it cannot be a condition, or a value. */
enum err_code parser_condition(const struct expr *x, struct err *e);
enum err_code parser_value(const struct expr *x, struct err *e);
/* One level deeper; the caller lowers p->depth again. */
enum err_code parser_enter(struct parser *p, struct err *e);

/* ---- the grammar ---- */

enum err_code parser_or(struct parser *p, struct expr **out, struct err *e);
enum err_code parser_sum(struct parser *p, struct expr **out, struct err *e);
/* "(" sum {"," sum} ")"; a name among `words` (or NULL) is each of its words. */
enum err_code parser_values(struct parser *p, const struct expr_words *words, struct kids *k,
                            struct err *e);

#endif
