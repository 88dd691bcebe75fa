#include "tests/lib/tables.h"

#include "core/base/buf.h"

#include <stdio.h>
#include <string.h>

static void read_all(struct table *t, struct buf *out)
{
    struct table_row row;
    struct err e = {0};
    bool more = true;
    for (;;) {
        enum err_code code = table_next(t, &row, &more, &e);
        if (code != ERR_NONE) {
            buf_printf(out, "%s %s", err_name(code), e.where);
            return;
        }
        if (!more) {
            return;
        }
        buf_printf(out, "%lld", (long long)row.number);
        if (row.problem.code != ERR_NONE) {
            buf_printf(out, "!%s %s;", err_name(row.problem.code), row.problem.where);
            continue;
        }
        buf_addc(out, ':');
        for (size_t i = 0; i < row.count; i++) {
            buf_addc(out, i ? '|' : '[');
            buf_add(out, row.cells[i]);
        }
        buf_addc(out, ']');
    }
}

const char *table_text(const char *path, const struct table_settings *s)
{
    static struct buf out;
    struct table *t;
    struct err e = {0};
    buf_release(&out);
    buf_init(&out, 64 << 20);
    if (table_open(path, s, &t, &e) != ERR_NONE) {
        buf_printf(&out, "%s %s", err_name(e.code), e.where);
        return out.p;
    }
    size_t n;
    const struct str *header = table_header(t, &n);
    for (size_t i = 0; i < n; i++) {
        buf_addc(&out, i ? '|' : '[');
        buf_add(&out, header[i]);
    }
    buf_addc(&out, ']');
    read_all(t, &out);
    table_close(&t);
    return out.p;
}

static struct header_column *column(struct header_column *list, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        if (str_is(name, list[i].name)) {
            return &list[i];
        }
    }
    return NULL;
}

const struct header_names *table_names_with(struct arena *a, const char *columns)
{
    struct problems p = {0};
    const struct header_names *dictionary = header_load(a, "mappings/headers.xml", &p);
    problems_print(&p, stderr);
    problems_release(&p);
    struct header_names *names = arena_alloc(a, sizeof *names);
    struct header_column *list = arena_array(a, dictionary->count, sizeof *list);
    memcpy(list, dictionary->columns, dictionary->count * sizeof *list);
    *names = (struct header_names){.columns = list, .count = dictionary->count};
    struct str rest = str_of(columns), word;
    while (str_next(&rest, ' ', &word)) {
        char last = word.n ? word.p[word.n - 1] : '\0';
        bool flag = last && strchr("!+#", last);
        struct header_column *c = column(list, names->count, str_cut(word, 0, word.n - flag));
        if (c) {
            c->declared = true;
            c->required = last == '!';
            c->fill_down = last == '+';
            c->rrn = last == '#';
        }
    }
    return names;
}
