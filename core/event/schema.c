#include "core/event/schema.h"

#include "core/event/event_internal.h"
#include "core/event/json_out.h"

#include <stdio.h>

#define KEY_PATTERN "^[0-9a-hjkmnp-tv-z]{26}$"
#define DATE_PATTERN "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
#define TIME_PATTERN                                                                               \
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{" \
    "2})$"

static const char *const kind_names[] = {
    [KIND_KEY] = "key",   [KIND_STR] = "str",   [KIND_CODE] = "code",
    [KIND_DATE] = "date", [KIND_TS] = "ts",     [KIND_INT] = "int",
    [KIND_KRW] = "krw",   [KIND_BOOL] = "bool", [KIND_LIST] = "list"};

const char *class_name(enum class c)
{
    static const char *const names[] = {"P0", "P1", "P2", "P3"};
    return names[c];
}

static void write_type(struct json_out *j, const char *type, bool nullable)
{
    const char *const both[] = {type, "null", NULL};
    if (nullable) {
        json_texts(j, "type", both, false);
    } else {
        json_text(j, "type", type);
    }
}

static void write_codes(struct json_out *j, const struct field *f, enum schema_form form)
{
    if (f->codes) {
        json_texts(j, form == SCHEMA_STRICT ? "enum" : "x-dari-codes", f->codes,
                   f->nullable && form == SCHEMA_STRICT);
        return;
    }
    json_int(j, "minLength", 1);
    json_int(j, "maxLength", EVENT_CODE);
}

/* What a value of this kind looks like; not for lists. */
static void write_kind(struct json_out *j, const struct field *f, enum kind kind,
                       enum schema_form form)
{
    bool number = kind == KIND_INT || kind == KIND_KRW;
    write_type(j, number ? "integer" : kind == KIND_BOOL ? "boolean" : "string", f->nullable);
    if (kind == KIND_KEY) {
        json_text(j, "pattern", KEY_PATTERN);
    } else if (kind == KIND_STR) {
        if (f->required) {
            json_int(j, "minLength", 1);
        }
        json_int(j, "maxLength", EVENT_TEXT);
    } else if (kind == KIND_CODE) {
        write_codes(j, f, form);
    } else if (kind == KIND_DATE) {
        json_text(j, "format", "date");
        json_text(j, "pattern", DATE_PATTERN);
    } else if (kind == KIND_TS) {
        json_text(j, "format", "date-time");
        json_text(j, "pattern", TIME_PATTERN);
    } else if (number) {
        json_int(j, "minimum", -EVENT_INT_MOST);
        json_int(j, "maximum", EVENT_INT_MOST);
    }
}

static void write_required(struct json_out *j, const struct field *fields, size_t count)
{
    const char *names[EVENT_FIELDS + 1];
    size_t n = 0;
    for (size_t i = 0; i < count && n < EVENT_FIELDS; i++) {
        if (fields[i].required) {
            names[n++] = fields[i].name;
        }
    }
    names[n] = NULL;
    if (n) {
        json_texts(j, "required", names, false);
    }
}

static void write_field(struct json_out *j, const struct field *f, enum schema_form form);

/* An object of fields: a payload, or an item of a list. */
static void write_fields(struct json_out *j, const struct field *fields, size_t count, bool item,
                         enum schema_form form)
{
    json_text(j, "type", "object");
    json_open(j, "properties", '{');
    for (size_t i = 0; i < count; i++) {
        write_field(j, &fields[i], form);
    }
    json_close(j, '}');
    if (item || form == SCHEMA_STRICT) {
        write_required(j, fields, count);
    }
    if (form == SCHEMA_STRICT) {
        json_bool(j, "additionalProperties", false);
    }
}

static void write_items(struct json_out *j, const struct field *f, enum schema_form form)
{
    json_text(j, "type", "array");
    json_int(j, "minItems", form == SCHEMA_STRICT ? 1 : 0);
    json_int(j, "maxItems", EVENT_ITEMS);
    json_open(j, "items", '{');
    if (f->items) {
        write_fields(j, f->items, f->item_count, true, form);
    } else {
        write_kind(j, f, f->item_kind, form);
    }
    json_close(j, '}');
}

