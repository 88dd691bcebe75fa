#include "core/event/event.h"

#include <inttypes.h>

/* Names and keys of our own, but a site or feed may be named with any letter: always escaped. */
static void member(struct buf *out, const char *name, const char *value)
{
    if (value && value[0]) {
        buf_addz(out, ",\"");
        buf_addz(out, name);
        buf_addz(out, "\":");
        buf_json(out, str_of(value));
    }
}

void envelope_json(struct buf *out, const struct envelope *v)
{
    char text[CLOCK_TEXT];
    buf_addz(out, "{\"specversion\":\"1.0\"");
    member(out, "id", v->id);
    member(out, "source", v->source);
    member(out, "type", v->type);
    member(out, "subject", v->subject);
    member(out, "time", clock_text(v->time, text));
    buf_addz(out, ",\"datacontenttype\":\"application/json\",\"dataschema\":\"urn:dari:event:");
    buf_addz(out, v->type);
    buf_printf(out, ":%d\"", v->schema);
    if (v->seq) {
        buf_printf(out, ",\"sequence\":\"%020" PRId64 "\"", v->seq);
    }
    member(out, "partitionkey", v->subject);
    member(out, "recordedtime", clock_text_utc(v->recorded_at, text));
    member(out, "darisite", v->site);
    if (v->message_no) {
        /* As text: an Integer of CloudEvents has 32 bits. */
        buf_printf(out, ",\"darimessage\":\"%" PRId64 "\"", v->message_no);
    }
    member(out, "darimapping", v->mapping);
    if (v->test) {
        buf_addz(out, ",\"daritest\":true");
    }
    member(out, "causationid", v->cause);
    buf_addz(out, ",\"data\":");
    buf_add(out, v->data);
    buf_addc(out, '}');
}
