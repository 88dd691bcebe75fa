/*
 * The first byte is a seed for where the stream is cut and what marks its frames, the rest the
 * stream: cut and whole must give the same frames and the same count of noise. What a frame holds
 * is read as a block of the hybrid protocol too, and written again.
 */
#include "core/net/hllp.h"
#include "core/net/mllp.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_FRAME = 16 };

static void check_block(struct str frame)
{
    struct str data;
    char reason;
    bool with_start = false;
    if (hllp_read(frame, &data, &reason, &with_start) == HLLP_BROKEN) {
        return;
    }
    struct buf again;
    struct str back;
    buf_init(&again, 1 << 16);
    hllp_write(&again, frame.p[0], data, with_start);
    if (hllp_read(buf_str(&again), &back, &reason, &with_start) == HLLP_BROKEN ||
        !str_eq(data, back)) {
        abort();
    }
    buf_release(&again);
}

static void take(struct mllp *m, struct buf *heard)
{
    struct str frame;
    for (enum mllp_what w; (w = mllp_next(m, &frame)) != MLLP_MORE;) {
        if (frame.n > MAX_FRAME) {
            abort();
        }
        buf_addc(heard, w == MLLP_FRAME ? '[' : '{');
        buf_add(heard, frame);
        check_block(frame);
    }
}

static uint64_t run(struct str in, unsigned seed, unsigned kind, struct buf *heard)
{
    static const struct mllp_marks marks[] = {{MLLP_VT, MLLP_FS, MLLP_CR},
                                              {2, 3, 0},
                                              {MLLP_VT, MLLP_FS, MLLP_FS},
                                              {MLLP_VT, MLLP_FS, '\n'}};
    struct mllp m;
    mllp_init(&m, MAX_FRAME);
    m.marks = marks[kind % 4];
    buf_init(heard, 1 << 24);
    while (in.n) {
        size_t n = seed ? 1 + (seed = seed * 1103515245u + 12345u) / 65536 % 5 : in.n;
        struct str part = str_cut(in, 0, n);
        mllp_feed(&m, part);
        take(&m, heard);
        in = str_cut(in, part.n, in.n);
    }
    if (m.in.n > m.taken && m.in.n - m.taken > MAX_FRAME + 2) {
        abort();
    }
    uint64_t noise = m.noise;
    mllp_release(&m);
    return noise;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct str in = {(const char *)data + 1, size - 1};
    struct buf whole, cut;
    uint64_t a = run(in, 0, data[0], &whole), b = run(in, data[0] + 1u, data[0], &cut);
    if (a != b || !str_eq(buf_str(&whole), buf_str(&cut))) {
        abort();
    }
    buf_release(&whole);
    buf_release(&cut);
    return 0;
}
