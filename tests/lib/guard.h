/*
 * Input whose last byte touches a forbidden page: a read behind the end dies at once. guard_copy()
 * gives such a copy; guard_free_all() gives all of them back.
 */
#ifndef DARI_TESTS_GUARD_H
#define DARI_TESTS_GUARD_H

#include "core/base/str.h"

struct str guard_copy(struct str s);
void guard_free_all(void);

#endif
