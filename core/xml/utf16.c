#include "core/xml/utf16.h"

#include "core/base/text.h"

#include <string.h>

static void look(struct utf16 *u, const unsigned char *p, size_t n)
{
    bool little = n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == '<' && p[1] == 0));
    u->big = n >= 2 && ((p[0] == 0xfe && p[1] == 0xff) || (p[0] == 0 && p[1] == '<'));
    u->wide = little || u->big;
    u->started = true;
}

static unsigned unit(const struct utf16 *u, const unsigned char *p)
{
    return u->big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

/* The letter of the bytes held: 0 bytes, more are needed; false: it is none. */
static bool letter(struct utf16 *u, char *out, size_t *out_n)
{
    unsigned first = unit(u, u->held), c = first;
    if (first >= 0xdc00 && first <= 0xdfff) {
        return false;
    }
    if (first >= 0xd800 && first <= 0xdbff) {
        if (u->held_n < 4) {
            return true;
        }
        unsigned second = unit(u, u->held + 2);
        c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        if (second < 0xdc00 || second > 0xdfff) {
            return false;
        }
    }
    if (c != 0xfeff) { /* the mark */
        *out_n += text_put(c, out + *out_n);
    }
    u->held_n = 0;
    return true;
}

bool utf16_take(struct utf16 *u, const char *in, size_t n, char *out, size_t *out_n)
{
    size_t i = 0;
    bool ok = true;
    *out_n = 0;
    if (!u->started) {
        while (i < n && u->held_n < 2) {
            u->held[u->held_n++] = (unsigned char)in[i++];
        }
        if (n && u->held_n < 2) {
            return true;
        }
        look(u, u->held, u->held_n);
        if (u->wide) {
            ok = letter(u, out, out_n);
        } else {
            memcpy(out, u->held, u->held_n);
            *out_n = u->held_n;
            u->held_n = 0;
        }
    }
    if (!u->wide) {
        memcpy(out + *out_n, in + i, n - i);
        *out_n += n - i;
        return true;
    }
    for (; i < n && ok; i++) {
        u->held[u->held_n++] = (unsigned char)in[i];
        ok = u->held_n % 2 != 0 || letter(u, out, out_n);
    }
    return ok && (n > 0 || u->held_n == 0);
}
