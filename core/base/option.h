/*
 * Option tables: one row per attribute that a configuration element may have. The table is parser,
 * checker and documentation at once; an attribute without a row is an error.
 */
#ifndef DARI_BASE_OPTION_H
#define DARI_BASE_OPTION_H

#include "core/base/arena.h"
#include "core/base/err.h"

#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_TEXT, /* const char * */
    OPTION_INT,  /* int64_t */
    OPTION_SIZE, /* int64_t, bytes: "16m" */
    OPTION_MS,   /* int64_t, milliseconds: "5s" */
    OPTION_BOOL, /* bool: "yes" or "no" */
    OPTION_PATH  /* const char *, made absolute by the configuration */
};

struct option_row {
    const char *name;
    enum option_type type;
    const char *dflt; /* NULL: must be given; "" for a text that may be missing */
    int64_t min, max; /* for numbers */
    size_t offset;    /* into the options struct */
    const char *help;
};

/* Writes all defaults; text defaults point at the table's own strings. */
void option_defaults(const struct option_row *rows, void *options);

const struct option_row *option_find(const struct option_row *rows, struct str name);

/* ERR_VALUE or ERR_LIMIT say what was expected. Text is copied to `a`. */
enum err_code option_set(struct arena *a, const struct option_row *row, void *options,
                         struct str value, struct err *e);

/* The table as text, for help. */
void option_print(FILE *to, const char *element, const struct option_row *rows);

#endif
