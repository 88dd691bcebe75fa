/* cmocka with what it needs in front of it, and comparisons of slices. */
#ifndef DARI_TESTS_CM_H
#define DARI_TESTS_CM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/str.h"

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* Fails with both texts and the name of the row. */
void cm_same(struct str got, struct str want, const char *why, const char *file, int line);
#define assert_same(got, want, why) cm_same((got), (want), (why), __FILE__, __LINE__)

/* A condition about one row of a table. */
void cm_true(int holds, const char *what, const char *why, const char *file, int line);
#define assert_row(cond, why) cm_true(!!(cond), #cond, (why), __FILE__, __LINE__)

#endif
