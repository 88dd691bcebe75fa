/*
 * Inside core/intake: which keys a snapshot had so far. Eight bytes of each keyed digest are enough
 * to tell millions apart. ERR_LIMIT above SEEN_MAX keys (32 MiB of memory).
 */
#ifndef DARI_INTAKE_SEEN_H
#define DARI_INTAKE_SEEN_H

#include "core/base/err.h"

#include <stdbool.h>

enum { SEEN_MAX = 3000000, ROW_KEY = 16 };

struct seen;

struct seen *seen_new(void); /* NULL: no memory */
void seen_free(struct seen **s);
bool seen_has(const struct seen *s, const unsigned char key[ROW_KEY]);
/* *news: it was not there before. ERR_NOMEM, ERR_LIMIT. */
enum err_code seen_add(struct seen *s, const unsigned char key[ROW_KEY], bool *news, struct err *e);

#endif
