#include "core/messaging/gateway.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 5000, MAX_ANSWER = 64 * 1024 };

struct gateway {
    CURL *curl;
    size_t answered;
};

/* Not by its first letters: 127.example.org is somebody else. */
static bool loopback(const char *host)
{
    struct in_addr v4;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static enum err_code check_url(const char *url, struct err *e)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL;
    bool fine = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && loopback(host)));
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return fine ? ERR_NONE
                : ERR(e, ERR_CONFIG, 0,
                      "messaging url: write https://host/path (http:// only to 127.0.0.1)");
}

/* The answer is read to its end, so that the connection can be used again, and forgotten. */
static size_t on_answer(char *p, size_t size, size_t n, void *ctx)
{
    struct gateway *g = ctx;
    (void)p;
    g->answered += size * n;
    return g->answered > MAX_ANSWER ? 0 : size * n;
}

static bool set_options(struct gateway *g, const char *url, int64_t timeout_ms)
{
    CURL *c = g->curl;
    long total = (long)timeout_ms, connect = total < CONNECT_MS ? total : CONNECT_MS;
    return curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, total) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, connect) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USERAGENT, "dari") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, g) == CURLE_OK;
}

enum err_code gateway_open(const char *url, int64_t timeout_ms, struct gateway **out, struct err *e)
{
    *out = NULL;
    enum err_code code = check_url(url, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct gateway *g = calloc(1, sizeof *g);
    if (!g) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the gateway");
    }
    g->curl = curl_easy_init();
    if (!g->curl || !set_options(g, url, timeout_ms)) {
        gateway_free(&g);
        return ERR(e, ERR_BUG, 0, "libcurl does not know an option");
    }
    *out = g;
    return ERR_NONE;
}

void gateway_free(struct gateway **g)
{
    if (*g) {
        curl_easy_cleanup((*g)->curl);
        free(*g);
        *g = NULL;
    }
}

static enum gateway_result of_status(long status)
{
    if (status >= 200 && status < 300) {
        return GATEWAY_ACCEPTED;
    }
    if (status == 425 || status == 429 || status == 503) {
        return GATEWAY_BUSY;
    }
    return status >= 400 && status < 500 && status != 408 ? GATEWAY_REFUSED : GATEWAY_UNCERTAIN;
}

static enum gateway_result of_failure(CURLcode rc)
{
    switch ((int)rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return GATEWAY_BUSY;
    default:
        return GATEWAY_UNCERTAIN;
    }
}

enum gateway_result gateway_post(struct gateway *g, const char *id, struct str body, long *status)
{
    char key[128];
    struct curl_slist *headers = NULL, *more;
    *status = 0;
    snprintf(key, sizeof key, "Idempotency-Key: %s", id);
    const char *const lines[] = {"Content-Type: application/json; charset=utf-8", "Expect:", key};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        more = curl_slist_append(headers, lines[i]);
        if (!more) {
            curl_slist_free_all(headers);
            return GATEWAY_BUSY;
        }
        headers = more;
    }
    g->answered = 0;
    curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(g->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    curl_easy_setopt(g->curl, CURLOPT_POSTFIELDS, body.p);
    CURLcode rc = curl_easy_perform(g->curl);
    curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (rc != CURLE_OK) {
        return of_failure(rc);
    }
    curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, status);
    return of_status(*status);
}
