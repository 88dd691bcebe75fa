#include "core/intake/spool_record.h"

#include "core/crypto/digest.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 16 };

/* ---- bytes ---- */

static void put_number(unsigned char *to, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        to[i] = (unsigned char)(v >> (8 * i));
    }
}

static uint64_t get_number(const unsigned char *from, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) {
        v |= (uint64_t)from[i] << (8 * i);
    }
    return v;
}

static void digest_of(struct str a, struct str b, unsigned char out[SPOOL_DIGEST])
{
    unsigned char full[SHA256_BYTES];
    const struct str parts[] = {a, b};
    sha256_of(parts, 2, full);
    memcpy(out, full, SPOOL_DIGEST);
}

void spool_header_write(const struct spool_record *r, uint64_t generation, uint64_t number,
                        unsigned char out[SPOOL_HEADER])
{
    memcpy(out, "DSP1", 4);
    put_number(out + 4, r->sealed.n, 4);
    put_number(out + 8, r->reply.n, 4);
    put_number(out + 12, generation, 8);
    put_number(out + 20, number, 8);
    put_number(out + 28, (uint64_t)r->at, 8);
    memcpy(out + 36, r->id, 16);
    digest_of(r->sealed, r->reply, out + 52);
    digest_of((struct str){(const char *)out, 60}, STR(""), out + 60);
}

bool spool_header_read(const unsigned char in[SPOOL_HEADER], struct spool_header *h)
{
    unsigned char digest[SPOOL_DIGEST];
    digest_of((struct str){(const char *)in, 60}, STR(""), digest);
    if (memcmp(in, "DSP1", 4) != 0 || memcmp(digest, in + 60, SPOOL_DIGEST) != 0) {
        return false;
    }
    *h = (struct spool_header){.sealed = get_number(in + 4, 4),
                               .reply = get_number(in + 8, 4),
                               .generation = get_number(in + 12, 8),
                               .number = get_number(in + 20, 8),
                               .at = (usec)get_number(in + 28, 8)};
    memcpy(h->id, in + 36, 16);
    memcpy(h->body, in + 52, SPOOL_DIGEST);
    return true;
}

bool spool_read_at(int fd, void *to, size_t n, uint64_t offset)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = pread(fd, (char *)to + got, n - got, (off_t)(offset + got));
        if (r <= 0 && !(r < 0 && errno == EINTR)) {
            return false;
        }
        got += r > 0 ? (size_t)r : 0;
    }
    return true;
}

bool spool_write_at(int fd, struct str bytes, uint64_t offset)
{
    for (size_t put = 0; put < bytes.n;) {
        ssize_t w = pwrite(fd, bytes.p + put, bytes.n - put, (off_t)(offset + put));
        if (w < 0 && errno != EINTR) {
            return false;
        }
        put += w > 0 ? (size_t)w : 0;
    }
    return true;
}

/* ---- one record out of the file ---- */

enum spool_verdict spool_record_read(int fd, uint64_t offset, uint64_t size, struct arena *a,
                                     struct spool_header *h, struct spool_record *r)
{
    unsigned char raw[SPOOL_HEADER], digest[SPOOL_DIGEST];
    if (size - offset < SPOOL_HEADER) {
        return SPOOL_TORN;
    }
    if (!spool_read_at(fd, raw, sizeof raw, offset)) {
        return SPOOL_UNREAD;
    }
    if (!spool_header_read(raw, h)) {
        return SPOOL_CHANGED;
    }
    if (size - offset - SPOOL_HEADER < h->sealed + h->reply) {
        return SPOOL_TORN;
    }
    char *body = arena_alloc(a, h->sealed + h->reply + 1);
    if (!body || !spool_read_at(fd, body, h->sealed + h->reply, offset + SPOOL_HEADER)) {
        return SPOOL_UNREAD;
    }
    struct spool_record got = {
        .at = h->at, .sealed = {body, h->sealed}, .reply = {body + h->sealed, h->reply}};
    memcpy(got.id, h->id, sizeof got.id);
    digest_of(got.sealed, got.reply, digest);
    if (memcmp(digest, h->body, SPOOL_DIGEST) != 0) {
        return SPOOL_CHANGED;
    }
    *r = got;
    return SPOOL_GOOD;
}

uint64_t spool_length(const struct spool_header *h)
{
    return SPOOL_HEADER + h->sealed + h->reply;
}

/* ---- the mark ---- */

void spool_mark_write(const struct spool_mark *m, unsigned char out[SPOOL_MARK])
{
    memcpy(out, "DSD1", 4);
    put_number(out + 4, m->generation, 8);
    put_number(out + 12, m->end, 8);
    put_number(out + 20, m->number, 8);
    digest_of((struct str){(const char *)out, 28}, STR(""), out + 28);
}

bool spool_mark_read(const unsigned char in[SPOOL_MARK], struct spool_mark *m)
{
    unsigned char digest[SPOOL_DIGEST];
    digest_of((struct str){(const char *)in, 28}, STR(""), digest);
    *m = (struct spool_mark){get_number(in + 4, 8), get_number(in + 12, 8), get_number(in + 20, 8)};
    return memcmp(in, "DSD1", 4) == 0 && memcmp(digest, in + 28, SPOOL_DIGEST) == 0;
}

/* ---- files ---- */

bool spool_copy(int from, int to, uint64_t begin, uint64_t size)
{
    static char bytes[CHUNK];
    for (uint64_t at = begin; at < size;) {
        size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        if (!spool_read_at(from, bytes, n, at) ||
            !spool_write_at(to, (struct str){bytes, n}, at - begin)) {
            return false;
        }
        at += n;
    }
    return fsync(to) == 0;
}

bool spool_only_zeros(int fd, uint64_t from, uint64_t size)
{
    char bytes[4096];
    for (uint64_t at = from; at < size;) {
        size_t n = size - at < sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        if (!spool_read_at(fd, bytes, n, at)) {
            return false;
        }
        for (size_t i = 0; i < n; i++) {
            if (bytes[i]) {
                return false;
            }
        }
        at += n;
    }
    return true;
}
