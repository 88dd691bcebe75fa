/*
 * The ceiling of the stream: bare ZeroMQ, PUSH to PULL over TCP with CURVE, a thread each. Prints
 * messages per second.
 *
 *   curve [MESSAGES] [BYTES]
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

static struct {
    void *context;
    char endpoint[128], server_public[41], server_secret[41], client_public[41], client_secret[41];
    size_t messages, bytes;
} t = {.messages = 200000, .bytes = 700};

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "curve: %s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

static void *push(void *unused)
{
    (void)unused;
    void *s = zmq_socket(t.context, ZMQ_PUSH);
    char *body = calloc(1, t.bytes);
    must(s && body, "socket");
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, t.server_public, 40);
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, t.client_public, 40);
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, t.client_secret, 40);
    must(zmq_connect(s, t.endpoint) == 0, "connect");
    for (size_t i = 0; i < t.messages; i++) {
        must(zmq_send(s, body, t.bytes, 0) >= 0, "send");
    }
    free(body);
    zmq_close(s);
    return NULL;
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    pthread_t sender;
    size_t length = sizeof t.endpoint;
    if (argc > 1) {
        t.messages = (size_t)strtoimax(argv[1], NULL, 10);
    }
    if (argc > 2) {
        t.bytes = (size_t)strtoimax(argv[2], NULL, 10);
    }
    t.context = zmq_ctx_new();
    zmq_curve_keypair(t.server_public, t.server_secret);
    zmq_curve_keypair(t.client_public, t.client_secret);
    void *s = zmq_socket(t.context, ZMQ_PULL);
    zmq_setsockopt(s, ZMQ_CURVE_SERVER, &(int){1}, sizeof(int));
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, t.server_secret, 40);
    must(zmq_bind(s, "tcp://127.0.0.1:*") == 0, "bind");
    zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, t.endpoint, &length);
    must(pthread_create(&sender, NULL, push, NULL) == 0, "thread");
    zmq_msg_t m;
    zmq_msg_init(&m);
    must(zmq_msg_recv(&m, s, 0) >= 0, "receive");
    double began = now();
    for (size_t i = 1; i < t.messages; i++) {
        must(zmq_msg_recv(&m, s, 0) >= 0, "receive");
    }
    double seconds = now() - began;
    printf("%.0f\n", (double)(t.messages - 1) / seconds);
    zmq_msg_close(&m);
    pthread_join(sender, NULL);
    zmq_close(s);
    zmq_ctx_term(t.context);
    return 0;
}
