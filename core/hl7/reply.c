#include "core/hl7/reply.h"

#include "core/base/text.h"
#include "core/hl7/internal.h"

#include <stdio.h>
#include <string.h>

enum { MAX_HEADER_FIELD = 2048, MAX_CHARSET_NAME = 256 };

/* Table 0357. */
static const struct {
    int code;
    const char *text;
} conditions[] = {
    {0, "Message accepted"},
    {100, "Segment sequence error"},
    {101, "Required field missing"},
    {102, "Data type error"},
    {103, "Table value not found"},
    {104, "Value too long"},
    {198, "Non-Conformant Cardinality"},
    {199, "Other HL7 Error"},
    {200, "Unsupported message type"},
    {201, "Unsupported event code"},
    {202, "Unsupported processing id"},
    {203, "Unsupported version id"},
    {204, "Unknown key identifier"},
    {205, "Duplicate key identifier"},
    {206, "Application record locked"},
    {207, "Application internal error"},
};

static const char *condition_text(int code)
{
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
        if (conditions[i].code == code) {
            return conditions[i].text;
        }
    }
    return "Application error";
}

/* What the reply takes over from the sender; still escaped, with the sender's delimiters. */
struct sender {
    struct hl7_delimiters d;
    struct str encoding; /* MSH-2 */
    struct str app, facility, to_app, to_facility, trigger, control_id, processing, version_field;
    struct str accept, application, charset;
    int version; /* 25 for 2.5.1, 0 when unknown */
};

static struct str piece(struct str in, char separator, unsigned n)
{
    size_t from = 0, end = str_find(in, separator, 0);
    for (; n > 1; n--) {
        if (end >= in.n) {
            return (struct str){"", 0};
        }
        from = end + 1;
        end = str_find(in, separator, from);
    }
    return str_cut(in, from, end);
}

/* "2.5.1" is 25, "2.3" is 23 */
static int version_of(struct str s)
{
    bool usable = s.n >= 3 && s.p[0] == '2' && s.p[1] == '.' && s.p[2] >= '1' && s.p[2] <= '9';
    return usable && (s.n == 3 || s.p[3] == '.') ? 20 + (s.p[2] - '0') : 0;
}

static bool is_code(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= 8;
}

static struct str bounded(struct str s, size_t max)
{
    return s.n <= max ? s : (struct str){"", 0};
}

enum { FIELDS = 19 };

/* MSH-2 to MSH-18 in one pass, at their own index; what is not there stays empty. */
static void split_msh(struct str msh, struct str fields[FIELDS])
{
    struct str rest = str_cut(msh, 4, msh.n);
    for (int i = 0; i < FIELDS; i++) {
        fields[i] = (struct str){"", 0};
    }
    for (int i = 2; i < FIELDS && str_next(&rest, msh.p[3], &fields[i]); i++) {
    }
}

/* From a MSH segment whose delimiters are known. */
static void read_sender(struct sender *s, struct str msh)
{
    struct str f[FIELDS];
    split_msh(msh, f);
    s->app = bounded(f[3], MAX_HEADER_FIELD);
    s->facility = bounded(f[4], MAX_HEADER_FIELD);
    s->to_app = bounded(f[5], MAX_HEADER_FIELD);
    s->to_facility = bounded(f[6], MAX_HEADER_FIELD);
    s->trigger = piece(f[9], s->d.component, 2);
    s->control_id = f[10];
    s->processing = bounded(f[11], 64);
    s->version_field = bounded(f[12], 256);
    s->accept = f[15];
    s->application = f[16];
    s->charset = bounded(f[18], MAX_CHARSET_NAME);
    s->version = version_of(piece(s->version_field, s->d.component, 1));
}

/* When the header could not be parsed: what its separator alone gives. */
static void read_raw_sender(struct sender *s, struct str raw)
{
    struct str msh;
    *s = (struct sender){.encoding = STR("^~\\&")};
    hl7_read_delimiters(STR("MSH|^~\\&"), &s->d, NULL);
    if (!hl7_raw_msh(raw, &msh)) {
        return;
    }
    struct hl7_delimiters d;
    if (hl7_read_delimiters(msh, &d, NULL) == ERR_NONE) {
        s->d = d;
        s->encoding = hl7_raw_field(msh, 2);
        read_sender(s, msh);
        return;
    }
    unsigned char c = (unsigned char)msh.p[3];
    if (c <= ' ' || c >= 0x7f || is_code((struct str){msh.p + 3, 1})) {
        return;
    }
    if (!memchr(s->encoding.p, msh.p[3], s->encoding.n)) {
        s->d.field = msh.p[3];
    }
    read_sender(s, msh);
}

