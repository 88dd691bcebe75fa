#include "core/event/event.h"

#include "core/base/num.h"

/*
 * One member, `name` as it is written before its value. Left out when there is no value. Sites,
 * feeds and mappings may be named with any letter; keys, times and types need no escapes.
 */
static void member(struct buf *out, struct str name, const char *value)
{
    if (value && value[0]) {
        buf_add(out, name);
        buf_json(out, str_of(value));
    }
}

static void plain(struct buf *out, struct str name, const char *value)
{
    if (value && value[0]) {
        buf_add(out, name);
        buf_json_plain(out, str_of(value));
    }
}

/* A number as text: an Integer of CloudEvents has 32 bits. */
static void number(struct buf *out, struct str name, int64_t n, int width)
{
    char text[NUM_TEXT];
    buf_add(out, name);
    buf_add(out, num_text(n, width, text));
    buf_addc(out, '"');
}

void envelope_json(struct buf *out, const struct envelope *v)
{
    char text[CLOCK_TEXT];
    buf_add(out, STR("{\"specversion\":\"1.0\""));
    plain(out, STR(",\"id\":"), v->id);
    member(out, STR(",\"source\":"), v->source);
    plain(out, STR(",\"type\":"), v->type);
    plain(out, STR(",\"subject\":"), v->subject);
    plain(out, STR(",\"time\":"), clock_text(v->time, text));
    buf_add(out, STR(",\"datacontenttype\":\"application/json\""
                     ",\"dataschema\":\"urn:dari:event:"));
    buf_addz(out, v->type);
    number(out, STR(":"), v->schema, 1);
    if (v->seq) {
        number(out, STR(",\"sequence\":\""), v->seq, 20);
    }
    plain(out, STR(",\"partitionkey\":"), v->subject);
    plain(out, STR(",\"recordedtime\":"), clock_text_utc(v->recorded_at, text));
    member(out, STR(",\"darisite\":"), v->site);
    if (v->message_no) {
        number(out, STR(",\"darimessage\":\""), v->message_no, 1);
    }
    member(out, STR(",\"darimapping\":"), v->mapping);
    if (v->test) {
        buf_add(out, STR(",\"daritest\":true"));
    }
    plain(out, STR(",\"causationid\":"), v->cause);
    buf_add(out, STR(",\"data\":"));
    buf_add(out, v->data);
    buf_addc(out, '}');
}
