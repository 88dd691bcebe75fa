/*
 * Reading the stream in pages that all consumers share: N consumers at the same place cost one
 * read. Density is checked on every page: numbers must follow one another without a gap, or the
 * page is an error, never a skip. Bounded: PAGES pages of PAGE_EVENTS events.
 */
#ifndef DARI_STREAM_PAGE_H
#define DARI_STREAM_PAGE_H

#include "core/base/clock.h"
#include "core/store/db.h"

enum { PAGES = 6, PAGE_EVENTS = 256 };

/* One event as it is stored. */
struct stored {
    int64_t seq, message_no;
    const char *id, *subject, *source, *mapping, *cause; /* subject "", mapping and cause NULL */
    struct str type;
    usec time, recorded_at;
    bool test;
    struct str data;
    struct str sealed; /* p NULL: no P2 fields */
};

struct pages; /* the cache */
struct pages *pages_new(void);
void pages_free(struct pages **p);
void pages_forget(struct pages *p);

/*
 * The events from `seq` on, as far as one page goes; `head` is the newest number known to be
 * committed (seq <= head). Valid until the next call. ERR_BUG: the stream is not dense there (the
 * numbers are in the message). ERR_DB.
 */
enum err_code pages_find(struct pages *p, struct db *db, const char *site, int64_t seq,
                         int64_t head, const struct stored **events, size_t *count, struct err *e);

#endif
