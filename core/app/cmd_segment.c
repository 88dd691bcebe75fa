#include "core/app/command.h"
#include "core/app/config.h"
#include "core/crypto/keys.h"
#include "core/segment/report.h"
#include "core/segment/segment.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari segment list                  [--json] [--config FILE]\n"
    "       dari segment members ID            [--json]\n"
    "       dari segment explain ID PATIENT    [--json]\n"
    "       dari segment recompute [ID]\n"
    "\n"
    "list       all segments with the number of their members\n"
    "members    who is in a segment, since when and why; patients are opaque keys\n"
    "explain    each condition of a segment for one patient: true, false or unknown\n"
    "recompute  looks at everybody again; what is right already stays as it is\n"
    "\n"
    "Every answer says as of when it is true: time runs along the stream, so that is the last\n"
    "event, midnight or appointment start that was applied.\n";

enum { PAGE = 1000 };

struct session {
    const struct config *config;
    const struct segment_rules *rules;
    struct arena *a;
    struct db *db;
    struct segment_report report;
    struct segment_status status;
    bool json;
};

static int failed(const struct err *e)
{
    return command_failed("segment", "%s", e->msg);
}

/* ---- output ---- */

static const char *instant(usec at, char text[CLOCK_TEXT])
{
    return clock_text(at, text);
}

static int print_json(json_t *value)
{
    int bad = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(value);
    putchar('\n');
    return bad ? command_failed("segment", "could not write the output") : EXIT_DONE;
}

static json_t *json_status(const struct session *s)
{
    char text[CLOCK_TEXT];
    json_t *o = json_object();
    json_object_set_new(o, "site", json_string(s->config->site));
    json_object_set_new(o, "evaluated_at",
                        s->status.known ? json_string(instant(s->status.at, text)) : json_null());
    json_object_set_new(o, "sequence", json_integer(s->status.seq));
    json_object_set_new(o, "head", json_integer(s->status.head));
    return o;
}

static void print_status(const struct session *s)
{
    char text[CLOCK_TEXT];
    if (!s->status.known) {
        printf("\nnothing was evaluated yet: no event about a patient has been applied\n");
        return;
    }
    printf("\nevaluated at %s, event %" PRId64 " of %" PRId64 "\n", instant(s->status.at, text),
           s->status.seq, s->status.head);
}

/* ---- list ---- */

static int64_t count_of(const struct db_rows *rows, const char *segment)
{
    for (int i = 0; i < db_count(rows); i++) {
        if (strcmp(db_z(rows, i, 0), segment) == 0) {
            return db_i64(rows, i, 1);
        }
    }
    return 0;
}

static int list_json(const struct session *s, const struct db_rows *counts)
{
    json_t *o = json_status(s), *list = json_array();
    for (size_t i = 0; i < s->rules->count; i++) {
        const struct segment_rule *r = &s->rules->rules[i];
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:i,s:I}", "segment", r->id, "name", r->name,
                                        "title", r->title, "rule_version", r->version, "members",
                                        (json_int_t)count_of(counts, r->id)));
    }
    json_object_set_new(o, "segments", list);
    return print_json(o);
}

static int list(struct session *s)
{
    struct err e = {0};
    struct db_rows *counts;
    if (segment_counts(&s->report, &counts, &e) != ERR_NONE) {
        return failed(&e);
    }
    if (s->json) {
        return list_json(s, counts);
    }
    printf("%-10s %7s %9s  %s\n", "SEGMENT", "VERSION", "MEMBERS", "TITLE");
    for (size_t i = 0; i < s->rules->count; i++) {
        const struct segment_rule *r = &s->rules->rules[i];
        printf("%-10s %7d %9" PRId64 "  %s (%s)\n", r->id, r->version, count_of(counts, r->id),
               r->title, r->name);
    }
    print_status(s);
    return EXIT_DONE;
}

/* ---- members ---- */

static void add_member(json_t *list, const struct db_rows *rows, int i)
{
    char text[CLOCK_TEXT];
    json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:o}", "patient", db_z(rows, i, 0), "since",
                                          instant(db_time(rows, i, 1), text), "rule_version",
                                          (json_int_t)db_i64(rows, i, 2), "reasons",
                                          json_loads(db_z(rows, i, 3), 0, NULL)));
}

