/*
 * Frames from the wire, as consumer and as relay get them: the input is cut into frames at LF. What
 * was accepted must fit its limits.
 */
#include "core/stream/wire.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = WIRE_FRAMES + 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, frames[MOST], piece;
    struct wire_request q;
    struct wire_reply r;
    struct err e;
    size_t n = 0;
    if (size == 0) {
        rest.p = "";
    }
    while (n < MOST && str_next(&rest, '\n', &piece)) {
        frames[n++] = piece;
    }
    if (wire_request(frames, n, &q, &e) == ERR_NONE) {
        if (q.seq < 0 || q.messages < 0 || q.bytes < 0 || q.code.n > WIRE_CODE ||
            q.site.n > WIRE_NAME) {
            abort();
        }
    } else if (e.pos > MOST) {
        abort();
    }
    if (wire_reply(frames, n, &r, &e) == ERR_NONE && (r.seq < 0 || r.prev < 0)) {
        abort();
    }
    return 0;
}
