#include "core/app/command.h"

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/hl7/batch.h"
#include "core/hl7/hl7.h"
#include "core/hl7/split.h"
#include "core/hl7/v2xml.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari parse [--charset NAME] [--path P]... FILE...\n"
    "\n"
    "Reads HL7 v2 messages, prints one JSON object per message. FILE - is standard input. A file "
    "may\n"
    "hold several messages; MLLP framing bytes are skipped, FHS, BHS, BTS and FTS lines too, but "
    "what\n"
    "BTS-1 and FTS-1 count is checked. A document in the XML encoding (v2.xml) is one message.\n"
    "\n"
    "  --path P        print one line per message and path instead:\n"
    "                  FILE#N<TAB>PATH<TAB>absent|empty|null|value<TAB>VALUE\n"
    "                  SEG(n)-F(r).C.S, counted from 1; n and r may be left out: PID-5.1,\n"
    "                  OBX(2)-5, PID-3[5='MR'].1. The value is unescaped, with CR, LF, TAB and\n"
    "                  backslash written as \\r \\n \\t \\\\\n"
    "  --charset NAME  the character set, whatever MSH-18 says (utf-8, cp949, 8859/1, ...)\n"
    "  --help          this text\n"
    "\n"
    "JSON: "
    "{\"file\",\"n\",\"type\",\"version\",\"control_id\",\"charset\",\"segments\":[{\"name\":"
    "\"PID\",\n"
    "\"fields\":{\"3\":[REPETITION,...]}}]}. A repetition is a string, null for the HL7 null, or "
    "an\n"
    "array of components; a component is a string, null or an array of subcomponents. Empty "
    "fields\n"
    "are left out, values are unescaped.\n"
    "\n"
    "Exit status: 0 done, 1 a message or file could not be read (the place is on standard error),\n"
    "2 wrong usage.\n";

enum { MAX_PATHS = 4096, MAX_FILE = 1 << 30 };

struct job {
    const char *paths[MAX_PATHS];
    struct hl7_path parsed[MAX_PATHS];
    size_t path_count;
    const enum charset *override;
    enum charset named;
    struct arena *files, *message;
    struct buf out;
    bool failed;
};

/* ---- one message as JSON ---- */

struct walk {
    struct arena *arena;
    const struct hl7_msg *m;
    struct buf *out;
    struct err *e;
    struct hl7_path at; /* where the walk is, for errors */
};

static enum err_code put_value(struct walk *w, struct str s)
{
    struct str plain;
    enum err_code code = hl7_unescape(w->arena, w->m, s, &plain, w->e);
    if (code == ERR_NONE) {
        buf_json(w->out, plain);
        return ERR_NONE;
    }
    char place[HL7_PLACE];
    w->e->pos += hl7_offset(w->m, s);
    return err_at(w->e, "%s", hl7_path_text(&w->at, place));
}

static enum err_code put_piece(struct walk *w, struct str s, const char *separators)
{
    if (str_is(s, "\"\"")) {
        buf_addz(w->out, "null");
        return ERR_NONE;
    }
    if (!separators[0] || !memchr(s.p, separators[0], s.n)) {
        return separators[0] ? put_piece(w, s, separators + 1) : put_value(w, s);
    }
    enum err_code code = ERR_NONE;
    char lead = '[';
    for (struct str rest = s, piece; code == ERR_NONE && str_next(&rest, separators[0], &piece);) {
        buf_addc(w->out, lead);
        lead = ',';
        code = put_piece(w, piece, separators + 1);
    }
    buf_addc(w->out, ']');
    return code;
}

static enum err_code put_field(struct walk *w, struct str field)
{
    struct hl7_delimiters d = hl7_delimiters(w->m);
    const char separators[] = {d.component, d.sub, '\0'};
    char lead = '[';
    buf_printf(w->out, "\"%u\":", w->at.field);
    enum err_code code = ERR_NONE;
    w->at.rep = 0;
    for (struct str rest = field, rep; code == ERR_NONE && str_next(&rest, d.repetition, &rep);) {
        buf_addc(w->out, lead);
        lead = ',';
        w->at.rep++;
        code = put_piece(w, rep, separators);
    }
    buf_addc(w->out, ']');
    return code;
}

static void put_delimiters(struct walk *w, struct str *rest)
{
    struct hl7_delimiters d = hl7_delimiters(w->m);
    struct str field;
    buf_addz(w->out, "\"1\":[");
    buf_json(w->out, (struct str){&d.field, 1});
    if (str_next(rest, d.field, &field)) {
        buf_addz(w->out, "],\"2\":[");
        buf_json(w->out, field);
    }
    buf_addc(w->out, ']');
}

