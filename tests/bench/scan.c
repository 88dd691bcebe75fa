/*
 * What reading a message costs, in one thread and in memory, against splitting the same bytes into
 * segments and fields with memchr. Prints one JSON object with messages per second of
 *
 *   split  memchr for the ends of segments and fields, offsets kept: the ceiling
 *   parse  hl7_decode, hl7_parse (its index of segments), ten values, the reply
 *   whole  the same, and every field of every segment located, with its repetitions counted
 *   map    prepare_message (character set, parse, keys, mapping) and the envelope of each event
 *
 * measured in turns, so that a busy machine disturbs all alike; medians of ROUNDS.
 *
 *   scan [MILLISECONDS of each measure in a round] [ROUNDS]
 */
#include "core/base/file.h"
#include "core/hl7/reply.h"
#include "core/intake/prepare.h"
#include "tests/bench/messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGES = 2000, MAX_ROUNDS = 31, MEASURES = 4, BATCH = 100 };

static struct {
    struct str message[MESSAGES];
    struct arena *arena;
    struct prepare_settings prepare;
    struct buf out;
    uint32_t offsets[BENCH_MESSAGE];
    volatile size_t sink;
} t;

static const char *const ten[] = {"MSH-3",   "MSH-4",   "MSH-9.1", "MSH-9.2", "MSH-10",
                                  "PID-3.1", "PID-5.1", "PID-5.2", "PID-7",   "PID-8"};
static struct hl7_path paths[10];

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "scan: %s\n", what);
    exit(1);
}

static void split(struct str m)
{
    size_t n = 0;
    for (size_t at = 0; at < m.n;) {
        const char *cr = memchr(m.p + at, '\r', m.n - at);
        size_t end = cr ? (size_t)(cr - m.p) : m.n;
        for (size_t f = at; f < end;) {
            const char *bar = memchr(m.p + f, '|', end - f);
            t.offsets[n++] = (uint32_t)f;
            f = bar ? (size_t)(bar - m.p) + 1 : end;
        }
        at = end + 1;
    }
    t.sink += n + t.offsets[n - 1];
}

/* Which field, repetition and component begins where is only known after looking at all of them. */
static size_t walk(const struct hl7_msg *m)
{
    size_t found = 0;
    for (size_t i = 0; i < hl7_segments(m); i++) {
        struct str segment = hl7_segment(m, i);
        struct hl7_path p = {.occ = 1};
        memcpy(p.segment, segment.p, 3);
        for (unsigned fields = hl7_fields(m, i); p.field < fields;) {
            p.field++;
            found += hl7_repetitions(m, &p);
        }
    }
    return found;
}

static void read_one(struct str raw, bool whole)
{
    struct str text, value;
    enum charset used;
    const struct hl7_msg *m;
    bool wanted;
    const struct hl7_reply reply = {.verdict = HL7_ACCEPT, .id = STR("D1")};
    arena_reset(t.arena);
    buf_reset(&t.out);
    if (hl7_decode(t.arena, raw, NULL, CHARSET_UTF8, &text, &used, NULL) != ERR_NONE ||
        hl7_parse(t.arena, text, NULL, &m, NULL) != ERR_NONE) {
        fail("a message does not parse");
    }
    t.sink += whole ? walk(m) : 0;
    for (size_t i = 0; i < 10; i++) {
        hl7_get(m, &paths[i], &value);
        t.sink += value.n;
    }
    hl7_reply(&t.out, m, raw, &reply, &wanted);
    t.sink += t.out.n;
}

static void parse(struct str raw)
{
    read_one(raw, false);
}

static void read_whole(struct str raw)
{
    read_one(raw, true);
}

static void map(struct str raw)
{
    struct prepared p;
    arena_reset(t.arena);
    buf_reset(&t.out);
    if (prepare_message(&t.prepare, t.arena, STR(""), raw, 1, &p, NULL) != ERR_NONE ||
        p.mapped.state != MAPPING_MAPPED) {
        fail("a message cannot be mapped");
    }
    for (size_t i = 0; i < p.mapped.count; i++) {
        const struct event *e = &p.mapped.events[i];
        const struct envelope v = {.site = "hanbit",
                                   .source = "feed:emr",
                                   .id = e->id,
                                   .type = e->type->name,
                                   .subject = e->subject,
                                   .schema = e->type->schema,
                                   .time = e->time,
                                   .recorded_at = 1,
                                   .seq = 1,
                                   .message_no = 1,
                                   .mapping = p.mapped.mapping,
                                   .data = e->data};
        envelope_json(&t.out, &v);
    }
    t.sink += t.out.n;
}

static void (*const measures[MEASURES])(struct str) = {split, parse, read_whole, map};
static const char *const names[MEASURES] = {"split", "parse", "whole", "map"};

static double rate(void (*f)(struct str), double seconds)
{
    usec began = clock_mono(), now = began, until = began + (usec)(seconds * USEC_SECOND);
    size_t n = 0;
    for (; now < until; now = clock_mono()) {
        for (size_t i = 0; i < BATCH; i++) {
            f(t.message[n++ % MESSAGES]);
        }
    }
    return (double)n / ((double)(now - began) / USEC_SECOND);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct keyring *keys(void)
{
    char folder[] = "/tmp/dari-scan-XXXXXX", path[64];
    struct keyring *k = NULL;
    static const struct str hex =
        STR_INIT("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    if (!mkdtemp(folder)) {
        fail("no folder for a key");
    }
    snprintf(path, sizeof path, "%s/site.key", folder);
    bool ok =
        file_write(path, hex, 0600, NULL) == ERR_NONE && keyring_open(folder, &k, NULL) == ERR_NONE;
    unlink(path);
    rmdir(folder);
    if (!ok) {
        fail("no key");
    }
    return k;
}

static void set_up(void)
{
    struct problems p = {0};
    struct arena *kept = arena_new(0);
    t.arena = arena_new(0);
    buf_init(&t.out, 1 << 20);
    struct catalogue *c = catalogue_load("mappings/catalogue.xml", &p);
    struct mapping_set *m = c ? mapping_load("mappings/hl7v2", c, &p) : NULL;
    if (!kept || !t.arena || !m || zone_set("Asia/Seoul", NULL) != ERR_NONE) {
        problems_print(&p, stderr);
        fail("run it where mappings/ is");
    }
    t.prepare = (struct prepare_settings){.site = "hanbit",
                                          .feed = "emr",
                                          .keys = keys(),
                                          .mapping = m,
                                          .fallback = CHARSET_UTF8,
                                          .max_message = 1 << 20};
    for (size_t i = 0; i < MESSAGES; i++) {
        char text[BENCH_MESSAGE];
        t.message[i] = arena_copy(kept, (struct str){text, bench_message(text, "S", i)});
    }
    for (size_t i = 0; i < 10; i++) {
        hl7_path_parse(str_of(ten[i]), &paths[i], NULL);
    }
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? (double)strtoimax(argv[1], NULL, 10) / 1000 : 0.3;
    int rounds = argc > 2 ? (int)strtoimax(argv[2], NULL, 10) : 5;
    static double got[MEASURES][MAX_ROUNDS];
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        fail("1 to 31 rounds");
    }
    set_up();
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < MEASURES; i++) {
            got[i][r] = rate(measures[i], seconds);
        }
    }
    for (int i = 0; i < MEASURES; i++) {
        qsort(got[i], (size_t)rounds, sizeof got[i][0], by_value);
        printf("%s\"%s\": %.0f", i ? ", " : "{", names[i], got[i][rounds / 2]);
    }
    printf("}\n");
    return 0;
}
