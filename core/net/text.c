#include "core/net/net_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void net_address_text(const struct sockaddr *sa, char out[NET_PEER_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, host, sizeof host);
            snprintf(out, NET_PEER_TEXT, "%s:%d", host, ntohs(in6.sin6_port));
            return;
        }
        inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
        snprintf(out, NET_PEER_TEXT, "[%s]:%d", host, ntohs(in6.sin6_port));
        return;
    }
    struct sockaddr_in in;
    memcpy(&in, sa, sizeof in);
    inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
    snprintf(out, NET_PEER_TEXT, "%s:%d", host, ntohs(in.sin_port));
}

void net_nodelay(int fd)
{
    int on = 1;
    /* Only a hint to the kernel: a connection without it still works. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}
