#include "core/stream/wire.h"

#include "core/base/num.h"

#include <inttypes.h>
#include <stdio.h>

/* Name and exact number of frames, itself included; the order is that of the enum. */
static const struct command {
    const char *name;
    size_t frames;
} requests[] =
    {
        [REQUEST_HELLO] = {"HELLO", 4}, [REQUEST_CREDIT] = {"CREDIT", 3},
        [REQUEST_ACK] = {"ACK", 2},     [REQUEST_NACK] = {"NACK", 3},
        [REQUEST_PING] = {"PING", 1},   [REQUEST_BYE] = {"BYE", 1},
},
  replies[] = {
      [REPLY_WELCOME] = {"WELCOME", 2}, [REPLY_EVENT] = {"EVENT", 4}, [REPLY_ACKED] = {"ACKED", 2},
      [REPLY_HINT] = {"HINT", 3},       [REPLY_PONG] = {"PONG", 2},   [REPLY_ERROR] = {"ERROR", 3},
      [REPLY_BYE] = {"BYE", 2},
};

static enum err_code find(const struct command *table, size_t n, const struct str *frames,
                          size_t count, size_t *which, struct err *e)
{
    if (count == 0) {
        return ERR(e, ERR_SYNTAX, 0, "a message without a command");
    }
    for (size_t i = 0; i < n; i++) {
        if (str_is(frames[0], table[i].name)) {
            *which = i;
            return table[i].frames == count
                       ? ERR_NONE
                       : ERR(e, ERR_SYNTAX, count, "%s takes %zu frames, not %zu", table[i].name,
                             table[i].frames, count);
        }
    }
    return ERR(e, ERR_SYNTAX, 0, "an unknown command");
}

/* Decimal digits only: no sign, no blank, no leading zero. */
static enum err_code number(const struct str *frames, size_t at, int64_t min, int64_t *out,
                            struct err *e)
{
    struct str s = frames[at];
    bool ok = s.n > 0 && s.n <= 19 && (s.n == 1 || s.p[0] != '0');
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = s.p[i] >= '0' && s.p[i] <= '9';
    }
    if (!ok) {
        return ERR(e, ERR_VALUE, at, "frame %zu is not a decimal number", at);
    }
    return num_i64(s, min, WIRE_MAX, out, NULL) == ERR_NONE
               ? ERR_NONE
               : ERR(e, ERR_LIMIT, at, "frame %zu is out of range", at);
}

bool wire_word(struct str s, size_t max)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
        if (!ok) {
            return false;
        }
    }
    return s.n > 0 && s.n <= max;
}

enum err_code wire_from_text(struct str s, enum wire_from *from, int64_t *seq, usec *time,
                             struct err *e)
{
    static const struct {
        const char *word;
        enum wire_from from;
    } words[] = {{"cursor", FROM_CURSOR}, {"first", FROM_FIRST}, {"head", FROM_HEAD}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_is(s, words[i].word)) {
            *from = words[i].from;
            return ERR_NONE;
        }
    }
    if (str_starts(s, STR("time:"))) {
        *from = FROM_TIME;
        return clock_parse(str_cut(s, 5, s.n), time, NULL) == ERR_NONE
                   ? ERR_NONE
                   : ERR(e, ERR_VALUE, 0, "not an instant as in time:2026-03-11T09:00:00+09:00");
    }
    *from = FROM_NUMBER;
    return number(&s, 0, 0, seq, NULL) == ERR_NONE
               ? ERR_NONE
               : ERR(e, ERR_VALUE, 0, "from must be cursor, first, head, a number or time:…");
}

static enum err_code word(const struct str *frames, size_t at, size_t max, struct str *out,
                          struct err *e)
{
    if (!wire_word(frames[at], max)) {
        return ERR(e, frames[at].n > max ? ERR_LIMIT : ERR_VALUE, at,
                   "frame %zu must be 1 to %zu letters, digits, dots or hyphens", at, max);
    }
    *out = frames[at];
    return ERR_NONE;
}

static enum err_code hello(const struct str *frames, struct wire_request *r, struct err *e)
{
    r->protocol = frames[1];
    if (!str_is(frames[1], WIRE_PROTOCOL)) {
        return ERR(e, ERR_UNSUPPORTED, 1, "this relay speaks " WIRE_PROTOCOL);
    }
    enum err_code code = word(frames, 2, WIRE_NAME, &r->site, e);
    if (code == ERR_NONE) {
        code = wire_from_text(frames[3], &r->from, &r->seq, &r->time, e);
        if (code != ERR_NONE && e) {
            e->pos = 3;
        }
    }
    return code;
}

enum err_code wire_request(const struct str *frames, size_t count, struct wire_request *out,
                           struct err *e)
{
    size_t which = 0;
    *out = (struct wire_request){0};
    enum err_code code =
        find(requests, sizeof requests / sizeof requests[0], frames, count, &which, e);
    if (code != ERR_NONE) {
        return code;
    }
    out->kind = (enum wire_request_kind)which;
    switch (out->kind) {
    case REQUEST_HELLO:
        return hello(frames, out, e);
    case REQUEST_CREDIT:
        code = number(frames, 1, 0, &out->messages, e);
        return code == ERR_NONE ? number(frames, 2, 0, &out->bytes, e) : code;
    case REQUEST_ACK:
        return number(frames, 1, 0, &out->seq, e);
    case REQUEST_NACK:
        code = number(frames, 1, 1, &out->seq, e);
        return code == ERR_NONE ? word(frames, 2, WIRE_CODE, &out->code, e) : code;
    case REQUEST_PING:
    case REQUEST_BYE:
        break;
    }
    return ERR_NONE;
}

enum err_code wire_reply(const struct str *frames, size_t count, struct wire_reply *out,
                         struct err *e)
{
    size_t which = 0;
    *out = (struct wire_reply){0};
    enum err_code code =
        find(replies, sizeof replies / sizeof replies[0], frames, count, &which, e);
    if (code != ERR_NONE) {
        return code;
    }
    out->kind = (enum wire_reply_kind)which;
    switch (out->kind) {
    case REPLY_WELCOME:
        out->json = frames[1];
        return ERR_NONE;
    case REPLY_EVENT:
        out->json = frames[3];
        code = number(frames, 1, 1, &out->seq, e);
        return code == ERR_NONE ? number(frames, 2, 0, &out->prev, e) : code;
    case REPLY_HINT:
        code = number(frames, 1, 0, &out->seq, e);
        return code == ERR_NONE ? number(frames, 2, 0, &out->prev, e) : code;
    case REPLY_ACKED:
    case REPLY_PONG:
        return number(frames, 1, 0, &out->seq, e);
    case REPLY_ERROR:
        out->text = frames[2];
        return word(frames, 1, WIRE_CODE, &out->code, e);
    case REPLY_BYE:
        return word(frames, 1, WIRE_CODE, &out->code, e);
    }
    return ERR_NONE;
}

struct str wire_number(int64_t n, char text[WIRE_DIGITS])
{
    int len = snprintf(text, WIRE_DIGITS, "%" PRId64, n);
    return (struct str){text, (size_t)len};
}