static int members(struct session *s, const struct segment_rule *rule)
{
    struct err e = {0};
    struct db_rows *rows;
    char text[CLOCK_TEXT];
    const char *after = "";
    json_t *list = s->json ? json_array() : NULL;
    int n = PAGE;
    if (!s->json) {
        printf("%-26s  %-25s %7s  %s\n", "PATIENT", "SINCE", "VERSION", "REASONS");
    }
    while (n == PAGE) {
        if (segment_members(&s->report, rule->id, after, PAGE, &rows, &e) != ERR_NONE) {
            json_decref(list);
            return failed(&e);
        }
        n = db_count(rows);
        for (int i = 0; i < n; i++) {
            if (list) {
                add_member(list, rows, i);
            } else {
                printf("%-26s  %-25s %7s  %s\n", db_z(rows, i, 0),
                       instant(db_time(rows, i, 1), text), db_z(rows, i, 2), db_z(rows, i, 3));
            }
        }
        after = n > 0 ? db_z(rows, n - 1, 0) : after;
    }
    if (!list) {
        print_status(s);
        return EXIT_DONE;
    }
    json_t *o = json_status(s);
    json_object_set_new(o, "segment", json_string(rule->id));
    json_object_set_new(o, "members", list);
    return print_json(o);
}

/* ---- explain ---- */

static const char *const truth_names[] = {"false", "true", "unknown"};

static int explain_json(const struct session *s, const struct segment_rule *rule,
                        const char *patient, const struct segment_explanation *x)
{
    json_t *o = json_status(s), *conditions = json_array(), *attributes = json_object();
    for (size_t k = 0; k < rule->when_count; k++) {
        const struct segment_when *w = &rule->whens[k];
        json_array_append_new(conditions, json_pack("{s:s,s:s,s:s%}", "reason", w->reason, "holds",
                                                    truth_names[x->truths[k]], "condition",
                                                    w->text.p, w->text.n));
    }
    for (size_t i = 0; i < x->attribute_count; i++) {
        const char *value = x->attributes[i].value;
        json_object_set_new(attributes, x->attributes[i].name,
                            value ? json_string(value) : json_null());
    }
    json_object_set_new(o, "segment", json_string(rule->id));
    json_object_set_new(o, "patient", json_string(patient));
    json_object_set_new(o, "member", json_boolean(x->member));
    json_object_set_new(o, "since", x->since ? json_string(x->since) : json_null());
    json_object_set_new(o, "merged_into",
                        x->merged_into ? json_string(x->merged_into) : json_null());
    json_object_set_new(o, "conditions", conditions);
    json_object_set_new(o, "attributes", attributes);
    return print_json(o);
}

/* A condition on one line. */
static void print_condition(struct str text)
{
    bool blank = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
        if (!space) {
            if (blank) {
                putchar(' ');
            }
            putchar(c);
        }
        blank = space;
    }
    putchar('\n');
}

static int explain(struct session *s, const struct segment_rule *rule, const char *patient)
{
    struct err e = {0};
    struct segment_explanation x;
    if (!s->status.known) {
        return command_failed("segment",
                              "nothing was evaluated yet: start dari run and send events");
    }
    if (segment_explain(&s->report, rule, patient, s->status.at, &x, &e) != ERR_NONE) {
        return failed(&e);
    }
    if (s->json) {
        return explain_json(s, rule, patient, &x);
    }
    printf("%s %s (version %d)\npatient %s: %s%s\n", rule->id, rule->title, rule->version, patient,
           x.member ? "a member since " : "not a member", x.member ? x.since : "");
    if (x.merged_into) {
        printf("merged into %s, which stands for this patient now\n", x.merged_into);
    }
    puts("");
    for (size_t k = 0; k < rule->when_count; k++) {
        printf("  %-8s %-24s ", truth_names[x.truths[k]], rule->whens[k].reason);
        print_condition(rule->whens[k].text);
    }
    puts("");
    for (size_t i = 0; i < x.attribute_count; i++) {
        const char *value = x.attributes[i].value;
        printf("  %s = %s\n", x.attributes[i].name, value ? value : "unknown");
    }
    print_status(s);
    return EXIT_DONE;
}

/* ---- recompute ---- */