void hl7_put_field(struct buf *out, char escape, struct str field)
{
    size_t from = 0;
    for (size_t i = 0; i < field.n; i++) {
        if ((unsigned char)field.p[i] >= ' ' || field.p[i] == '\t') {
            continue;
        }
        buf_add(out, str_cut(field, from, i));
        from = i + 1;
        if (escape) {
            buf_printf(out, "%cX%02X%c", escape, (unsigned char)field.p[i], escape);
        }
    }
    buf_add(out, str_cut(field, from, field.n));
}

static void put_field(struct buf *out, const struct sender *s, struct str field)
{
    hl7_put_field(out, s->d.escape, field);
}

/* Our own words. Without an escape character what cannot be said becomes a blank. */
static void put_text(struct buf *out, const struct sender *s, const char *text)
{
    struct str t = str_of(text);
    if (s->d.escape) {
        hl7_escape_into(out, s->d, CHARSET_ASCII, t, NULL);
        return;
    }
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        bool clash = (unsigned char)c < ' ' || c == s->d.field || c == s->d.component ||
                     c == s->d.repetition || c == s->d.sub;
        buf_addc(out, clash ? ' ' : c);
    }
}

static bool wants(struct str when, bool success)
{
    if (str_is(when, "NE")) {
        return false;
    }
    if (str_is(when, "ER")) {
        return !success;
    }
    return !str_is(when, "SU") || success;
}

static bool valued(struct str s)
{
    return s.n > 0 && !str_is(s, "\"\"");
}

/* MSA-1, or NULL when the sender asked for no reply. */
static const char *code_of(const struct sender *s, enum hl7_verdict v)
{
    static const char *const original[] = {"AA", "AE", "AR"}, *const commit[] = {"CA", "CE", "CR"};
    bool success = v == HL7_ACCEPT, accept = valued(s->accept), result = valued(s->application);
    if (!accept && !result) {
        return original[v];
    }
    /* Original mode is the same as NE and AL (2.9.2): that is what an absent one of the two means.
     */
    if (accept && wants(s->accept, success)) {
        return commit[v];
    }
    return !result || wants(s->application, success) ? original[v] : NULL;
}

static char *put_two(char *to, int n)
{
    to[0] = (char)('0' + n / 10 % 10);
    to[1] = (char)('0' + n % 10);
    return to + 2;
}

void hl7_put_time(struct buf *out, bool offset, usec at)
{
    struct civil c = zone_local(at);
    char text[19], *to = put_two(put_two(text, c.year / 100), c.year);
    to =
        put_two(put_two(put_two(put_two(put_two(to, c.month), c.day), c.hour), c.minute), c.second);
    if (offset) {
        int minutes = c.offset / 60, away = minutes < 0 ? -minutes : minutes;
        *to++ = minutes < 0 ? '-' : '+';
        to = put_two(put_two(to, away / 60), away % 60);
    }
    buf_add(out, (struct str){text, (size_t)(to - text)});
}

static void put_type(struct buf *out, const struct sender *s)
{
    buf_add(out, STR("ACK"));
    if (s->version == 21 || s->version == 22 || !is_code(s->trigger)) {
        return;
    }
    buf_addc(out, s->d.component);
    buf_add(out, s->trigger);
    if (s->version >= 24 || s->version == 0) {
        buf_addc(out, s->d.component);
        buf_addz(out, "ACK");
    }
}

static void put_header(struct buf *out, const struct sender *s, const struct hl7_reply *r,
                       const char *charset)
{
    const char f[] = {s->d.field, s->d.field, s->d.field, s->d.field, s->d.field, s->d.field};
    const struct str one = {f, 1}, two = {f, 2}, six = {f, 6};
    const struct str names[] = {s->to_app, s->to_facility, s->app, s->facility};
    buf_add(out, STR("MSH"));
    buf_add(out, one);
    buf_add(out, s->encoding);
    for (int i = 0; i < 4; i++) {
        buf_add(out, one);
        put_field(out, s, names[i]);
    }
    buf_add(out, one);
    hl7_put_time(out, s->version != 21, r->at);
    buf_add(out, two);
    put_type(out, s);
    buf_add(out, one);
    buf_add(out, r->id);
    buf_add(out, one);
    put_field(out, s, s->processing.n ? s->processing : STR("P"));
    buf_add(out, one);
    put_field(out, s, s->version_field.n ? s->version_field : STR("2.5.1"));
    if (charset) {
        buf_add(out, six);
        put_field(out, s, str_of(charset));
    }
    buf_addc(out, '\r');
}

/* ERL (2.5 on): PID^1^3^1^1. Before: PID^1^3. */
static void put_location(struct buf *out, const struct sender *s, const struct hl7_path *p,
                         bool erl)
{
    char c = s->d.component;
    buf_printf(out, "%.3s%c%u", p->segment, c, p->occ ? p->occ : 1);
    if (p->field) {
        buf_printf(out, "%c%u", c, p->field);
    }
    if (!erl || !p->field || (!p->rep && !p->comp)) {
        return;
    }
    buf_printf(out, "%c%u", c, p->rep ? p->rep : 1);
    if (p->comp) {
        buf_printf(out, "%c%u", c, p->comp);
    }
    if (p->sub) {
        buf_printf(out, "%c%u", c, p->sub);
    }
}

