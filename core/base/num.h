/* Text becomes a number only here: whole slice, limits checked, no locale. */
#ifndef DARI_BASE_NUM_H
#define DARI_BASE_NUM_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

/* Decimal with an optional sign. ERR_VALUE: not a number; ERR_LIMIT: outside min..max. */
enum err_code num_i64(struct str s, int64_t min, int64_t max, int64_t *out, struct err *e);

/* "64", "64k", "16m", "1g" in bytes (powers of 1024); "250ms", "5s", "2m", "1h" in milliseconds. */
enum err_code num_size(struct str s, int64_t min, int64_t max, int64_t *out, struct err *e);
enum err_code num_ms(struct str s, int64_t min, int64_t max, int64_t *out, struct err *e);

/* The other direction: at least `width` digits (up to 20), in `out`. */
enum { NUM_TEXT = 24 };
struct str num_text(int64_t n, int width, char out[NUM_TEXT]);

#endif
