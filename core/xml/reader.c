#include "core/xml/reader.h"

#include <libxml/xmlreader.h>
#include <stdlib.h>
#include <string.h>

enum { DECLARATION = 200 };

/* Where in the markup the last byte was. */
enum gate_state { IN_TEXT, IN_LT, IN_TAG, IN_QUOTE, IN_BANG, IN_COMMENT, IN_CDATA, IN_PI };

struct gate {
    enum gate_state state;
    size_t n;     /* bytes of this piece so far */
    char quote;   /* that ends IN_QUOTE */
    char last[2]; /* the bytes before, for --> ]]> ?> */
    int64_t offset;
    char declaration[DECLARATION];
};

struct xml_reader {
    xml_read_fn read;
    void *ctx;
    struct xml_reader_limits limits;
    struct gate gate;
    struct err problem; /* of the gate or of reading */
    xmlTextReader *reader;
    bool empty; /* the current start has no end of its own */
    enum xml_step step;
};

/* ---- the gate ---- */

static enum err_code too_long(struct xml_reader *r, const char *what, size_t limit)
{
    return ERR(&r->problem, ERR_LIMIT, (size_t)r->gate.offset, "%s is longer than %zu bytes", what,
               limit);
}

static bool says_utf8(const char *declaration)
{
    const char *at = strstr(declaration, "encoding");
    char quote;
    if (!at) {
        return true;
    }
    at += strlen("encoding");
    while (*at == ' ' || *at == '=' || *at == '\t' || *at == '\n' || *at == '\r') {
        at++;
    }
    quote = *at;
    struct str rest = str_of(quote ? at + 1 : at);
    struct str name = str_cut(rest, 0, str_find(rest, quote, 0));
    return str_same(name, STR("utf-8")) || str_same(name, STR("utf8"));
}

/* <?xml version="1.0" encoding="…"?> at the very beginning. */
static enum err_code end_of_pi(struct xml_reader *r)
{
    struct gate *g = &r->gate;
    bool first = g->offset == (int64_t)g->n;
    g->declaration[g->n - 3 < DECLARATION ? g->n - 3 : DECLARATION - 1] = '\0';
    if (first && !says_utf8(g->declaration)) {
        return ERR(&r->problem, ERR_UNSUPPORTED, 0, "a character set other than utf-8 is declared");
    }
    return ERR_NONE;
}

static void enter(struct gate *g, enum gate_state state)
{
    g->state = state;
    g->n = state == IN_LT ? 1 : state == IN_TEXT ? 0 : g->n;
    g->last[0] = g->last[1] = '\0';
}

static enum err_code gate_markup(struct xml_reader *r, char c)
{
    struct gate *g = &r->gate;
    switch (g->state) {
    case IN_TEXT:
        if (c == '<') {
            enter(g, IN_LT);
        }
        break;
    case IN_LT:
        enter(g, c == '!' ? IN_BANG : c == '?' ? IN_PI : IN_TAG);
        break;
    case IN_TAG:
        if (c == '"' || c == '\'') {
            g->quote = c;
            g->state = IN_QUOTE;
        } else if (c == '>') {
            enter(g, IN_TEXT);
        }
        break;
    case IN_QUOTE:
        g->state = c == g->quote ? IN_TAG : IN_QUOTE;
        break;
    case IN_BANG:
        if (c != '-' && c != '[') {
            return ERR(&r->problem, ERR_REFUSED, (size_t)g->offset, "a DOCTYPE is not allowed");
        }
        enter(g, c == '-' ? IN_COMMENT : IN_CDATA);
        break;
    case IN_COMMENT:
    case IN_CDATA:
        if (c == '>' && g->last[0] == g->last[1] &&
            g->last[1] == (g->state == IN_COMMENT ? '-' : ']')) {
            enter(g, IN_TEXT);
        }
        break;
    case IN_PI:
        if (c == '>' && g->last[1] == '?') {
            enum err_code code = end_of_pi(r);
            enter(g, IN_TEXT);
            return code;
        }
        break;
    }
    g->last[0] = g->last[1];
    g->last[1] = c;
    return ERR_NONE;
}

