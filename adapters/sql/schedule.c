#include "adapters/sql/schedule.h"

#include "core/base/num.h"

static enum err_code parse_time(struct str s, int *minutes, struct err *e)
{
    int64_t hour = 0, minute = 0;
    s = str_trim(s);
    if (s.n != 5 || s.p[2] != ':' || s.p[0] < '0' || s.p[3] < '0' ||
        num_i64(str_cut(s, 0, 2), 0, 23, &hour, NULL) != ERR_NONE ||
        num_i64(str_cut(s, 3, 5), 0, 59, &minute, NULL) != ERR_NONE) {
        return ERR(e, ERR_VALUE, 0, "times are written HH:MM, comma-separated, like 03:00,12:30");
    }
    *minutes = (int)(hour * 60 + minute);
    return ERR_NONE;
}

enum err_code schedule_parse(struct str at, struct schedule *out, struct err *e)
{
    *out = (struct schedule){0};
    struct str one;
    enum err_code code = ERR_NONE;
    if (str_trim(at).n == 0) {
        return ERR_NONE;
    }
    while (code == ERR_NONE && str_next(&at, ',', &one)) {
        if (out->count == SCHEDULE_TIMES) {
            return ERR(e, ERR_LIMIT, 0, "more than %d times a day", SCHEDULE_TIMES);
        }
        code = parse_time(one, &out->minutes[out->count++], e);
    }
    return code;
}

usec schedule_last(const struct schedule *s, usec now)
{
    usec best = INT64_MIN;
    int32_t today = zone_day(now);
    for (size_t i = 0; i < s->count; i++) {
        for (int back = 0; back < 2; back++) {
            usec at = zone_instant(today - back, s->minutes[i] / 60, s->minutes[i] % 60, 0);
            if (at <= now && at > best) {
                best = at;
            }
        }
    }
    return best;
}
