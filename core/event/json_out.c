#include "core/event/json_out.h"

#include <inttypes.h>

static void line(struct json_out *j)
{
    buf_addc(j->buf, '\n');
    for (unsigned i = 0; i < j->depth; i++) {
        buf_addz(j->buf, "  ");
    }
}

static void begin(struct json_out *j, const char *name)
{
    if (j->begun) {
        buf_addc(j->buf, ',');
    }
    if (j->depth) {
        line(j);
    }
    if (name) {
        buf_json(j->buf, str_of(name));
        buf_addz(j->buf, ": ");
    }
    j->begun = true;
}

void json_open(struct json_out *j, const char *name, char bracket)
{
    begin(j, name);
    buf_addc(j->buf, bracket);
    j->depth++;
    j->begun = false;
}

void json_close(struct json_out *j, char bracket)
{
    j->depth--;
    if (j->begun) {
        line(j);
    }
    buf_addc(j->buf, bracket);
    if (j->depth == 0) {
        buf_addc(j->buf, '\n');
    }
    j->begun = true;
}

void json_text(struct json_out *j, const char *name, const char *value)
{
    begin(j, name);
    buf_json(j->buf, str_of(value));
}

void json_int(struct json_out *j, const char *name, int64_t value)
{
    begin(j, name);
    buf_printf(j->buf, "%" PRId64, value);
}

void json_bool(struct json_out *j, const char *name, bool value)
{
    begin(j, name);
    buf_addz(j->buf, value ? "true" : "false");
}

void json_texts(struct json_out *j, const char *name, const char *const *values, bool null)
{
    begin(j, name);
    buf_addc(j->buf, '[');
    for (size_t i = 0; values[i]; i++) {
        buf_addz(j->buf, i ? ", " : "");
        buf_json(j->buf, str_of(values[i]));
    }
    buf_addz(j->buf, null ? ", null]" : "]");
}