static void put_condition(struct buf *out, const struct sender *s, int code, char separator)
{
    buf_printf(out, "%d", code);
    if (separator) {
        buf_addc(out, separator);
        put_text(out, s, condition_text(code));
        buf_addc(out, separator);
        buf_addz(out, "HL70357");
    }
}

static void put_error(struct buf *out, const struct sender *s, const struct hl7_reply *r)
{
    char f = s->d.field, c = s->d.component;
    struct hl7_path place;
    bool placed = r->place && hl7_path_parse(str_of(r->place), &place, NULL) == ERR_NONE;
    buf_printf(out, "ERR%c", f);
    if (s->version && s->version < 25) {
        if (placed) {
            put_location(out, s, &place, false);
        }
        for (int i = !placed ? 0 : place.field ? 2 : 1; i < 3; i++) {
            buf_addc(out, c);
        }
        put_condition(out, s, r->condition, s->d.sub);
        buf_addc(out, '\r');
        return;
    }
    buf_addc(out, f);
    if (placed) {
        put_location(out, s, &place, true);
    }
    buf_addc(out, f);
    put_condition(out, s, r->condition, c);
    buf_printf(out, "%cE%c%c%c", f, f, f, f);
    put_text(out, s, r->text ? r->text : condition_text(r->condition));
    buf_addc(out, '\r');
}

static void put_reply(struct buf *out, const struct sender *s, const struct hl7_reply *r,
                      const char *code, const char *charset)
{
    put_header(out, s, r, charset);
    buf_addz(out, "MSA");
    buf_addc(out, s->d.field);
    buf_addz(out, code);
    buf_addc(out, s->d.field);
    put_field(out, s, s->control_id);
    bool failed = r->verdict != HL7_ACCEPT;
    bool says = s->version && s->version < 25 && (failed || r->text);
    if (says || r->sequence) {
        buf_addc(out, s->d.field);
        put_text(out, s, !says ? "" : r->text ? r->text : condition_text(r->condition));
    }
    if (r->sequence) {
        buf_addc(out, s->d.field);
        buf_addz(out, r->sequence);
    }
    buf_addc(out, '\r');
    if (failed) {
        put_error(out, s, r);
    }
}

/* The reply behind `from` in the set of a decoded message. UTF-16 does not fit a frame: UTF-8 then.
 */
static void encode(struct buf *out, size_t from, const struct hl7_msg *m)
{
    enum charset set = m->memory->charset;
    struct str bytes;
    if (set != CHARSET_UTF16 && set != CHARSET_UTF16LE &&
        charset_encode(m->arena, set, str_cut(buf_str(out), from, out->n), &bytes, NULL) ==
            ERR_NONE) {
        out->n = from;
        buf_add(out, bytes);
    }
}

/* MSH-18 of a reply that is not ASCII; NULL when there is nothing to say. */
static const char *charset_field(const struct hl7_msg *m, const struct sender *s,
                                 char out[MAX_CHARSET_NAME + 1])
{
    enum charset set = m ? m->memory->charset : CHARSET_ASCII;
    if (set == CHARSET_UTF16 || set == CHARSET_UTF16LE || (set == CHARSET_UTF8 && !s->charset.n)) {
        return "UNICODE UTF-8";
    }
    if (set == CHARSET_CP949 && !s->charset.n) {
        return "KS X 1001";
    }
    snprintf(out, MAX_CHARSET_NAME + 1, "%.*s", STR_ARG(s->charset));
    return s->charset.n ? out : NULL;
}

void hl7_reply(struct buf *out, const struct hl7_msg *m, struct str raw, const struct hl7_reply *r,
               bool *wanted)
{
    struct sender s = {.encoding = {"", 0}};
    if (m) {
        s.d = m->d;
        s.encoding = hl7_raw_field(hl7_segment(m, 0), 2);
        read_sender(&s, hl7_segment(m, 0));
    } else {
        read_raw_sender(&s, raw);
    }
    const char *code = code_of(&s, r->verdict);
    *wanted = code != NULL;
    if (!code) {
        return;
    }
    size_t from = out->n;
    put_reply(out, &s, r, code, NULL);
    if (buf_ok(out) && text_ascii(str_cut(buf_str(out), from, out->n)) < out->n - from) {
        char named[MAX_CHARSET_NAME + 1];
        out->n = from;
        put_reply(out, &s, r, code, charset_field(m, &s, named));
        if (m && buf_ok(out)) {
            encode(out, from, m);
        }
    }
}
