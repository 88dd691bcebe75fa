#include "adapters/sql/overlap.h"

#include "adapters/sql/mark.h"
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct digest {
    uint64_t a, b;
};

struct slot {
    struct digest digest;
    uint32_t times; /* how often it may be skipped */
    bool used;
};

struct overlap {
    uint64_t key[2];
    struct slot *slots; /* the previous result, open addressing */
    size_t slot_count;  /* a power of two, or 0 */
    uint64_t reach;     /* how many rows of it were kept when it had more; 0: all of them */
    struct digest *ring;
    size_t limit, ring_size, kept; /* of the present result: the newest `kept` rows */
    uint64_t rows;                 /* of it */
    uint64_t ties;                 /* rows that share the newest mark */
    char before[MARK_MAX + 1], now[MARK_MAX + 1];
};

static const char magic[8] = "dariseen";

struct file_head {
    char magic[8];
    uint64_t key[2], count, cut, mark_size;
};

/* ---- SipHash-2-4 with 128 bits ---- */

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    sip_round(v);
    sip_round(v);
    v[0] ^= m;
}

static uint64_t sip_end(uint64_t v[4])
{
    for (int i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t little(const char *p, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++) {
        x |= (uint64_t)(unsigned char)p[i] << (8 * i);
    }
    return x;
}

static struct digest digest_of(const uint64_t key[2], struct str s)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du ^ 0xee,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t at = 0;
    for (; at + 8 <= s.n; at += 8) {
        sip_word(v, little(s.p + at, 8));
    }
    sip_word(v, little(s.p + at, s.n - at) | (uint64_t)s.n << 56);
    struct digest d;
    v[2] ^= 0xee;
    d.a = sip_end(v);
    v[1] ^= 0xdd;
    d.b = sip_end(v);
    return d;
}

/* ---- the previous result ---- */

static struct slot *find(const struct overlap *s, struct digest d)
{
    size_t i = s->slot_count ? (size_t)d.a & (s->slot_count - 1) : 0;
    while (s->slot_count && s->slots[i].used &&
           (s->slots[i].digest.a != d.a || s->slots[i].digest.b != d.b)) {
        i = (i + 1) & (s->slot_count - 1);
    }
    return s->slot_count ? &s->slots[i] : NULL;
}

static bool make_slots(struct overlap *s, uint64_t count)
{
    size_t n = 16;
    while (n < count * 2) {
        n *= 2;
    }
    s->slots = calloc(n, sizeof *s->slots);
    s->slot_count = s->slots ? n : 0;
    return s->slots != NULL;
}

static bool read_head(struct str file, struct file_head *h)
{
    if (file.n < sizeof *h) {
        return false;
    }
    memcpy(h, file.p, sizeof *h);
    uint64_t room = file.n - sizeof *h;
    return memcmp(h->magic, magic, sizeof magic) == 0 && h->mark_size <= MARK_MAX &&
           h->count <= room / sizeof(struct digest) &&
           h->count * sizeof(struct digest) + h->mark_size + sizeof(uint64_t) == room;
}

/* Only what was written whole, with this mark, counts. */
static bool take_file(struct overlap *s, struct str file, struct str mark)
{
    struct file_head h;
    if (!read_head(file, &h)) {
        return false;
    }
    struct str body = str_cut(file, 0, file.n - sizeof(uint64_t));
    uint64_t sum = digest_of(h.key, body).a, stored;
    memcpy(&stored, file.p + body.n, sizeof stored);
    struct str text = str_cut(body, sizeof h, sizeof h + h.mark_size);
    if (stored != sum || !str_eq(text, mark) || !make_slots(s, h.count)) {
        return false;
    }
    memcpy(s->key, h.key, sizeof s->key);
    s->reach = h.cut ? h.count : 0;
    for (uint64_t i = 0; i < h.count; i++) {
        struct digest d;
        memcpy(&d, body.p + sizeof h + h.mark_size + i * sizeof d, sizeof d);
        struct slot *slot = find(s, d);
        *slot = (struct slot){d, slot->times + 1, true};
    }
    return true;
}

