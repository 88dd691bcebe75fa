#include "core/app/command.h"

#include "adapters/mllp/client.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/hl7/hl7.h"
#include "core/hl7/reply.h"
#include "core/hl7/split.h"
#include "core/net/net.h"
#include "core/net/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: dari send mllp://HOST[:PORT] FILE...\n"
    "       dari send mllps://HOST[:PORT] [--ca FILE] [--cert FILE --key FILE] FILE...\n"
    "\n"
    "Sends every HL7 v2 message of the files, one after another, waits for each reply, and prints\n"
    "CONTROL-ID<TAB>MSA-1<TAB>milliseconds for each, then what the reply says against the message\n"
    "when it does. A reply AE or CE is tried again, AR and CR\n"
    "are not; a lost connection is opened again and what had no reply is sent again.\n"
    "A message that asks for replies to errors alone (MSH-15, MSH-16: ER) was taken when\n"
    "none comes in time; its MSA-1 is -, as of one that asks for none.\n"
    "\n"
    "  --window N     messages that may wait for their reply at a time (default 1)\n"
    "  --retries N    how often a message is sent again after AE, CE or no reply (default 3)\n"
    "  --timeout T    for one reply: 500ms, 30s, 2m (default 30s)\n"
    "  --release 2    MLLP release 2: each message has its commit acknowledgement first, one "
    "message\n"
    "                 at a time; one that the receiver could not keep is tried again (default 1)\n"
    "  --ca FILE      who signs the server's certificate, PEM (default: the system's list)\n"
    "  --cert FILE    our certificate, PEM\n"
    "  --key FILE     its private key, PEM\n"
    "\n"
    "The port is 2575 unless given. Exit status: 0 all accepted, 1 not all, 2 usage.\n";

enum { FILE_MAX = 1024 * 1024 * 1024, REPLY_MAX = 1024 * 1024, DEFAULT_PORT = 2575 };

/* What one message is known by. */
struct entry {
    struct str id; /* MSH-10; empty when it has none */
    char code[4];  /* MSA-1 of its last reply */
    char why[200]; /* and what it says against the message */
};

struct sending {
    struct arena *memory; /* files and lists */
    struct arena *scratch;
    struct mllp_message *messages;
    struct entry *entries;
    size_t count, room, refused;
    char host[256];
    int64_t port;
    bool secure;
};

/* "mllp://HOST:PORT", "mllps://[::1]:2575" */
static bool read_target(struct sending *s, struct str url)
{
    struct str plain = STR("mllp://"), tls = STR("mllps://");
    s->secure = str_starts(url, tls);
    if (!s->secure && !str_starts(url, plain)) {
        return false;
    }
    struct str rest = str_cut(url, s->secure ? tls.n : plain.n, url.n);
    if (str_ends(rest, STR("/"))) {
        rest.n--;
    }
    bool bracket = str_starts(rest, STR("["));
    size_t end = bracket ? str_find(rest, ']', 0) : str_find(rest, ':', 0);
    struct str host = str_cut(rest, bracket, end);
    struct str port = str_cut(rest, end + bracket, rest.n);
    s->port = DEFAULT_PORT;
    if (port.n && (port.p[0] != ':' ||
                   num_i64(str_cut(port, 1, port.n), 1, 65535, &s->port, NULL) != ERR_NONE)) {
        return false;
    }
    if (!host.n || host.n >= sizeof s->host) {
        return false;
    }
    snprintf(s->host, sizeof s->host, "%.*s", STR_ARG(host));
    return true;
}

static bool grow(struct sending *s)
{
    if (s->count < s->room) {
        return true;
    }
    size_t room = s->room ? 2 * s->room : 64;
    struct mllp_message *messages = realloc(s->messages, room * sizeof *messages);
    s->messages = messages ? messages : s->messages;
    struct entry *entries = messages ? realloc(s->entries, room * sizeof *entries) : NULL;
    s->entries = entries ? entries : s->entries;
    s->room = entries ? room : s->room;
    return entries != NULL;
}

/* Does it ask for a reply (MSH-15 and MSH-16, as core/hl7 reads them) to a yes, or to a no? */
static bool wants_reply(const struct hl7_msg *m, struct str bytes, enum hl7_verdict verdict)
{
    struct buf reply;
    bool wanted = true;
    const struct hl7_reply r = {.verdict = verdict, .id = STR_INIT("1")};
    buf_init(&reply, REPLY_MAX);
    hl7_reply(&reply, m, bytes, &r, &wanted);
    buf_release(&reply);
    return wanted;
}

