#define _GNU_SOURCE /* memmem */
/*
 * N senders that wait for each reply (closed loop), one thread. Checks MSA-1 and MSA-2 of every
 * reply and prints one JSON object: how many, per second, percentiles in microseconds, what went
 * wrong.
 *
 *   load [-p PORT] [-c SENDERS] [-s SECONDS] [-n MESSAGES] [-i PREFIX] [-a ACKED] [-t]
 *
 * PREFIX begins every MSH-10; ACKED is a file that gets the control id of each acknowledged
 * message. -t: TLS without looking at the certificate. Ends after SECONDS or MESSAGES, whichever
 * comes first, when what is under way was answered. Status 1 when anything was not as it must be.
 */
#include "tests/bench/messages.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SENDERS = 2048, REPLY = 8192, MAX_SECONDS = 3600, SILENCE_S = 30 };

struct sender {
    int fd;
    SSL *ssl;
    bool waiting;
    unsigned long n; /* its message under way */
    int64_t sent_at;
    size_t have;
    char in[REPLY];
};

static struct {
    int port, senders, seconds;
    unsigned long messages;
    const char *prefix;
    FILE *acked;
    bool tls;
} o = {.port = 2575, .senders = 8, .seconds = 5, .prefix = "B"};

static struct {
    struct sender *s;
    int poll, waiting;
    unsigned long next;
    uint32_t *took; /* microseconds of each reply */
    size_t count, room;
    unsigned long negative, wrong, lost;
    unsigned long second[MAX_SECONDS];
    int64_t began, ends;
} r;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void connect_one(struct sender *s, SSL_CTX *tls)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)o.port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (const struct sockaddr *)(const void *)&to, sizeof to) != 0) {
        fail("connect");
    }
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (tls) {
        s->ssl = SSL_new(tls);
        if (!s->ssl || SSL_set_fd(s->ssl, s->fd) != 1 || SSL_connect(s->ssl) != 1) {
            fail("TLS handshake");
        }
    }
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(r.poll, EPOLL_CTL_ADD, s->fd, &ev) != 0) {
        fail("epoll");
    }
}

static bool may_send(void)
{
    return now() < r.ends && (o.messages == 0 || r.next < o.messages);
}

static void drop(struct sender *s)
{
    r.lost += s->waiting;
    r.waiting -= s->waiting;
    s->waiting = false;
    close(s->fd);
    s->fd = -1;
}

/* A message is smaller than any socket buffer, and only one is ever under way. */
static void send_next(struct sender *s)
{
    char frame[BENCH_MESSAGE + 3] = {0x0b};
    if (!may_send()) {
        return;
    }
    s->n = r.next++;
    size_t n = bench_message(frame + 1, o.prefix, s->n) + 1;
    frame[n++] = 0x1c;
    frame[n++] = '\r';
    s->sent_at = now();
    s->waiting = true;
    r.waiting++;
    long wrote = s->ssl ? SSL_write(s->ssl, frame, (int)n) : write(s->fd, frame, n);
    if (wrote != (long)n) {
        drop(s);
    }
}

/* What a reply must be: MSA-1 AA or CA, MSA-2 the control id that was sent. */
static void check(struct sender *s, size_t n)
{
    char want[80];
    const char *msa = memmem(s->in, n, "\rMSA|", 5);
    int length = snprintf(want, sizeof want, "%s%lu", o.prefix, s->n);
    if (!msa || (size_t)(s->in + n - msa) < 9 + (size_t)length ||
        memcmp(msa + 8, want, (size_t)length) != 0 ||
        (msa[8 + length] != '|' && msa[8 + length] != '\r')) {
        r.wrong++;
    } else if (msa[6] != 'A' || (msa[5] != 'A' && msa[5] != 'C')) {
        r.negative++;
    } else {
        int64_t t = now();
        if (r.count == r.room) {
            r.room = r.room ? r.room * 2 : 1 << 16;
            r.took = realloc(r.took, r.room * sizeof *r.took);
            if (!r.took) {
                fail("memory");
            }
        }
        r.took[r.count++] = (uint32_t)(t - s->sent_at);
        r.second[(t - r.began) / 1000000 % MAX_SECONDS]++;
        if (o.acked) {
            fprintf(o.acked, "%s\n", want);
        }
    }
}

