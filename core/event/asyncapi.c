#include "core/event/asyncapi.h"

#include "core/event/json_out.h"
#include "core/event/schema.h"

#include <stdio.h>

enum { NAME_TEXT = 256 };

/* Where `what` is: `before` and `after` it. */
static void write_ref(struct json_out *j, const char *name, const char *before, const char *what,
                      const char *after)
{
    char text[NAME_TEXT];
    snprintf(text, sizeof text, "%s%s%s", before, what, after);
    json_open(j, name, '{');
    json_text(j, "$ref", text);
    json_close(j, '}');
}

static void write_info(struct json_out *j)
{
    json_open(j, "info", '{');
    json_text(j, "title", "Dari event stream");
    json_text(j, "version", "1");
    json_text(j, "description",
              "Events of a hospital, in order and without gaps, over ZeroMQ with CURVE. A consumer "
              "gets the types and fields that its contract names, at least once: keep the number "
              "of the last event with what you store.");
    json_close(j, '}');
}

static void write_variable(struct json_out *j, const char *name, const char *dflt,
                           const char *description)
{
    json_open(j, name, '{');
    json_text(j, "default", dflt);
    json_text(j, "description", description);
    json_close(j, '}');
}

static void write_server(struct json_out *j)
{
    static const char *const commands[] = {"HELLO", "CREDIT", "ACK", "NACK", "PING", "BYE", NULL};
    static const char *const replies[] = {"WELCOME", "EVENT", "ACKED", "HINT",
                                          "PONG",    "ERROR", "BYE",   NULL};
    static const char *const frames[] = {"EVENT", "sequence", "previous sequence", "payload", NULL};
    json_open(j, "servers", '{');
    json_open(j, "relay", '{');
    json_text(j, "host", "{host}:{port}");
    json_text(j, "protocol", "zmq+curve");
    json_text(j, "protocolVersion", "dari/1");
    json_text(j, "description", "The relay of one site: a ROUTER socket; a consumer is a DEALER.");
    json_open(j, "variables", '{');
    write_variable(j, "host", "localhost", "Where the hospital's relay listens");
    write_variable(j, "port", "5575", "Its port");
    json_close(j, '}');
    json_open(j, "security", '[');
    write_ref(j, NULL, "#/components/securitySchemes/", "curve", "");
    json_close(j, ']');
    json_open(j, "x-dari-protocol", '{');
    json_text(j, "socket", "DEALER");
    json_text(j, "mechanism", "CURVE");
    json_text(j, "description", "core/stream/README.md");
    json_texts(j, "requests", commands, false);
    json_texts(j, "replies", replies, false);
    json_texts(j, "eventFrames", frames, false);
    json_close(j, '}');
    json_close(j, '}');
    json_close(j, '}');
}

static void write_channel(struct json_out *j, const struct catalogue *c)
{
    json_open(j, "channels", '{');
    json_open(j, "events", '{');
    json_open(j, "servers", '[');
    write_ref(j, NULL, "#/servers/", "relay", "");
    json_close(j, ']');
    json_text(j, "description", "The stream of the site, cut to the consumer's contract.");
    json_open(j, "messages", '{');
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const char *name = catalogue_at(c, i)->name;
        write_ref(j, name, "#/components/messages/", name, "");
    }
    json_close(j, '}');
    json_close(j, '}');
    json_close(j, '}');
    json_open(j, "operations", '{');
    json_open(j, "sendEvents", '{');
    json_text(j, "action", "send");
    json_text(j, "summary", "The relay sends events while the consumer has credit left.");
    write_ref(j, "channel", "#/channels/", "events", "");
    json_close(j, '}');
    json_close(j, '}');
}

static void write_message(struct json_out *j, const struct event_type *t)
{
    json_open(j, t->name, '{');
    json_text(j, "name", t->name);
    json_text(j, "title", t->title);
    json_text(j, "contentType", "application/cloudevents+json");
    write_ref(j, "payload", "schemas/", t->name, ".json");
    json_int(j, "x-dari-schema", t->schema);
    json_text(j, "x-dari-class", class_name(t->class));
    json_bool(j, "x-dari-subject", t->subject);
    json_close(j, '}');
}

void asyncapi_write(struct buf *out, const struct catalogue *c)
{
    struct json_out j = {.buf = out};
    json_open(&j, NULL, '{');
    json_text(&j, "asyncapi", "3.0.0");
    write_info(&j);
    json_text(&j, "defaultContentType", "application/cloudevents+json");
    write_server(&j);
    write_channel(&j, c);
    json_open(&j, "components", '{');
    json_open(&j, "messages", '{');
    for (size_t i = 0; i < catalogue_count(c); i++) {
        write_message(&j, catalogue_at(c, i));
    }
    json_close(&j, '}');
    json_open(&j, "securitySchemes", '{');
    json_open(&j, "curve", '{');
    json_text(&j, "type", "asymmetricEncryption");
    json_text(&j, "description",
              "CurveZMQ: the consumer's public key is on record at the hospital, and the consumer "
              "has the relay's public key.");
    json_close(&j, '}');
    json_close(&j, '}');
    json_close(&j, '}');
    json_close(&j, '}');
}
