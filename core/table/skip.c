/* Rows that are no data: empty ones, the header again, totals, what is printed below a list. */
#include "core/base/text.h"
#include "core/table/table_internal.h"

#include <string.h>

bool row_is_empty(const struct raw_row *row)
{
    if (row->count && row->cells[0].n && (unsigned char)row->cells[0].p[0] > ' ') {
        return false;
    }
    for (size_t i = 0; i < row->count; i++) {
        if (text_trim(row->cells[i]).n) {
            return false;
        }
    }
    return true;
}

/* Printed lists repeat their header on every page. */
static bool is_header(const struct table *t, const struct raw_row *row)
{
    if (t->header_row == 0 || row->count < t->count) {
        return false;
    }
    for (size_t i = 0; i < t->count; i++) {
        struct str cell = text_trim(row->cells[i]);
        if (cell.n && (cell.p[0] != t->header[i].p[0] || !str_eq(cell, t->header[i]))) {
            return false;
        }
    }
    return true;
}

static bool one_of(struct str s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_is(s, words[i])) {
            return true;
        }
    }
    return false;
}

/* "총35건" → "총": counts and units behind the word do not matter. */
static struct str bare_word(struct str s)
{
    static const char *const units[] = {"건", "명", "원", "개", "회", "행", "：", ":", ","};
    for (size_t before = s.n + 1; s.n < before;) {
        before = s.n;
        while (s.n && s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9') {
            s.n--;
        }
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            s.n -= str_ends(s, str_of(units[i])) ? strlen(units[i]) : 0;
        }
    }
    return s;
}

/* "< 총 35건 >" → " 총 35건 " */
static struct str unmarked(struct str s)
{
    static const char ascii[] = "<>[]=~-*";
    while (s.n && memchr(ascii, s.p[0], sizeof ascii - 1)) {
        s = str_cut(s, 1, s.n);
    }
    while (s.n && memchr(ascii, s.p[s.n - 1], sizeof ascii - 1)) {
        s.n--;
    }
    return str_cut(s, str_starts(s, STR("※")) ? strlen("※") : 0, s.n);
}

/* Most cells are seen at their first character not to be a word for a total. */
static bool may_be_total(struct str s)
{
    static const char *const first[] = {"합", "총", "소", "누", "계", "전",
                                        "일", "월", "평", "수", "환", "("};
    if (s.n < 3 || s.n > 48) {
        return false;
    }
    char c = s.p[0];
    if ((unsigned char)c < 0x80 && c != '(') {
        return c == 't' || c == 'T' || c == 's' || c == 'S' || c == 'g' || c == 'G';
    }
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        if (c == first[i][0] && str_starts(s, str_of(first[i]))) {
            return true;
        }
    }
    return false;
}

static bool total_word(struct arena *a, struct str cell, bool first)
{
    static const char *const words[] = {"합계", "총계",  "소계",     "총합계",
                                        "누계", "total", "subtotal", "grandtotal"};
    static const char *const weaker[] = {
        "합",   "계",   "총",   "전체", "총건수",   "총인원",   "총금액", "총인원수", "총수납액",
        "일계", "월계", "평균", "누적", "합계금액", "수납합계", "환자수", "sum"};
    cell = text_trim(unmarked(cell));
    if (!may_be_total(cell)) {
        return false;
    }
    struct header_key key = header_key(a, cell);
    struct str word = key.text.p ? bare_word(key.text) : STR("");
    return one_of(word, words, sizeof words / sizeof words[0]) ||
           (first && one_of(word, weaker, sizeof weaker / sizeof weaker[0]));
}

/* The word stands in the first cell that is filled, or behind what the subtotal is of. */
static bool is_total(struct table *t, const struct raw_row *row)
{
    bool first = true;
    for (size_t i = 0; i < row->count && i < 3; i++) {
        struct str cell = text_trim(row->cells[i]);
        if (cell.n && total_word(t->row, cell, first)) {
            return true;
        }
        first = first && cell.n == 0;
    }
    return false;
}

/* What programs print below a list stands alone in its row: 출력일시: 2026-03-05, 이하 여백. */
static bool is_foot(struct table *t, const struct raw_row *row)
{
    static const char *const words[] = {"출력일",   "출력시", "출력자", "인쇄일",
                                        "인쇄자",   "조회일", "조회자", "조회조건",
                                        "조회기간", "작성일", "작성자", "이하여백"};
    struct str only = {NULL, 0};
    for (size_t i = 0; i < row->count; i++) {
        struct str cell = text_trim(row->cells[i]);
        if (cell.n && only.n) {
            return false;
        }
        only = cell.n ? cell : only;
    }
    if (t->count < 2 || only.n > HEADER_BYTES || text_ascii(only) == only.n) {
        return false;
    }
    struct header_key key = header_key(t->row, unmarked(only));
    for (size_t i = 0; key.text.p && i < sizeof words / sizeof words[0]; i++) {
        if (str_starts(key.text, str_of(words[i]))) {
            return true;
        }
    }
    return false;
}

bool row_is_skipped(struct table *t, const struct raw_row *row)
{
    return is_header(t, row) || is_total(t, row) || is_foot(t, row);
}
