#include "core/base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static usec from_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (usec)t.tv_sec * USEC_SECOND + t.tv_nsec / 1000;
}

usec clock_real(void)
{
    return from_clock(CLOCK_REALTIME);
}

usec clock_mono(void)
{
    return from_clock(CLOCK_MONOTONIC);
}

usec clock_now(void)
{
    static const char *path;
    static bool looked;
    if (!looked) {
        looked = true;
        path = getenv("DARI_CLOCK");
    }
    if (!path) {
        return clock_real();
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return clock_real();
    }
    char text[64];
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    usec at;
    if (n <= 0 || clock_parse(str_trim((struct str){text, (size_t)n}), &at, NULL) != ERR_NONE) {
        return clock_real();
    }
    return at;
}

/* Howard Hinnant's civil calendar algorithms (public domain description). */
int32_t day_of(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era = (y >= 0 ? y : y - 399) / 400;
    int yoe = y - era * 400;
    int doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

void day_civil(int32_t z, struct civil *out)
{
    z += 719468;
    int era = (z >= 0 ? z : z - 146096) / 146097;
    int doe = z - era * 146097;
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (5 * doy + 2) / 153;
    out->day = doy - (153 * mp + 2) / 5 + 1;
    out->month = mp < 10 ? mp + 3 : mp - 9;
    out->year = yoe + era * 400 + (out->month <= 2);
    int w = (z - 719468 + 4) % 7;
    out->weekday = w < 0 ? w + 7 : w;
}

bool day_valid(int year, int month, int day)
{
    static const int last[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= last[month - 1] + (month == 2 && leap);
}

/*
 * What the zone says of one UTC day. When its first and its last second have the same offset, so
 * has every second between: no zone changes twice in a day. libc reads the zone's rules anew at
 * every call, which costs more than everything else that is done with a time.
 */
struct zone_day {
    int64_t day;
    int offset;
    bool known, steady;
};
enum { ZONE_DAYS = 64, DAY_SECONDS = 86400 };
static struct zone_day zone_days[ZONE_DAYS];

enum err_code zone_set(const char *name, struct err *e)
{
    char path[256];
    int n = snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    if (strstr(name, "..") || n >= (int)sizeof path || access(path, R_OK) != 0) {
        return ERR(e, ERR_CONFIG, 0,
                   "time zone %s is not on this machine (install tzdata, or correct the name)",
                   name);
    }
    setenv("TZ", name, 1);
    tzset();
    memset(zone_days, 0, sizeof zone_days);
    return ERR_NONE;
}

static int libc_offset(int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    localtime_r(&t, &tm);
    return (int)tm.tm_gmtoff;
}

static const struct zone_day *zone_of(int64_t day)
{
    struct zone_day *z = &zone_days[day & (ZONE_DAYS - 1)];
    if (!z->known || z->day != day) {
        int64_t first = day * DAY_SECONDS;
        int offset = libc_offset(first);
        *z = (struct zone_day){day, offset, true, offset == libc_offset(first + DAY_SECONDS - 1)};
    }
    return z;
}

static void split(usec at, int64_t *day, int *second, int *rest)
{
    usec r = at % USEC_SECOND;
    r += r < 0 ? USEC_SECOND : 0;
    int64_t seconds = (at - r) / USEC_SECOND, s = seconds % DAY_SECONDS;
    s += s < 0 ? DAY_SECONDS : 0;
    *day = (seconds - s) / DAY_SECONDS;
    *second = (int)s;
    *rest = (int)r;
}

/* What a clock shows that is `offset` seconds east of UTC. */
static struct civil civil_at(usec at, int offset)
{
    struct civil c = {.offset = offset};
    int64_t day;
    int second;
    split(at + (usec)offset * USEC_SECOND, &day, &second, &c.usec);
    day_civil((int32_t)day, &c);
    c.hour = second / 3600;
    c.minute = second / 60 % 60;
    c.second = second % 60;
    return c;
}

struct civil zone_local(usec at)
{
    int64_t day;
    int second, rest;
    split(at, &day, &second, &rest);
    const struct zone_day *z = zone_of(day);
    return civil_at(at, z->steady ? z->offset : libc_offset(day * DAY_SECONDS + second));
}

int32_t zone_day(usec at)
{
    struct civil c = zone_local(at);
    return day_of(c.year, c.month, c.day);
}

usec zone_instant(int32_t day, int hour, int minute, int second)
{
    const struct zone_day before = *zone_of(day - 1), here = *zone_of(day),
                          next = *zone_of(day + 1);
    bool steady = before.steady && here.steady && next.steady;
    if (steady && before.offset == here.offset && here.offset == next.offset) {
        return ((usec)day * DAY_SECONDS + hour * 3600 + minute * 60 + second - here.offset) *
               USEC_SECOND;
    }
    struct civil c;
    day_civil(day, &c);
    struct tm tm = {.tm_year = c.year - 1900,
                    .tm_mon = c.month - 1,
                    .tm_mday = c.day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second,
                    .tm_isdst = -1};
    return (usec)mktime(&tm) * USEC_SECOND;
}

/* `n` in so many digits, and what shall follow; returns where that ends. */
static char *put(char *to, int n, int digits, const char *behind)
{
    unsigned rest = (unsigned)n;
    for (int i = digits; i-- > 0; rest /= 10) {
        to[i] = (char)('0' + rest % 10);
    }
    to += digits;
    while (*behind) {
        *to++ = *behind++;
    }
    return to;
}

static char *put_day(char *to, const struct civil *c)
{
    to = put(to, c->year % 10000, 4, "-");
    to = put(to, c->month, 2, "-");
    return put(to, c->day, 2, "");
}

static const char *text(const struct civil *c, bool utc, char out[CLOCK_TEXT])
{
    char *to = put_day(out, c);
    *to++ = 'T';
    to = put(to, c->hour, 2, ":");
    to = put(to, c->minute, 2, ":");
    to = put(to, c->second, 2, c->usec ? "." : "");
    if (c->usec) {
        to = put(to, c->usec, 6, "");
    }
    int minutes = abs(c->offset) / 60;
    if (utc) {
        *to++ = 'Z';
    } else {
        *to++ = c->offset < 0 ? '-' : '+';
        to = put(to, minutes / 60, 2, ":");
        to = put(to, minutes % 60, 2, "");
    }
    *to = '\0';
    return out;
}

const char *clock_text(usec at, char out[CLOCK_TEXT])
{
    struct civil c = zone_local(at);
    return text(&c, false, out);
}

const char *clock_text_utc(usec at, char out[CLOCK_TEXT])
{
    struct civil c = civil_at(at, 0);
    return text(&c, true, out);
}

const char *day_text(int32_t day, char out[CLOCK_TEXT])
{
    struct civil c;
    day_civil(day, &c);
    *put_day(out, &c) = '\0';
    return out;
}

/* Reads exactly n digits; false when there are not so many. */
static bool digits(struct str s, size_t *at, size_t n, int *out)
{
    int v = 0;
    if (s.n - *at < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = s.p[*at + i];
        if (c < '0' || c > '9') {
            return false;
        }
        v = v * 10 + (c - '0');
    }
    *at += n;
    *out = v;
    return true;
}

static bool one(struct str s, size_t *at, const char *any)
{
    if (*at < s.n && strchr(any, s.p[*at]) && s.p[*at]) {
        (*at)++;
        return true;
    }
    return false;
}

static bool date(struct str s, size_t *at, int32_t *day)
{
    int y, m, d;
    if (!digits(s, at, 4, &y) || !one(s, at, "-") || !digits(s, at, 2, &m) || !one(s, at, "-") ||
        !digits(s, at, 2, &d) || !day_valid(y, m, d)) {
        return false;
    }
    *day = day_of(y, m, d);
    return true;
}

enum err_code day_parse(struct str s, int32_t *out, struct err *e)
{
    size_t at = 0;
    int32_t day;
    if (!date(s, &at, &day) || at != s.n) {
        return ERR(e, ERR_VALUE, at, "not a date like 2026-03-11");
    }
    *out = day;
    return ERR_NONE;
}

static int fraction(struct str s, size_t *at)
{
    int v = 0, scale = 100000;
    while (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9') {
        v += (s.p[(*at)++] - '0') * scale;
        scale /= 10;
    }
    return v;
}

enum err_code clock_parse(struct str s, usec *out, struct err *e)
{
    size_t at = 0;
    int32_t day;
    int h, mi, sec, oh = 0, om = 0, frac = 0;
    if (!date(s, &at, &day) || !one(s, &at, "Tt ") || !digits(s, &at, 2, &h) || !one(s, &at, ":") ||
        !digits(s, &at, 2, &mi) || !one(s, &at, ":") || !digits(s, &at, 2, &sec) || h > 23 ||
        mi > 59 || sec > 60) {
        return ERR(e, ERR_VALUE, at, "not an instant like 2026-03-11T09:00:00+09:00");
    }
    if (one(s, &at, ".")) {
        frac = fraction(s, &at);
    }
    int sign = at < s.n && s.p[at] == '-' ? -1 : 1;
    if (!one(s, &at, "Zz") && !(one(s, &at, "+-") && digits(s, &at, 2, &oh) && one(s, &at, ":") &&
                                digits(s, &at, 2, &om) && oh < 24 && om < 60)) {
        return ERR(e, ERR_VALUE, at, "the instant has no offset (Z or +09:00)");
    }
    if (at != s.n) {
        return ERR(e, ERR_VALUE, at, "text after the instant");
    }
    usec seconds = (usec)day * 86400 + h * 3600 + mi * 60 + sec - sign * (oh * 3600 + om * 60);
    *out = seconds * USEC_SECOND + frac;
    return ERR_NONE;
}
