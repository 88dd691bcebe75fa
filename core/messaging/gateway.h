/*
 * The gateway over HTTP; the only place that uses libcurl. One POST per message, with the plan's id
 * as Idempotency-Key. https only, except to this machine itself; certificates are checked;
 * redirects and proxies from the environment are not followed; what the gateway answers is not kept
 * beyond its status.
 */
#ifndef DARI_MESSAGING_GATEWAY_H
#define DARI_MESSAGING_GATEWAY_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

struct gateway;

enum gateway_result {
    GATEWAY_ACCEPTED, /* 2xx */
    GATEWAY_REFUSED,  /* 4xx: for good */
    GATEWAY_BUSY,     /* certainly not taken: not reached, 425, 429, 503 */
    GATEWAY_UNCERTAIN /* perhaps taken: no or half an answer, another status */
};

/* ERR_CONFIG when the address is not https:// (or http:// to a loopback address). */
enum err_code gateway_open(const char *url, int64_t timeout_ms, struct gateway **out,
                           struct err *e);
void gateway_free(struct gateway **g);

/* *status is the HTTP status, 0 when there was none. */
enum gateway_result gateway_post(struct gateway *g, const char *id, struct str body, long *status);

#endif
