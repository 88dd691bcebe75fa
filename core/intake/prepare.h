/*
 * One message made ready for its commit, without database and without adapter: what `dari message
 * reprocess` does again later. Everything lives in the arena.
 */
#ifndef DARI_INTAKE_PREPARE_H
#define DARI_INTAKE_PREPARE_H

#include "core/base/buf.h"
#include "core/base/charset.h"
#include "core/hl7/hl7.h"
#include "core/mapping/mapping.h"

struct prepare_settings {
    const char *site, *feed;
    const struct keyring *keys;
    const struct mapping_set *mapping;
    const enum charset *charset; /* override, or NULL */
    enum charset fallback;
    size_t max_message;
    bool
        no_parts; /* MSH-14 means nothing on this feed, and a message that ends with DSC is wrong */
};

/* One part of an HL7 message that came in several (core/hl7/join.h): what its pointers are looked
 * up by. "" in `continues`: the beginning; "" in `continued`: the end. */
struct prepared_part {
    bool is;
    char continues[KEY_TEXT], continued[KEY_TEXT];
};

struct prepared {
    unsigned char id[16];
    struct str control_id;         /* "" when there is none */
    struct str type;               /* "ADT^A04", "" when unknown */
    const char *charset;           /* name, NULL when not decoded */
    const struct hl7_msg *message; /* HL7 v2; NULL when it does not parse */
    struct prepared_part part;     /* of a part, `mapped` is that it waits */
    struct mapped mapped;          /* state, problem, events */
    struct str raw;                /* as given */
};

/*
 * The format is seen from the first bytes: rows of a table in their canonical form begin with "#,",
 * XML with "<", JSON with "{", everything else is HL7 v2. `given` is the control id of a message
 * whose format has none (a row of a file), or "". ERR_NOMEM only: whatever is wrong with the
 * message is in p->mapped (quarantined, with the place).
 */
enum err_code prepare_message(const struct prepare_settings *s, struct arena *a, struct str given,
                              struct str raw, usec at, struct prepared *p, struct err *e);

/*
 * The logical message out of its parts, in order; its events have their ids from the first one's.
 * ERR_NOMEM or ERR_LIMIT as above.
 */
enum err_code prepare_joined(const struct prepare_settings *s, struct arena *a,
                             const struct str *parts, size_t n, const unsigned char first[16],
                             usec at, struct mapped *out, struct err *e);
/* A part whose message is not whole yet: nothing to map. */
void prepare_waits(struct prepared *p);

enum content { CONTENT_HL7, CONTENT_ROW, CONTENT_XML, CONTENT_JSON };
enum content content_of(struct str bytes);
/* A web page: what some EMRs write under the name of a workbook. No document of a hospital's is
 * one. */
bool content_is_page(struct str bytes);

/* Condition of table 0357 that fits an error of a message. */
int prepare_condition(const struct err *problem);

#endif
