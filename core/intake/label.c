#include "core/intake/label.h"

#include "core/base/num.h"
#include "core/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void label_write(const unsigned char digest[SHA256_BYTES], int64_t turn, char out[LABEL_TEXT])
{
    size_t n = 0;
    for (; n < LABEL_BYTES; n++) {
        snprintf(out + 2 * n, 3, "%02x", digest[n]);
    }
    if (turn > 1) {
        snprintf(out + 2 * n, LABEL_TEXT - 2 * n, ".%" PRId64, turn);
    }
}

bool label_read(struct str control_id, struct label *out)
{
    char bytes[LABEL_BYTES];
    size_t hash = str_find(control_id, '#', 0);
    *out = (struct label){.turn = 1};
    if (hash < 2 * LABEL_BYTES || hash == control_id.n) {
        return false;
    }
    struct str number = str_cut(control_id, hash + 1, str_find(control_id, '-', hash));
    bool later = hash > 2 * LABEL_BYTES;
    if (text_unhex(str_cut(control_id, 0, 2 * LABEL_BYTES), bytes, NULL) != ERR_NONE ||
        num_i64(number, 0, INT64_MAX, &out->number, NULL) != ERR_NONE ||
        (later && control_id.p[2 * LABEL_BYTES] != '.') ||
        (later && num_i64(str_cut(control_id, 2 * LABEL_BYTES + 1, hash), 2, INT32_MAX, &out->turn,
                          NULL) != ERR_NONE)) {
        return false;
    }
    memset(out->high, 0xFF, sizeof out->high);
    memcpy(out->low, bytes, sizeof bytes);
    memcpy(out->high, bytes, sizeof bytes);
    return true;
}
