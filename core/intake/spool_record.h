/* Inside core/intake: the bytes of the spool's files (layout: spool.h), and one record read. */
#ifndef DARI_INTAKE_SPOOL_RECORD_H
#define DARI_INTAKE_SPOOL_RECORD_H

#include "core/intake/spool.h"

enum { SPOOL_DIGEST = 8, SPOOL_MARK = 36 };

struct spool_header {
    uint64_t sealed, reply, generation, number;
    usec at;
    unsigned char id[16], body[SPOOL_DIGEST];
};

void spool_header_write(const struct spool_record *r, uint64_t generation, uint64_t number,
                        unsigned char out[SPOOL_HEADER]);
/* False: these bytes are not a whole header. */
bool spool_header_read(const unsigned char in[SPOOL_HEADER], struct spool_header *h);
uint64_t spool_length(const struct spool_header *h); /* of the record, in the file */

enum spool_verdict { SPOOL_GOOD, SPOOL_TORN, SPOOL_CHANGED, SPOOL_UNREAD };

/* The record at `offset` of a file of `size` bytes. SPOOL_UNREAD: the disk, or no memory. */
enum spool_verdict spool_record_read(int fd, uint64_t offset, uint64_t size, struct arena *a,
                                     struct spool_header *h, struct spool_record *r);

/* The content of .done: everything before `end`, whose last record is `number`, is committed. */
struct spool_mark {
    uint64_t generation, end, number;
};
void spool_mark_write(const struct spool_mark *m, unsigned char out[SPOOL_MARK]);
bool spool_mark_read(const unsigned char in[SPOOL_MARK], struct spool_mark *m);

/* All of it, or false. */
bool spool_read_at(int fd, void *to, size_t n, uint64_t offset);
bool spool_write_at(int fd, struct str bytes, uint64_t offset);
bool spool_only_zeros(int fd, uint64_t from, uint64_t size);
/* From `begin` to `size` into another file, flushed. */
bool spool_copy(int from, int to, uint64_t begin, uint64_t size);

#endif
