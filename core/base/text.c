#include "core/base/text.h"

#include <stdint.h>
#include <string.h>

void text_base32(struct str bytes, char *out)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint32_t acc = 0;
    int bits = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        acc = acc << 8 | (unsigned char)bytes.p[i];
        for (bits += 8; bits >= 5; bits -= 5) {
            *out++ = digits[acc >> (bits - 5) & 31];
        }
    }
    if (bits) {
        *out++ = digits[acc << (5 - bits) & 31];
    }
    *out = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum err_code text_unhex(struct str s, char *out, struct err *e)
{
    if (s.n % 2) {
        return ERR(e, ERR_VALUE, s.n, "odd number of hexadecimal digits");
    }
    for (size_t i = 0; i < s.n; i += 2) {
        int hi = hex_digit(s.p[i]), lo = hex_digit(s.p[i + 1]);
        if (hi < 0 || lo < 0) {
            return ERR(e, ERR_VALUE, hi < 0 ? i : i + 1, "not a hexadecimal digit");
        }
        out[i / 2] = (char)(hi << 4 | lo);
    }
    return ERR_NONE;
}

/* Length of the sequence at s[0], 0 when it is not valid (Unicode 15, table 3-7). */
static size_t sequence(const unsigned char *s, size_t n)
{
    unsigned char c = s[0];
    if (c < 0x80) {
        return 1;
    }
    if (c > 0xe0 && c < 0xed && n > 2) { /* most of the world's letters, Hangul among them */
        return (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    size_t len = c >= 0xc2 && c <= 0xdf   ? 2
                 : c >= 0xe0 && c <= 0xef ? 3
                 : c >= 0xf0 && c <= 0xf4 ? 4
                                          : 0;
    if (!len || len > n) {
        return 0;
    }
    unsigned char lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < lo || s[1] > hi) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if (s[i] < 0x80 || s[i] > 0xbf) {
            return 0;
        }
    }
    return len;
}

size_t text_ascii(struct str s)
{
    size_t i = 0;
    for (uint64_t eight; i + sizeof eight <= s.n; i += sizeof eight) {
        memcpy(&eight, s.p + i, sizeof eight);
        eight &= UINT64_C(0x8080808080808080);
        if (eight) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return i + (size_t)__builtin_ctzll(eight) / 8;
#else
            break;
#endif
        }
    }
    while (i < s.n && (unsigned char)s.p[i] < 0x80) {
        i++;
    }
    return i;
}

bool text_utf8(struct str s, size_t *bad)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = text_ascii(s); i < s.n;) {
        size_t len = sequence(p + i, s.n - i);
        if (!len) {
            *bad = i;
            return false;
        }
        i += len;
        if (i + 1 < s.n && p[i] < 0x80 && p[i + 1] < 0x80) {
            i += text_ascii(str_cut(s, i, s.n));
        }
    }
    return true;
}

unsigned text_next(struct str s, size_t *i)
{
    unsigned char c = (unsigned char)s.p[*i];
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    if (*i + n > s.n) {
        n = 1;
    }
    unsigned v = n == 1 ? c : n == 2 ? c & 0x1fu : n == 3 ? c & 0x0fu : c & 0x07u;
    for (size_t k = 1; k < n; k++) {
        v = v << 6 | ((unsigned char)s.p[*i + k] & 0x3fu);
    }
    *i += n;
    return v;
}

/* How many bytes the blank has that begins at p, or that ends there when `back`. */
static size_t blank_at(const char *p, size_t n, bool back)
{
    static const char *const blanks[] = {"\xC2\xA0",     "\xE3\x80\x80", "\xEF\xBB\xBF",
                                         "\xE2\x80\x8B", "\xE2\x80\x8C", "\xE2\x80\x8D",
                                         "\xE2\x80\x8E", "\xE2\x80\x8F"};
    if (n && (unsigned char)(back ? p[n - 1] : p[0]) <= ' ') {
        return 1;
    }
    for (size_t i = 0; i < sizeof blanks / sizeof blanks[0]; i++) {
        size_t size = strlen(blanks[i]);
        if (n >= size && memcmp(back ? p + n - size : p, blanks[i], size) == 0) {
            return size;
        }
    }
    return 0;
}

struct str text_trim(struct str s)
{
    size_t size;
    while ((size = blank_at(s.p, s.n, false)) > 0) {
        s = str_cut(s, size, s.n);
    }
    while ((size = blank_at(s.p, s.n, true)) > 0) {
        s.n -= size;
    }
    return s;
}

size_t text_put(unsigned c, char out[TEXT_CHAR])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t k = n; k-- > 1; c >>= 6) {
        out[k] = (char)(0x80 | (c & 0x3f));
    }
    out[0] = (char)(n == 1 ? c : lead[n] | c);
    return n;
}

char text_plain(unsigned c)
{
    if (c >= 0xff01 && c <= 0xff5e) {
        c -= 0xff01 - '!';
    }
    if (c == 0x3000 || c == 0xa0) {
        return ' ';
    }
    if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212) {
        return '-';
    }
    return c < 0x80 ? (char)c : 'x';
}

const char *text_visible(struct arena *a, struct str s)
{
    char *z = arena_z(a, s);
    for (size_t i = 0; z && i < s.n; i++) {
        unsigned char c = (unsigned char)z[i];
        bool c1 = c >= 0x80 && c < 0xa0 && i > 0 && (unsigned char)z[i - 1] == 0xc2;
        if (c1) {
            z[i - 1] = '?'; /* the two bytes of U+0080 to U+009F */
        }
        if (c1 || (c < ' ' && c != '\t') || c == 0x7f) {
            z[i] = '?';
        }
    }
    return z ? z : "";
}
