#include "core/xml/reader.h"

#include "core/base/buf.h"
#include "core/xml/utf16.h"

#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>

enum { DECLARATION = 200, PIECE = 16 * 1024, MAX_DEPTH = 128, MOST_MARKUP = 4 << 20 };

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

/* A step that libxml2 has told of, and the caller has not asked for yet. */
struct event {
    enum xml_step step;
    size_t from, n;    /* its name or text in `bytes`; attributes behind the name, by NUL bytes */
    size_t attributes; /* how many */
};

struct xml_reader {
    xml_read_fn read;
    void *ctx;
    struct xml_reader_limits limits;
    struct utf16 wide;
    struct gate gate;
    struct err problem; /* of the gate, of reading or of a limit */
    xmlParserCtxt *parser;
    struct event *events;
    size_t count, at, room; /* events[at..count) are to come; events[at - 1] is the current one */
    struct buf bytes;       /* of these events */
    size_t depth;
    bool ended;
};

/* ---- the gate ---- */

static enum err_code too_long(struct xml_reader *r, const char *what, size_t limit)
{
    return ERR(&r->problem, ERR_LIMIT, (size_t)r->gate.offset, "%s is longer than %zu bytes", what,
               limit);
}

/* What it may say: how the bytes are is known by then. */
static bool says_utf(const struct xml_reader *r, const char *declaration)
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
    return r->wide.wide ? str_same(str_cut(name, 0, 6), STR("utf-16"))
                        : str_same(name, STR("utf-8")) || str_same(name, STR("utf8"));
}

/* <?xml version="1.0" encoding="…"?> at the very beginning. */
static enum err_code end_of_pi(struct xml_reader *r)
{
    struct gate *g = &r->gate;
    bool first = g->offset == (int64_t)g->n;
    g->declaration[g->n - 3 < DECLARATION ? g->n - 3 : DECLARATION - 1] = '\0';
    if (first && !says_utf(r, g->declaration)) {
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

/* ---- what libxml2 tells ---- */

static void stop(struct xml_reader *r, enum err_code code, const char *why)
{
    if (r->problem.code == ERR_NONE) {
        ERR(&r->problem, code, (size_t)r->gate.offset, "%s", why);
    }
    xmlStopParser(r->parser);
}

static struct event *new_event(struct xml_reader *r, enum xml_step step)
{
    if (r->count == r->room) {
        size_t room = r->room ? r->room * 2 : 256;
        struct event *events = realloc(r->events, room * sizeof *events);
        if (!events) {
            stop(r, ERR_NOMEM, "no memory to read xml");
            return NULL;
        }
        r->events = events;
        r->room = room;
    }
    r->events[r->count] = (struct event){step, r->bytes.n, 0, 0};
    return &r->events[r->count++];
}

static void add_z(struct xml_reader *r, const xmlChar *text)
{
    buf_addz(&r->bytes, (const char *)text);
}

/* Without expanding entities libxml2 leaves an ampersand as &#38;, and nothing else. */
static void add_value(struct xml_reader *r, struct str value)
{
    static const struct str ampersand = STR_INIT("&#38;");
    for (size_t i = 0; i < value.n;) {
        size_t at = str_find(value, '&', i);
        buf_add(&r->bytes, str_cut(value, i, at));
        if (at < value.n) {
            buf_addc(&r->bytes, '&');
        }
        i = at + (str_starts(str_cut(value, at, value.n), ampersand) ? ampersand.n : 1);
    }
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int spaces, const xmlChar **declared, int count, int defaulted,
                     const xmlChar **attributes)
{
    struct xml_reader *r = ctx;
    (void)prefix, (void)uri, (void)spaces, (void)declared, (void)defaulted;
    struct event *e = new_event(r, XML_START);
    if (!e || ++r->depth > MAX_DEPTH) {
        stop(r, ERR_LIMIT, "elements are nested too deeply");
        return;
    }
    add_z(r, name);
    buf_addc(&r->bytes, '\0');
    for (int i = 0; i < count; i++) {
        const xmlChar **a = attributes + (size_t)i * 5; /* name, prefix, uri, value, its end */
        if (a[1]) {
            add_z(r, a[1]);
            buf_addc(&r->bytes, ':');
        }
        add_z(r, a[0]);
        buf_addc(&r->bytes, '\0');
        add_value(r, (struct str){(const char *)a[3], (size_t)(a[4] - a[3])});
        buf_addc(&r->bytes, '\0');
        e->attributes++;
    }
    e->n = r->bytes.n - e->from;
}

static void on_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct xml_reader *r = ctx;
    (void)prefix, (void)uri;
    struct event *e = new_event(r, XML_END);
    r->depth--;
    if (e) {
        add_z(r, name);
        buf_addc(&r->bytes, '\0');
        e->n = r->bytes.n - e->from;
    }
}

/* A text comes in pieces; to the caller it is one. */
static void on_text(void *ctx, const xmlChar *text, int n)
{
    struct xml_reader *r = ctx;
    struct event *last = r->count > r->at ? &r->events[r->count - 1] : NULL;
    struct event *e = last && last->step == XML_TEXT ? last : new_event(r, XML_TEXT);
    if (!e) {
        return;
    }
    buf_add(&r->bytes, (struct str){(const char *)text, (size_t)n});
    e->n += (size_t)n;
    if (e->n > r->limits.text) {
        stop(r, ERR_LIMIT, "a text is too long");
    }
}

static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    stop(ctx, ERR_REFUSED, "a DOCTYPE is not allowed");
}

