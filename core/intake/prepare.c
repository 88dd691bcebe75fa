#include "core/intake/prepare.h"

#include "core/intake/prepare_internal.h"

#include <strings.h>

/* At a field of a segment, not at a segment as a whole. */
static bool in_a_field(const struct err *problem)
{
    struct hl7_path place;
    return hl7_path_parse(str_of(problem->where), &place, NULL) == ERR_NONE && place.field;
}

int prepare_condition(const struct err *problem)
{
    if (problem->code == ERR_SYNTAX && !in_a_field(problem)) {
        return 100; /* segment sequence error: the structure */
    }
    if (problem->code == ERR_REQUIRED) {
        return 101;
    }
    /* 207 (application internal error) asks for another attempt: never for what is wrong with the
     * data. */
    return err_class(problem->code) == ERR_CLASS_DATA ? 102 : 207;
}

/* A message that cannot be read is the same message again when all of its bytes are. */
void prepare_unread(const struct prepare_settings *s, struct prepared *p)
{
    key_message(s->keys, str_of(s->site), str_of(s->feed), p->control_id, p->raw, STR(""), p->id);
    p->mapped.state = MAPPING_QUARANTINED;
}

enum err_code prepare_record(const struct prepare_settings *s, struct arena *a,
                             const struct record *r, usec at, struct prepared *p, struct err *e)
{
    struct mapping_context c = {.keys = s->keys,
                                .site = s->site,
                                .message_id = {(const char *)p->id, sizeof p->id},
                                .received_at = at};
    return r ? mapping_run(s->mapping, r, &c, a, &p->mapped, e)
             : ERR(e, ERR_NOMEM, 0, "no memory for a message");
}

enum content content_of(struct str bytes)
{
    char first[2] = {0};
    struct str rest = str_starts(bytes, STR("\xEF\xBB\xBF")) ? str_cut(bytes, 3, bytes.n) : bytes;
    size_t found = 0;
    /* In UTF-16 every other byte is 0, and two bytes tell the order. */
    for (size_t i = 0; i < rest.n && found < 2; i++) {
        unsigned char c = (unsigned char)rest.p[i];
        if (c != 0 && c < 0xFE && (found || c > ' ')) {
            first[found++] = (char)c;
        }
    }
    return first[0] == '#' && first[1] == ',' ? CONTENT_ROW
           : first[0] == '<'                  ? CONTENT_XML
           : first[0] == '{'                  ? CONTENT_JSON
                                              : CONTENT_HL7;
}

bool content_is_page(struct str bytes)
{
    static const char *const begins[] = {"<html", "<!doctype html", "<table",
                                         "<meta", "<head",          "<style"};
    struct str text =
        str_trim(str_starts(bytes, STR("\xEF\xBB\xBF")) ? str_cut(bytes, 3, bytes.n) : bytes);
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        struct str b = str_of(begins[i]);
        if (text.n >= b.n && strncasecmp(text.p, b.p, b.n) == 0) {
            return true;
        }
    }
    return false;
}

enum err_code prepare_message(const struct prepare_settings *s, struct arena *a, struct str given,
                              struct str raw, usec at, struct prepared *p, struct err *e)
{
    *p = (struct prepared){.raw = raw, .control_id = given, .type = STR("")};
    enum content content = content_of(raw);
    if (content == CONTENT_ROW) {
        return prepare_row(s, a, at, p, e);
    }
    return content == CONTENT_XML || content == CONTENT_JSON ? prepare_xml(s, a, at, p, e)
                                                             : prepare_hl7(s, a, at, p, e);
}
