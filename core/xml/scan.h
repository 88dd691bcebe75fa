/*
 * Inside core/xml: XML as tokens, in one pass, without memory of its own. What must hold for every
 * document from outside is checked here (gate.h); well-formedness beyond that is libxml2's.
 */
#ifndef DARI_XML_SCAN_H
#define DARI_XML_SCAN_H

#include "core/xml/gate.h"

enum xml_token_kind {
    XML_TOKEN_END_OF_TEXT,
    XML_TOKEN_START,
    XML_TOKEN_END,
    XML_TOKEN_TEXT,
    XML_TOKEN_OTHER
};

struct xml_token {
    enum xml_token_kind kind;
    struct str raw;  /* the whole token */
    struct str name; /* of an element, with its prefix */
    bool empty;      /* START: <name/>, no END follows */
};

struct xml_scan {
    struct str text;
    struct xml_limits limits;
    size_t at, nodes;
    unsigned depth, namespaces;
    bool rooted; /* the root element was seen */
    struct {
        struct str name;
        unsigned namespaces;
    } open[XML_MAX_DEPTH];
};

void xml_scan_begin(struct xml_scan *s, struct str text, const struct xml_limits *limits);
enum err_code xml_scan_next(struct xml_scan *s, struct xml_token *t, struct err *e);

/* The next attribute of a START token; *at begins at 0. False when there is none left. */
bool xml_scan_attribute(const struct xml_token *t, size_t *at, struct str *name, struct str *value);

/* An error at an offset, with the line. */
enum err_code xml_bad(struct str text, size_t pos, enum err_code code, const char *what,
                      struct err *e);

#endif
