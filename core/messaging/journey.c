#include "core/messaging/journey.h"

#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/xml/xml.h"

#include <string.h>

static const char schema[] = "config/schemas/journey.rng";

/* Windows when a journey names none (crm §5.5). */
static const struct send_window default_window[] = {
    [MESSAGE_INFO] = {8 * 60, 20 * 60},
    [MESSAGE_AD] = {8 * 60, 20 * 60 + 50},
};

struct reading {
    struct arena *arena;
    const struct templates *templates;
    struct problems *problems;
    const char *file;
};

static int64_t number(struct str s)
{
    int64_t n = 0;
    num_i64(s, 0, 9999, &n, NULL);
    return n;
}

/* "10:00", as the schema made sure. */
static int minute_of(const char *text)
{
    struct str s = str_of(text);
    return (int)(number(str_cut(s, 0, 2)) * 60 + number(str_cut(s, 3, 5)));
}

/* "3d", "24h", "30m"; a span in days is days * 24 h here. */
static usec span(const struct xml_node *n, const char *name, bool *days)
{
    struct str s = str_of(xml_attr(n, name));
    if (s.n == 0) {
        return 0;
    }
    char unit = s.p[s.n - 1];
    *days = unit == 'd';
    return number(str_cut(s, 0, s.n - 1)) * (unit == 'd'   ? USEC_DAY
                                             : unit == 'h' ? USEC_HOUR
                                                           : USEC_MINUTE);
}

static void read_spans(const struct xml_node *n, struct journey_step *out)
{
    bool days = false, other;
    usec notice = span(n, "min-notice", &days);
    if (days) {
        out->notice_days = (int32_t)(notice / USEC_DAY);
    } else {
        out->notice = notice;
    }
    out->fresh = span(n, "fresh", &other);
    out->expires = span(n, "expires", &other);
}

static void read_step(struct reading *r, const struct xml_node *n, const struct journey *j,
                      struct journey_step *out)
{
    const char *name = xml_attr(n, "template");
    out->id = arena_z(r->arena, str_of(xml_attr(n, "id")));
    out->template = template_find(r->templates, name);
    out->once = xml_attr(n, "at") != NULL;
    if (!out->once) {
        out->days_before = (int)number(str_of(xml_attr(n, "days-before")));
        out->minute = minute_of(xml_attr(n, "time"));
        if (out->minute < j->window.from || out->minute >= j->window.to) {
            problem_add(r->problems, r->file, xml_line(n),
                        "step %s is due outside the journey's window: change its time", out->id);
        }
    }
    out->passed_send = strcmp(xml_attr_or(n, "passed", "skip"), "send") == 0;
    read_spans(n, out);
    if (!out->template) {
        problem_add(r->problems, r->file, xml_line(n),
                    "no template %s: add it to the templates folder, or correct the name", name);
    } else if (out->template->class != j->class) {
        problem_add(r->problems, r->file, xml_line(n),
                    "template %s is class %s, the journey is %s: they must be the same", name,
                    message_class_name(out->template->class), message_class_name(j->class));
    }
}

static void read_steps(struct reading *r, const struct xml_node *root, struct journey *j)
{
    size_t n = 0;
    for (const struct xml_node *s = xml_child(root, "step"); s; s = xml_sibling(s, "step")) {
        n++;
    }
    struct journey_step *steps = arena_array(r->arena, n ? n : 1, sizeof *steps);
    j->steps = steps;
    for (const struct xml_node *s = xml_child(root, "step"); s && steps;
         s = xml_sibling(s, "step")) {
        struct journey_step *step = &steps[j->step_count];
        read_step(r, s, j, step);
        if (journey_step_find(j, step->id)) {
            problem_add(r->problems, r->file, xml_line(s), "step %s is there twice", step->id);
        }
        j->step_count++;
    }
}

static void read_entries(struct reading *r, const struct xml_node *root, struct journey *j)
{
    for (const struct xml_node *n = xml_child(root, "entry"); n; n = xml_sibling(n, "entry")) {
        const char *event = xml_attr(n, "event");
        if (strcmp(event, "appointment.booked") == 0) {
            j->entries |= ENTRY_BOOKED;
        } else if (strcmp(event, "appointment.rescheduled") == 0) {
            j->entries |= ENTRY_RESCHEDULED;
        } else {
            problem_add(r->problems, r->file, xml_line(n),
                        "%s cannot start a journey: only appointment.booked and "
                        "appointment.rescheduled can",
                        event);
        }
    }
}

static void read_window(struct reading *r, const struct xml_node *root, struct journey *j)
{
    const struct xml_node *n = xml_child(root, "window");
    j->window = default_window[j->class];
    if (n) {
        j->window.from = minute_of(xml_attr(n, "from"));
        j->window.to = minute_of(xml_attr(n, "to"));
        if (j->window.from >= j->window.to) {
            problem_add(r->problems, r->file, xml_line(n),
                        "the window ends before it begins: it cannot go past midnight");
        }
    }
}

static bool read_journey(struct reading *r, struct journey *j)
{
    size_t before = r->problems->count;
    struct xml_doc *doc = xml_load(r->file, schema, r->problems);
    if (!doc || r->problems->count > before) {
        xml_free(&doc);
        return false;
    }
    const struct xml_node *root = xml_root(doc);
    j->id = arena_z(r->arena, str_of(xml_attr(root, "id")));
    j->title = arena_z(r->arena, str_of(xml_attr(root, "title")));
    j->file = r->file;
    j->class = strcmp(xml_attr(root, "class"), "ad") == 0 ? MESSAGE_AD : MESSAGE_INFO;
    j->essential = strcmp(xml_attr_or(root, "essential", "no"), "yes") == 0;
    if (j->essential && j->class == MESSAGE_AD) {
        problem_add(r->problems, r->file, xml_line(root), "an ad is never essential");
    }
    read_window(r, root, j);
    read_entries(r, root, j);
    read_steps(r, root, j);
    xml_free(&doc);
    return true;
}

void journeys_load(struct arena *a, const char *folder, const struct templates *t,
                   struct journeys *out, struct problems *p)
{
    struct err e = {0};
    char **files;
    size_t n;
    *out = (struct journeys){0};
    if (file_list(a, folder, ".xml", &files, &n, &e) != ERR_NONE) {
        problem_add(p, folder, 0, "%s", e.msg);
        return;
    }
    struct journey *items = arena_array(a, n ? n : 1, sizeof *items);
    for (size_t i = 0; items && i < n; i++) {
        struct reading r = {a, t, p, file_path(a, folder, files[i])};
        if (!r.file || !read_journey(&r, &items[out->count])) {
            continue;
        }
        out->items = items;
        const struct journey *same = journey_find(out, items[out->count].id);
        if (same) {
            problem_add(p, r.file, 1, "journey %s is already in %s", same->id, same->file);
        } else {
            out->count++;
        }
    }
}

const struct journey *journey_find(const struct journeys *j, const char *id)
{
    for (size_t i = 0; i < j->count; i++) {
        if (strcmp(j->items[i].id, id) == 0) {
            return &j->items[i];
        }
    }
    return NULL;
}

const struct journey_step *journey_step_find(const struct journey *j, const char *id)
{
    for (size_t i = 0; i < j->step_count; i++) {
        if (strcmp(j->steps[i].id, id) == 0) {
            return &j->steps[i];
        }
    }
    return NULL;
}