static void write_field(struct json_out *j, const struct field *f, enum schema_form form)
{
    json_open(j, f->name, '{');
    if (f->kind == KIND_LIST) {
        write_items(j, f, form);
    } else {
        write_kind(j, f, f->kind, form);
    }
    if (f->title[0]) {
        json_text(j, "description", f->title);
    }
    json_text(j, "x-dari-kind", kind_names[f->kind]);
    json_text(j, "x-dari-class", class_name(f->class));
    if (f->required) {
        json_bool(j, "x-dari-required", true);
    }
    if (f->event_id) {
        json_text(j, "x-dari-names", "event");
    }
    json_close(j, '}');
}

/* One attribute of the envelope: a text that is always this one, or looks like this. */
static void write_text(struct json_out *j, const char *name, const char *constant,
                       const char *pattern, const char *description)
{
    json_open(j, name, '{');
    if (constant) {
        json_text(j, "const", constant);
    } else {
        json_text(j, "type", "string");
    }
    if (pattern) {
        json_text(j, "pattern", pattern);
    }
    if (description) {
        json_text(j, "description", description);
    }
    json_close(j, '}');
}

static void write_envelope(struct json_out *j, const struct event_type *t, const char *dataschema)
{
    write_text(j, "specversion", "1.0", NULL, NULL);
    write_text(j, "id", NULL, KEY_PATTERN, "Of this event, the same each time it is sent");
    write_text(j, "source", NULL, "^[^\\s]",
               "Where it comes from: feed:NAME, or the part of Dari that made it");
    write_text(j, "type", t->name, NULL, NULL);
    if (t->subject) {
        write_text(j, "subject", NULL, KEY_PATTERN, "The patient's key, or pseudonym");
        write_text(j, "partitionkey", NULL, KEY_PATTERN, "The same as subject");
    }
    write_text(j, "time", NULL, TIME_PATTERN, "When it happened, in the site's zone");
    write_text(j, "datacontenttype", "application/json", NULL, NULL);
    write_text(j, "dataschema", dataschema, NULL, NULL);
    write_text(j, "sequence", NULL, "^[0-9]{20}$", "Number in the stream; set on what is sent");
    write_text(j, "recordedtime", NULL, TIME_PATTERN, "When it was recorded, UTC");
    write_text(j, "darisite", NULL, NULL, "The site it belongs to");
    write_text(j, "darimessage", NULL, "^[1-9][0-9]*$", "Number of the message it was made from");
    write_text(j, "darimapping", NULL, NULL, "Mappings, with versions, that made it");
    json_open(j, "daritest", '{');
    json_bool(j, "const", true);
    json_text(j, "description", "The sender marked the message as a test; else left out");
    json_close(j, '}');
    write_text(j, "causationid", NULL, KEY_PATTERN, "Id of the event that led to this one");
}

void schema_write(struct buf *out, const struct event_type *t, enum schema_form form)
{
    static const char *const always[] = {
        "specversion", "id",           "source",   "type", "time", "datacontenttype",
        "dataschema",  "recordedtime", "darisite", "data", NULL,   NULL};
    static const char *const person[] = {
        "specversion", "id",           "source",   "type",
        "subject",     "partitionkey", "time",     "datacontenttype",
        "dataschema",  "recordedtime", "darisite", "data",
        NULL};
    struct json_out j = {.buf = out};
    char urn[256], id[270];
    snprintf(urn, sizeof urn, "urn:dari:event:%s:%d", t->name, t->schema);
    snprintf(id, sizeof id, "%s%s", urn, form == SCHEMA_STRICT ? ":strict" : "");
    json_open(&j, NULL, '{');
    json_text(&j, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_text(&j, "$id", id);
    json_text(&j, "title", t->name);
    json_text(&j, "description", t->title);
    json_int(&j, "x-dari-schema", t->schema);
    json_text(&j, "x-dari-class", class_name(t->class));
    json_bool(&j, "x-dari-subject", t->subject);
    json_text(&j, "type", "object");
    json_open(&j, "properties", '{');
    write_envelope(&j, t, urn);
    json_open(&j, "data", '{');
    write_fields(&j, t->fields, t->field_count, false, form);
    json_close(&j, '}');
    json_close(&j, '}');
    json_texts(&j, "required", t->subject ? person : always, false);
    if (form == SCHEMA_STRICT) {
        json_bool(&j, "additionalProperties", false);
    }
    json_close(&j, '}');
}
