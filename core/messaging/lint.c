#include "core/messaging/lint.h"

#include <string.h>

/* Words that tell what somebody is treated for. Single syllables (암) would hit innocent words. */
static const char *const health_words[] = {
    "정신건강의학과", "정신과", "비뇨의학과", "비뇨기과", "산부인과", "항암",     "암센터",
    "종양",           "수술",   "시술",       "임플란트", "보톡스",   "필러",     "라식",
    "임신",           "낙태",   "난임",       "성병",     "우울",     "당뇨",     "고혈압",
    "투석",           "탈모",   "치질",       "처방",     "진단",     "검사결과", "검사 결과",
    "치료",           "교정",   "간염",       "에이즈",   "HIV",
};

static const char *const ad_words[] = {"할인", "이벤트", "특가", "혜택", "쿠폰", "무료", "광고"};

static const char *const short_links[] = {"bit.ly", "goo.gl",  "t.co/",  "tinyurl.com",
                                          "me2.do", "han.gl",  "vo.la",  "c11.kr",
                                          "url.kr", "buly.kr", "is.gd/", "ow.ly"};

static const char *find(struct str s, const char *word)
{
    struct str w = str_of(word);
    for (size_t i = 0; i + w.n <= s.n; i++) {
        if (memcmp(s.p + i, w.p, w.n) == 0) {
            return s.p + i;
        }
    }
    return NULL;
}

static int line_of(const struct template *t, const char *at)
{
    int line = t->line;
    for (const char *p = t->text.p; p < at; p++) {
        line += *p == '\n';
    }
    return line;
}

static void refuse_words(const struct template *t, const char *const *words, size_t n,
                         const char *why, struct problems *p)
{
    for (size_t i = 0; i < n; i++) {
        const char *at = find(t->text, words[i]);
        if (at) {
            problem_add(p, t->file, line_of(t, at), "\"%s\" %s", words[i], why);
        }
    }
}

static size_t digits_at(struct str s, size_t i)
{
    size_t n = 0;
    while (i + n < s.n && s.p[i + n] >= '0' && s.p[i + n] <= '9') {
        n++;
    }
    return n;
}

/* 02-123-4567, 031-1234-5678: a number that is written out stays when the site's own changes. */
static const char *find_phone(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        size_t area = digits_at(s, i);
        size_t middle =
            area && i + area < s.n && s.p[i + area] == '-' ? digits_at(s, i + area + 1) : 0;
        size_t last = i + area + 1 + middle;
        if (s.p[i] == '0' && (area == 2 || area == 3) && (middle == 3 || middle == 4) &&
            last < s.n && s.p[last] == '-' && digits_at(s, last + 1) == 4) {
            return s.p + i;
        }
    }
    return NULL;
}

static struct str last_line(struct str s)
{
    size_t from = s.n;
    while (from > 0 && s.p[from - 1] != '\n') {
        from--;
    }
    return str_cut(s, from, s.n);
}

/* 무료수신거부 or 무료거부, and a number that costs nothing. */
static bool says_how_to_refuse(struct str line)
{
    return (find(line, "무료수신거부") || find(line, "무료거부")) && find(line, "080");
}

static void lint_ad(const struct template *t, struct problems *p)
{
    static const char *const variants[] = {"(광/고)", "(광 고)", "[광고]", "(광.고)", "<광고>"};
    if (!str_starts(t->text, STR("(광고)"))) {
        problem_add(p, t->file, t->line, "an ad begins with (광고)");
    }
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        const char *at = find(t->text, variants[i]);
        if (at) {
            problem_add(p, t->file, line_of(t, at), "%s is not allowed: write (광고)", variants[i]);
        }
    }
    if (!says_how_to_refuse(last_line(t->text))) {
        problem_add(p, t->file, line_of(t, t->text.p + t->text.n),
                    "an ad ends with a line of 무료수신거부 and the 080 number");
    }
    if (!t->used[VARIABLE_HOSPITAL]) {
        problem_add(p, t->file, t->line, "an ad names its sender: use #{hospital}");
    }
}

void template_lint(const struct template *t, struct problems *p)
{
#define WORDS(list) (list), sizeof(list) / sizeof(list)[0]
    refuse_words(t, WORDS(health_words), "tells about health: leave it out", p);
    refuse_words(t, WORDS(short_links), "hides where a link goes: name the host", p);
    if (t->class == MESSAGE_INFO) {
        refuse_words(t, WORDS(ad_words),
                     "makes it an advertisement: leave it out, or make the template class=\"ad\"",
                     p);
        const char *phone = find_phone(t->text);
        if (phone) {
            problem_add(p, t->file, line_of(t, phone),
                        "a telephone number is written out: use #{phone}");
        }
    } else {
        lint_ad(t, p);
    }
#undef WORDS
    if (t->text.n == 0) {
        problem_add(p, t->file, t->line, "the text is empty");
    }
}

static bool looks_resident(const char d[13])
{
    int month = (d[2] - '0') * 10 + d[3] - '0', day = (d[4] - '0') * 10 + d[5] - '0';
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* YYMMDD, at most one hyphen or blank, seven digits: in the last 13 digits of what was read. */
bool lint_resident_number(struct str s)
{
    char last[13];
    size_t run = 0;      /* digits in `last` */
    bool joined = false; /* the one joint was there, after the first six of them */
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            joined = !joined && run >= 6 && (s.p[i] == '-' || s.p[i] == ' ');
            if (joined) {
                memmove(last, last + run - 6, 6);
            }
            run = joined ? 6 : 0;
            continue;
        }
        if (run == 13) {
            memmove(last, last + 1, 12);
            run = 12;
        }
        last[run++] = s.p[i];
        if (run == 13 && looks_resident(last)) {
            return true;
        }
    }
    return false;
}
