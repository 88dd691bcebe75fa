/*
 * Reading an entry's line: a kind, then key=value pairs, one blank between them, no blank in a
 * value.
 * "-" stands for "none". What an entry says is written by the SQL functions of core/store.
 */
#ifndef DARI_LEDGER_ENTRY_H
#define DARI_LEDGER_ENTRY_H

#include "core/base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct str entry_kind(struct str body);
/* The value, or an empty slice when there is none or it is "-". */
struct str entry_get(struct str body, const char *key);
/* A positive number; 0 when there is none. */
int64_t entry_number(struct str body, const char *key);
/* "17-20" or "17". False when there is none. */
bool entry_range(struct str body, const char *key, int64_t *first, int64_t *last);

#endif
