#include "core/base/log.h"

#include "core/base/arena.h"
#include "core/base/file.h"

#include <errno.h>
#include <log4c.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char role_name[32] = "dari";
static const log4c_category_t *category;
static bool started; /* log4c 1.2 cannot be initialised again after log4c_fini() */
static bool journal; /* journald wants "<6>" in front */

static const struct {
    int priority;
    int syslog;
    const char *name;
} levels[] = {
    [LOG_ERROR_] = {LOG4C_PRIORITY_ERROR, 3, "error"},
    [LOG_WARN_] = {LOG4C_PRIORITY_WARN, 4, "warn"},
    [LOG_INFO_] = {LOG4C_PRIORITY_INFO, 6, "info"},
    [LOG_DEBUG_] = {LOG4C_PRIORITY_DEBUG, 7, "debug"},
};

/* ---- our own log4c layout and appender: pass the finished line through, write it once ---- */

static const char *layout_format(const log4c_layout_t *layout, const log4c_logging_event_t *event)
{
    (void)layout;
    return event->evt_msg;
}

static void write_line(const char *line, size_t n)
{
    while (n > 0) {
        ssize_t w = write(STDERR_FILENO, line, n);
        if (w < 0) {
            if (errno == EINTR) {
                continue;
            }
            return; /* nowhere left to say it */
        }
        line += w;
        n -= (size_t)w;
    }
}

static int appender_append(log4c_appender_t *appender, const log4c_logging_event_t *event)
{
    (void)appender;
    write_line(event->evt_rendered_msg, strlen(event->evt_rendered_msg));
    return 0;
}

static const log4c_layout_type_t layout_type = {"dari_line", layout_format};
static const log4c_appender_type_t appender_type = {"dari_stderr", NULL, appender_append, NULL};

/* log4c looks for a log4crc by itself in $HOME and in the working folder: point it at nothing. */
static void no_other_log4crc(void)
{
    setenv("LOG4C_RCPATH", "/nonexistent", 1);
}

/* log4c 1.2.4 ends the process by an assertion when a comment stands before the root element. */
enum err_code log_check(const char *rc, struct err *e)
{
    struct str text;
    struct arena *a = arena_new(0);
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    enum err_code code = file_read(a, rc, 1024 * 1024, &text, e);
    if (code == ERR_NONE) {
        const char *comment = strstr(text.p, "<!--"), *root = strstr(text.p, "<log4c");
        if (!root || (comment && comment < root)) {
            code = ERR(e, ERR_CONFIG, 0, "%s: %s", rc,
                       root ? "log4c cannot read a comment before <log4c>: put it inside"
                            : "has no <log4c>");
        }
    }
    arena_free(&a);
    return code;
}

enum err_code log_open(const char *role, const char *rc, struct err *e)
{
    snprintf(role_name, sizeof role_name, "%s", role);
    journal = getenv("JOURNAL_STREAM") != NULL;
    if (category) { /* a role, after the fork: log4c cannot be ended and begun again */
        category = log4c_category_get(role_name);
        return ERR_NONE;
    }
    enum err_code code = rc ? log_check(rc, e) : ERR_NONE;
    if (code != ERR_NONE) {
        return code;
    }
    no_other_log4crc();
    char *home = getenv("HOME");
    char saved[512];
    snprintf(saved, sizeof saved, "%s", home ? home : "");
    setenv("HOME", "/nonexistent", 1);
    log4c_layout_type_set(&layout_type);
    log4c_appender_type_set(&appender_type);
    if (!started) {
        log4c_init();
        started = true;
    }
    if (home) {
        setenv("HOME", saved, 1);
    }
    if (rc && log4c_load(rc) != 0) {
        return ERR(e, ERR_CONFIG, 0, "%s: not a log4c configuration", rc);
    }
    log4c_category_t *root = log4c_category_get("root");
    log4c_layout_t *layout = log4c_layout_get("dari_line");
    log4c_layout_set_type(layout, &layout_type);
    log4c_appender_t *appender = log4c_appender_get("dari_stderr");
    log4c_appender_set_type(appender, &appender_type);
    log4c_appender_set_layout(appender, layout);
    log4c_appender_open(appender);
    log4c_category_set_appender(root, appender);
    if (!rc || log4c_category_get_priority(root) == LOG4C_PRIORITY_NOTSET) {
        log4c_category_set_priority(root, LOG4C_PRIORITY_INFO);
    }
    category = log4c_category_get(role_name);
    return ERR_NONE;
}

void log_close(void)
{
    category = NULL;
}

/* Control characters would forge lines; they become '?'. */
static void tame(char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            *s = '?';
        }
    }
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    if (category ? !log4c_category_is_priority_enabled(category, levels[level].priority)
                 : level > LOG_INFO_) {
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME,
                  &now); /* log lines carry the real time, whatever the clock says */
    struct tm tm;
    gmtime_r(&now.tv_sec, &tm);

    char line[1200];
    char *end = line + sizeof line - 2;
    int n = snprintf(line, sizeof line, "%s%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s %s", "",
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     now.tv_nsec / 1000000, levels[level].name, role_name, event);
    char *at = line + n;
    if (fmt[0] && at < end) {
        *at++ = ' ';
        va_list ap;
        va_start(ap, fmt);
        int m = vsnprintf(at, (size_t)(end - at), fmt, ap);
        va_end(ap);
        at += m < 0 ? 0 : m < end - at ? m : end - at - 1;
    }
    *at = '\0';
    tame(line);
    *at++ = '\n';
    *at = '\0';

    char out[1216];
    snprintf(out, sizeof out, journal ? "<%d>%s" : "%.0d%s", levels[level].syslog * journal, line);
    if (category) {
        log4c_category_log(category, levels[level].priority, "%s", out);
    } else {
        write_line(out, strlen(out));
    }
}

void log_err(enum log_level level, const char *event, const struct err *e)
{
    if (e->where[0]) {
        log_line(level, event, "code=%s at=%s error=\"%s\"", err_name(e->code), e->where, e->msg);
    } else {
        log_line(level, event, "code=%s error=\"%s\"", err_name(e->code), e->msg);
    }
}
