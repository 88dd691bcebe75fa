#include "core/app/role.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { BACKOFF_FIRST = 200, BACKOFF_LAST = 5000 };

volatile int role_stop;
static struct role_report *report;

static void on_stop(int signo)
{
    (void)signo;
    role_stop = 1;
}

enum err_code role_begin(const struct config *c, const char *name, struct err *e)
{
    char title[16];
    snprintf(title, sizeof title, "dari %s", name);
    prctl(PR_SET_NAME, title);
    struct sigaction sa = {.sa_handler = on_stop}; /* no SA_RESTART: poll() must return */
    sigemptyset(&sa.sa_mask);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* whoever can read its configuration again listens to it */
    enum err_code code = log_open(name, c->log4crc, e);
    if (code != ERR_NONE) {
        return code;
    }
    code = file_make_folder(c->run, 0700, e);
    if (code == ERR_NONE && chdir(c->home) != 0) {
        code = ERR(e, ERR_CONFIG, 0, "could not enter %s", c->home);
    }
    return code;
}

void role_reports_to(struct role_report *r)
{
    report = r;
}

void role_ready(void)
{
    if (report) {
        atomic_store(&report->ready, 1);
    }
}

static void tell(const struct err *why)
{
    if (report) {
        snprintf(report->text, sizeof report->text, "%s", why ? why->msg : "");
    }
}

int role_failed(const char *event, const struct err *why)
{
    log_err(LOG_ERROR_, event, why);
    tell(why);
    return err_class(why->code) == ERR_CLASS_CONFIG ? ROLE_MISCONFIGURED : 1;
}

void role_took(const struct err *why)
{
    if (report) {
        tell(why);
        atomic_store(&report->refused, why != NULL);
        atomic_store(&report->taken, atomic_load(&report->asked));
    }
}

void backoff_wait(struct backoff *b)
{
    b->ms = b->ms ? b->ms * 2 : BACKOFF_FIRST;
    if (b->ms > BACKOFF_LAST) {
        b->ms = BACKOFF_LAST;
    }
    usec until = clock_mono() + b->ms * 1000;
    for (usec now; !role_stop && (now = clock_mono()) < until;) {
        int64_t ms = (until - now) / 1000 + 1;
        poll(NULL, 0,
             ms < 100 ? (int)ms : 100); /* in slices: a signal may fall between check and poll */
    }
}

bool backoff_enter(struct backoff *b)
{
    bool first = !b->away;
    b->away = true;
    return first;
}

bool backoff_leave(struct backoff *b)
{
    bool was = b->away;
    *b = (struct backoff){0};
    return was;
}
