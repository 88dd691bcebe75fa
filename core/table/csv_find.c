/* What a text table is: its character set, how its lines end, what separates its cells. */
#include "core/table/csv_internal.h"

#include <string.h>

enum { TRIAL_ROWS = 30 };

/*
 * UTF-16 without a mark: digits, blanks and delimiters have a zero byte, always on the same side.
 * A few letters have one on the other (대 is U+B300).
 */
static enum input_form by_zeros(const unsigned char *p, size_t n)
{
    size_t even = 0, odd = 0;
    for (size_t i = 0; i < n; i++) {
        even += p[i] == 0 && i % 2 == 0;
        odd += p[i] == 0 && i % 2 == 1;
    }
    return odd > n / 10 + 1 && even <= odd / 8    ? INPUT_UTF16LE
           : even > n / 10 + 1 && odd <= even / 8 ? INPUT_UTF16BE
                                                  : INPUT_NARROW;
}

static enum err_code find_charset(struct csv *c, const struct table_settings *s, struct err *e)
{
    unsigned char first[1024];
    size_t n = input_peek(&c->in, first, sizeof first);
    c->fallback = s->fallback;
    if (n >= 3 && memcmp(first, "\xEF\xBB\xBF", 3) == 0) {
        c->charset = CHARSET_UTF8;
        c->charset_known = true;
        c->in.begin = 3;
    } else if (n >= 2 && memcmp(first, "\xFF\xFE", 2) == 0) {
        c->in.form = INPUT_UTF16LE;
        c->in.begin = 2;
    } else if (n >= 2 && memcmp(first, "\xFE\xFF", 2) == 0) {
        c->in.form = INPUT_UTF16BE;
        c->in.begin = 2;
    } else if (!s->charset) {
        c->in.form = by_zeros(first, n);
    }
    if (s->charset && c->in.begin == 0) {
        c->charset = *s->charset;
        c->charset_known = true;
        c->in.form = c->charset == CHARSET_UTF16     ? INPUT_UTF16BE
                     : c->charset == CHARSET_UTF16LE ? INPUT_UTF16LE
                                                     : INPUT_NARROW;
    }
    if (c->in.form != INPUT_NARROW) {
        c->charset = CHARSET_UTF8;
        c->charset_known = true;
    }
    bool shifts = c->charset == CHARSET_ISO2022KR || c->charset == CHARSET_ISO2022JP;
    return shifts && c->charset_known
               ? ERR(e, ERR_UNSUPPORTED, 0, "tables in %s cannot be read", charset_name(c->charset))
               : ERR_NONE;
}

static void set_delimiter(struct csv *c, char delimiter)
{
    memset(c->special, 0, sizeof c->special);
    c->delimiter = delimiter;
    c->special[(unsigned char)delimiter] = c->special[(unsigned char)c->line_end] = true;
}

/* Old Macs end lines with a CR alone; a CR before LF or inside a cell is nothing special. */
static enum err_code find_line_end(struct csv *c, struct err *e)
{
    enum err_code code = input_rewind(&c->in, e);
    if (code == ERR_NONE) {
        code = input_fill(&c->in, e);
    }
    struct str text = {c->in.p, c->in.end};
    bool macs = str_find(text, '\n', 0) == text.n && str_find(text, '\r', 0) < text.n;
    c->line_end = macs ? '\r' : '\n';
    return code;
}

/* "sep=;" in the first line, which spreadsheets understand. */
static char declared_delimiter(const struct csv *c)
{
    struct str text = {c->in.p, c->in.end};
    bool there = text.n >= 6 && str_same(str_cut(text, 0, 4), STR("sep=")) &&
                 (text.p[5] == '\r' || text.p[5] == '\n');
    return there ? text.p[4] : '\0';
}

/*
 * A delimiter is as good as the header it makes, then as the number of rows that agree on how many
 * columns there are.
 */
static size_t try_delimiter(struct csv *c, const struct table_settings *s, char delimiter)
{
    struct raw_row row;
    bool more = true;
    size_t hits = 0, widths[TRIAL_ROWS], n = 0, agree = 0;
    int tries = TABLE_HEADER_SEARCH * 2;
    set_delimiter(c, delimiter);
    if (c->base.ops->rewind(&c->base, NULL) != ERR_NONE) {
        return 0;
    }
    while (n < TRIAL_ROWS && tries-- &&
           c->base.ops->next(&c->base, &row, &more, NULL) == ERR_NONE && more) {
        const struct header_names *fits;
        if (row.count < 2 || row.problem.code != ERR_NONE) {
            continue;
        }
        size_t h = s->names ? header_hits(s->names, c->a, &row, &fits) : 0;
        hits = h > hits ? h : hits;
        widths[n++] = row.count;
        size_t same = 0;
        for (size_t i = 0; i < n; i++) {
            same += widths[i] == row.count;
        }
        agree = same > agree ? same : agree;
    }
    return hits * 100 + agree;
}

static void find_delimiter(struct csv *c, const struct table_settings *s)
{
    static const char candidates[] = {',', '\t', ';', '|'};
    char best = s->delimiter ? s->delimiter : declared_delimiter(c);
    size_t most = 0;
    bool hides_bar =
        c->charset_known &&
        (c->charset == CHARSET_SJIS || c->charset == CHARSET_BIG5 || c->charset == CHARSET_GB18030);
    for (size_t i = 0; i < sizeof candidates && !best; i++) {
        size_t score = candidates[i] == '|' && hides_bar ? 0 : try_delimiter(c, s, candidates[i]);
        most = score > most ? score : most;
    }
    for (size_t i = 0; i < sizeof candidates && !best; i++) {
        bool hidden = candidates[i] == '|' && hides_bar;
        best = !hidden && try_delimiter(c, s, candidates[i]) == most ? candidates[i] : '\0';
    }
    set_delimiter(c, best ? best : ',');
    c->base.format = c->delimiter == '\t' ? "tsv" : "csv";
}

enum err_code csv_find(struct csv *c, const struct table_settings *s, struct err *e)
{
    enum err_code code = find_charset(c, s, e);
    if (code == ERR_NONE) {
        code = find_line_end(c, e);
    }
    if (code == ERR_NONE) {
        find_delimiter(c, s);
        /* trying may have settled on a character set from the middle of the file */
        c->charset_known = c->charset_known && (s->charset || c->in.form || c->in.begin);
    }
    return code;
}
