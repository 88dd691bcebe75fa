/* Values as people write them into lists: 26.3.11, 3월 11일 오후 5:00, 35만원, 동의. */
#include "core/mapping/convert.h"

#include "core/base/text.h"

#include <string.h>

enum { MOST = 64 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- reading ---- */

/* Words that stand for themselves in one letter, so that a value can be read byte by byte. */
struct word {
    const char *text;
    char letter;
};

struct cursor {
    char s[MOST + 1];
    size_t n, i;
};

/* False when something is in it that none of the words explains. */
static bool shorten(struct str in, const struct word *words, size_t count, struct cursor *out)
{
    out->n = out->i = 0;
    for (size_t i = 0; i < in.n;) {
        size_t k = 0;
        while (k < count &&
               !str_same(str_cut(in, i, i + strlen(words[k].text)), str_of(words[k].text))) {
            k++;
        }
        size_t next = i;
        char c = k < count ? words[k].letter : text_plain(text_next(in, &next));
        i = k < count ? i + strlen(words[k].text) : next;
        if ((k == count && (c == 'x' || c < ' ')) || out->n == MOST) {
            return false;
        }
        if (c != '_') {
            out->s[out->n++] = c;
        }
    }
    out->s[out->n] = '\0';
    return true;
}

static void blanks(struct cursor *c)
{
    while (c->s[c->i] == ' ') {
        c->i++;
    }
}

static bool eat(struct cursor *c, char letter)
{
    blanks(c);
    if (c->s[c->i] != letter) {
        return false;
    }
    c->i++;
    return true;
}

/* A number of at most `most` digits; how many it has, 0 when there is none. */
static size_t number(struct cursor *c, size_t most, int *out)
{
    size_t n = 0;
    blanks(c);
    *out = 0;
    while (n < most && is_digit(c->s[c->i])) {
        *out = *out * 10 + (c->s[c->i++] - '0');
        n++;
    }
    return is_digit(c->s[c->i]) ? 0 : n;
}

/* ---- dates and times ---- */

static const struct word time_words[] = {
    {"년", 'Y'},     {"월요일", '_'}, {"화요일", '_'}, {"수요일", '_'}, {"목요일", '_'},
    {"금요일", '_'}, {"토요일", '_'}, {"일요일", '_'}, {"(월)", '_'},   {"(화)", '_'},
    {"(수)", '_'},   {"(목)", '_'},   {"(금)", '_'},   {"(토)", '_'},   {"(일)", '_'},
    {"월", 'M'},     {"일", 'D'},     {"시", 'h'},     {"분", 'm'},     {"초", 's'},
    {"오전", 'a'},   {"오후", 'p'},   {"AM", 'a'},     {"PM", 'p'},
};

/* '26 is this century or the last: the future begins next year. */
static int full_year(int year, size_t digits, int this_year)
{
    if (digits == 4) {
        return year;
    }
    int century = this_year / 100 * 100;
    return century + year > this_year + 1 ? century - 100 + year : century + year;
}

/* A day of the year of `about`, or of the next one when that is nearer: 1월 3일 after 12월 28일. */
static bool guess_year(const struct sheet_hints *hints, struct hl7_time *t)
{
    if (!hints->about) {
        return false;
    }
    t->at.year = hints->about->at.year;
    const struct civil *a = &hints->about->at;
    int32_t from = day_of(a->year, a->month, a->day);
    if (day_valid(t->at.year, t->at.month, t->at.day) &&
        day_of(t->at.year, t->at.month, t->at.day) < from - 183) {
        t->at.year++;
    }
    return true;
}

enum form { FORM_BAD, FORM_DATE, FORM_NO_YEAR };

/* 2026년 3월 11일 · 3월 11일 · 2026-3-11 · 2026. 3. 11. · 26/03/11 · 3/11 · 2026년 3월 */
static enum form read_date(struct cursor *c, const struct sheet_hints *hints, struct hl7_time *t)
{
    int first, second = 0, third = 0;
    size_t n = number(c, 4, &first), m, d;
    blanks(c);
    char mark = c->s[c->i];
    if (n == 0 || n == 3 || !mark || !strchr("YM-./", mark)) {
        return FORM_BAD;
    }
    c->i++;
    m = number(c, 2, &second);
    t->precision = PRECISION_DAY;
    if (mark == 'M') { /* 3월 11일 */
        t->at.month = first;
        t->at.day = second;
        return n < 3 && m && eat(c, 'D') ? FORM_NO_YEAR : FORM_BAD;
    }
    if (m == 0 || n < 2) {
        t->at.month = first;
        t->at.day = second;
        return n == 1 && m && mark == '/' ? FORM_NO_YEAR : FORM_BAD;
    }
    t->at.month = second;
    blanks(c);
    if (mark == 'Y') {
        if (!eat(c, 'M')) {
            return FORM_BAD;
        }
        d = number(c, 2, &third);
        t->precision = d ? PRECISION_DAY : PRECISION_MONTH;
        bool ended = d == 0 || eat(c, 'D');
        t->at.year = full_year(first, n, hints->year);
        t->at.day = d ? third : 1;
        return ended ? FORM_DATE : FORM_BAD;
    }
    if (c->s[c->i] != mark) { /* 2026-03, or 03/11 */
        t->at.year = first;
        t->precision = PRECISION_MONTH;
        if (n == 2) {
            t->at.month = first;
            t->at.day = second;
            t->precision = PRECISION_DAY;
        }
        return n == 4 ? FORM_DATE : mark == '/' ? FORM_NO_YEAR : FORM_BAD;
    }
    c->i++;
    d = number(c, 2, &third);
    t->at.year = full_year(first, n, hints->year);
    t->at.day = third;
    if (mark == '.') {
        eat(c, '.');
    }
    return d ? FORM_DATE : FORM_BAD;
}

/* 17:00 · 17:00:30 · 오후 5:00 · 오후 5시 30분 · 5:00 PM · 1700 */
static bool read_clock(struct cursor *c, struct hl7_time *t)
{
    int hour, minute = 0, second = 0;
    eat(c, 'T');
    bool before_noon = eat(c, 'a'), after_noon = !before_noon && eat(c, 'p');
    size_t from = c->i;
    if (number(c, 4, &hour) >= 3 && c->s[c->i] != ':') {
        minute = hour % 100;
        hour /= 100;
    } else {
        c->i = from;
        if (!number(c, 2, &hour)) {
            return false;
        }
        bool korean = eat(c, 'h');
        if (!korean && !eat(c, ':')) {
            return false;
        }
        size_t m = number(c, 2, &minute);
        if ((!korean && m != 2) || (korean && m && !eat(c, 'm'))) {
            return false;
        }
        bool more = korean ? m && number(c, 2, &second) : eat(c, ':');
        if (more && (korean ? !eat(c, 's') : number(c, 2, &second) == 0)) {
            return false;
        }
    }
    before_noon = before_noon || (!after_noon && eat(c, 'a'));
    after_noon = after_noon || (!before_noon && eat(c, 'p'));
    if ((before_noon || after_noon) && (hour > 12 && before_noon)) {
        return false;
    }
    if (before_noon && hour == 12) {
        hour = 0;
    } else if (after_noon && hour < 12) {
        hour += 12;
    }
    t->at.hour = hour;
    t->at.minute = minute;
    t->at.second = second;
    t->precision = PRECISION_MINUTE;
    return true;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

static enum err_code check_range(const struct hl7_time *t, struct err *e)
{
    if (t->at.year < 1800 || t->at.year > 2999 || !day_valid(t->at.year, t->at.month, t->at.day)) {
        return ERR(e, ERR_VALUE, 0, "is a day that is not in the calendar");
    }
    if (t->at.hour > 23 || t->at.minute > 59 || t->at.second > 59) {
        return ERR(e, ERR_VALUE, 0, "is a time of day that no clock shows");
    }
    return ERR_NONE;
}

/* A list may give the day in one column and day and time in the next: then the second one holds. */
static bool rest_is_whole(const struct cursor *c, const struct sheet_hints *hints,
                          struct hl7_time *out)
{
    struct cursor rest = *c;
    struct hl7_time t = {.at = {.month = 1, .day = 1}};
    blanks(&rest);
    struct str text = {rest.s + rest.i, rest.n - rest.i};
    if (hl7_time_parse(text, &t, NULL) == ERR_NONE && t.precision > PRECISION_DAY && text.n > 10) {
        *out = t;
        return t.at.year > SHEET_NO_YEAR;
    }
    if (read_date(&rest, hints, &t) != FORM_DATE || t.precision != PRECISION_DAY ||
        !read_clock(&rest, &t) || t.at.year <= SHEET_NO_YEAR) {
        return false;
    }
    blanks(&rest);
    *out = t;
    return rest.i == rest.n;
}

/* 20260311, with its time behind it; 260311 when that is all. */
static enum form read_day(struct cursor *c, bool six, const struct sheet_hints *hints,
                          struct hl7_time *t)
{
    int all;
    size_t from = c->i, n = number(c, 8, &all);
    if (n != 8 && !(six && n == 6)) {
        c->i = from;
        return read_date(c, hints, t);
    }
    t->at.year = full_year(all / 10000, n == 8 ? 4 : 2, hints->year);
    t->at.month = all / 100 % 100;
    t->at.day = all % 100;
    bool day = day_valid(t->at.year, t->at.month, t->at.day);
    if (n == 6 && !day && all / 100 >= 1900 && all / 100 < 2100) { /* 202603 */
        *t = (struct hl7_time){.at = {.year = all / 100, .month = all % 100, .day = 1},
                               .precision = PRECISION_MONTH};
    }
    return FORM_DATE;
}

enum err_code sheet_moment(struct str in, const struct sheet_hints *hints, struct hl7_time *out,
                           struct err *e)
{
    struct hl7_time t = {.at = {.month = 1, .day = 1}};
    struct cursor c;
    in = str_trim(in);
    if (sheet_serial(in, &t)) {
        *out = t;
        return ERR_NONE;
    }
    bool six = in.n == 6 && all_digits(in);
    if (!six && hl7_time_parse(in, out, NULL) == ERR_NONE) {
        return ERR_NONE;
    }
    if (!shorten(in, time_words, sizeof time_words / sizeof time_words[0], &c)) {
        return ERR(e, ERR_VALUE, 0, "is not a date or time");
    }
    t.precision = PRECISION_DAY;
    enum form form = read_day(&c, six, hints, &t);
    if (form == FORM_BAD) {
        return ERR(e, ERR_VALUE, 0, "is not a date or time");
    }
    if (form == FORM_NO_YEAR && !guess_year(hints, &t)) {
        return ERR(e, ERR_VALUE, 0, "is a date without its year");
    }
    blanks(&c);
    if (c.i < c.n && t.precision == PRECISION_DAY) {
        struct hl7_time second;
        if (rest_is_whole(&c, hints, &second)) {
            t = second;
            c.i = c.n;
        } else if (!read_clock(&c, &t)) {
            return ERR(e, ERR_VALUE, 0, "is not a date or time");
        }
    }
    blanks(&c);
    if (c.i != c.n) {
        return ERR(e, ERR_VALUE, 0, "is not a date or time");
    }
    enum err_code code = check_range(&t, e);
    if (code == ERR_NONE) {
        *out = t;
    }
    return code;
}

/* ---- amounts ---- */

static const struct word amount_words[] = {{"억", '\1'}, {"만", '\2'}, {"천", '\3'}, {"원", '\4'},
                                           {"₩", '_'},   {"￦", '_'},  {"KRW", '_'}};

/* Digits with commas, and a fraction in thousandths. */
static bool read_thousandths(struct cursor *c, int64_t *out)
{
    int64_t v = 0, scale = 1000;
    size_t n = 0;
    for (; is_digit(c->s[c->i]) || (n && c->s[c->i] == ',' && is_digit(c->s[c->i + 1])); c->i++) {
        if (c->s[c->i] != ',') {
            v = v * 10 + (c->s[c->i] - '0');
            n++;
        }
        if (v > (int64_t)1000000000000) {
            return false;
        }
    }
    v *= 1000;
    if (n && c->s[c->i] == '.') {
        for (c->i++; is_digit(c->s[c->i]); c->i++) {
            scale /= 10;
            if (scale == 0 && c->s[c->i] != '0') {
                return false;
            }
            v += (c->s[c->i] - '0') * scale;
        }
    }
    *out = v;
    return n > 0;
}

enum err_code sheet_amount(struct str in, bool ten_thousands, int64_t *out, struct err *e)
{
    static const struct {
        char letter;
        int64_t times;
    } units[] = {{'\1', 100000000}, {'\2', 10000}, {'\3', 1000}};
    struct cursor c;
    int64_t total = 0, last = INT64_MAX, part = 0;
    bool said = false,
         ok = shorten(str_trim(in), amount_words, sizeof amount_words / sizeof amount_words[0], &c);
    bool minus = ok && eat(&c, '-');
    bool paren = ok && !minus && eat(&c, '(');
    blanks(&c);
    while (ok && c.i < c.n && c.s[c.i] != '\4' && c.s[c.i] != ')') {
        ok = read_thousandths(&c, &part);
        blanks(&c);
        int64_t times = 1;
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (c.s[c.i] == units[i].letter) {
                times = units[i].times;
                said = true;
            }
        }
        c.i += times > 1;
        ok = ok && times < last && total < (int64_t)1000000000000000;
        last = times;
        total += ok ? part * times : 0;
        blanks(&c);
    }
    said = (ok && eat(&c, '\4')) || said;
    ok = ok && (!paren || eat(&c, ')'));
    blanks(&c);
    if (ten_thousands && !said) { /* a bare 4,900,000 is no number of 만원 */
        ok = ok && total < (int64_t)100000 * 1000;
        total *= 10000;
    }
    if (!ok || c.i != c.n || last == INT64_MAX || total % 1000) {
        return ERR(e, ERR_VALUE, 0, "is not an amount in whole won");
    }
    *out = minus || paren ? -(total / 1000) : total / 1000;
    return ERR_NONE;
}

/* ---- durations, counts, yes or no ---- */

enum err_code sheet_minutes(struct str in, int64_t *out, struct err *e)
{
    static const struct word words[] = {{"시간", 'h'}, {"분", 'm'},   {"hours", 'h'}, {"hour", 'h'},
                                        {"min", 'm'},  {"mins", 'm'}, {"H", 'h'},     {"M", 'm'}};
    struct cursor c;
    int first = 0, second = 0;
    bool ok =
        shorten(str_trim(in), words, sizeof words / sizeof words[0], &c) && number(&c, 4, &first);
    *out = first;
    if (ok && eat(&c, 'h')) {
        bool more = number(&c, 2, &second) > 0;
        ok = !more || eat(&c, 'm');
        *out = (int64_t)first * 60 + second;
    } else if (ok && eat(&c, ':')) {
        ok = number(&c, 2, &second) == 2;
        *out = (int64_t)first * 60 + second;
    } else if (ok) {
        eat(&c, 'm');
    }
    blanks(&c);
    return ok && c.i == c.n ? ERR_NONE : ERR(e, ERR_VALUE, 0, "is not a number of minutes");
}

struct str sheet_count(struct str in)
{
    static const char *const units[] = {"회차", "회", "차", "건", "명", "개", "점", "번"};
    in = str_trim(in);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (str_ends(in, str_of(units[i])) && in.n > strlen(units[i])) {
            return str_trim(str_cut(in, 0, in.n - strlen(units[i])));
        }
    }
    return in;
}

bool sheet_bool(struct str in, bool *out)
{
    static const char *const yes[] = {"예",   "네",       "유",   "있음", "동의", "동의함",
                                      "수신", "수신동의", "확인", "완료", "O",    "○",
                                      "◯",    "√",        "V",    "✓",    "☑",    "환불"};
    static const char *const no[] = {
        "아니오", "아니요", "무",       "없음", "미동의", "동의안함", "비동의",
        "거부",   "거부함", "수신거부", "철회", "미확인", "미완료",   "안함",
        "X",      "×",      "✕",        "☐",    "부",     "동의거부", "정상"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (str_same(in, str_of(yes[i]))) {
            *out = true;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (str_same(in, str_of(no[i]))) {
            *out = false;
            return true;
        }
    }
    return false;
}
