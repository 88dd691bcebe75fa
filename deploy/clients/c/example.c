/*
 * A consumer of a Dari stream in C: prints the number and size of each event and acknowledges it.
 * Build it in Dari's folder:
 *
 *     make build/dev/libdari.a
 *     cc -I. -o example deploy/clients/c/example.c build/dev/libdari.a \
 *        $(pkg-config --libs libzmq libcrypto libssl jansson libxml-2.0 libpq log4c)
 *     ./example tcp://HOST:5575 hanbit "$(cat stream.pub)" "$(cat crm.pub)" "$(cat crm.key)"
 */
#include "core/stream/client.h"

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct stream_client *client;
    struct stream_item item;
    struct err e;
    if (argc != 6) {
        fputs("usage: example ENDPOINT SITE SERVER-KEY PUBLIC-KEY SECRET-KEY\n", stderr);
        return 2;
    }
    const struct stream_settings settings = {.endpoint = argv[1],
                                             .site = argv[2],
                                             .server_key = argv[3],
                                             .public_key = argv[4],
                                             .secret_key = argv[5],
                                             .from = STREAM_FROM_CURSOR};
    if (stream_open(&settings, &client, &e) != ERR_NONE) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    for (;;) {
        switch (stream_next(client, 1000, &item)) {
        case STREAM_WELCOME:
            printf("session %" PRId64 ", contract %.*s\n", item.epoch, STR_ARG(item.contract));
            break;
        case STREAM_EVENT:
            printf("event %" PRId64 ", %zu bytes\n", item.seq, item.json.n);
            stream_ack(client, item.seq); /* after your own commit */
            break;
        case STREAM_ACKED:
            printf("confirmed %" PRId64 "\n", item.seq);
            break;
        case STREAM_REFUSED:
            fprintf(stderr, "refused: %.*s\n", STR_ARG(item.code));
            break;
        case STREAM_SILENT:
            fputs("no answer, trying again\n", stderr);
            break;
        case STREAM_NOTHING:
            break;
        }
        fflush(stdout);
    }
}
