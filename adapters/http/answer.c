#include "adapters/http/http_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_BODY = 64 * 1024 };

/* What is taken; parameters of a type (charset=…) are left to the content itself and the feed. */
static const struct {
    const char *type;
    enum http_kind kind;
    enum http_voice voice;
    const char *answer;
} types[] = {
    {"application/hl7-v2", HTTP_MESSAGE, HTTP_HL7, "application/hl7-v2"},
    {"application/hl7-v2+er7", HTTP_MESSAGE, HTTP_HL7, "application/hl7-v2+er7"},
    {"x-application/hl7-v2+er7", HTTP_MESSAGE, HTTP_HL7, "x-application/hl7-v2+er7"},
    {"application/hl7-v2+xml", HTTP_MESSAGE, HTTP_HL7, "application/hl7-v2+xml"},
    {"application/fhir+json", HTTP_FILE, HTTP_FHIR_JSON, "application/fhir+json"},
    {"application/fhir+ndjson", HTTP_FILE, HTTP_FHIR_JSON, "application/fhir+json"},
    {"application/fhir+xml", HTTP_FILE, HTTP_FHIR_XML, "application/fhir+xml"},
    {"application/json", HTTP_FILE, HTTP_JSON, "application/json"},
    {"application/xml", HTTP_FILE, HTTP_JSON, "application/json"},
    {"application/cda+xml", HTTP_FILE, HTTP_JSON, "application/json"},
    {"text/xml", HTTP_FILE, HTTP_JSON, "application/json"},
    {"text/csv", HTTP_FILE, HTTP_JSON, "application/json"},
    {"text/tab-separated-values", HTTP_FILE, HTTP_JSON, "application/json"},
    {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", HTTP_FILE, HTTP_JSON,
     "application/json"},
};

const char *answer_named(struct str type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (str_is(type, types[i].answer)) {
            return types[i].answer;
        }
    }
    return NULL;
}

bool answer_type(struct str content_type, struct exchange *x)
{
    struct str name = str_trim(str_cut(content_type, 0, str_find(content_type, ';', 0)));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (http_name_is(name, types[i].type)) {
            x->kind = types[i].kind;
            x->voice = types[i].voice;
            x->type = types[i].answer;
            return true;
        }
    }
    return false;
}

void answer(struct exchange *x, int status, struct str body)
{
    struct net_request *r = x->request;
    const char *more = status == 503   ? "Retry-After: 5\r\n"
                       : status == 401 ? "WWW-Authenticate: Bearer\r\n"
                       : status == 405 ? "Allow: POST, PUT\r\n"
                                       : NULL;
    x->request = NULL;
    net_request_answer(r, status, body.n ? x->type : NULL, more, body);
}

/* ---- in words ---- */

static void add_xml(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        c == '<'   ? buf_addz(b, "&lt;")
        : c == '&' ? buf_addz(b, "&amp;")
        : c == '"' ? buf_addz(b, "&quot;")
                   : buf_addc(b, c);
    }
}

/* FHIR R4, OperationOutcome. `code` is of IssueType. */
static void outcome_json(struct buf *b, const char *severity, const char *code, struct str text)
{
    buf_printf(b,
               "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"%s\",\"code\":"
               "\"%s\",\"diagnostics\":",
               severity, code);
    buf_json(b, text);
    buf_addz(b, "}]}");
}

static void outcome_xml(struct buf *b, const char *severity, const char *code, struct str text)
{
    buf_printf(b,
               "<OperationOutcome xmlns=\"http://hl7.org/fhir\"><issue><severity value=\"%s\"/>"
               "<code value=\"%s\"/><diagnostics value=\"",
               severity, code);
    add_xml(b, text);
    buf_addz(b, "\"/></issue></OperationOutcome>");
}

static const char *fhir_code(int status)
{
    return status < 300    ? "informational"
           : status == 401 ? "login"
           : status == 404 ? "not-found"
           : status == 413 ? "too-long"
           : status == 415 ? "not-supported"
           : status == 422 ? "processing"
           : status >= 500 ? "transient"
                           : "invalid";
}

static void say(struct exchange *x, struct buf *b, int status, bool warning, struct str text)
{
    const char *severity = status >= 300 ? "error" : warning ? "warning" : "information";
    if (x->voice == HTTP_FHIR_XML) {
        outcome_xml(b, severity, fhir_code(status), text);
    } else {
        outcome_json(b, severity, fhir_code(status), text);
    }
}

void answer_problem(struct exchange *x, int status, const char *what)
{
    struct buf b;
    buf_init(&b, MAX_BODY);
    if (x->voice == HTTP_FHIR_JSON || x->voice == HTTP_FHIR_XML) {
        say(x, &b, status, false, str_of(what));
    } else {
        x->type = "application/json";
        buf_addz(&b, "{\"problem\":");
        buf_json(&b, str_of(what));
        buf_addz(&b, "}");
    }
    answer(x, status, buf_str(&b));
    buf_release(&b);
}

static const char *outcome_name(enum adapter_outcome o)
{
    return o == ADAPTER_TAKEN     ? "taken"
           : o == ADAPTER_KNOWN   ? "known"
           : o == ADAPTER_REFUSED ? "refused"
                                  : "again";
}

static void counts_json(struct buf *b, const struct adapter_result *r)
{
    buf_printf(b,
               "{\"outcome\":\"%s\",\"read\":%" PRId64 ",\"mapped\":%" PRId64
               ",\"ignored\":%" PRId64 ",\"unchanged\":%" PRId64 ",\"rejected\":%" PRId64
               ",\"duplicates\":%" PRId64 ",\"events\":%" PRId64,
               outcome_name(r->outcome), r->read, r->mapped, r->ignored, r->unchanged, r->rejected,
               r->duplicates, r->events);
    if (r->problem.n) {
        buf_addz(b, ",\"problem\":");
        buf_json(b, r->problem);
    }
    buf_addz(b, "}");
}

static void counts_words(struct buf *b, const struct adapter_result *r)
{
    if (r->outcome == ADAPTER_REFUSED) {
        buf_add(b, r->problem);
        return;
    }
    buf_printf(b,
               "%s: %" PRId64 " read, %" PRId64 " mapped, %" PRId64 " ignored, %" PRId64
               " unchanged, %" PRId64 " in quarantine, %" PRId64 " duplicates, %" PRId64 " events",
               outcome_name(r->outcome), r->read, r->mapped, r->ignored, r->unchanged, r->rejected,
               r->duplicates, r->events);
    if (r->problem.n) {
        buf_addz(b, "; the first in quarantine: ");
        buf_add(b, r->problem);
    }
}

void answer_result(struct exchange *x, int status, const struct adapter_result *r)
{
    struct buf b, words;
    buf_init(&b, MAX_BODY);
    buf_init(&words, MAX_BODY);
    if (x->voice == HTTP_FHIR_JSON || x->voice == HTTP_FHIR_XML) {
        counts_words(&words, r);
        say(x, &b, status, r->rejected > 0, buf_str(&words));
    } else {
        counts_json(&b, r);
    }
    if (status != 503) {
        idempotency_keep(x, status, buf_str(&b));
    }
    if (x->request) {
        answer(x, status, buf_str(&b));
    }
    buf_release(&words);
    buf_release(&b);
}
