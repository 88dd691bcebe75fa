#include "core/net/hllp.h"

#include "core/base/num.h"

enum { HEAD = 4, COUNT = 5, CHECK = 3, UNCHECKED = 999, VT = 0x0b };

static int64_t number(struct str digits)
{
    int64_t n = -1;
    num_i64(digits, 0, 99999, &n, NULL);
    return n;
}

static int xor_of(struct str bytes)
{
    unsigned char x = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        x ^= (unsigned char)bytes.p[i];
    }
    return x;
}

static int checksum(struct str head, struct str data, bool with_start)
{
    return with_start ? xor_of(data) ^ xor_of(head) ^ VT : xor_of(data);
}

enum hllp_what hllp_read(struct str block, struct str *data, char *reason, bool *with_start)
{
    *reason = 'G';
    *data = STR("");
    if (block.n < HEAD + COUNT + CHECK || block.p[3] != '\r' ||
        (block.p[0] != 'D' && block.p[0] != 'N')) {
        return HLLP_BROKEN;
    }
    struct str head = str_cut(block, 0, HEAD);
    struct str body = str_cut(block, HEAD, block.n - COUNT - CHECK);
    int64_t count = number(str_cut(block, HEAD + body.n, HEAD + body.n + COUNT));
    int64_t check = number(str_cut(block, block.n - CHECK, block.n));
    bool all = count == (int64_t)body.n + HEAD + 1;
    if (!all && count != (int64_t)body.n) {
        *reason = 'C';
        return HLLP_BROKEN;
    }
    if (check != UNCHECKED && check != checksum(head, body, all)) {
        *reason = 'X';
        return HLLP_BROKEN;
    }
    *data = body;
    *with_start = all;
    return block.p[0] == 'D' ? HLLP_DATA : HLLP_REFUSED;
}

void hllp_write(struct buf *out, char type, struct str data, bool with_start)
{
    const char head[HEAD] = {type, '2', '3', '\r'};
    struct str h = {head, sizeof head};
    buf_add(out, h);
    buf_add(out, data);
    buf_printf(out, "%05zu%03d", data.n + (with_start ? HEAD + 1 : 0),
               checksum(h, data, with_start));
}
