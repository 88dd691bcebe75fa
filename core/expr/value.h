/* Values while a rule runs on a record, and three-valued logic. Inside core/expr. */
#ifndef DARI_EXPR_VALUE_H
#define DARI_EXPR_VALUE_H

#include "core/expr/expr_internal.h"

#include <stdint.h>

/* What a value is while a rule runs. UNKNOWN: there is none; `has` says why when it was a path. */
enum shape { SHAPE_UNKNOWN, SHAPE_TEXT, SHAPE_NUMBER, SHAPE_DAY, SHAPE_BOOL };

struct result {
    enum shape shape;
    enum has has;
    struct str text;
    double number;
    int32_t day;
    enum truth truth;
};

enum truth value_truth(bool b);
enum truth value_negate(enum truth t);
enum truth value_both(enum truth a, enum truth b);
enum truth value_either(enum truth a, enum truth b);
void value_set_truth(struct result *out, enum truth t);

/* False: the text is no such thing. */
bool value_number_of(struct str s, double *out);
bool value_day_of(struct str s, int32_t *out);

/* A text that is a number becomes one; false when it is none. */
bool value_as_number(struct result *r);
/* Less, equal, greater. False: not comparable, so unknown. */
bool value_compare(struct result a, struct result b, int *out);
enum truth value_compared(enum compare c, struct result a, struct result b);

double value_characters(struct str s); /* of UTF-8 */
double value_years(int32_t from, int32_t to);

#endif