static enum err_code put_segment(struct walk *w, struct str seg)
{
    struct str rest = {NULL, 0}, field;
    if (seg.n > 3) {
        rest = str_cut(seg, 4, seg.n);
    }
    memcpy(w->at.segment, seg.p, 3);
    w->at.field = 0;
    bool any = false;
    buf_printf(w->out, "{\"name\":\"%.3s\",\"fields\":{", seg.p);
    static const char *const headers[] = {"MSH", "FHS", "BHS"};
    for (int i = 0; i < 3 && !any; i++) {
        if (str_starts(seg, str_of(headers[i])) && seg.n > 3) {
            put_delimiters(w, &rest);
            w->at.field = 2;
            any = true;
        }
    }
    while (str_next(&rest, hl7_delimiters(w->m).field, &field)) {
        w->at.field++;
        if (field.n == 0) {
            continue;
        }
        buf_addz(w->out, any ? "," : "");
        any = true;
        enum err_code code = put_field(w, field);
        if (code != ERR_NONE) {
            return code;
        }
    }
    buf_addz(w->out, "}}");
    return ERR_NONE;
}

static enum err_code put_member(struct walk *w, const char *name, struct str escaped)
{
    buf_printf(w->out, ",\"%s\":", name);
    return put_value(w, escaped);
}

static enum err_code put_message(struct walk *w, const char *file, size_t n, enum charset used)
{
    struct hl7_header h;
    hl7_header(w->m, &h);
    struct str type;
    hl7_get(w->m, &(struct hl7_path){.segment = "MSH", .field = 9}, &type);
    buf_addz(w->out, "{\"file\":");
    buf_json(w->out, str_of(file));
    buf_printf(w->out, ",\"n\":%zu", n);
    w->at = (struct hl7_path){.segment = "MSH"};
    enum err_code code = put_member(w, "type", type);
    if (code != ERR_NONE || (code = put_member(w, "version", h.version)) != ERR_NONE ||
        (code = put_member(w, "control_id", h.control_id)) != ERR_NONE) {
        return code;
    }
    buf_printf(w->out, ",\"charset\":\"%s\",\"segments\":[", charset_name(used));
    for (size_t i = 0; i < hl7_segments(w->m); i++) {
        buf_addz(w->out, i ? "," : "");
        if ((code = put_segment(w, hl7_segment(w->m, i))) != ERR_NONE) {
            return code;
        }
    }
    buf_addz(w->out, "]}\n");
    return ERR_NONE;
}

/* ---- one message as lines ---- */

static void put_plain(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        static const char special[] = "\r\n\t\\", letters[] = "rnt\\";
        const char *at = s.p[i] ? strchr(special, s.p[i]) : NULL;
        if (at) {
            buf_addc(out, '\\');
        }
        buf_addc(out, at ? letters[at - special] : s.p[i]);
    }
}

static enum err_code put_path(struct walk *w, const char *text, const struct hl7_path *at)
{
    static const char *const names[] = {"absent", "empty", "null", "value"};
    struct str s;
    enum hl7_has has = hl7_get(w->m, at, &s);
    bool delimiters = at->field && at->field <= 2 && memcmp(at->segment, "MSH", 3) == 0;
    if (has == HL7_VALUE && !delimiters) {
        struct str escaped = s;
        enum err_code code = hl7_unescape(w->arena, w->m, escaped, &s, w->e);
        if (code != ERR_NONE) {
            char place[HL7_PLACE];
            w->e->pos += hl7_offset(w->m, escaped);
            return err_at(w->e, "%s", hl7_path_text(at, place));
        }
    }
    buf_printf(w->out, "%s\t%s\t", text, names[has]);
    put_plain(w->out, s);
    buf_addc(w->out, '\n');
    return ERR_NONE;
}

