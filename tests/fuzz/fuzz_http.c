/* Any bytes as the head of a request, and as a body in chunks, cut by the first byte. */
#include "core/net/http_parse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size}, piece;
    struct http_chunks c = {0};
    struct http_head h;
    size_t cut = size ? data[0] % 16 + 1 : 1, n = http_head_size(bytes, 0);
    if (n > size) {
        abort();
    }
    if (n) {
        http_head_parse(str_cut(bytes, 0, n), &h, NULL);
    }
    for (size_t at = 0; at < size; at += cut) {
        struct str rest = str_cut(bytes, at, at + cut < size ? at + cut : size);
        do {
            if (http_chunks_next(&c, &rest, &piece, NULL) != ERR_NONE) {
                return 0;
            }
        } while (piece.n);
    }
    return 0;
}
