/*
 * Inside core/xml: JSON as a tree in an arena, strictly (RFC 8259): numbers stay as they are
 * written, a key twice in an object is an error, so are lone surrogates and U+0000. The limits are
 * those of XML documents: bytes, depth, nodes (values), value (of a string), name (of a key),
 * attributes (members of an object).
 */
#ifndef DARI_XML_JSON_H
#define DARI_XML_JSON_H

#include "core/xml/gate.h"

enum json_type {
    JSON_NULL,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json {
    enum json_type type;
    struct str key;  /* as a member of an object */
    struct str text; /* a string unescaped, everything else as written; a NUL is behind strings */
    size_t at;       /* where it begins */
    const struct json *first, *next;
};

/* A place in a text; `arena` NULL: values are checked and passed over, nothing is built. */
struct json_scan {
    struct str text;
    const struct xml_limits *limits;
    struct arena *arena;
    size_t at, nodes;
    unsigned depth;
};

/* The value that begins here (blanks before it are skipped); *out is NULL without an arena. */
enum err_code json_value(struct json_scan *s, const struct json **out, struct err *e);
/* The whole text is one value. */
enum err_code json_read(struct arena *a, struct str text, const struct xml_limits *limits,
                        const struct json **out, struct err *e);

/*
 * Walks the members of an object or the items of an array without building them. `open` is '{' or
 * '['; *first begins true. False in *more behind the last one, with the scan behind the closing
 * sign. After a true the caller takes the value with json_value(). `key` is as written (NULL for
 * arrays).
 */
enum err_code json_next(struct json_scan *s, char open, bool *first, struct str *key, bool *more,
                        struct err *e);
/* The first sign of the next token; NUL at the end. */
char json_peek(struct json_scan *s);

const struct json *json_member(const struct json *object, const char *key);

#endif
