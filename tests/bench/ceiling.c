/*
 * The ceiling for a durable MLLP listener: it commits the raw message in groups and does nothing
 * else. One thread, one database connection; what arrives while a group commits is the next group.
 * Replies leave after the commit.
 *
 *   ceiling PORT CONNINFO
 *
 * Makes bench.inbox (primary key, unique control id). Prints "ready" when it listens.
 */
#define _GNU_SOURCE /* accept4, memmem */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME = 16384, MAX_GROUP = 256, GROUP_BYTES = MAX_GROUP * FRAME, CONTROL = 80 };

/* A sender waits for its reply, so one buffer per connection holds its message until the commit. */
struct peer {
    struct peer *next;
    int fd;
    bool gone, busy;
    size_t have, size; /* of a complete frame */
    char control[CONTROL];
    char in[FRAME];
};

struct column { /* an array in PostgreSQL's binary format */
    char *p;
    size_t n;
};

static struct {
    int poll, listener;
    PGconn *db;
    bool committing;
    struct peer *waiting, **waiting_last, *flying;
    size_t waiting_count;
    struct column control, raw;
} s;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "ceiling: %s: %s\n", what, why);
    exit(1);
}

static void put32(char *p, uint32_t v)
{
    v = htonl(v);
    memcpy(p, &v, 4);
}

static void column_begin(struct column *c, uint32_t type, uint32_t count)
{
    put32(c->p, 1);
    put32(c->p + 4, 0);
    put32(c->p + 8, type);
    put32(c->p + 12, count);
    put32(c->p + 16, 1);
    c->n = 20;
}

static void column_add(struct column *c, const char *p, size_t n)
{
    put32(c->p + c->n, (uint32_t)n);
    memcpy(c->p + c->n + 4, p, n);
    c->n += 4 + n;
}

static void watch(int fd, void *who, uint32_t events, int how)
{
    struct epoll_event ev = {.events = events, .data.ptr = who};
    if (epoll_ctl(s.poll, how, fd, &ev) != 0) {
        fail("epoll", strerror(errno));
    }
}

static void peer_free(struct peer *p)
{
    close(p->fd);
    free(p);
}

