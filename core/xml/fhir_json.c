#include "core/xml/json.h"
#include "core/xml/tree_internal.h"

#include "core/xml/scan.h"

#include <string.h>

/*
 * FHIR R4, 2.6.2 (JSON) to 2.6.1 (XML): a primitive is an element with a value attribute, an array
 * is the element repeated, "_name" adds id and extensions to the primitive "name", a resource in a
 * property is an element of its type inside the property. `id` of what is no resource and `url` of
 * an extension are attributes. The narrative is kept as text, not as XHTML. Order of elements is
 * that of the JSON, which no path asks for.
 */
struct making {
    xmlDoc *doc;
    xmlNs *ns;
    struct str text; /* for the line of an error */
};

static enum err_code put_members(struct making *m, xmlNode *parent, bool resource,
                                 const struct json *object, struct err *e);

static enum err_code no_memory(struct err *e)
{
    return ERR(e, ERR_NOMEM, 0, "no memory for a document");
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return s.n > 0 && s.n <= 64;
}

static xmlNode *add_element(struct making *m, xmlNode *parent, struct str name)
{
    char z[65];
    memcpy(z, name.p, name.n);
    z[name.n] = '\0';
    xmlNode *n = xmlNewDocNode(m->doc, m->ns, (const xmlChar *)z, NULL);
    if (n && parent && !xmlAddChild(parent, n)) {
        xmlFreeNode(n);
        return NULL;
    }
    return n;
}

static enum err_code add_attribute(xmlNode *n, const char *name, const struct json *v,
                                   struct err *e)
{
    return xmlNewProp(n, (const xmlChar *)name, (const xmlChar *)v->text.p) ? ERR_NONE
                                                                            : no_memory(e);
}

static bool is_primitive(const struct json *v)
{
    return v->type == JSON_STRING || v->type == JSON_NUMBER || v->type == JSON_TRUE ||
           v->type == JSON_FALSE;
}

static const struct json *type_of(const struct json *object)
{
    const struct json *t = json_member(object, "resourceType");
    return t && t->type == JSON_STRING && is_name(t->text) ? t : NULL;
}

static enum err_code put_object(struct making *m, xmlNode *parent, struct str name,
                                const struct json *v, struct err *e)
{
    const struct json *type = type_of(v);
    xmlNode *n = add_element(m, parent, name);
    if (n && type) {
        n = add_element(m, n, type->text);
    }
    return n ? put_members(m, n, type != NULL, v, e) : no_memory(e);
}

static bool is_extension(const xmlNode *n)
{
    return xmlStrEqual(n->name, (const xmlChar *)"extension") ||
           xmlStrEqual(n->name, (const xmlChar *)"modifierExtension");
}

/* `more` is what "_name" says, or NULL; `v` may be null when only that is said. */
static enum err_code put_primitive(struct making *m, xmlNode *parent, struct str name,
                                   const struct json *v, const struct json *more, struct err *e)
{
    xmlNode *n = add_element(m, parent, name);
    if (!n) {
        return no_memory(e);
    }
    enum err_code code = ERR_NONE;
    if (v && is_primitive(v) && str_is(name, "div")) {
        xmlNodeAddContent(n, (const xmlChar *)v->text.p);
    } else if (v && is_primitive(v)) {
        code = add_attribute(n, "value", v, e);
    }
    if (code == ERR_NONE && more && more->type == JSON_OBJECT) {
        code = put_members(m, n, false, more, e);
    }
    return code;
}

static enum err_code put_one(struct making *m, xmlNode *parent, struct str name,
                             const struct json *v, const struct json *more, struct err *e)
{
    if (v && v->type == JSON_ARRAY) {
        return xml_bad(m->text, v->at, ERR_SYNTAX, "a list inside a list", e);
    }
    if (v && v->type == JSON_OBJECT) {
        return put_object(m, parent, name, v, e);
    }
    bool nothing = (!v || v->type == JSON_NULL) && (!more || more->type == JSON_NULL);
    return nothing ? ERR_NONE : put_primitive(m, parent, name, v, more, e);
}

static enum err_code put_list(struct making *m, xmlNode *parent, struct str name,
                              const struct json *list, const struct json *more, struct err *e)
{
    const struct json *v = list ? list->first : NULL;
    const struct json *x = more && more->type == JSON_ARRAY ? more->first : NULL;
    enum err_code code = ERR_NONE;
    while ((v || x) && code == ERR_NONE) {
        code = put_one(m, parent, name, v, x, e);
        v = v ? v->next : NULL;
        x = x ? x->next : NULL;
    }
    return code;
}

/* The member that "_name" is of, or the other way round. */
static const struct json *partner(const struct json *object, struct str key, bool underscored)
{
    for (const struct json *o = object->first; o; o = o->next) {
        bool fits = underscored ? str_eq(o->key, str_cut(key, 1, key.n))
                                : o->key.n == key.n + 1 && o->key.p[0] == '_' &&
                                      str_eq(str_cut(o->key, 1, o->key.n), key);
        if (fits) {
            return o;
        }
    }
    return NULL;
}

static enum err_code put_member(struct making *m, xmlNode *parent, bool resource,
                                const struct json *object, const struct json *v, struct err *e)
{
    bool underscored = v->key.n && v->key.p[0] == '_';
    struct str name = underscored ? str_cut(v->key, 1, v->key.n) : v->key;
    if (!is_name(name)) {
        return xml_bad(m->text, v->at, ERR_SYNTAX, "a name that FHIR does not know", e);
    }
    const struct json *other = partner(object, v->key, underscored);
    if (underscored && other) {
        return ERR_NONE; /* put with the value itself */
    }
    const struct json *value = underscored ? NULL : v, *more = underscored ? v : other;
    if ((value ? value : more)->type == JSON_ARRAY) {
        return put_list(m, parent, name, value, more, e);
    }
    if (value && is_primitive(value) && !resource &&
        (str_is(name, "id") || (str_is(name, "url") && is_extension(parent)))) {
        return add_attribute(parent, str_is(name, "id") ? "id" : "url", value, e);
    }
    return put_one(m, parent, name, value, more, e);
}

static enum err_code put_members(struct making *m, xmlNode *parent, bool resource,
                                 const struct json *object, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (const struct json *v = object->first; v && code == ERR_NONE; v = v->next) {
        if (!resource || !str_is(v->key, "resourceType")) {
            code = put_member(m, parent, resource, object, v, e);
        }
    }
    return code;
}

enum err_code fhir_json_read(struct arena *a, struct str text, const struct xml_limits *limits,
                             xmlDoc **out, struct err *e)
{
    const struct json *root;
    struct making m = {.text = text};
    *out = NULL;
    enum err_code code = json_read(a, text, limits, &root, e);
    if (code != ERR_NONE) {
        return code;
    }
    const struct json *type = root->type == JSON_OBJECT ? type_of(root) : NULL;
    if (!type) {
        return xml_bad(text, root->at, ERR_SYNTAX,
                       "this JSON is no FHIR resource: it has no resourceType", e);
    }
    m.doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *n = m.doc ? add_element(&m, NULL, type->text) : NULL;
    if (n) {
        xmlDocSetRootElement(m.doc, n);
        m.ns = xmlNewNs(n, (const xmlChar *)FHIR_NAMESPACE, NULL);
        xmlSetNs(n, m.ns);
    }
    code = n && m.ns ? put_members(&m, n, true, root, e) : no_memory(e);
    if (code != ERR_NONE) {
        xmlFreeDoc(m.doc);
        return code;
    }
    *out = m.doc;
    return ERR_NONE;
}