static enum err_code gate_pass(struct xml_reader *r, const char *p, size_t n)
{
    struct gate *g = &r->gate;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        g->n++;
        g->offset++;
        bool text = g->state == IN_TEXT || g->state == IN_CDATA;
        if (g->n > (text ? r->limits.text : r->limits.tag)) {
            return too_long(r, text ? "a text" : "a tag", text ? r->limits.text : r->limits.tag);
        }
        if (g->state == IN_PI && g->n - 3 < DECLARATION) { /* behind "<?" */
            g->declaration[g->n - 3] = c;
        }
        if (text && g->state == IN_TEXT && c != '<') {
            continue; /* nearly all bytes are text or lie in tags */
        }
        if (c == '\0') {
            return ERR(&r->problem, ERR_CHARSET, (size_t)g->offset, "bytes are not valid utf-8");
        }
        enum err_code code = gate_markup(r, c);
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}

static int read_gated(void *ctx, char *to, int n)
{
    struct xml_reader *r = ctx;
    if (r->problem.code != ERR_NONE) {
        return -1;
    }
    ssize_t got = r->read(r->ctx, to, (size_t)n, &r->problem);
    if (got < 0 || gate_pass(r, to, (size_t)got) != ERR_NONE) {
        return -1;
    }
    return (int)got;
}

/* ---- the reader ---- */

static void be_silent(void *ctx, xmlErrorPtr error)
{
    (void)ctx, (void)error; /* its text may hold a piece of the document */
}

enum err_code xml_reader_new(xml_read_fn read, void *ctx, const struct xml_reader_limits *limits,
                             struct xml_reader **out, struct err *e)
{
    struct xml_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) {
        return ERR(e, ERR_NOMEM, 0, "no memory to read xml");
    }
    r->read = read;
    r->ctx = ctx;
    r->limits = *limits;
    r->reader = xmlReaderForIO(read_gated, NULL, r, NULL, "UTF-8",
                               XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                   XML_PARSE_COMPACT);
    if (!r->reader) {
        struct err problem = r->problem;
        free(r);
        if (problem.code != ERR_NONE && e) {
            *e = problem;
        }
        return problem.code != ERR_NONE ? problem.code
                                        : ERR(e, ERR_SYNTAX, 0, "the xml is not well-formed");
    }
    xmlTextReaderSetStructuredErrorHandler(r->reader, be_silent, NULL);
    *out = r;
    return ERR_NONE;
}

void xml_reader_free(struct xml_reader **r)
{
    if (*r) {
        xmlFreeTextReader((*r)->reader);
        free(*r);
        *r = NULL;
    }
}

static enum err_code failed(struct xml_reader *r, struct err *e)
{
    if (r->problem.code != ERR_NONE) {
        if (e) {
            *e = r->problem;
        }
        return r->problem.code;
    }
    return ERR(e, ERR_SYNTAX, (size_t)r->gate.offset, "the xml is not well-formed");
}

enum err_code xml_reader_next(struct xml_reader *r, enum xml_step *step, struct err *e)
{
    if (r->empty) {
        r->empty = false;
        *step = r->step = XML_END;
        return ERR_NONE;
    }
    for (;;) {
        int got = xmlTextReaderRead(r->reader);
        if (got < 0 || r->problem.code != ERR_NONE) {
            return failed(r, e);
        }
        if (got == 0) {
            *step = r->step = XML_DONE;
            return ERR_NONE;
        }
        switch (xmlTextReaderNodeType(r->reader)) {
        case XML_READER_TYPE_ELEMENT:
            r->empty = xmlTextReaderIsEmptyElement(r->reader) == 1;
            *step = r->step = XML_START;
            return ERR_NONE;
        case XML_READER_TYPE_END_ELEMENT:
            *step = r->step = XML_END;
            return ERR_NONE;
        case XML_READER_TYPE_TEXT:
        case XML_READER_TYPE_CDATA:
        case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
            *step = r->step = XML_TEXT;
            return ERR_NONE;
        default:
            break; /* comments, processing instructions */
        }
    }
}

const char *xml_reader_name(const struct xml_reader *r)
{
    const xmlChar *name = r->step == XML_TEXT ? NULL : xmlTextReaderConstLocalName(r->reader);
    return name ? (const char *)name : "";
}

const char *xml_reader_attr(struct xml_reader *r, const char *name)
{
    const xmlChar *value = NULL;
    if (xmlTextReaderMoveToAttribute(r->reader, (const xmlChar *)name) == 1) {
        value = xmlTextReaderConstValue(r->reader);
        xmlTextReaderMoveToElement(r->reader);
    }
    return (const char *)value;
}

struct str xml_reader_text(const struct xml_reader *r)
{
    const xmlChar *value = r->step == XML_TEXT ? xmlTextReaderConstValue(r->reader) : NULL;
    return str_of((const char *)value);
}
