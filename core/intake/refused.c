#include "core/intake/refused.h"

#include "core/base/log.h"
#include "core/intake/group.h"

#include <string.h>

enum { WITHOUT_EVENTS = 1, WITHOUT_NAMES = 2 };

static bool class_is(const char *state, const char *class)
{
    return strncmp(state, class, 2) == 0;
}

/* Another session of this feed has just committed the same message. */
static bool is_taken(const char *state)
{
    return strcmp(state, "23505") == 0;
}

bool refused_for_itself(const struct adapter_host *h)
{
    const char *state = db_async_state(h->db);
    return class_is(state, "22") || (class_is(state, "23") && !is_taken(state));
}

/* One step further: what is tried next is kept, and said. */
static bool one_more(const struct adapter_host *h, int *doubt)
{
    const char *state = db_async_state(h->db);
    bool taken = is_taken(state);
    if (*doubt >= WITHOUT_NAMES || !(taken || refused_for_itself(h))) {
        return false;
    }
    ++*doubt;
    log_error("intake.refused-alone", "feed=%s state=%s next=%s", h->s.feed, state,
              taken                     ? "again"
              : *doubt == WITHOUT_NAMES ? "without-control-id"
                                        : "without-events");
    return true;
}

static bool has_nul(struct str s)
{
    return s.n && memchr(s.p, '\0', s.n);
}

/* Keeps the message, with less of what came out of it. */
static enum err_code keep_less(const struct intake_settings *s, struct job *j, struct err *e)
{
    struct mapped *m = &j->p.mapped;
    bool id = j->doubt == WITHOUT_NAMES || has_nul(j->p.control_id);
    bool type = j->doubt == WITHOUT_NAMES || has_nul(j->p.type);
    size_t events = m->count;
    *m = (struct mapped){.state = MAPPING_QUARANTINED, .mapping = m->mapping, .test = m->test};
    ERR(&m->problem, ERR_VALUE, 0, "the database does not take a value of the message");
    if (id || type) {
        err_at(&m->problem, id ? "MSH-10" : "MSH-9");
    } else {
        err_at(&m->problem, events == 1 ? "its event" : "one of %zu events", events);
    }
    j->p.control_id = id ? STR("") : j->p.control_id;
    j->p.type = type ? STR("") : j->p.type;
    memset(&j->p.part, 0, sizeof j->p.part);
    j->part = (struct job_part){.keep = false};
    return j->spooled ? ERR_NONE /* its reply has left */
                      : job_replies(s, j, j->p.raw, j->at, e);
}

bool refused_retry(struct adapter_host *h, struct job *j)
{
    struct err e = {0};
    if (!one_more(h, &j->doubt)) {
        return false;
    }
    if (is_taken(db_async_state(h->db))) {
        return true;
    }
    adapter_count(h, "kept_without_events", 1);
    return keep_less(&h->s, j, &e) == ERR_NONE;
}

bool refused_remember(struct adapter_host *h, const struct job *j)
{
    if (memcmp(h->doubted.id, j->p.id, sizeof h->doubted.id) != 0) {
        memcpy(h->doubted.id, j->p.id, sizeof h->doubted.id);
        h->doubted.doubt = 0;
    }
    if (!one_more(h, &h->doubted.doubt)) {
        h->doubted.doubt = 0; /* from the beginning, when it is tried again */
        return false;
    }
    return true;
}

enum err_code refused_recall(struct adapter_host *h, struct job *j, struct err *e)
{
    if (h->doubted.doubt == 0 || memcmp(h->doubted.id, j->p.id, sizeof j->p.id) != 0) {
        return ERR_NONE;
    }
    j->doubt = h->doubted.doubt;
    return keep_less(&h->s, j, e);
}
