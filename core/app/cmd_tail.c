/* dari tail: an ordinary consumer of the stream that prints what it gets. */
#include "core/app/command.h"
#include "core/app/consumer.h"
#include "core/base/num.h"
#include "core/stream/wire.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: dari tail [--consumer NAME --key FILE] [--from WHERE] [--follow] [--ack] [--count N]\n"
    "\n"
    "Prints events as a consumer gets them: one JSON object per line. Without --follow it ends "
    "when it\n"
    "has reached the newest event. Sessions go into the ledger, whoever reads.\n"
    "\n"
    "  --consumer NAME  default: tail, our own consumer, which may see everything\n"
    "  --key FILE       its secret key (default: NAME.key in the keys folder)\n"
    "  --from WHERE     first (default), head, cursor, a number (the events after it) or an "
    "instant\n"
    "                   as in 2026-03-11T09:00:00+09:00\n"
    "  --follow         go on with what comes\n"
    "  --ack            acknowledge what was printed, so that the cursor moves\n"
    "  --count N        end after N events\n"
    "  --timeout TIME   give up when the relay does not answer for so long (default: 5s)\n"
    "  --relay ADDRESS  tcp://HOST:PORT instead of this machine's local socket\n"
    "  --config FILE    default: $DARI_CONFIG, else config/dari.xml\n";

struct tail {
    struct stream_client *client;
    bool follow, ack;
    int64_t count; /* still to print; 0: no limit */
    int64_t last, head, unacked;
    usec patience, deadline; /* deadline 0: the relay has answered */
};

static volatile sig_atomic_t stop;

static void on_signal(int signo)
{
    (void)signo;
    stop = 1;
}

/* "first", "117", or an instant with or without "time:". */
static enum err_code read_from(const char *text, struct stream_settings *s, struct err *e)
{
    static const int64_t words[] = {[FROM_CURSOR] = STREAM_FROM_CURSOR,
                                    [FROM_FIRST] = STREAM_FROM_FIRST,
                                    [FROM_HEAD] = STREAM_FROM_HEAD,
                                    [FROM_TIME] = STREAM_FROM_TIME};
    enum wire_from from;
    int64_t seq = 0;
    enum err_code code = ERR_NONE;
    if (clock_parse(str_of(text), &s->from_time, NULL) == ERR_NONE) {
        from = FROM_TIME;
    } else {
        code = wire_from_text(str_of(text), &from, &seq, &s->from_time, e);
    }
    if (code == ERR_NONE) {
        s->from = from == FROM_NUMBER ? seq : words[from];
    }
    return code;
}

static void on_event(struct tail *t, const struct stream_item *i)
{
    fwrite(i->json.p, 1, i->json.n, stdout);
    putchar('\n');
    t->last = i->seq;
    t->head = t->head > i->seq ? t->head : i->seq;
    t->unacked++;
    if (t->count && --t->count == 0) {
        stop = 1;
    }
}

/* Acknowledges what reached the reader: after a flush, and in bundles. */
static bool acknowledge(struct tail *t, bool now)
{
    if (t->unacked == 0 || (!now && t->unacked < 64)) {
        return true;
    }
    if (fflush(stdout) != 0) {
        return false;
    }
    if (t->ack) {
        stream_ack(t->client, t->last);
    }
    t->unacked = 0;
    return true;
}

/* Waits for ACKED, so that the cursor has moved when the command ends. */
static int finish(struct tail *t)
{
    struct stream_item i;
    usec until = clock_mono() + t->patience;
    if (!acknowledge(t, true)) {
        return command_failed("tail", "could not write the output");
    }
    while (t->ack && t->last > 0 && clock_mono() < until) {
        if (stream_next(t->client, 100, &i) == STREAM_ACKED && i.seq >= t->last) {
            return EXIT_DONE;
        }
    }
    return t->ack && t->last > 0
               ? command_failed("tail", "the relay did not confirm the acknowledgement")
               : EXIT_DONE;
}

static int read_stream(struct tail *t)
{
    struct stream_item i;
    t->deadline = clock_mono() + t->patience;
    while (!stop) {
        switch (stream_next(t->client, t->unacked ? 0 : 100, &i)) {
        case STREAM_WELCOME:
            t->deadline = 0;
            t->head = i.head;
            break;
        case STREAM_EVENT:
            on_event(t, &i);
            if (!acknowledge(t, false)) {
                return command_failed("tail", "could not write the output");
            }
            break;
        case STREAM_REFUSED:
            return command_failed("tail", "the relay said %.*s%s%.*s", STR_ARG(i.code),
                                  i.text.n ? ": " : "", STR_ARG(i.text));
        case STREAM_NOTHING:
            if (!acknowledge(t, true)) {
                return command_failed("tail", "could not write the output");
            }
            break;
        case STREAM_ACKED:
        case STREAM_SILENT:
            break;
        }
        if (!t->follow && !t->deadline && stream_passed(t->client) >= t->head) {
            return finish(t);
        }
        if (t->deadline && clock_mono() > t->deadline) {
            return command_failed("tail", "no answer from the relay: is it running (dari status), "
                                          "and does it know this key (dari consumer list)?");
        }
    }
    return finish(t);
}

static int run(const struct config *c, struct arena *a, struct tail *t, const char *name,
               const char *key, const char *from, const char *relay)
{
    struct stream_settings s;
    struct err e;
    enum err_code code = consumer_settings(c, a, name, key, &s, &e);
    if (code == ERR_NONE && read_from(from, &s, &e) != ERR_NONE) {
        return command_usage("tail",
                             "--from is first, head, cursor, a number or an instant such as "
                             "2026-03-11T09:00:00+09:00, not %s",
                             from);
    }
    if (code == ERR_NONE) {
        s.endpoint = relay ? relay : s.endpoint;
    }
    if (code == ERR_NONE && chdir(c->home) != 0) {
        code = ERR(&e, ERR_CONFIG, 0, "could not enter %s", c->home);
    }
    if (code == ERR_NONE) {
        code = stream_open(&s, &t->client, &e);
    }
    if (code != ERR_NONE) {
        return command_failed("tail", "%s", e.msg);
    }
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    int status = read_stream(t);
    stream_free(&t->client);
    return status;
}

int cmd_tail(int argc, char **argv)
{
    const char *name = "tail", *key = NULL, *from = "first", *count = "0", *file = NULL;
    const char *timeout = "5s", *relay = NULL;
    struct tail t = {0};
    const struct command_option options[] = {
        {"--consumer", &name, NULL},   {"--key", &key, NULL},
        {"--from", &from, NULL},       {"--count", &count, NULL},
        {"--config", &file, NULL},     {"--timeout", &timeout, NULL},
        {"--follow", NULL, &t.follow}, {"--relay", &relay, NULL},
        {"--ack", NULL, &t.ack},       {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    int64_t patience_ms;
    if (left != 0) {
        return left < 0 ? status : command_usage("tail", "unexpected word %s", argv[1]);
    }
    if (num_i64(str_of(count), 0, INT64_MAX, &t.count, NULL) != ERR_NONE) {
        return command_usage("tail", "--count needs a number");
    }
    if (num_ms(str_of(timeout), 1, 3600 * 1000, &patience_ms, NULL) != ERR_NONE) {
        return command_usage("tail", "--timeout needs a time as in 5s");
    }
    t.patience = patience_ms * 1000;
    struct arena *a = arena_new(0);
    const struct config *c = a ? config_open(a, file, &status) : NULL;
    if (c) {
        status = run(c, a, &t, name, key, from, relay);
    }
    arena_free(&a);
    return status;
}
