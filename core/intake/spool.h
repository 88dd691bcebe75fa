/*
 * A feed's local spool: one append-only file that keeps what was answered while PostgreSQL was
 * away, until it is committed. Knows bytes and records, not jobs: what is sealed comes sealed.
 *
 * Files, with FOLDER/NAME as the path given:
 *   .spool        the records, one after the other; exists only while some wait
 *   .done         how far they are committed. A hint: it is never ahead, may lag, and is believed
 *                 only when it fits the spool. A record committed twice is recognised by its id.
 *   .N.damaged    bytes that were set aside, for a person to look at
 *   .lock         held by the process that has the spool open
 *
 * A record, numbers little-endian:
 *   0 "DSP1" | 4 length of sealed | 8 length of reply | 12 generation (8, random per file)
 *   | 20 number (8, from 1, dense) | 28 received at (8, µs) | 36 id (16)
 *   | 52 digest of sealed and reply (8) | 60 digest of bytes 0-59 (8) | 68 sealed | reply
 * A digest is the first 8 bytes of SHA-256.
 *
 * When it is opened: a file that ends inside its last record (or in zeros, which a power loss
 * leaves) was torn while it was written; nobody got a reply for that, it is cut off and logged
 * (spool.torn). Anything else that does not add up is damage: the file ends before it, all from
 * there on is set aside, and that is logged as an error (spool.damaged) and counted as long as the
 * damaged file lies there.
 *
 * Limits: the file never grows beyond `limit`. Once a record was refused all are until everything
 * is committed, so that no sender's later message overtakes an earlier one. A failed flush ends
 * all appending until the next start: after it nobody knows what is on the disk.
 */
#ifndef DARI_INTAKE_SPOOL_H
#define DARI_INTAKE_SPOOL_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/err.h"

#include <stdint.h>

struct spool;

struct spool_record {
    unsigned char id[16];
    usec at; /* received */
    struct str sealed, reply;
};

enum { SPOOL_HEADER = 68 };

/* Makes the folder. ERR_IO; ERR_EXISTS when another process has it open. */
enum err_code spool_open(const char *folder, const char *name, int64_t limit, struct spool **out,
                         struct err *e);
void spool_free(struct spool **s); /* the files stay */

/*
 * spool_add() takes a record into memory, spool_sync() writes and flushes all that were taken; only
 * then they are there. All or none: after an error of spool_sync() none of them is.
 * ERR_FULL: the limit, or an earlier refusal. ERR_IO, ERR_NOMEM.
 */
enum err_code spool_add(struct spool *s, const struct spool_record *r, struct err *e);
enum err_code spool_sync(struct spool *s, struct err *e);

/* The record of a message that is in the file, committed already or not, or was added just now.
 * ERR_NOTFOUND, ERR_NOMEM. */
enum err_code spool_find(struct spool *s, struct arena *a, const unsigned char id[16],
                         struct spool_record *r, struct err *e);

/*
 * Reading in order, from the first that is not known to be committed. ERR_NOTFOUND at the end.
 * spool_done(): all that were read are committed; removes the file with the last one.
 * spool_rewind(): reads them again.
 */
enum err_code spool_read(struct spool *s, struct arena *a, struct spool_record *r, struct err *e);
void spool_done(struct spool *s);
void spool_rewind(struct spool *s);
void spool_unread(struct spool *s); /* gives the last one read back */

size_t spool_count(const struct spool *s);   /* not yet committed */
size_t spool_damaged(const struct spool *s); /* damaged files in the folder */
bool spool_broken(const struct spool *s);    /* takes nothing any more: see the log */

#endif
