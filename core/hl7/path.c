#include "core/hl7/hl7.h"

#include "core/hl7/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- reading a path ---- */

struct reader {
    struct str text;
    size_t at;
};

static bool eat(struct reader *r, char c)
{
    if (r->at < r->text.n && r->text.p[r->at] == c) {
        r->at++;
        return true;
    }
    return false;
}

static enum err_code read_number(struct reader *r, unsigned *out, struct err *e)
{
    size_t from = r->at;
    unsigned n = 0;
    while (r->at < r->text.n && r->text.p[r->at] >= '0' && r->text.p[r->at] <= '9') {
        n = n * 10 + (unsigned)(r->text.p[r->at] - '0');
        if (++r->at - from > 7) {
            return ERR(e, ERR_SYNTAX, from, "the number in the path is too large");
        }
    }
    if (n == 0) {
        return ERR(e, ERR_SYNTAX, from, "the path needs a number from 1 here");
    }
    *out = n;
    return ERR_NONE;
}

static enum err_code expect(struct reader *r, char c, struct err *e)
{
    return eat(r, c) ? ERR_NONE : ERR(e, ERR_SYNTAX, r->at, "the path needs '%c' here", c);
}

/* (n), or nothing */
static enum err_code read_count(struct reader *r, unsigned *out, struct err *e)
{
    if (!eat(r, '(')) {
        return ERR_NONE;
    }
    enum err_code code = read_number(r, out, e);
    return code != ERR_NONE ? code : expect(r, ')', e);
}

/* [5='MR'], after its bracket; the quotes may be double ones too */
static enum err_code read_choice(struct reader *r, struct hl7_path *p, struct err *e)
{
    enum err_code code = read_number(r, &p->choose, e);
    if (code != ERR_NONE || (code = expect(r, '=', e)) != ERR_NONE) {
        return code;
    }
    char quote = eat(r, '"') ? '"' : '\'';
    if (quote == '\'' && (code = expect(r, quote, e)) != ERR_NONE) {
        return code;
    }
    size_t end = str_find(r->text, quote, r->at);
    p->chosen = str_cut(r->text, r->at, end);
    r->at = end;
    code = expect(r, quote, e);
    return code != ERR_NONE ? code : expect(r, ']', e);
}

static enum err_code read_field(struct reader *r, struct hl7_path *p, struct err *e)
{
    enum err_code code = read_number(r, &p->field, e);
    if (code != ERR_NONE) {
        return code;
    }
    code = eat(r, '[') ? read_choice(r, p, e) : read_count(r, &p->rep, e);
    if (code == ERR_NONE && eat(r, '.')) {
        code = read_number(r, &p->comp, e);
    }
    if (code == ERR_NONE && p->comp && eat(r, '.')) {
        code = read_number(r, &p->sub, e);
    }
    return code;
}

enum err_code hl7_path_parse(struct str text, struct hl7_path *out, struct err *e)
{
    struct hl7_path p = {.chosen = {"", 0}};
    *out = p;
    if (text.n < 3 || !hl7_is_name(text.p)) {
        return ERR(e, ERR_SYNTAX, 0, "the path does not begin with a segment name");
    }
    memcpy(p.segment, text.p, 3);
    struct reader r = {text, 3};
    enum err_code code = read_count(&r, &p.occ, e);
    if (code == ERR_NONE && eat(&r, '-')) {
        code = read_field(&r, &p, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    if (r.at != text.n) {
        return ERR(e, ERR_SYNTAX, r.at, "the path does not end here as it should");
    }
    *out = p;
    return ERR_NONE;
}

const char *hl7_path_text(const struct hl7_path *at, char out[HL7_PLACE])
{
    const struct {
        const char *before, *behind;
        unsigned number;
    } parts[] = {
        {"(", ")", at->occ > 1 ? at->occ : 0},
        {"-", "", at->field},
        {"(", ")", at->rep > 1 ? at->rep : 0},
        {".", "", at->comp},
        {".", "", at->sub},
    };
    int n = snprintf(out, HL7_PLACE, "%.3s", at->segment);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].number) {
            n += snprintf(out + n, HL7_PLACE - (size_t)n, "%s%u%s", parts[i].before,
                          parts[i].number, parts[i].behind);
        }
    }
    return out;
}
