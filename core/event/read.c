#include "core/event/read.h"

#include "core/base/num.h"

#include <string.h>

static enum err_code text_member(const json_t *root, const char *name, bool required,
                                 const char **out, struct err *e)
{
    const json_t *v = json_object_get(root, name);
    if (!v || json_is_null(v)) {
        if (required) {
            ERR(e, ERR_REQUIRED, 0, "the envelope has no such member");
            return err_at(e, "%s", name);
        }
        return ERR_NONE;
    }
    if (!json_is_string(v)) {
        ERR(e, ERR_VALUE, 0, "not a text");
        return err_at(e, "%s", name);
    }
    *out = json_string_value(v);
    return ERR_NONE;
}

static enum err_code time_member(const json_t *root, const char *name, bool required, usec *out,
                                 struct err *e)
{
    const char *text = NULL;
    enum err_code code = text_member(root, name, required, &text, e);
    if (code == ERR_NONE && text) {
        code = clock_parse(str_of(text), out, e);
        if (code != ERR_NONE) {
            return err_at(e, "%s", name);
        }
    }
    return code;
}

static enum err_code number_member(const json_t *root, const char *name, int64_t *out,
                                   struct err *e)
{
    const char *text = NULL;
    enum err_code code = text_member(root, name, false, &text, e);
    if (code == ERR_NONE && text) {
        code = num_i64(str_of(text), 0, INT64_MAX, out, e);
        if (code != ERR_NONE) {
            return err_at(e, "%s", name);
        }
    }
    return code;
}

/* urn:dari:event:<type>:<schema>; another sender's form is no error, it only says nothing. */
static int schema_of(const char *dataschema)
{
    const char *colon = dataschema ? strrchr(dataschema, ':') : NULL;
    int64_t n = 0;
    if (!colon || num_i64(str_of(colon + 1), 1, 1000000, &n, NULL) != ERR_NONE) {
        return 0;
    }
    return (int)n;
}

static enum err_code read_members(struct received_event *r, struct err *e)
{
    const char *version = NULL, *dataschema = NULL;
    const struct {
        const char *name;
        bool required;
        const char **out;
    } texts[] = {
        {"specversion", true, &version},
        {"id", true, &r->id},
        {"type", true, &r->type},
        {"source", true, &r->source},
        {"subject", false, &r->subject},
        {"causationid", false, &r->cause},
        {"darimapping", false, &r->mapping},
        {"darisite", false, &r->site},
        {"dataschema", false, &dataschema},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        enum err_code code =
            text_member(r->root, texts[i].name, texts[i].required, texts[i].out, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    if (strcmp(version, "1.0") != 0) {
        ERR(e, ERR_VALUE, 0, "not version 1.0 of CloudEvents");
        return err_at(e, "specversion");
    }
    r->schema = schema_of(dataschema);
    r->test = json_is_true(json_object_get(r->root, "daritest"));
    enum err_code code = time_member(r->root, "time", true, &r->time, e);
    r->recorded_at = r->time;
    if (code == ERR_NONE) {
        code = time_member(r->root, "recordedtime", false, &r->recorded_at, e);
    }
    if (code == ERR_NONE) {
        code = number_member(r->root, "sequence", &r->seq, e);
    }
    if (code == ERR_NONE) {
        code = number_member(r->root, "darimessage", &r->message_no, e);
    }
    return code;
}

static enum err_code read_data(struct received_event *r, struct err *e)
{
    json_t *data = json_object_get(r->root, "data");
    if (!data) {
        data = json_object();
        if (!data || json_object_set_new(r->root, "data", data) != 0) {
            return ERR(e, ERR_NOMEM, 0, "out of memory");
        }
    }
    if (!json_is_object(data)) {
        ERR(e, ERR_VALUE, 0, "the payload is not an object");
        return err_at(e, "data");
    }
    r->data = data;
    return ERR_NONE;
}

enum err_code received_parse(struct str json, struct received_event *out, struct err *e)
{
    struct received_event r = {.subject = "", .site = ""};
    json_error_t at;
    *out = (struct received_event){0};
    r.root = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &at);
    if (!r.root) {
        /* jansson's own text may quote the input; its place says enough. */
        if (json_error_code(&at) == json_error_out_of_memory) {
            return ERR(e, ERR_NOMEM, 0, "out of memory");
        }
        return ERR(e, ERR_SYNTAX, at.position > 0 ? (size_t)at.position : 0, "not a JSON object");
    }
    enum err_code code = ERR_NONE;
    if (!json_is_object(r.root)) {
        code = ERR(e, ERR_SYNTAX, 0, "not a JSON object");
    }
    if (code == ERR_NONE) {
        code = read_members(&r, e);
    }
    if (code == ERR_NONE) {
        code = read_data(&r, e);
    }
    if (code != ERR_NONE) {
        received_release(&r);
        return code;
    }
    *out = r;
    return ERR_NONE;
}

void received_release(struct received_event *r)
{
    json_decref(r->root);
    *r = (struct received_event){0};
}

bool data_has(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return v && !json_is_null(v);
}

bool data_null(const json_t *object, const char *name)
{
    return json_is_null(json_object_get(object, name));
}

const char *data_str(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool data_int(const json_t *object, const char *name, int64_t *out)
{
    const json_t *v = json_object_get(object, name);
    if (!json_is_integer(v)) {
        return false;
    }
    *out = json_integer_value(v);
    return true;
}

bool data_bool(const json_t *object, const char *name, bool dflt)
{
    const json_t *v = json_object_get(object, name);
    return json_is_boolean(v) ? json_is_true(v) : dflt;
}

bool data_date(const json_t *object, const char *name, int32_t *day)
{
    const char *text = data_str(object, name);
    return text && day_parse(str_of(text), day, NULL) == ERR_NONE;
}

bool data_instant(const json_t *object, const char *name, usec *at)
{
    const char *text = data_str(object, name);
    return text && clock_parse(str_of(text), at, NULL) == ERR_NONE;
}

const json_t *data_list(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_array(v) ? v : NULL;
}
