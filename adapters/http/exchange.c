#include "adapters/http/http_internal.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATH = 4096 };

/* ---- life ---- */

struct exchange *exchange_new(struct adapter *a)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x) {
        return NULL;
    }
    x->a = a;
    x->fd = -1;
    buf_init(&x->body, (size_t)a->options->max_message);
    x->prev = a->last;
    *a->last = x;
    a->last = &x->next;
    return x;
}

/* So that what is told to come later does not count any more. */
static void let_go(struct exchange *x)
{
    x->a->held -= x->held;
    x->held = 0;
    buf_release(&x->body);
}

void exchange_free(struct exchange *x)
{
    *x->prev = x->next;
    if (x->next) {
        x->next->prev = x->prev;
    } else {
        x->a->last = x->prev;
    }
    if (x->fd >= 0) {
        close(x->fd);
    }
    net_digest_end(&x->digest, NULL);
    let_go(x);
    free(x->path);
    free(x->subject);
    free(x);
}

/* ---- may it come in? ---- */

static bool is_path(struct str target, const char *path)
{
    size_t question = str_find(target, '?', 0);
    return str_is(str_cut(target, 0, question), path);
}

/* The name of its token, "" where none are asked for, NULL: it may not come. */
static const char *token_name(const struct adapter *a, const struct http_head *h)
{
    struct str given = http_field(h, "authorization");
    if (!a->tokens) {
        return "";
    }
    return given.n > 7 && http_name_is(str_cut(given, 0, 7), "bearer ")
               ? net_tokens_find(a->tokens, str_trim(str_cut(given, 7, given.n)))
               : NULL;
}

/* The first reason against it, as a status; 0: none. */
static int refusal(const struct exchange *x, const struct http_head *h, const char *name,
                   const char **what)
{
    const struct http_options *o = x->a->options;
    struct str coding = http_field(h, "content-encoding");
    *what = "this is not the path of this feed";
    if (!is_path(h->target, o->path)) {
        return 404;
    }
    *what = "send Authorization: Bearer TOKEN, with a token whose SHA-256 is in the tokens file of "
            "this feed";
    if (!name) {
        return 401;
    }
    *what = "only POST and PUT are taken";
    if (!str_is(h->method, "POST") && !str_is(h->method, "PUT")) {
        return 405;
    }
    *what = "content encodings are not taken";
    if (coding.n && !http_name_is(coding, "identity")) {
        return 415;
    }
    *what = "shutting down";
    return x->a->draining ? 503 : 0;
}

static bool open_file(struct exchange *x)
{
    char path[MAX_PATH];
    int n = snprintf(path, sizeof path, "%s/%016" PRIx64 "-%" PRIu64 ".part", x->a->options->work,
                     (uint64_t)clock_real(), ++x->a->number);
    x->path = n > 0 && n < MAX_PATH ? strdup(path) : NULL;
    x->fd = x->path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (x->fd < 0) {
        log_warn("http.work", "error=\"%s\"", strerror(errno));
    }
    return x->fd >= 0;
}

/* Bodies whose senders wait no longer: each time they come again there is one more. */
static int64_t left_behind(const struct adapter *a)
{
    int64_t n = 0;
    for (const struct exchange *x = a->all; x; x = x->next) {
        n += x->complete && !x->request;
    }
    return n;
}

static const char crowded[] = "too many messages are under way: send it again later";

static void begin(struct exchange *x, const struct http_head *h, const char *name)
{
    const struct http_options *o = x->a->options;
    struct str key = http_field(h, "idempotency-key");
    x->subject = strdup(net_request_cert(x->request));
    bool ready = x->subject && (!key.n || idempotency_begin(x, key, name));
    x->digest = net_digest_begin();
    if (!answer_type(http_field(h, "content-type"), x)) {
        answer_problem(
            x, 415,
            "this Content-Type is not taken: send application/hl7-v2, application/fhir+json, "
            "application/fhir+xml, application/xml, application/json, text/csv, …");
    } else if (x->kind == HTTP_MESSAGE && h->length > o->max_message) {
        answer_problem(x, 413, "the message is larger than this feed takes");
    } else if (x->kind == HTTP_MESSAGE && h->length > o->max_in_flight - x->a->held) {
        answer_problem(x, 503, crowded);
    } else if (x->kind == HTTP_FILE && !o->work[0]) {
        answer_problem(x, 415, "this feed takes HL7 v2 messages only: it has no work folder");
    } else if (x->kind == HTTP_FILE && left_behind(x->a) >= o->max_connections) {
        answer_problem(x, 503, "too many bodies wait for their turn");
    } else if (!ready || !x->digest || (x->kind == HTTP_FILE && !open_file(x))) {
        answer_problem(x, 503, "the body cannot be kept now");
    }
}

