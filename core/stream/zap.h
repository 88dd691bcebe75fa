/*
 * Who may connect: the list of keys in memory and the ZAP handler (ZeroMQ RFC 27) that asks it.
 * libzmq lets strangers in when a CURVE socket has no live handler or no domain, so the handler is
 * opened before any endpoint is bound, the relay's own loop serves it, and door.h proves that the
 * door is shut. The list never waits for PostgreSQL: the relay replaces it when it changed.
 */
#ifndef DARI_STREAM_ZAP_H
#define DARI_STREAM_ZAP_H

#include "core/base/err.h"
#include "core/crypto/keys.h"

enum { ALLOWED_NAME = 33 };

struct allowed {
    char key[CURVE_TEXT]; /* Z85 */
    char name[ALLOWED_NAME];
};

struct allow_list {
    struct allowed *rows; /* malloc */
    size_t count;
};
/* Copies the texts. */
enum err_code allow_add(struct allow_list *l, const char *key, const char *name, struct err *e);
void allow_release(struct allow_list *l);
/* NULL when the key is not there. */
const struct allowed *allow_find(const struct allow_list *l, const char *key);

struct zap;
enum err_code zap_open(void *context, struct zap **out, struct err *e);
void zap_free(struct zap **z);
void *zap_socket(const struct zap *z); /* to poll */
/* Answers every question that waits; returns how many were refused. */
int zap_serve(struct zap *z, const struct allow_list *l);

#endif