static int recompute(struct session *s, const char *id)
{
    struct err e = {0};
    struct problems p = {0};
    struct keyring *keys = NULL;
    struct segmenter *core = NULL;
    struct catalogue *catalogue = catalogue_load(s->config->catalogue, &p);
    const struct segment_rules *some = id ? segment_rules_only(s->a, s->rules, id) : NULL;
    problems_print(&p, stderr);
    enum err_code code = catalogue ? keyring_open(s->config->keys, &keys, &e)
                                   : ERR(&e, ERR_CONFIG, 0, "the catalogue cannot be used");
    struct segment_settings set = {
        .site = s->config->site, .keys = keys, .catalogue = catalogue, .rules = s->rules};
    if (code == ERR_NONE) {
        code = segment_new(&set, &core, &e);
    }
    if (code == ERR_NONE) {
        code = segment_attach(core, s->db, &e);
    }
    if (code == ERR_NONE) {
        code = segment_recompute(core, some, &e);
    }
    size_t changes = core ? segment_pending(core) : 0;
    if (code == ERR_NONE) {
        code = segment_commit(core, &e);
    }
    if (code == ERR_NONE) {
        printf("%zu changes\n", changes);
    }
    segment_free(&core);
    catalogue_free(&catalogue);
    keyring_free(&keys);
    problems_release(&p);
    if (code == ERR_NONE && segment_status(&s->report, &s->status, &e) == ERR_NONE) {
        print_status(s);
    }
    return code == ERR_NONE ? EXIT_DONE : failed(&e);
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int min, max; /* words behind it */
} verbs[] = {{"list", 0, 0}, {"members", 1, 1}, {"explain", 2, 2}, {"recompute", 0, 1}};

static int dispatch(struct session *s, int words, char **argv)
{
    const struct segment_rule *rule = words > 1 ? segment_rule_find(s->rules, argv[2]) : NULL;
    if (words > 1 && !rule) {
        return command_failed("segment", "there is no segment %s: dari segment list shows them",
                              argv[2]);
    }
    if (strcmp(argv[1], "list") == 0) {
        return list(s);
    }
    if (strcmp(argv[1], "members") == 0) {
        return members(s, rule);
    }
    if (strcmp(argv[1], "explain") == 0) {
        return explain(s, rule, argv[3]);
    }
    return recompute(s, words > 1 ? argv[2] : NULL);
}

static int run(struct session *s, const char *file, int words, char **argv)
{
    int status;
    struct err e = {0};
    struct problems p = {0};
    s->config = config_open(s->a, file, &status);
    if (!s->config) {
        return status;
    }
    s->rules = segment_rules_load(s->a, s->config->segment.segments, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    if (!s->rules) {
        return EXIT_REFUSED;
    }
    if (config_db(s->config, "segment", &s->db, &e) != ERR_NONE) {
        return failed(&e);
    }
    s->report = (struct segment_report){s->db, s->a, s->config->site};
    if (segment_status(&s->report, &s->status, &e) != ERR_NONE) {
        return failed(&e);
    }
    return dispatch(s, words, argv);
}

int cmd_segment(int argc, char **argv)
{
    const char *file = NULL;
    struct session s = {0};
    const struct command_option options[] = {
        {"--config", &file, NULL}, {"--json", NULL, &s.json}, {0}};
    int status, words = command_options(argc, argv, help, options, &status);
    if (words < 0) {
        return status;
    }
    size_t i = 0, count = sizeof verbs / sizeof verbs[0];
    while (i < count && (words == 0 || strcmp(argv[1], verbs[i].name) != 0)) {
        i++;
    }
    if (i == count) {
        return command_usage("segment", "say list, members, explain or recompute");
    }
    if (words - 1 < verbs[i].min || words - 1 > verbs[i].max) {
        return command_usage("segment", "%s takes %s", verbs[i].name,
                             verbs[i].max == 0   ? "nothing more"
                             : verbs[i].max == 2 ? "a segment and a patient key"
                             : verbs[i].min == 1 ? "a segment"
                                                 : "at most a segment");
    }
    s.a = arena_new(0);
    status = s.a ? run(&s, file, words, argv) : command_failed("segment", "out of memory");
    db_free(&s.db);
    arena_free(&s.a);
    return status;
}
