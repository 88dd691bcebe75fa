#include "core/intake/bundle.h"

#include <stdint.h>
#include <stdlib.h>

enum err_code bundle_new(struct str frame, void *ticket, struct bundle **out, struct err *e)
{
    struct hl7_split s = {.text = frame};
    struct str message;
    size_t parts = 0;
    *out = NULL;
    while (hl7_split_next(&s, &message, NULL)) {
        if (++parts > BUNDLE_MAX) {
            return ERR(e, ERR_LIMIT, 0, "a batch has more than %d messages", BUNDLE_MAX);
        }
    }
    struct bundle *b = calloc(1, sizeof *b);
    if (!b || !(b->arena = arena_new(0))) {
        free(b);
        return ERR(e, ERR_NOMEM, 0, "no memory for a batch");
    }
    b->ticket = ticket;
    b->parts = parts;
    b->rest.text = arena_copy(b->arena, frame);
    b->replies = arena_array(b->arena, parts + 1, sizeof *b->replies);
    if (!b->rest.text.p || !b->replies) {
        bundle_free(&b);
        return ERR(e, ERR_NOMEM, 0, "no memory for a batch");
    }
    hl7_batch_read(b->rest.text, &b->batch);
    b->wanted = parts == 0;
    *out = b;
    return ERR_NONE;
}

void bundle_free(struct bundle **pb)
{
    struct bundle *b = *pb;
    if (b) {
        arena_free(&b->arena);
        free(b);
        *pb = NULL;
    }
}

bool bundle_next(struct bundle *b, struct str *message, size_t *place)
{
    if (!hl7_split_next(&b->rest, message, NULL)) {
        return false;
    }
    *place = b->taken++;
    return true;
}

bool bundle_answer(struct bundle *b, size_t place, struct str reply, bool wanted)
{
    b->replies[place] = arena_copy(b->arena, reply);
    b->failed |= reply.n && !b->replies[place].p;
    b->wanted |= wanted || reply.n;
    return ++b->answered == b->parts;
}

static struct str finish(struct arena *a, struct buf *out)
{
    struct str all = buf_ok(out) ? arena_copy(a, buf_str(out)) : STR("");
    buf_release(out);
    return all.p ? all : STR("");
}

struct str bundle_reply(struct bundle *b, struct str id, usec at)
{
    struct buf out;
    size_t n = 0;
    if (!b->wanted || b->failed) {
        return STR("");
    }
    buf_init(&out, SIZE_MAX / 4);
    hl7_batch_begin(&out, &b->batch, id, at);
    for (size_t i = 0; i < b->parts; i++) {
        buf_add(&out, b->replies[i]);
        n += b->replies[i].n > 0;
    }
    hl7_batch_end(&out, &b->batch, n, NULL);
    return finish(b->arena, &out);
}

struct str bundle_refusal(struct arena *a, struct str frame, struct str reply, struct str id,
                          usec at)
{
    struct buf out;
    struct hl7_batch batch;
    hl7_batch_read(frame, &batch);
    buf_init(&out, SIZE_MAX / 4);
    hl7_batch_begin(&out, &batch, id, at);
    buf_add(&out, reply);
    hl7_batch_end(&out, &batch, 1, "the batch has more messages than this feed takes");
    return finish(a, &out);
}