static void flush(void)
{
    int more = PQflush(s.db);
    if (more < 0) {
        fail("database", PQerrorMessage(s.db));
    }
    watch(PQsocket(s.db), s.db, more ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

static void commit_waiting(void)
{
    enum { TEXT_OID = 25, BYTEA_OID = 17 };
    if (s.committing || !s.waiting) {
        return;
    }
    uint32_t count = (uint32_t)(s.waiting_count < MAX_GROUP ? s.waiting_count : MAX_GROUP);
    column_begin(&s.control, TEXT_OID, count);
    column_begin(&s.raw, BYTEA_OID, count);
    s.flying = s.waiting;
    struct peer **end = &s.flying;
    for (uint32_t i = 0; i < count; i++, end = &(*end)->next) {
        column_add(&s.control, (*end)->control, strlen((*end)->control));
        column_add(&s.raw, (*end)->in + 1, (*end)->size - 3);
    }
    s.waiting = *end;
    *end = NULL;
    s.waiting_count -= count;
    if (!s.waiting) {
        s.waiting_last = &s.waiting;
    }
    const char *values[] = {s.control.p, s.raw.p};
    const int lengths[] = {(int)s.control.n, (int)s.raw.n}, binary[] = {1, 1};
    if (!PQsendQueryPrepared(s.db, "put", 2, values, lengths, binary, 0)) {
        fail("database", PQerrorMessage(s.db));
    }
    s.committing = true;
    flush();
}

static void answer(struct peer *p)
{
    char out[256];
    p->busy = false;
    if (p->gone) {
        peer_free(p);
        return;
    }
    int n = snprintf(out, sizeof out,
                     "\x0bMSH|^~\\&|CRM|DARI|HANBIT|HIS|20260309090000||ACK|R%s|P|2.5.1\r"
                     "MSA|CA|%s\r\x1c\r",
                     p->control, p->control);
    memmove(p->in, p->in + p->size, p->have - p->size);
    p->have -= p->size;
    if (write(p->fd, out, (size_t)n) != n) {
        p->gone = true;
    }
}

static void on_database(void)
{
    if (!PQconsumeInput(s.db)) {
        fail("database", PQerrorMessage(s.db));
    }
    flush();
    while (s.committing && !PQisBusy(s.db)) {
        PGresult *res = PQgetResult(s.db);
        if (res) {
            if (PQresultStatus(res) != PGRES_COMMAND_OK) {
                fail("insert", PQresultErrorMessage(res));
            }
            PQclear(res);
            continue;
        }
        s.committing = false;
        for (struct peer *p = s.flying, *next; p; p = next) {
            next = p->next;
            answer(p);
        }
        s.flying = NULL;
    }
}

/* MSH-10 of a frame. */
static void read_control(struct peer *p)
{
    const char *at = p->in, *end = p->in + p->size;
    for (int i = 0; i < 9 && at; i++) {
        at = memchr(at, '|', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    const char *stop = at ? memchr(at, '|', (size_t)(end - at)) : NULL;
    if (!stop || stop - at >= CONTROL) {
        fail("message", "no control id");
    }
    memcpy(p->control, at, (size_t)(stop - at));
    p->control[stop - at] = '\0';
}

static void on_peer(struct peer *p)
{
    ssize_t n = read(p->fd, p->in + p->have, sizeof p->in - p->have);
    if (n <= 0) {
        p->gone = true;
        epoll_ctl(s.poll, EPOLL_CTL_DEL, p->fd, NULL);
        if (!p->busy) {
            peer_free(p);
        }
        return;
    }
    p->have += (size_t)n;
    const char *end = p->busy ? NULL : memmem(p->in, p->have, "\x1c\r", 2);
    if (end) {
        p->size = (size_t)(end - p->in) + 2;
        p->busy = true;
        p->next = NULL;
        read_control(p);
        *s.waiting_last = p;
        s.waiting_last = &p->next;
        s.waiting_count++;
    }
}

static void on_listener(void)
{
    int fd = accept4(s.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct peer *p = fd >= 0 ? calloc(1, sizeof *p) : NULL;
    if (p) {
        p->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(fd, p, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void sql(const char *text)
{
    PGresult *res = PQexec(s.db, text);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fail("database", PQerrorMessage(s.db));
    }
    PQclear(res);
}

static void open_database(const char *conninfo)
{
    s.db = PQconnectdb(conninfo);
    if (PQstatus(s.db) != CONNECTION_OK) {
        fail("database", PQerrorMessage(s.db));
    }
    sql("SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS bench; "
        "CREATE TABLE IF NOT EXISTS bench.inbox (no bigserial PRIMARY KEY, control_id text NOT "
        "NULL "
        "UNIQUE, received_at timestamptz NOT NULL DEFAULT now(), raw bytea NOT NULL)");
    PGresult *res = PQprepare(
        s.db, "put",
        "INSERT INTO bench.inbox (control_id, raw) SELECT * FROM unnest($1::text[], $2::bytea[])",
        0, NULL);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fail("database", PQerrorMessage(s.db));
    }
    PQclear(res);
    PQsetnonblocking(s.db, 1);
}

static void listen_on(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    s.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(s.listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(s.listener, (const struct sockaddr *)(const void *)&at, sizeof at) != 0 ||
        listen(s.listener, 1024) != 0) {
        fail("listen", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: ceiling PORT CONNINFO\n");
        return 2;
    }
    s.poll = epoll_create1(EPOLL_CLOEXEC);
    s.waiting_last = &s.waiting;
    s.control.p = malloc(20 + MAX_GROUP * (CONTROL + 4));
    s.raw.p = malloc(20 + GROUP_BYTES);
    if (!s.control.p || !s.raw.p) {
        fail("start", "no memory");
    }
    open_database(argv[2]);
    listen_on((int)strtoimax(argv[1], NULL, 10));
    watch(s.listener, &s.listener, EPOLLIN, EPOLL_CTL_ADD);
    watch(PQsocket(s.db), s.db, EPOLLIN, EPOLL_CTL_ADD);
    puts("ready");
    fflush(stdout);
    for (struct epoll_event ev[256];;) {
        int n = epoll_wait(s.poll, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr == s.db) {
                on_database();
            } else if (ev[i].data.ptr == &s.listener) {
                on_listener();
            } else {
                on_peer(ev[i].data.ptr);
            }
        }
        commit_waiting();
    }
}
