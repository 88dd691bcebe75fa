#include "adapters/sql/talk.h"

#include <string.h>

#define NULL_SIZE UINT32_MAX

size_t talk_begin(struct buf *b, enum talk_type type)
{
    size_t begin = b->n;
    talk_number(b, 0);
    buf_addc(b, (char)type);
    return begin;
}

void talk_number(struct buf *b, uint32_t n)
{
    buf_add(b, (struct str){(const char *)&n, sizeof n});
}

void talk_text(struct buf *b, struct str s)
{
    talk_number(b, (uint32_t)s.n);
    buf_add(b, s);
}

void talk_null(struct buf *b)
{
    talk_number(b, NULL_SIZE);
}

void talk_end(struct buf *b, size_t begin)
{
    if (buf_ok(b)) {
        uint32_t n = (uint32_t)(b->n - begin - sizeof n);
        memcpy(b->p + begin, &n, sizeof n);
    }
}

bool talk_frame(struct str bytes, size_t max, struct talk_frame *f, size_t *size)
{
    uint32_t n;
    *size = 0;
    if (bytes.n < TALK_HEAD) {
        return true;
    }
    memcpy(&n, bytes.p, sizeof n);
    if (n < 1 || n > max) {
        return false;
    }
    if (bytes.n >= sizeof n + n) {
        *size = sizeof n + n;
        *f = (struct talk_frame){.type = (enum talk_type)(unsigned char)bytes.p[sizeof n],
                                 .rest = str_cut(bytes, TALK_HEAD, *size)};
    }
    return true;
}

uint32_t talk_read_number(struct talk_frame *f)
{
    uint32_t n = 0;
    if (f->rest.n < sizeof n) {
        f->broken = true;
        return 0;
    }
    memcpy(&n, f->rest.p, sizeof n);
    f->rest = str_cut(f->rest, sizeof n, f->rest.n);
    return n;
}

struct cell talk_read_text(struct talk_frame *f)
{
    struct cell c = {{"", 0}, false};
    uint32_t n = talk_read_number(f);
    if (f->broken || n == NULL_SIZE) {
        c.null = true;
        return c;
    }
    if (n > f->rest.n) {
        f->broken = true;
        return c;
    }
    c.text = str_cut(f->rest, 0, n);
    f->rest = str_cut(f->rest, n, f->rest.n);
    return c;
}
