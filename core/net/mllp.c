#include "core/net/mllp.h"

#include <stdint.h>
#include <string.h>

enum { BEGINNING = 4096, KEEP = 64 * 1024 };

const struct mllp_marks mllp_usual = {MLLP_VT, MLLP_FS, MLLP_CR};

static bool hex_byte(struct str two, char *out)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    unsigned v = 0;
    for (size_t i = 0; i < 2; i++) {
        const char *at = two.n == 2 ? memchr(digits, two.p[i], sizeof digits - 1) : NULL;
        if (!at) {
            return false;
        }
        v = v * 16 + (unsigned)((at - digits) % 16);
    }
    *out = (char)v;
    return v > 0 && v < 0x20;
}

enum err_code mllp_marks_read(struct str start, struct str end, struct mllp_marks *out,
                              struct err *e)
{
    struct mllp_marks m = {0, 0, 0};
    bool ok = hex_byte(start, &m.start) && hex_byte(str_cut(end, 0, 2), &m.end) &&
              (end.n == 2 || hex_byte(str_cut(end, 2, end.n), &m.last));
    if (!ok || m.start == m.end || m.start == m.last || memchr("\t\n\r", m.start, 3) ||
        memchr("\t\n\r", m.end, 3)) {
        return ERR(e, ERR_VALUE, 0,
                   "a frame begins with one control character and ends with one or two others, in "
                   "hexadecimal: 0b and 1c0d");
    }
    *out = m;
    return ERR_NONE;
}

void mllp_init(struct mllp *m, size_t max)
{
    *m = (struct mllp){.marks = mllp_usual, .max = max};
    buf_init(&m->in, SIZE_MAX / 4);
}

void mllp_release(struct mllp *m)
{
    buf_release(&m->in);
}

/* Forgets what was handed out. At most once per feed, so that bytes move once. */
static void forget(struct mllp *m)
{
    if (m->taken == 0) {
        return;
    }
    if (m->taken >= m->in.n && m->in.cap > KEEP) {
        buf_release(&m->in);
    } else {
        buf_drop(&m->in, m->taken);
    }
    m->scanned = m->scanned > m->taken ? m->scanned - m->taken : 0;
    m->no_fs = m->no_fs > m->taken ? m->no_fs - m->taken : 0;
    m->taken = 0;
}

void mllp_feed(struct mllp *m, struct str bytes)
{
    forget(m);
    buf_add(&m->in, bytes);
}

static struct str rest_of(const struct mllp *m)
{
    return str_cut(buf_str(&m->in), m->taken, m->in.n);
}

/* Outside: everything up to the next VT is noise, except the CR of a frame that ended without it.
 */
static bool enter(struct mllp *m)
{
    struct str in = rest_of(m);
    if (m->cr_pending && in.n) {
        m->cr_pending = false;
        if (in.p[0] == m->marks.last) {
            m->taken++;
            in = rest_of(m);
        }
    }
    size_t vt = str_find(in, m->marks.start, 0);
    m->noise += vt;
    m->taken += vt;
    m->scanned = m->taken;
    if (vt == in.n) {
        return false;
    }
    m->taken++;
    m->scanned = m->taken;
    m->inside = true;
    m->skipping = false;
    return true;
}

enum found { FOUND_NOTHING, FOUND_END, FOUND_START, FOUND_LONE };

/* Looks on from `scanned` for the end of the frame, or a VT that starts over. *at is where. */
static enum found look(struct mllp *m, size_t *at)
{
    struct str in = buf_str(&m->in);
    for (;;) {
        size_t fs = str_find(in, m->marks.end, m->no_fs > m->scanned ? m->no_fs : m->scanned);
        size_t vt = str_find(str_cut(in, 0, fs), m->marks.start, m->scanned);
        m->no_fs = fs;
        if (vt < fs) {
            *at = vt;
            return FOUND_START;
        }
        m->scanned = *at = fs;
        if (fs == in.n) {
            return FOUND_NOTHING;
        }
        bool last = fs + 1 == in.n;
        if (!m->marks.last || (!last && in.p[fs + 1] == m->marks.last)) {
            return FOUND_END;
        }
        if (m->lone_cr_ok && (last || in.p[fs + 1] == m->marks.start)) {
            return FOUND_LONE;
        }
        if (last) {
            return FOUND_NOTHING;
        }
        m->scanned = fs + 1;
    }
}

/* The frame is too large, seen before or at its end; what comes of it is thrown away. */
static enum mllp_what too_large(struct mllp *m, struct str *frame)
{
    *frame =
        str_cut(buf_str(&m->in), m->taken, m->taken + (m->max < BEGINNING ? m->max : BEGINNING));
    m->skipping = true;
    return MLLP_TOO_LARGE;
}

enum mllp_what mllp_next(struct mllp *m, struct str *frame)
{
    *frame = (struct str){"", 0};
    while (m->inside || enter(m)) {
        size_t at;
        enum found found = look(m, &at);
        size_t size = at - m->taken;
        if (!m->skipping && size > m->max) {
            return too_large(m, frame);
        }
        if (found == FOUND_NOTHING) {
            if (m->skipping) {
                m->taken = m->scanned;
            }
            break;
        }
        struct str whole = str_cut(buf_str(&m->in), m->taken, at);
        if (found == FOUND_START) {
            m->noise += m->skipping ? 0 : size;
            m->taken = m->scanned = at + 1;
            m->skipping = false;
            continue;
        }
        m->taken = m->scanned = at + (found == FOUND_END && m->marks.last ? 2 : 1);
        m->inside = false;
        m->cr_pending = found == FOUND_LONE;
        if (!m->skipping) {
            *frame = whole;
            return MLLP_FRAME;
        }
        m->skipping = false;
    }
    return MLLP_MORE;
}

void mllp_wrap(struct buf *out, struct str message)
{
    buf_addc(out, MLLP_VT);
    buf_add(out, message);
    buf_add(out, (struct str){"\x1c\r", 2});
}
