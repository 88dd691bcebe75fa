#include "core/app/command.h"
#include "core/app/operator.h"
#include "core/app/session.h"
#include "core/base/num.h"
#include "core/messaging/messaging.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari plan list [--state STATE] [--patient KEY] [--limit N] [--json] [--config FILE]\n"
    "       dari plan preview JOURNEY STEP [--appointment KEY] [--config FILE]\n"
    "\n"
    "list      planned messages and what became of them, newest due time first.\n"
    "          STATE: planned, handing, sent, failed, suppressed, cancelled\n"
    "preview   the text of a step with its template's sample and longest values, and whether it is "
    "an\n"
    "          SMS (up to 90 bytes in CP949) or an LMS; nothing is sent. With --appointment: when "
    "it\n"
    "          would go to whom (key and masked number), and the text as it would be today.\n";

DB_STATEMENT(plan_list_rows,
             "SELECT id, journey, step, version, patient, appointment, due_at, state, "
             "coalesce(reason, ''), done_at, attempts FROM dari.plan WHERE site = $1 "
             "AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR patient = $3) "
             "ORDER BY due_at DESC, id LIMIT $4");
DB_STATEMENT(plan_preview_row,
             "SELECT a.patient, a.start, a.status, a.version, c.name, c.phone, p.due_at, p.state, "
             "coalesce(p.reason, '') FROM dari.contact_appointment a "
             "LEFT JOIN dari.contact c ON c.site = a.site AND c.patient = a.patient "
             "LEFT JOIN dari.plan p ON p.site = a.site AND p.appointment = a.appointment AND "
             "p.version = a.version AND p.journey = $3 AND p.step = $4 "
             "WHERE a.site = $1 AND a.appointment = $2");

struct plan_options {
    const char *config, *state, *patient, *limit, *appointment;
    bool json;
};

/* ---- list ---- */

static bool known_state(const char *state)
{
    static const char *const states[] = {"planned", "handing",    "sent",
                                         "failed",  "suppressed", "cancelled"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(states[i], state) == 0) {
            return true;
        }
    }
    return false;
}

static void print_json(const struct db_rows *r)
{
    static const char *const names[] = {"plan",    "journey",     "step",
                                        "patient", "appointment", "state"};
    static const int columns[] = {0, 1, 2, 4, 5, 7};
    char text[CLOCK_TEXT];
    for (int i = 0; i < db_count(r); i++) {
        struct buf b;
        buf_init(&b, 4096);
        for (size_t k = 0; k < sizeof columns / sizeof columns[0]; k++) {
            buf_printf(&b, "%s\"%s\":", k ? "," : "{", names[k]);
            buf_json(&b, db_str(r, i, columns[k]));
        }
        buf_printf(&b, ",\"version\":%" PRId64 ",\"due\":\"%s\"", db_i64(r, i, 3),
                   clock_text(db_time(r, i, 6), text));
        if (db_str(r, i, 8).n) {
            buf_addz(&b, ",\"reason\":");
            buf_json(&b, db_str(r, i, 8));
        }
        if (!db_null(r, i, 9)) {
            buf_printf(&b, ",\"done\":\"%s\"", clock_text(db_time(r, i, 9), text));
        }
        printf("%s}\n", buf_str(&b).p);
        buf_release(&b);
    }
}

static void print_text(const struct db_rows *r)
{
    printf("%-16s %-8s %-10s %-10s %-12s %3s  %-26s  %-26s\n", "due", "journey", "step", "state",
           "reason", "ver", "appointment", "plan");
    for (int i = 0; i < db_count(r); i++) {
        struct civil c = zone_local(db_time(r, i, 6));
        printf("%04d-%02d-%02d %02d:%02d %-8s %-10s %-10s %-12s %3" PRId64 "  %-26s  %-26s\n",
               c.year, c.month, c.day, c.hour, c.minute, db_z(r, i, 1), db_z(r, i, 2),
               db_z(r, i, 7), db_z(r, i, 8), db_i64(r, i, 3), db_z(r, i, 5), db_z(r, i, 0));
    }
}

static int list(struct session *s, const struct plan_options *o)
{
    struct err e = {0};
    struct db_rows *rows;
    struct db_args q = {0};
    int64_t limit;
    if (num_i64(str_of(o->limit), 1, 1000000, &limit, &e) != ERR_NONE) {
        return command_usage("plan", "--limit %s", e.msg);
    }
    if (o->state && !known_state(o->state)) {
        return command_usage(
            "plan", "--state is planned, handing, sent, failed, suppressed or cancelled, not %s",
            o->state);
    }
    arg_z(&q, s->config->site);
    arg_z(&q, o->state);
    arg_z(&q, o->patient);
    arg_i64(&q, limit);
    if (db_run(s->db, s->arena, &plan_list_rows, &q, &rows, &e) != ERR_NONE) {
        return command_failed("plan", "%s", e.msg);
    }
    (o->json ? print_json : print_text)(rows);
    return EXIT_DONE;
}

/* ---- preview ---- */

static void show(struct arena *a, const char *which, const struct template *t,
                 const struct template_values *v)
{
    struct rendered r;
    enum message_reason reason = template_render(t, v, a, &r);
    if (reason != REASON_NONE) {
        printf("%-8s refused: %s\n", which, reason_plan(reason));
    } else {
        printf("%-8s %s, %zu bytes in CP949\n         %.*s\n", which, byte_class_name(r.class),
               r.bytes, STR_ARG(r.text));
    }
}

/* +821012345678 → 010-****-5678 */
static void mask(struct str phone, char out[16])
{
    snprintf(out, 16, "0%.2s-****-%.4s", phone.n >= 12 ? phone.p + 3 : "",
             phone.n >= 12 ? phone.p + phone.n - 4 : "");
}

