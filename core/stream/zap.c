#include "core/stream/zap.h"

#include "core/base/str.h"
#include "core/stream/socket.h"

#include <stdlib.h>
#include <string.h>

struct zap {
    void *socket; /* REP */
};

enum err_code allow_add(struct allow_list *l, const char *key, const char *name, struct err *e)
{
    struct str k = str_of(key), n = str_of(name);
    if (k.n != CURVE_TEXT - 1 || n.n == 0 || n.n >= ALLOWED_NAME) {
        return ERR(e, ERR_VALUE, 0, "a consumer's key or name has a wrong length");
    }
    struct allowed *rows = realloc(l->rows, (l->count + 1) * sizeof *rows);
    if (!rows) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the list of consumers");
    }
    l->rows = rows;
    memset(&rows[l->count], 0, sizeof *rows);
    memcpy(rows[l->count].key, k.p, k.n);
    memcpy(rows[l->count].name, n.p, n.n);
    l->count++;
    return ERR_NONE;
}

void allow_release(struct allow_list *l)
{
    free(l->rows);
    *l = (struct allow_list){0};
}

const struct allowed *allow_find(const struct allow_list *l, const char *key)
{
    for (size_t i = 0; key && i < l->count; i++) {
        if (strcmp(l->rows[i].key, key) == 0) {
            return &l->rows[i];
        }
    }
    return NULL;
}

enum err_code zap_open(void *context, struct zap **out, struct err *e)
{
    struct zap *z = calloc(1, sizeof *z);
    int linger = 0;
    *out = NULL;
    if (!z) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the ZAP handler");
    }
    z->socket = zmq_socket(context, ZMQ_REP);
    if (!z->socket || zmq_setsockopt(z->socket, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_bind(z->socket, "inproc://zeromq.zap.01") != 0) {
        ERR(e, ERR_PEER, 0, "could not open the ZAP handler: %s", zmq_strerror(zmq_errno()));
        zap_free(&z);
        return ERR_PEER;
    }
    *out = z;
    return ERR_NONE;
}

void zap_free(struct zap **z)
{
    if (*z) {
        if ((*z)->socket) {
            zmq_close((*z)->socket);
        }
        free(*z);
        *z = NULL;
    }
}

void *zap_socket(const struct zap *z)
{
    return z->socket;
}

/* RFC 27: version, request id, domain, address, identity, mechanism, credentials. */
enum { ZAP_VERSION, ZAP_REQUEST, ZAP_DOMAIN, ZAP_ADDRESS, ZAP_IDENTITY, ZAP_MECHANISM, ZAP_KEY };
enum { ZAP_FRAMES = 7 };

struct question {
    zmq_msg_t parts[ZAP_FRAMES];
    struct str frames[ZAP_FRAMES];
    size_t count; /* may be more than ZAP_FRAMES */
};

static bool question_recv(void *s, struct question *q)
{
    int more = 1;
    q->count = 0;
    while (more) {
        zmq_msg_t spare;
        zmq_msg_t *part = q->count < ZAP_FRAMES ? &q->parts[q->count] : &spare;
        zmq_msg_init(part);
        if (zmq_msg_recv(part, s, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(part);
            return q->count > 0;
        }
        more = zmq_msg_more(part);
        if (part == &spare) {
            zmq_msg_close(part);
        } else {
            q->frames[q->count] = (struct str){zmq_msg_data(part), zmq_msg_size(part)};
        }
        q->count++;
    }
    return true;
}

static void question_close(struct question *q)
{
    for (size_t i = 0; i < q->count && i < ZAP_FRAMES; i++) {
        zmq_msg_close(&q->parts[i]);
    }
}

static const struct allowed *judge(const struct question *q, const struct allow_list *l)
{
    char key[CURVE_TEXT];
    if (q->count != ZAP_FRAMES || !str_is(q->frames[ZAP_VERSION], "1.0") ||
        !str_is(q->frames[ZAP_DOMAIN], SOCKET_ZAP_DOMAIN) ||
        !str_is(q->frames[ZAP_MECHANISM], "CURVE") || q->frames[ZAP_KEY].n != 32) {
        return NULL;
    }
    z85_encode((const unsigned char *)q->frames[ZAP_KEY].p, key);
    return allow_find(l, key);
}

/* A ZMTP property: name and value with their lengths (1 and 4 bytes). */
static struct str property(const char *name, const char *value, char *out)
{
    size_t n = strlen(name), v = strlen(value);
    out[0] = (char)n;
    memcpy(out + 1, name, n);
    out[n + 1] = out[n + 2] = out[n + 3] = 0;
    out[n + 4] = (char)v;
    memcpy(out + n + 5, value, v);
    return (struct str){out, n + 5 + v};
}

static void answer(void *s, const struct question *q, const struct allowed *who)
{
    char key[64];
    struct str id = q->count > ZAP_REQUEST ? q->frames[ZAP_REQUEST] : STR("");
    const struct str frames[] = {
        STR("1.0"),
        id,
        who ? STR("200") : STR("400"),
        who ? STR("OK") : STR("unknown key"),
        who ? str_of(who->name) : STR(""),
        who ? property("X-Key", who->key, key) : STR(""),
    };
    size_t n = sizeof frames / sizeof frames[0];
    for (size_t i = 0; i < n; i++) {
        zmq_send(s, frames[i].p, frames[i].n, ZMQ_DONTWAIT | (i + 1 < n ? ZMQ_SNDMORE : 0));
    }
}

int zap_serve(struct zap *z, const struct allow_list *l)
{
    struct question q;
    int refused = 0;
    while (question_recv(z->socket, &q)) {
        const struct allowed *who = judge(&q, l);
        answer(z->socket, &q, who);
        refused += who ? 0 : 1;
        question_close(&q);
    }
    return refused;
}
