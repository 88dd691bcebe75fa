/* The options of each adapter are what its README lists, with their defaults; nothing else is. */
#include "core/adapter.h"
#include "core/base/arena.h"
#include "core/base/file.h"
#include "tests/lib/cm.h"

#include <stdio.h>

enum { MAX_OPTIONS = 100 };

/* A cell as it is read: without its backquotes, bars unescaped. */
static struct str cell(struct arena *a, struct str *line)
{
    char *text = arena_alloc(a, line->n + 1);
    size_t n = 0, i = 0;
    for (; i < line->n && line->p[i] != '|'; i++) {
        i += line->p[i] == '\\' && i + 1 < line->n;
        if (line->p[i] != '`') {
            text[n++] = line->p[i];
        }
    }
    *line = str_cut(*line, i + 1, line->n);
    return str_trim((struct str){text, n});
}

/* The row of one option; `*listed` holds those that were there before. */
static void one_row(struct arena *a, const struct adapter_ops *ops, struct str line, bool *listed)
{
    char why[200];
    line = str_cut(line, 1, line.n);
    struct str name = cell(a, &line), dflt = cell(a, &line);
    snprintf(why, sizeof why, "%s: %.*s", ops->name, STR_ARG(name));
    const struct option_row *row = option_find(ops->options, name);
    assert_row(row != NULL, why);
    assert_same(dflt, str_of(row->dflt), why);
    assert_row(!listed[row - ops->options], why);
    listed[row - ops->options] = true;
}

static void one_readme(struct arena *a, const struct adapter_ops *ops)
{
    bool listed[MAX_OPTIONS] = {false}, inside = false;
    struct str text, line;
    const char *path = arena_printf(a, "adapters/%s/README.md", ops->name);
    assert_row(file_read(a, path, 1 << 20, &text, NULL) == ERR_NONE, path);
    for (struct str rest = text; str_next(&rest, '\n', &line);) {
        if (str_starts(line, STR("| option |"))) {
            inside = true;
        } else if (inside && str_starts(line, STR("| `"))) {
            one_row(a, ops, line, listed);
        } else if (!str_starts(line, STR("|"))) {
            inside = false;
        }
    }
    for (const struct option_row *r = ops->options; r->name; r++) {
        assert_true(r - ops->options < MAX_OPTIONS);
        assert_row(listed[r - ops->options], arena_printf(a, "%s: %s", ops->name, r->name));
    }
}

static void the_readmes_list_the_options(void **state)
{
    (void)state;
    for (const struct adapter_ops *const *ops = adapters; *ops; ops++) {
        struct arena *a = arena_new(0);
        one_readme(a, *ops);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_readmes_list_the_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