static void on_head(void *ctx, struct net_request *r, void **context)
{
    struct adapter *a = ctx;
    const struct http_head *h = net_request_head(r);
    const char *what;
    struct exchange *x = exchange_new(a);
    *context = x;
    adapter_count(a->host, "requests", 1);
    if (!x) {
        net_request_answer(r, 503, "text/plain", "Retry-After: 1\r\n", STR("no memory\n"));
        return;
    }
    x->request = r;
    x->voice = HTTP_JSON;
    x->type = "application/json";
    const char *name = token_name(a, h);
    int status = refusal(x, h, name, &what);
    if (status) {
        log_warn("http.refused", "peer=%s status=%d", net_request_peer(r), status);
        answer_problem(x, status, what);
    } else {
        begin(x, h, name);
    }
    if (!x->request) {
        *context = NULL;
        exchange_free(x);
    }
}

/* ---- the body ---- */

static bool write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        bytes = n > 0 ? str_cut(bytes, (size_t)n, bytes.n) : bytes;
    }
    return true;
}

/* One alone always has room; a body in chunks does not say how much it wants. */
static void keep_piece(struct exchange *x, struct str piece)
{
    buf_add(&x->body, piece);
    if (buf_ok(&x->body)) {
        x->held += (int64_t)piece.n;
        x->a->held += (int64_t)piece.n;
    }
    if (x->a->held > x->a->options->max_in_flight) {
        x->failed = true;
        let_go(x);
    }
}

static void on_body(void *context, struct str piece)
{
    struct exchange *x = context;
    net_digest_add(x->digest, piece);
    if (x->kind == HTTP_MESSAGE && !x->failed) {
        keep_piece(x, piece);
    } else if (x->kind == HTTP_FILE && !x->failed && !write_all(x->fd, piece)) {
        log_warn("http.work", "error=\"%s\"", strerror(errno));
        x->failed = true;
    }
}

/* From here on the file survives a crash: .body is complete, .part is not. */
static bool keep_file(struct exchange *x)
{
    char done[MAX_PATH];
    struct err e;
    size_t n = strlen(x->path) - strlen(".part");
    snprintf(done, sizeof done, "%.*s.body", (int)n, x->path);
    bool ok = !x->failed && fsync(x->fd) == 0 && rename(x->path, done) == 0 &&
              file_sync_folder(x->a->options->work, &e) == ERR_NONE;
    close(x->fd);
    x->fd = -1;
    if (!ok) {
        unlink(done);
        unlink(x->path);
        return false;
    }
    memcpy(x->path + n, ".body", sizeof ".body");
    return true;
}

static void submit(struct exchange *x)
{
    struct adapter *a = x->a;
    char at[CLOCK_TEXT], name[64];
    bool *full = x->kind == HTTP_MESSAGE ? &a->host_full : &a->file_full;
    if (*full) {
        return;
    }
    if (x->kind == HTTP_MESSAGE) {
        adapter_sender(a->host, x->subject);
        x->submitted = adapter_submit(a->host, buf_str(&x->body), x);
        if (x->submitted) {
            buf_release(&x->body); /* the host has copied it */
        }
    } else {
        snprintf(name, sizeof name, "post %s", clock_text_utc(clock_real(), at));
        const struct adapter_file f = {.path = x->path, .name = name};
        x->submitted = adapter_submit_file(a->host, &f, x);
    }
    *full = !x->submitted;
}

static void on_end(void *context)
{
    struct exchange *x = context;
    net_digest_end(&x->digest, x->body_digest);
    x->complete = true;
    x->since = clock_mono();
    if (x->kind == HTTP_MESSAGE && x->failed) {
        answer_problem(x, 503, crowded);
    } else if (x->kind == HTTP_MESSAGE && !buf_ok(&x->body)) {
        answer_problem(x, 413, "the message is larger than this feed takes");
    } else if (x->key[0] && idempotency_known(x)) {
        adapter_count(x->a->host, "idempotent", 1);
    } else if (x->kind == HTTP_FILE && !keep_file(x)) {
        answer_problem(x, 507, "the body cannot be kept now");
    } else {
        submit(x);
        return;
    }
    if (x->path) {
        unlink(x->path);
    }
    exchange_free(x);
}

