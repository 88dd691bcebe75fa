/*
 * The one way to log. Lines are logfmt on standard error, one write(2) each, with the syslog
 * priority in front when journald reads them:
 *
 *     2026-03-11T09:00:00.123Z info feed feed.started feed=emr port=2575
 *
 * log4c keeps the levels and categories (one category per role); its layouts and appenders
 * truncate, share static buffers and block on files, so both are ours. Other folders never include
 * log4c.
 *
 * log_info("feed.started", "feed=%s port=%d", name, port); a line without pairs has "" as its
 * format.
 *
 * A line names an event (feed.started), then key=value pairs. Values are our own ids, counts, codes
 * and places. Never a value from a message: tests grep for them.
 */
#ifndef DARI_BASE_LOG_H
#define DARI_BASE_LOG_H

#include "core/base/err.h"

enum log_level { LOG_ERROR_, LOG_WARN_, LOG_INFO_, LOG_DEBUG_ };

/*
 * Once per process; again after a fork to take another role's name. `rc` is a log4crc file or NULL
 * for level info. ERR_CONFIG when the file is not log4c's or names no usable root category. Until
 * it is called lines go out at level info.
 */
enum err_code log_open(const char *role, const char *rc, struct err *e);
/* Can `rc` be read, and is it a log4crc? What log_open() looks at first. */
enum err_code log_check(const char *rc, struct err *e);
void log_close(void);

#define log_error(event, ...) log_line(LOG_ERROR_, (event), __VA_ARGS__)
#define log_warn(event, ...) log_line(LOG_WARN_, (event), __VA_ARGS__)
#define log_info(event, ...) log_line(LOG_INFO_, (event), __VA_ARGS__)
#define log_debug(event, ...) log_line(LOG_DEBUG_, (event), __VA_ARGS__)

void log_line(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Logs an error with what was being done: event code=… at=… error="…" */
void log_err(enum log_level level, const char *event, const struct err *e);

#endif
