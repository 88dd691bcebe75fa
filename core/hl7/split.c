#include "core/hl7/split.h"

#include "core/hl7/internal.h"

#include <string.h>

static bool ends_line(char c)
{
    return c == '\r' || c == '\n' || c == 0x0b || c == 0x1c;
}

static bool ends_frame(char c)
{
    return c == 0x0b || c == 0x1c;
}

static bool is_blank(struct str line)
{
    if (str_starts(line, STR("\xef\xbb\xbf"))) {
        line = str_cut(line, 3, line.n);
    }
    return str_trim(line).n == 0;
}

enum hl7_line hl7_line_kind(struct str line)
{
    static const char *const batch[] = {"FHS", "BHS", "BTS", "FTS"};
    if (is_blank(line)) {
        return LINE_BLANK;
    }
    size_t lead = hl7_leading(line);
    struct str name = str_cut(line, lead, lead + 3);
    char c = line.n > lead + 3 ? line.p[lead + 3] : '|';
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (str_is(name, "MSH") && !word) {
        return LINE_START;
    }
    for (int i = 0; i < 4 && !word; i++) {
        if (str_is(name, batch[i])) {
            return LINE_BATCH;
        }
    }
    return LINE_OTHER;
}

size_t hl7_line_end(struct str text, size_t at)
{
    while (at < text.n && !ends_line(text.p[at])) {
        at++;
    }
    return at;
}

bool hl7_split_next(struct hl7_split *s, struct str *message, size_t *offset)
{
    bool inside = false;
    size_t from = s->at;
    while (s->at < s->text.n) {
        size_t at = s->at, end = hl7_line_end(s->text, at);
        enum hl7_line kind = hl7_line_kind(str_cut(s->text, at, end));
        if (inside && (kind == LINE_START || kind == LINE_BATCH)) {
            break;
        }
        if (!inside && (kind == LINE_START || kind == LINE_OTHER)) {
            inside = true;
            from = at;
        }
        s->at = end < s->text.n && !ends_frame(s->text.p[end]) ? end + 1 : end;
        if (end < s->text.n && ends_frame(s->text.p[end])) {
            if (inside) {
                *message = str_cut(s->text, from, end);
                s->at = end + 1;
                break;
            }
            s->at = end + 1;
        }
    }
    if (inside) {
        bool framed = s->at > from && ends_frame(s->text.p[s->at - 1]);
        *message = str_cut(s->text, from, framed ? s->at - 1 : s->at);
        if (offset) {
            *offset = from;
        }
    }
    return inside;
}