static void on_gone(void *context)
{
    struct exchange *x = context;
    if (!x) {
        return;
    }
    x->request = NULL;
    /* A message that the host has not taken yet was answered by nobody: nothing would bound how
     * many of them wait in memory. A file waits on disk; left_behind() counts it. */
    if (!x->complete || (x->kind == HTTP_MESSAGE && !x->submitted)) {
        if (x->path) {
            unlink(x->path);
        }
        exchange_free(x);
    }
}

static void on_refused(void *ctx, const char *peer, int status, const char *why)
{
    struct adapter *a = ctx;
    adapter_count(a->host, "requests_refused", 1);
    log_warn("http.refused", "peer=%s status=%d why=\"%s\"", peer, status, why);
}

const struct net_http_handlers http_handlers = {
    .head = on_head, .body = on_body, .end = on_end, .gone = on_gone, .refused = on_refused};

/* ---- what became of it ---- */

void exchange_submit_waiting(struct adapter *a)
{
    for (struct exchange *x = a->all; x; x = x->next) {
        if (x->complete && !x->submitted) {
            submit(x);
        }
    }
}

void exchange_reply(struct exchange *x, enum adapter_outcome outcome, struct str reply)
{
    static const int statuses[] = {[ADAPTER_TAKEN] = 200,
                                   [ADAPTER_KNOWN] = 200,
                                   [ADAPTER_REFUSED] = 422,
                                   [ADAPTER_RETRY] = 503};
    int status = statuses[outcome] == 200 && reply.n == 0 ? 202 : statuses[outcome];
    if (outcome != ADAPTER_RETRY) {
        idempotency_keep(x, status, reply);
    }
    if (x->request) {
        answer(x, status, reply);
    }
    exchange_free(x);
}

void exchange_finished(struct exchange *x, const struct adapter_result *r)
{
    bool none = r->outcome == ADAPTER_TAKEN && r->rejected &&
                r->mapped + r->ignored + r->unchanged + r->duplicates == 0;
    int status = r->outcome == ADAPTER_RETRY             ? 503
                 : r->outcome == ADAPTER_REFUSED || none ? 422
                                                         : 200;
    answer_result(x, status, r);
    if (r->outcome != ADAPTER_RETRY && unlink(x->path) != 0) {
        log_warn("http.work", "error=\"%s\"", strerror(errno));
    }
    exchange_free(x);
}

void exchange_sweep(struct adapter *a)
{
    usec now = clock_mono();
    for (struct exchange *x = a->all, *next; x; x = next) {
        next = x->next;
        if (x->complete && x->request && now - x->since > a->options->answer_ms * 1000) {
            answer_problem(x, 503, "not stored yet: send it again to learn what became of it");
            if (!x->submitted && x->kind == HTTP_MESSAGE) {
                exchange_free(x);
            }
        }
    }
}

static void recover_file(struct adapter *a, const char *name)
{
    struct exchange *x = exchange_new(a);
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", a->options->work, name);
    if (x && (x->path = strdup(path))) {
        x->kind = HTTP_FILE;
        x->voice = HTTP_JSON;
        x->complete = true;
        x->since = clock_mono();
    } else if (x) {
        exchange_free(x);
    }
}

void exchange_recover(struct adapter *a)
{
    struct arena *arena = a->options->work[0] ? arena_new(0) : NULL;
    char **names = NULL;
    size_t count = 0;
    if (!arena) {
        return;
    }
    if (file_list(arena, a->options->work, ".part", &names, &count, NULL) == ERR_NONE) {
        for (size_t i = 0; i < count; i++) {
            char *path = arena_printf(arena, "%s/%s", a->options->work, names[i]);
            if (path) {
                unlink(path);
            }
        }
    }
    if (file_list(arena, a->options->work, ".body", &names, &count, NULL) == ERR_NONE) {
        for (size_t i = 0; i < count; i++) {
            recover_file(a, names[i]);
        }
        exchange_submit_waiting(a);
    }
    arena_free(&arena);
}