static enum err_code put_paths(struct job *j, struct walk *w, const char *file, size_t n)
{
    for (size_t i = 0; i < j->path_count; i++) {
        buf_printf(w->out, "%s#%zu\t", file, n);
        enum err_code code = put_path(w, j->paths[i], &j->parsed[i]);
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}

/* ---- files ---- */

static void complain(struct job *j, const char *file, size_t n, const struct err *e)
{
    fflush(stdout);
    fprintf(stderr, "%s#%zu: %s%sbyte %zu: %s\n", file, n, e->where, e->where[0] ? ", " : "",
            e->pos, e->msg);
    j->failed = true;
}

/* Bytes that mean the same in every set are shown even when MSH-18 names one that nobody knows. */
static enum err_code decode(struct job *j, struct str raw, const enum charset *override,
                            struct str *text, enum charset *used, struct err *e)
{
    enum err_code code = hl7_decode(j->message, raw, override, CHARSET_UTF8, text, used, e);
    if (code == ERR_UNSUPPORTED && text_ascii(raw) == raw.n && !memchr(raw.p, 0x1b, raw.n)) {
        *text = raw;
        *used = CHARSET_ASCII;
        code = ERR_NONE;
    }
    return code;
}

static void parse_one(struct job *j, const char *file, size_t n, struct str raw,
                      const enum charset *override)
{
    struct err e = {.code = ERR_NONE};
    struct str text;
    enum charset used;
    const struct hl7_msg *m;
    arena_reset(j->message);
    buf_reset(&j->out);
    enum err_code code = decode(j, raw, override, &text, &used, &e);
    if (code == ERR_NONE) {
        code = hl7_parse(j->message, text, NULL, &m, &e);
    }
    if (code == ERR_NONE) {
        hl7_set_charset(m, used);
        struct walk w = {.arena = j->message, .m = m, .out = &j->out, .e = &e};
        code = j->path_count ? put_paths(j, &w, file, n) : put_message(&w, file, n, used);
    }
    if (code == ERR_NONE && !buf_ok(&j->out)) {
        code = ERR(&e, ERR_NOMEM, 0, "no memory for the output");
    }
    if (code != ERR_NONE) {
        complain(j, file, n, &e);
        return;
    }
    fwrite(j->out.p, 1, j->out.n, stdout);
}

/* Do BTS-1 and FTS-1 say what is there? Its messages are shown all the same. */
static void check_batch(struct job *j, const char *file, struct str raw)
{
    struct hl7_batch b;
    hl7_batch_read(raw, &b);
    if (b.problem.code != ERR_NONE) {
        fprintf(stderr, "%s: %s, byte %zu: %s\n", file, b.problem.where, b.problem.pos,
                b.problem.msg);
        j->failed = true;
    }
}

/* HL7 v2 in its XML encoding: shown as the message that it is. */
static void parse_document(struct job *j, const char *file, struct str raw)
{
    static const enum charset utf8 = CHARSET_UTF8;
    const struct xml_tree *t;
    struct err e = {.code = ERR_NONE};
    struct str er7;
    enum charset used;
    enum err_code code = xml_tree_read(j->files, raw, j->override, NULL, &t, &used, &e);
    if (code == ERR_NONE) {
        code = hl7_from_v2xml(j->files, t, MAX_FILE, &er7, &e);
    }
    if (code == ERR_NONE) {
        parse_one(j, file, 1, er7, &utf8);
    } else {
        complain(j, file, 1, &e);
    }
}

/* A file in UTF-16 is converted before it is split: its line ends are two bytes each. */
static void parse_file(struct job *j, const char *file)
{
    struct err e = {.code = ERR_NONE};
    struct str raw, text;
    static const enum charset utf8 = CHARSET_UTF8;
    const enum charset *override = j->override;
    enum charset used;
    arena_reset(j->files);
    bool from_stdin = strcmp(file, "-") == 0;
    if (file_read(j->files, from_stdin ? "/dev/stdin" : file, MAX_FILE, &raw, &e) != ERR_NONE) {
        fprintf(stderr, "%s: %s\n", file, e.msg);
        j->failed = true;
        return;
    }
    if (xml_kind(raw) == XML_KIND_XML) {
        parse_document(j, file, raw);
        return;
    }
    if (hl7_wide(raw, override)) {
        if (hl7_decode(j->files, raw, override, CHARSET_UTF8, &text, &used, &e) != ERR_NONE) {
            complain(j, file, 1, &e);
            return;
        }
        raw = text;
        override = &utf8;
    }
    struct hl7_split split = {.text = raw, .at = 0};
    struct str message;
    size_t n = 0;
    while (hl7_split_next(&split, &message, NULL)) {
        parse_one(j, file, ++n, message, override);
    }
    check_batch(j, file, raw);
    if (n == 0) {
        ERR(&e, ERR_SYNTAX, 0, "the file holds no message");
        complain(j, file, 1, &e);
    }
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "dari parse: %s%s\ntry dari parse --help\n", what, which);
    return 2;
}

/* Reads the options; returns the index of the first file, 0 when usage is wrong. */
static int read_options(struct job *j, int argc, char **argv)
{
    struct err e = {.code = ERR_NONE};
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return i + 1;
        }
        bool path = strcmp(argv[i], "--path") == 0;
        if (!path && strcmp(argv[i], "--charset") != 0) {
            usage("unknown option ", argv[i]);
            return 0;
        }
        if (++i == argc) {
            usage("a value is missing after ", argv[i - 1]);
            return 0;
        }
        if (!path) {
            if (!hl7_charset_named(str_of(argv[i]), &j->named)) {
                usage("unknown character set ", argv[i]);
                return 0;
            }
            j->override = &j->named;
            continue;
        }
        if (j->path_count == MAX_PATHS) {
            usage("too many paths", "");
            return 0;
        }
        if (hl7_path_parse(str_of(argv[i]), &j->parsed[j->path_count], &e) != ERR_NONE) {
            fprintf(stderr, "dari parse: --path %s: column %zu: %s\n", argv[i], e.pos + 1, e.msg);
            return 0;
        }
        j->paths[j->path_count++] = argv[i];
    }
    return i;
}

int cmd_parse(int argc, char **argv)
{
    static struct job j;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
    }
    int first = read_options(&j, argc, argv);
    if (first == 0) {
        return 2;
    }
    if (first >= argc) {
        return usage("no file given", "");
    }
    j.files = arena_new(0);
    j.message = arena_new(0);
    buf_init(&j.out, SIZE_MAX / 4);
    if (!j.files || !j.message) {
        fputs("dari parse: no memory\n", stderr);
        return 1;
    }
    for (int i = first; i < argc; i++) {
        parse_file(&j, argv[i]);
    }
    buf_release(&j.out);
    arena_free(&j.message);
    arena_free(&j.files);
    return j.failed || fflush(stdout) != 0 ? 1 : 0;
}
