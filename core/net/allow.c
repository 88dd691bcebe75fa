#include "core/net/allow.h"

#include "core/base/num.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool address(struct str text, unsigned char out[16], int *family, int *bits)
{
    char z[INET6_ADDRSTRLEN + 1];
    memset(out, 0, 16);
    if (text.n >= sizeof z) {
        return false;
    }
    snprintf(z, sizeof z, "%.*s", STR_ARG(text));
    *family = memchr(text.p, ':', text.n) ? AF_INET6 : AF_INET;
    *bits = *family == AF_INET ? 32 : 128;
    return inet_pton(*family, z, out) == 1;
}

static enum err_code read_one(struct str entry, struct net_allow *a)
{
    int bits, i = a->count;
    int64_t length;
    size_t slash = str_find(entry, '/', 0);
    if (i == NET_ALLOW_MAX) {
        return ERR_LIMIT;
    }
    if (!address(str_cut(entry, 0, slash), a->nets[i].bytes, &a->nets[i].family, &bits)) {
        return ERR_VALUE;
    }
    length = bits;
    if (slash < entry.n &&
        num_i64(str_cut(entry, slash + 1, entry.n), 0, bits, &length, NULL) != ERR_NONE) {
        return ERR_VALUE;
    }
    a->nets[i].bits = (int)length;
    a->count++;
    return ERR_NONE;
}

enum err_code net_allow_read(struct str text, struct net_allow *out, struct err *e)
{
    out->count = 0;
    for (size_t at = 0; at < text.n;) {
        size_t end = str_find(text, ',', at);
        struct str entry = str_trim(str_cut(text, at, end));
        enum err_code code = entry.n ? read_one(entry, out) : ERR_NONE;
        if (code == ERR_LIMIT) {
            return ERR(e, ERR_LIMIT, at, "more than %d addresses", NET_ALLOW_MAX);
        }
        if (code != ERR_NONE) {
            return ERR(e, ERR_VALUE, at,
                       "every entry must be an address or a network, like 10.1.0.0/16");
        }
        at = end + 1;
    }
    return ERR_NONE;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, int bits)
{
    int whole = bits / 8, rest = bits % 8;
    unsigned char mask = (unsigned char)(0xff00 >> rest);
    return memcmp(a, b, (size_t)whole) == 0 && (!rest || ((a[whole] ^ b[whole]) & mask) == 0);
}

struct str net_host_of(const char *peer)
{
    struct str text = str_of(peer);
    while (text.n && text.p[text.n - 1] != ':') {
        text.n--;
    }
    text.n -= text.n > 0;
    if (text.n >= 2 && text.p[0] == '[') {
        text = str_cut(text, 1, text.n - 1);
    }
    return text;
}

bool net_allowed(const struct net_allow *a, const char *peer)
{
    unsigned char bytes[16];
    int family, bits;
    if (a->count == 0) {
        return true;
    }
    if (!address(net_host_of(peer), bytes, &family, &bits)) {
        return false;
    }
    for (int i = 0; i < a->count; i++) {
        if (a->nets[i].family == family && same_bits(a->nets[i].bytes, bytes, a->nets[i].bits)) {
            return true;
        }
    }
    return false;
}