enum err_code overlap_open(const char *path, struct str mark, int64_t limit, struct overlap **out,
                           bool *lost, struct err *e)
{
    struct arena *a = arena_new(0);
    struct overlap *s = calloc(1, sizeof *s);
    struct str file;
    *out = NULL;
    *lost = false;
    if (!a || !s || mark.n > MARK_MAX) {
        arena_free(&a);
        free(s);
        return ERR(e, ERR_NOMEM, 0, "no memory for the rows seen");
    }
    s->limit = (size_t)limit;
    memcpy(s->before, mark.p, mark.n);
    memcpy(s->now, mark.p, mark.n);
    enum err_code code = file_read(a, path, (size_t)1 << 33, &file, e);
    if (code == ERR_NONE && mark.n && take_file(s, file, mark)) {
        *lost = false;
    } else if (code == ERR_NONE || code == ERR_NOTFOUND) {
        code = ERR_NONE;
        *lost = mark.n > 0;
        if (getrandom(s->key, sizeof s->key, 0) != sizeof s->key) {
            code = ERR(e, ERR_IO, 0, "could not get random bytes");
        }
    }
    arena_free(&a);
    *out = s;
    if (code != ERR_NONE) {
        overlap_free(out);
    }
    return code;
}

void overlap_free(struct overlap **s)
{
    if (*s) {
        free((*s)->slots);
        free((*s)->ring);
        free(*s);
        *s = NULL;
    }
}

/* ---- the present result ---- */

static bool push(struct overlap *s, struct digest d)
{
    if (s->ring_size < s->limit && s->kept == s->ring_size) {
        size_t n = s->ring_size ? s->ring_size * 2 : 256;
        n = n < s->limit ? n : s->limit;
        struct digest *bigger = realloc(s->ring, n * sizeof *bigger);
        if (!bigger) {
            return false;
        }
        s->ring = bigger;
        s->ring_size = n;
    }
    s->ring[s->rows % s->ring_size] = d;
    s->kept += s->kept < s->ring_size;
    return true;
}

enum err_code overlap_row(struct overlap *s, struct str row, struct str mark, bool *known,
                          struct err *e)
{
    enum err_code code = mark_fits(mark, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct str last = str_of(s->rows ? s->now : "");
    int order = s->rows ? mark_order(mark, last) : 1;
    if (order < 0) {
        return ERR(e, ERR_VALUE, 0,
                   "the rows do not come in the order of their mark: ORDER BY it (as a number, a "
                   "date or time in one zone, or text in collation \"C\")");
    }
    struct digest d = digest_of(s->key, row);
    if (!push(s, d)) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the rows seen");
    }
    s->rows++;
    s->ties = order == 0 && str_eq(mark, last) ? s->ties + 1 : 1;
    memcpy(s->now, mark.p, mark.n);
    s->now[mark.n] = '\0';
    struct slot *slot = find(s, d);
    *known = slot && slot->times > 0;
    if (*known) {
        slot->times--;
    }
    if (s->reach && s->rows > s->reach && !overlap_past(s)) {
        return ERR(e, ERR_LIMIT, 0,
                   "the query goes back over more than the %llu rows that were kept of the result "
                   "before: ask for less of the past, and give overlap= a higher number",
                   (unsigned long long)s->reach);
    }
    return ERR_NONE;
}

bool overlap_past(const struct overlap *s)
{
    return s->rows && mark_order(str_of(s->now), str_of(s->before)) > 0;
}

struct str overlap_mark(const struct overlap *s)
{
    bool newer = s->rows && (!s->before[0] || overlap_past(s));
    return str_of(newer ? s->now : s->before);
}

enum err_code overlap_save(const struct overlap *s, const char *path, struct err *e)
{
    struct str mark = overlap_mark(s);
    struct file_head h = {.count = s->kept, .cut = s->rows > s->kept, .mark_size = mark.n};
    struct buf b;
    if (s->ties > s->limit) {
        return ERR(e, ERR_LIMIT, 0,
                   "more than overlap=\"%zu\" rows have the same newest mark: raise it", s->limit);
    }
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.key, s->key, sizeof h.key);
    buf_init(&b, sizeof h + MARK_MAX + s->kept * sizeof(struct digest) + sizeof(uint64_t) + 1);
    buf_add(&b, (struct str){(const char *)&h, sizeof h});
    buf_add(&b, mark);
    for (uint64_t i = s->rows - s->kept; i < s->rows; i++) {
        buf_add(&b, (struct str){(const char *)&s->ring[i % s->ring_size], sizeof *s->ring});
    }
    uint64_t sum = digest_of(h.key, buf_str(&b)).a;
    buf_add(&b, (struct str){(const char *)&sum, sizeof sum});
    enum err_code code = buf_ok(&b) ? file_write(path, buf_str(&b), 0600, e)
                                    : ERR(e, ERR_NOMEM, 0, "no memory for the rows seen");
    buf_release(&b);
    return code;
}
