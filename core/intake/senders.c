#include "core/intake/senders.h"

/* Up to an unescaped separator of RFC 2253. */
static size_t value_end(struct str subject, size_t at)
{
    while (at < subject.n && subject.p[at] != ',' && subject.p[at] != '+') {
        at += subject.p[at] == '\\' ? 2 : 1;
    }
    return at < subject.n ? at : subject.n;
}

static struct str common_name(struct str subject)
{
    for (size_t at = 0; at < subject.n;) {
        size_t end = value_end(subject, at);
        struct str part = str_cut(subject, at, end);
        if (str_starts(part, STR("CN="))) {
            return str_cut(part, 3, part.n);
        }
        at = end + 1;
    }
    return STR("");
}

struct rule {
    struct str name, application, facility;
};

/* The next entry from *at on; false at the end. An entry without a name or application is wrong. */
static bool next_rule(struct str rules, size_t *at, struct rule *r)
{
    while (*at < rules.n) {
        size_t end = str_find(rules, ';', *at);
        struct str entry = str_trim(str_cut(rules, *at, end));
        *at = end + 1;
        if (!entry.n) {
            continue;
        }
        size_t colon = str_find(entry, ':', 0);
        struct str who = str_trim(str_cut(entry, colon + 1, entry.n));
        size_t slash = str_find(who, '/', 0);
        r->name = str_trim(str_cut(entry, 0, colon));
        r->application = str_trim(str_cut(who, 0, slash));
        r->facility = slash < who.n ? str_trim(str_cut(who, slash + 1, who.n)) : STR("*");
        return true;
    }
    return false;
}

enum err_code senders_check(struct str rules, struct err *e)
{
    struct rule r;
    for (size_t at = 0, from = 0; next_rule(rules, &at, &r); from = at) {
        if (!r.name.n || !r.application.n || !r.facility.n) {
            return ERR(e, ERR_VALUE, from,
                       "every entry must be CERTIFICATE: MSH-3 or CERTIFICATE: MSH-3/MSH-4");
        }
    }
    return ERR_NONE;
}

static bool fits(struct str rule, const struct hl7_msg *m, unsigned field)
{
    const struct hl7_path whole = {.segment = "MSH", .field = field};
    const struct hl7_path first = {.segment = "MSH", .field = field, .comp = 1};
    struct str value;
    if (str_is(rule, "*")) {
        return true;
    }
    return (hl7_get(m, &whole, &value) == HL7_VALUE && str_eq(value, rule)) ||
           (hl7_get(m, &first, &value) == HL7_VALUE && str_eq(value, rule));
}

bool senders_allow(struct str rules, struct str subject, const struct hl7_msg *m)
{
    struct str name = common_name(subject);
    struct rule r;
    size_t at = 0;
    while (name.n && next_rule(rules, &at, &r)) {
        if (str_eq(r.name, name) && fits(r.application, m, 3) && fits(r.facility, m, 4)) {
            return true;
        }
    }
    return false;
}