static void take(struct sender *s)
{
    char *end = memmem(s->in, s->have, "\x1c\r", 2);
    if (!end) {
        return;
    }
    size_t n = (size_t)(end - s->in) + 2;
    if (!s->waiting || n != s->have) {
        r.wrong++; /* a reply that nobody asked for */
    }
    check(s, n);
    s->have = 0;
    r.waiting -= s->waiting;
    s->waiting = false;
    send_next(s);
}

static void readable(struct sender *s)
{
    for (;;) {
        long n = s->ssl ? SSL_read(s->ssl, s->in + s->have, (int)(REPLY - s->have))
                        : read(s->fd, s->in + s->have, REPLY - s->have);
        if (n <= 0) {
            bool later = s->ssl ? SSL_get_error(s->ssl, (int)n) == SSL_ERROR_WANT_READ
                                : n < 0 && errno == EAGAIN;
            if (!later) {
                drop(s);
            }
            return;
        }
        s->have += (size_t)n;
        take(s);
        if (s->have == REPLY) {
            drop(s);
        }
        if (!s->ssl || s->fd < 0) {
            return; /* level-triggered: more comes again */
        }
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(double p)
{
    return r.count ? r.took[(size_t)((double)(r.count - 1) * p)] : 0;
}

static void report(int64_t ended)
{
    qsort(r.took, r.count, sizeof *r.took, by_size);
    double seconds = (double)(ended - r.began) / 1e6;
    printf("{\"senders\": %d, \"acked\": %zu, \"seconds\": %.3f, \"per_second\": %.1f, "
           "\"p50\": %u, \"p90\": %u, \"p99\": %u, \"max\": %u, "
           "\"negative\": %lu, \"wrong\": %lu, \"lost\": %lu, \"series\": [",
           o.senders, r.count, seconds, (double)r.count / seconds, percentile(0.5), percentile(0.9),
           percentile(0.99), percentile(1), r.negative, r.wrong, r.lost);
    for (int i = 0; i <= (int)seconds && i < MAX_SECONDS; i++) {
        printf("%s%lu", i ? ", " : "", r.second[i]);
    }
    printf("]}\n");
}

static bool options(int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "p:c:s:n:i:a:t")) != -1;) {
        switch (c) {
        case 'p':
            o.port = (int)strtoimax(optarg, NULL, 10);
            break;
        case 'c':
            o.senders = (int)strtoimax(optarg, NULL, 10);
            break;
        case 's':
            o.seconds = (int)strtoimax(optarg, NULL, 10);
            break;
        case 'n':
            o.messages = (unsigned long)strtoimax(optarg, NULL, 10);
            break;
        case 'i':
            o.prefix = optarg;
            break;
        case 'a':
            o.acked = fopen(optarg, "we");
            if (!o.acked) {
                fail(optarg);
            }
            break;
        case 't':
            o.tls = true;
            break;
        default:
            return false;
        }
    }
    return o.senders > 0 && o.senders <= MAX_SENDERS && o.seconds > 0 && strlen(o.prefix) < 40;
}

static void run(void)
{
    struct epoll_event ev[256];
    int64_t last = now();
    r.began = last;
    r.ends = r.began + (int64_t)o.seconds * 1000000;
    for (int i = 0; i < o.senders; i++) {
        send_next(&r.s[i]);
    }
    while (r.waiting > 0) {
        int n = epoll_wait(r.poll, ev, 256, 1000);
        for (int i = 0; i < n; i++) {
            readable(ev[i].data.ptr);
        }
        last = n > 0 ? now() : last;
        if (now() - last > (int64_t)SILENCE_S * 1000000) {
            r.lost += (unsigned long)r.waiting;
            break;
        }
    }
    report(last);
}

int main(int argc, char **argv)
{
    if (!options(argc, argv)) {
        fprintf(stderr, "usage: load [-t] [-p PORT] [-c SENDERS] [-s SECONDS] [-n MESSAGES] "
                        "[-i PREFIX] [-a ACKED]\n");
        return 2;
    }
    SSL_CTX *tls = o.tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    r.poll = epoll_create1(EPOLL_CLOEXEC);
    r.s = calloc((size_t)o.senders, sizeof *r.s);
    if (!r.s || r.poll < 0) {
        fail("start");
    }
    for (int i = 0; i < o.senders; i++) {
        connect_one(&r.s[i], tls);
    }
    run();
    bool good = r.negative + r.wrong + r.lost == 0 && r.count > 0;
    if (o.acked && fclose(o.acked) != 0) {
        fail("the file of acknowledged messages");
    }
    return good ? 0 : 1;
}
