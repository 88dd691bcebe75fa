/*
 * Time is explicit. Instants are microseconds since 1970-01-01T00:00:00Z; a site has a zone, and
 * civil times are only ever made from an instant and that zone. When the environment variable
 * DARI_CLOCK names a file, "now" is the instant written there (RFC 3339), so that tests and the
 * demo can move time; an empty or missing file means the real clock. Waiting for I/O always uses
 * real time.
 */
#ifndef DARI_BASE_CLOCK_H
#define DARI_BASE_CLOCK_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

typedef int64_t usec;

enum { USEC_SECOND = 1000000 };
#define USEC_MINUTE ((usec)60 * USEC_SECOND)
#define USEC_HOUR ((usec)60 * USEC_MINUTE)
#define USEC_DAY ((usec)24 * USEC_HOUR)

usec clock_now(void);  /* the clock of the business: movable */
usec clock_real(void); /* CLOCK_REALTIME */
usec clock_mono(void); /* CLOCK_MONOTONIC: for intervals and time-outs */

struct civil {
    int year, month, day, hour, minute, second, usec; /* month and day from 1 */
    int offset;                                       /* seconds east of UTC */
    int weekday;                                      /* 0 = Sunday */
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar, and back. */
int32_t day_of(int year, int month, int day);
void day_civil(int32_t day, struct civil *out);
bool day_valid(int year, int month, int day);

/* The process's zone ("Asia/Seoul"). ERR_CONFIG when the system has no such zone. */
enum err_code zone_set(const char *name, struct err *e);
struct civil zone_local(usec at);
int32_t zone_day(usec at);
/* Local wall time → instant. A time skipped by a DST change moves forward, a doubled one is the
 * first. */
usec zone_instant(int32_t day, int hour, int minute, int second);

/* "2026-03-11T09:00:00+09:00" in the zone (fraction only when not zero), or with Z. */
enum { CLOCK_TEXT = 40 };
const char *clock_text(usec at, char out[CLOCK_TEXT]);
const char *clock_text_utc(usec at, char out[CLOCK_TEXT]);
const char *day_text(int32_t day, char out[CLOCK_TEXT]); /* 2026-03-11 */

/* RFC 3339 instants and dates. ERR_VALUE with the byte position. */
enum err_code clock_parse(struct str s, usec *out, struct err *e);
enum err_code day_parse(struct str s, int32_t *out, struct err *e);

#endif
