#include "core/intake/prepare_internal.h"

#include "core/hl7/v2xml.h"
#include "core/xml/tree.h"

#include <string.h>

enum { MAX_ROOT = 64 };

/* An entry that is no resource, or a whole Bundle where one of its entries was meant. */
static bool is_bundle(const struct xml_tree *t)
{
    const struct xml_node *n = xml_tree_subject(t);
    return strcmp(xml_name(n), "Bundle") == 0 &&
           strcmp(xml_namespace(n), "http://hl7.org/fhir") == 0;
}

static enum err_code check_tree(struct prepared *p, const struct xml_tree *t, struct err *problem)
{
    p->type = str_of(xml_name(xml_tree_subject(t)));
    if (p->type.n > MAX_ROOT) {
        p->type = STR("");
        return ERR(problem, ERR_LIMIT, 0, "the name of the root is longer than %d bytes", MAX_ROOT);
    }
    if (is_bundle(t)) {
        ERR(problem, ERR_UNSUPPORTED, 0, "a Bundle with no resource of its own to read");
        return err_at(problem, "Bundle.entry[1]");
    }
    return ERR_NONE;
}

/* HL7 v2 in its XML encoding is mapped as the message that it is. */
static enum err_code prepare_v2xml(const struct prepare_settings *s, struct arena *a,
                                   const struct xml_tree *t, usec at, struct prepared *p,
                                   struct err *e)
{
    struct str er7;
    struct err *problem = &p->mapped.problem;
    /* A few elements can stand for many separators. */
    size_t most =
        s->max_message < hl7_default_limits.bytes ? s->max_message : hl7_default_limits.bytes;
    enum err_code code = hl7_from_v2xml(a, t, most, &er7, problem);
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    if (code != ERR_NONE) {
        return ERR_NONE;
    }
    p->mapped.state = MAPPING_IGNORED;
    code = prepare_hl7_text(s, a, er7, CHARSET_UTF8, at, p, e);
    if (code == ERR_NONE && p->part.is) { /* parts are joined from their bytes, as ER7 */
        memset(&p->part, 0, sizeof p->part);
        prepare_unread(s, p);
        ERR(problem, ERR_UNSUPPORTED, 0, "a message in XML that is continued in another one");
        err_at(problem, "DSC-1");
    }
    return code;
}

enum err_code prepare_xml(const struct prepare_settings *s, struct arena *a, usec at,
                          struct prepared *p, struct err *e)
{
    struct xml_limits limits = xml_default_limits;
    const struct xml_tree *t;
    enum charset used;
    struct err *problem = &p->mapped.problem;
    if (s->max_message < limits.bytes) {
        limits.bytes = s->max_message;
    }
    prepare_unread(s, p); /* the id: the same document again when all of its bytes are */
    enum err_code code = xml_tree_read(a, p->raw, s->charset, &limits, &t, &used, problem);
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a document");
    }
    p->charset = charset_name(used);
    if (code == ERR_NONE && hl7_is_v2xml(t)) {
        return prepare_v2xml(s, a, t, at, p, e);
    }
    if (code != ERR_NONE || check_tree(p, t, problem) != ERR_NONE) {
        return ERR_NONE;
    }
    return prepare_record(s, a, record_of_xml(a, t), at, p, e);
}