static enum err_code unsealed(struct session *s, const struct db_rows *r, int column,
                              const char *name, struct str *out, struct err *e)
{
    *out = STR("");
    if (db_null(r, 0, column)) {
        return ERR_NONE;
    }
    const char *context =
        arena_printf(s->arena, "%s/contact/%s/%s", s->config->site, db_z(r, 0, 0), name);
    return context ? unseal(s->keys, s->arena, str_of(context), db_str(r, 0, column), out, e)
                   : ERR(e, ERR_NOMEM, 0, "no memory");
}

static int preview_appointment(struct session *s, const struct plan_options *o,
                               const struct journey *j, const struct journey_step *step)
{
    struct err e = {0};
    struct db_rows *r;
    struct db_args q = {0};
    struct template_values v = {0};
    struct str phone;
    char masked[16], due[CLOCK_TEXT];
    arg_z(&q, s->config->site);
    arg_z(&q, o->appointment);
    arg_z(&q, j->id);
    arg_z(&q, step->id);
    if (db_run(s->db, s->arena, &plan_preview_row, &q, &r, &e) != ERR_NONE) {
        return command_failed("plan", "%s", e.msg);
    }
    if (db_count(r) == 0) {
        return command_failed("plan", "messaging knows no appointment %s", o->appointment);
    }
    const char *details = arena_printf(s->arena, "appointment=%s", o->appointment);
    if (!details || operator_record(s->db, s->arena, s->config->site, "plan.preview", details,
                                    &e) != ERR_NONE) {
        return command_failed("plan", "%s", e.msg);
    }
    if (unsealed(s, r, 4, "name", &v.v[VARIABLE_NAME], &e) != ERR_NONE ||
        unsealed(s, r, 5, "phone", &phone, &e) != ERR_NONE) {
        return command_failed("plan", "%s", e.msg);
    }
    mask(phone, masked);
    printf("to       %s %s\n", db_z(r, 0, 0), phone.n ? masked : "(no number that takes a text)");
    printf("status   %s, version %" PRId64 "\n", db_z(r, 0, 2), db_i64(r, 0, 3));
    if (db_null(r, 0, 6)) {
        printf("plan     none for this step\n");
    } else {
        printf("plan     due %s, %s %s\n", clock_text(db_time(r, 0, 6), due), db_z(r, 0, 7),
               db_z(r, 0, 8));
    }
    /* The name is left out: a text with it belongs to the patient, not on a screen. */
    v.v[VARIABLE_NAME] = v.v[VARIABLE_NAME].n ? STR("○○○") : STR("");
    v.v[VARIABLE_HOSPITAL] = str_of(s->config->site_name);
    v.v[VARIABLE_PHONE] = str_of(s->config->site_phone);
    template_appointment(&v, s->arena, db_time(r, 0, 1), clock_now());
    show(s->arena, "text", step->template, &v);
    return EXIT_DONE;
}

static int preview(struct session *s, const struct plan_options *o, const char *journey,
                   const char *step_id)
{
    struct problems p = {0};
    struct templates templates;
    struct journeys journeys;
    templates_load(s->arena, s->config->messaging.templates, &templates, &p);
    journeys_load(s->arena, s->config->messaging.journeys, &templates, &journeys, &p);
    if (p.count) {
        problems_print(&p, stderr);
        problems_release(&p);
        return EXIT_REFUSED;
    }
    const struct journey *j = journey_find(&journeys, journey);
    const struct journey_step *step = j ? journey_step_find(j, step_id) : NULL;
    if (!step) {
        return command_failed("plan", "there is no %s %s in %s", j ? "step" : "journey",
                              j ? step_id : journey, j ? j->file : s->config->messaging.journeys);
    }
    printf("%s %s: %s, template %s, class %s\n", j->id, step->id, j->title, step->template->id,
           message_class_name(j->class));
    if (o->appointment) {
        return preview_appointment(s, o, j, step);
    }
    show(s->arena, "sample", step->template, &step->template->sample);
    show(s->arena, "longest", step->template, &step->template->longest);
    return EXIT_DONE;
}

/* Without --appointment a preview needs the configuration only. */
static int preview_files(const struct plan_options *o, const char *journey, const char *step)
{
    int status = EXIT_REFUSED;
    struct session s = {.arena = arena_new(0)};
    s.config = s.arena ? config_open(s.arena, o->config, &status) : NULL;
    if (s.config) {
        status = preview(&s, o, journey, step);
    }
    session_close(&s);
    return status;
}

int cmd_plan(int argc, char **argv)
{
    struct plan_options o = {.limit = "100"};
    const struct command_option options[] = {{"--config", &o.config, NULL},
                                             {"--state", &o.state, NULL},
                                             {"--patient", &o.patient, NULL},
                                             {"--limit", &o.limit, NULL},
                                             {"--appointment", &o.appointment, NULL},
                                             {"--json", NULL, &o.json},
                                             {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    bool lists = left == 1 && strcmp(argv[1], "list") == 0;
    if (!lists && !(left == 3 && strcmp(argv[1], "preview") == 0)) {
        return command_usage("plan", "say what to do: list, or preview JOURNEY STEP");
    }
    if (!lists && !o.appointment) {
        return preview_files(&o, argv[2], argv[3]);
    }
    struct session s;
    if (session_open(&s, "plan", o.config, &status) &&
        (lists || session_keys(&s, "plan", &status))) {
        status = lists ? list(&s, &o) : preview(&s, &o, argv[2], argv[3]);
    }
    session_close(&s);
    return status;
}
