#include "adapters/http/http_internal.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/num.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * One file per client and key in WORK/keys, named by their digest: "DIGEST-OF-THE-BODY STATUS
 * TYPE\n" and the answer. Answers hold what an acknowledgement holds: control ids and counts, no
 * patient data.
 */
enum { MAX_PATH = 4096, MAX_KEPT = 1024 * 1024, TIDY_S = 60 };

bool idempotency_begin(struct exchange *x, struct str key, const char *name)
{
    struct str who[] = {str_of(name ? name : ""), str_of(x->subject)};
    char of[NET_DIGEST];
    if (!who[0].n && !who[1].n) {
        net_digest_of(key, x->key);
        return true;
    }
    struct net_digest *d = net_digest_begin();
    if (!d) {
        return false;
    }
    for (size_t i = 0; i < sizeof who / sizeof *who;
         i++) { /* so that no end is taken for another */
        net_digest_of(who[i], of);
        net_digest_add(d, str_of(of));
    }
    net_digest_add(d, key);
    net_digest_end(&d, x->key);
    return true;
}

static bool key_path(const struct exchange *x, char out[MAX_PATH])
{
    int n = snprintf(out, MAX_PATH, "%s/keys/%s", x->a->options->work, x->key);
    return x->a->options->work[0] && n > 0 && n < MAX_PATH;
}

static bool busy(const struct exchange *x)
{
    for (const struct exchange *o = x->a->all; o; o = o->next) {
        if (o != x && o->complete && str_eq(str_of(o->key), str_of(x->key))) {
            return true;
        }
    }
    return false;
}

static void again(struct exchange *x, struct str kept)
{
    struct str head, digest, status, rest = kept;
    int64_t number;
    if (str_next(&rest, '\n', &head) && str_next(&head, ' ', &digest) &&
        str_next(&head, ' ', &status) && num_i64(status, 200, 599, &number, NULL) == ERR_NONE) {
        if (!str_eq(digest, str_of(x->body_digest))) {
            answer_problem(x, 422, "this Idempotency-Key was used with another body");
            return;
        }
        x->type = answer_named(head);
        answer(x, (int)number, rest);
        return;
    }
    answer_problem(x, 503, "what this Idempotency-Key was answered cannot be read");
}

bool idempotency_known(struct exchange *x)
{
    char path[MAX_PATH];
    struct str kept;
    struct err e;
    if (busy(x)) {
        answer_problem(x, 409, "a request with this Idempotency-Key is under way");
        return true;
    }
    struct arena *a = key_path(x, path) ? arena_new(0) : NULL;
    bool known = a && file_read(a, path, MAX_KEPT, &kept, &e) == ERR_NONE;
    if (known) {
        again(x, kept);
    }
    arena_free(&a);
    if (!known && x->a->keys >= x->a->options->max_keys) {
        answer_problem(x, 503,
                       "too many Idempotency-Keys are remembered: send it later, or without one");
        return true;
    }
    return known;
}

void idempotency_keep(struct exchange *x, int status, struct str body)
{
    char path[MAX_PATH];
    struct err e;
    struct buf b;
    if (!x->key[0] || !key_path(x, path)) {
        return;
    }
    buf_init(&b, MAX_KEPT);
    buf_printf(&b, "%s %d %s\n", x->body_digest, status, x->type ? x->type : "");
    buf_add(&b, body);
    if (!buf_ok(&b) || file_write(path, buf_str(&b), 0600, &e) != ERR_NONE) {
        log_warn("http.keys", "error=\"the answer to an Idempotency-Key could not be kept\"");
    } else {
        x->a->keys++;
    }
    buf_release(&b);
}

/* Once a minute. */
void idempotency_tidy(struct adapter *a)
{
    usec now = clock_mono();
    struct arena *arena = a->options->work[0] && now >= a->next_tidy ? arena_new(0) : NULL;
    char **names;
    size_t count = 0, gone = 0;
    struct stat st;
    if (!arena) {
        return;
    }
    a->next_tidy = now + (usec)TIDY_S * USEC_SECOND;
    char *folder = arena_printf(arena, "%s/keys", a->options->work);
    if (folder && file_list(arena, folder, "", &names, &count, NULL) == ERR_NONE) {
        time_t oldest = time(NULL) - (time_t)(a->options->keep_keys_ms / 1000);
        for (size_t i = 0; i < count; i++) {
            char *path = arena_printf(arena, "%s/%s", folder, names[i]);
            if (path && stat(path, &st) == 0 && st.st_mtime < oldest) {
                gone += unlink(path) == 0;
            }
        }
        a->keys = (int64_t)(count - gone);
    }
    arena_free(&arena);
}