static void be_silent(void *ctx, xmlErrorPtr error)
{
    (void)ctx, (void)error; /* its text may hold a piece of the document */
}

/* ---- the reader ---- */

enum err_code xml_reader_new(xml_read_fn read, void *ctx, const struct xml_reader_limits *limits,
                             struct xml_reader **out, struct err *e)
{
    xmlSAXHandler sax = {.initialized = XML_SAX2_MAGIC,
                         .internalSubset = on_doctype,
                         .startElementNs = on_start,
                         .endElementNs = on_end,
                         .characters = on_text,
                         .ignorableWhitespace = on_text,
                         .cdataBlock = on_text,
                         .serror = be_silent};
    struct xml_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r) {
        r->read = read;
        r->ctx = ctx;
        r->limits = *limits;
        buf_init(&r->bytes, limits->text + MOST_MARKUP);
        r->parser = xmlCreatePushParserCtxt(&sax, r, NULL, 0, NULL);
    }
    if (!r || !r->parser) {
        free(r);
        return ERR(e, ERR_NOMEM, 0, "no memory to read xml");
    }
    xmlCtxtUseOptions(r->parser, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                     XML_PARSE_IGNORE_ENC); /* it gets UTF-8 */
    *out = r;
    return ERR_NONE;
}

void xml_reader_free(struct xml_reader **r)
{
    if (*r) {
        xmlFreeParserCtxt((*r)->parser);
        buf_release(&(*r)->bytes);
        free((*r)->events);
        free(*r);
        *r = NULL;
    }
}

static enum err_code failed(struct xml_reader *r, struct err *e)
{
    if (r->problem.code == ERR_NONE) {
        return ERR(e, ERR_SYNTAX, (size_t)r->gate.offset, "the xml is not well-formed");
    }
    if (e) {
        *e = r->problem;
    }
    return r->problem.code;
}

/* The next piece through the gate to libxml2, which calls the functions above. */
static enum err_code feed(struct xml_reader *r, struct err *e)
{
    char bytes[PIECE], piece[UTF16_ROOM(PIECE)];
    size_t n = 0;
    ssize_t got = r->read(r->ctx, bytes, sizeof bytes, &r->problem);
    if (got >= 0 && !utf16_take(&r->wide, bytes, (size_t)got, piece, &n)) {
        ERR(&r->problem, ERR_CHARSET, (size_t)r->gate.offset, "bytes are not valid utf-16");
    }
    if (got < 0 || r->problem.code != ERR_NONE || gate_pass(r, piece, n) != ERR_NONE) {
        return failed(r, e);
    }
    r->ended = got == 0;
    xmlParseChunk(r->parser, piece, (int)n, r->ended);
    if (!buf_ok(&r->bytes)) {
        return ERR(e, ERR_LIMIT, (size_t)r->gate.offset, "an element is too long");
    }
    return r->problem.code == ERR_NONE && r->parser->wellFormed ? ERR_NONE : failed(r, e);
}

/* A text may go on in the next piece. */
static bool incomplete(const struct xml_reader *r)
{
    return !r->ended &&
           (r->at == r->count || (r->at + 1 == r->count && r->events[r->at].step == XML_TEXT));
}

/* What was given out is not needed any more; at most the beginning of a text stays. */
static void forget(struct xml_reader *r)
{
    size_t from = r->at < r->count ? r->events[r->at].from : r->bytes.n;
    buf_drop(&r->bytes, from);
    if (r->at < r->count) {
        r->events[0] = r->events[r->at];
        r->events[0].from = 0;
    }
    r->count -= r->at;
    r->at = 0;
}

enum err_code xml_reader_next(struct xml_reader *r, enum xml_step *step, struct err *e)
{
    while (incomplete(r)) {
        forget(r);
        enum err_code code = feed(r, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    *step = r->at < r->count ? r->events[r->at].step : XML_DONE;
    r->at += r->at < r->count;
    return ERR_NONE;
}

static const struct event *current(const struct xml_reader *r)
{
    return r->at ? &r->events[r->at - 1] : NULL;
}

const char *xml_reader_name(const struct xml_reader *r)
{
    const struct event *e = current(r);
    return e && e->step != XML_TEXT ? r->bytes.p + e->from : "";
}

/* The value of the attribute with that name, or, of whatever prefix, with that name behind it. */
static const char *find_attr(const struct xml_reader *r, const char *name, bool any_prefix)
{
    const struct event *e = current(r);
    const char *p = e && e->step == XML_START ? r->bytes.p + e->from : NULL;
    for (size_t i = 0; p && i < e->attributes; i++) {
        p += strlen(p) + 1;
        const char *value = p + strlen(p) + 1, *colon = any_prefix ? strchr(p, ':') : NULL;
        if (any_prefix ? colon && strcmp(colon + 1, name) == 0 : strcmp(p, name) == 0) {
            return value;
        }
        p = value;
    }
    return NULL;
}

const char *xml_reader_attr(const struct xml_reader *r, const char *name)
{
    return find_attr(r, name, false);
}

const char *xml_reader_prefixed(const struct xml_reader *r, const char *name)
{
    return find_attr(r, name, true);
}

struct str xml_reader_text(const struct xml_reader *r)
{
    const struct event *e = current(r);
    return e && e->step == XML_TEXT ? str_cut(buf_str(&r->bytes), e->from, e->from + e->n)
                                    : STR("");
}
