/* Which addresses may connect: "10.1.0.0/16, 192.168.7.20, fd00::/8". Pure text, no sockets. */
#ifndef DARI_NET_ALLOW_H
#define DARI_NET_ALLOW_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdbool.h>

enum { NET_ALLOW_MAX = 64 };

struct net_allow {
    struct {
        unsigned char bytes[16]; /* IPv4 in its first 4 */
        int family, bits;
    } nets[NET_ALLOW_MAX];
    int count; /* 0: everybody */
};

/* ERR_VALUE with the offset of the entry that is no address or network; ERR_LIMIT. */
enum err_code net_allow_read(struct str text, struct net_allow *out, struct err *e);

/* Is the peer ("10.1.2.3:51234", "[fd00::1]:51234") among them? */
bool net_allowed(const struct net_allow *a, const char *peer);

/* "10.0.0.7:51234" without its port. */
struct str net_host_of(const char *peer);

#endif