/* The bytes are looked at undecoded: delimiters and ids are ASCII in every set that senders use. */
static void describe(struct sending *s, struct mllp_message *message, struct entry *entry)
{
    const struct hl7_msg *m;
    struct hl7_header h = {0};
    bool yes = true, no = true;
    arena_reset(s->scratch);
    if (hl7_parse(s->scratch, message->bytes, &hl7_default_limits, &m, NULL) == ERR_NONE) {
        hl7_header(m, &h);
        yes = wants_reply(m, message->bytes, HL7_ACCEPT);
        no = wants_reply(m, message->bytes, HL7_ERROR);
    }
    message->no_reply = !yes && !no;
    message->may_be_silent = !yes && no;
    *entry = (struct entry){.id = h.control_id, .code = "-"};
}

static enum err_code read_file(struct sending *s, const char *path, struct err *e)
{
    struct str text, message;
    size_t before = s->count;
    enum err_code code = file_read(s->memory, path, FILE_MAX, &text, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct hl7_split split = {.text = text};
    while (hl7_split_next(&split, &message, NULL)) {
        if (!grow(s)) {
            return ERR(e, ERR_NOMEM, 0, "no memory for the messages of %s", path);
        }
        struct mllp_message *m = &s->messages[s->count];
        m->bytes = message;
        describe(s, m, &s->entries[s->count]);
        s->count++;
    }
    return s->count > before ? ERR_NONE : ERR(e, ERR_VALUE, 0, "%s holds no HL7 message", path);
}

/* ERR-7 and ERR-2, MSA-3 from receivers before 2.5. */
static void read_reason(struct entry *entry, const struct hl7_msg *reply)
{
    const struct hl7_path err7 = {.segment = "ERR", .field = 7};
    const struct hl7_path msa3 = {.segment = "MSA", .field = 3};
    const struct hl7_path place[] = {{.segment = "ERR", .field = 2, .comp = 1},
                                     {.segment = "ERR", .field = 2, .comp = 3}};
    struct str text, segment, field;
    entry->why[0] = '\0';
    if (hl7_get(reply, &err7, &text) != HL7_VALUE && hl7_get(reply, &msa3, &text) != HL7_VALUE) {
        return;
    }
    size_t n = 0;
    if (hl7_get(reply, &place[0], &segment) == HL7_VALUE &&
        hl7_get(reply, &place[1], &field) == HL7_VALUE) {
        n = (size_t)snprintf(entry->why, 32, "%.*s-%.*s ", STR_ARG(str_cut(segment, 0, 3)),
                             STR_ARG(str_cut(field, 0, 4)));
    }
    for (size_t i = 0; i < text.n && n + 1 < sizeof entry->why; i++) {
        entry->why[n++] = (unsigned char)text.p[i] < ' ' ? ' ' : text.p[i];
        entry->why[n] = '\0';
    }
}

static enum mllp_verdict judge(void *ctx, size_t i, struct str reply)
{
    static const struct {
        const char *code;
        enum mllp_verdict verdict;
    } codes[] = {{"AA", MLLP_ACCEPTED}, {"CA", MLLP_ACCEPTED}, {"AE", MLLP_AGAIN},
                 {"CE", MLLP_AGAIN},    {"AR", MLLP_REFUSED},  {"CR", MLLP_REFUSED}};
    struct sending *s = ctx;
    struct entry *entry = &s->entries[i];
    const struct hl7_path msa1 = {.segment = "MSA", .field = 1};
    const struct hl7_path msa2 = {.segment = "MSA", .field = 2};
    const struct hl7_msg *m;
    struct str code, id;
    arena_reset(s->scratch);
    if (hl7_parse(s->scratch, reply, &hl7_default_limits, &m, NULL) != ERR_NONE ||
        hl7_get(m, &msa1, &code) != HL7_VALUE) {
        return MLLP_FOREIGN;
    }
    hl7_get(m, &msa2, &id);
    if (!str_eq(id, entry->id)) {
        return MLLP_FOREIGN;
    }
    for (size_t k = 0; k < sizeof codes / sizeof *codes; k++) {
        if (str_is(code, codes[k].code)) {
            snprintf(entry->code, sizeof entry->code, "%s", codes[k].code);
            if (codes[k].verdict != MLLP_ACCEPTED) {
                read_reason(entry, m);
            }
            return codes[k].verdict;
        }
    }
    return MLLP_FOREIGN;
}

static void done(void *ctx, size_t i, enum mllp_verdict verdict, int64_t ms)
{
    struct sending *s = ctx;
    const struct entry *entry = &s->entries[i];
    s->refused += verdict != MLLP_ACCEPTED && verdict != MLLP_SILENT;
    bool against = (verdict == MLLP_AGAIN || verdict == MLLP_REFUSED) && entry->why[0];
    printf("%.*s\t%s\t%lld%s%s\n", STR_ARG(entry->id.n ? entry->id : STR("-")),
           verdict == MLLP_FOREIGN ? "-" : entry->code, (long long)ms, against ? "\t" : "",
           against ? entry->why : "");
    if (verdict == MLLP_FOREIGN) {
        command_failed("send", "the reply to message %zu is not its acknowledgement", i + 1);
    }
}

/* What to do about a connection that did not come about. */
static const char *advice(const char *why)
{
    static const char *const of[][2] = {
        {"connection refused", " (is the bridge running?)"},
        {"certificate not accepted", " (--ca names the file of who signed it)"},
        {"certificate required", " (the receiver asks for ours: --cert and --key)"}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        if (strstr(why, of[i][0])) {
            return of[i][1];
        }
    }
    return "";
}

static int send_all(struct sending *s, struct mllp_client *c, const struct net_tls_files *files)
{
    struct err e = {0};
    int status = EXIT_REFUSED;
    struct tls *tls = NULL;
    struct net_loop *loop = net_loop_new(&e);
    if (!loop || (s->secure && net_tls_client(files, &tls, &e) != ERR_NONE)) {
        command_failed("send", "%s", e.msg);
        goto out;
    }
    c->tls = tls;
    if (mllp_client_run(loop, c, &e) != ERR_NONE) {
        command_failed("send", "%s%s", e.msg, advice(e.msg));
    } else if (s->refused) {
        command_failed("send", "%zu of %zu messages were not accepted", s->refused, s->count);
    } else {
        status = EXIT_DONE;
    }
out:
    net_loop_free(&loop);
    net_tls_free(&tls);
    return status;
}

static int send_files(struct sending *s, char **files, int count, struct mllp_client *c,
                      const struct net_tls_files *tls)
{
    struct err e = {0};
    s->memory = arena_new(0);
    s->scratch = arena_new(0);
    int status = EXIT_REFUSED;
    if (!s->memory || !s->scratch) {
        command_failed("send", "no memory");
        goto out;
    }
    for (int i = 0; i < count; i++) {
        if (read_file(s, files[i], &e) != ERR_NONE) {
            command_failed("send", "%s", e.msg);
            goto out;
        }
    }
    c->host = s->host;
    c->port = (int)s->port;
    c->messages = s->messages;
    c->count = s->count;
    status = send_all(s, c, tls);
out:
    free(s->messages);
    free(s->entries);
    arena_free(&s->scratch);
    arena_free(&s->memory);
    return status;
}

int cmd_send(int argc, char **argv)
{
    const char *window = "1", *retries = "3", *timeout = "30s", *release = "1";
    struct net_tls_files tls = {0};
    const struct command_option options[] = {
        {"--window", &window, NULL},   {"--retries", &retries, NULL},
        {"--timeout", &timeout, NULL}, {"--release", &release, NULL},
        {"--ca", &tls.ca, NULL},       {"--cert", &tls.cert, NULL},
        {"--key", &tls.key, NULL},     {NULL, NULL, NULL}};
    int status;
    int words = command_options(argc, argv, help, options, &status);
    if (words < 0) {
        return status;
    }
    struct sending s = {0};
    struct mllp_client c = {.max_reply = REPLY_MAX, .judge = judge, .done = done, .ctx = &s};
    if (words < 2) {
        return command_usage("send", words ? "name the files to send"
                                           : "name the receiver: mllp://HOST:PORT");
    }
    if (!read_target(&s, str_of(argv[1]))) {
        return command_usage("send", "%s is not mllp://HOST:PORT or mllps://HOST:PORT", argv[1]);
    }
    if (num_i64(str_of(window), 1, 65536, &c.window, NULL) != ERR_NONE) {
        return command_usage("send", "--window needs a number from 1 to 65536");
    }
    if (num_i64(str_of(retries), 0, 1000, &c.retries, NULL) != ERR_NONE) {
        return command_usage("send", "--retries needs a number from 0 to 1000");
    }
    c.release_2 = strcmp(release, "2") == 0;
    if (!c.release_2 && strcmp(release, "1") != 0) {
        return command_usage("send", "--release is 1 or 2");
    }
    if (num_ms(str_of(timeout), 1, 86400000, &c.timeout_ms, NULL) != ERR_NONE) {
        return command_usage("send", "--timeout needs a time: 500ms, 30s, 2m");
    }
    if (!s.secure && (tls.ca || tls.cert || tls.key)) {
        return command_usage("send", "--ca, --cert and --key need mllps://");
    }
    return send_files(&s, argv + 2, words - 1, &c, &tls);
}
