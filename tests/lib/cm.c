#include "tests/lib/cm.h"

#include <stdio.h>

static void show(const char *label, struct str s)
{
    fprintf(stderr, "#   %s (%zu bytes): ", label, s.n);
    for (size_t i = 0; i < s.n && i < 400; i++) {
        unsigned char c = (unsigned char)s.p[i];
        fprintf(stderr, c >= 0x20 && c < 0x7f && c != '\\' ? "%c" : "\\x%02x", c);
    }
    fputc('\n', stderr);
}

void cm_same(struct str got, struct str want, const char *why, const char *file, int line)
{
    if (!str_eq(got, want)) {
        fprintf(stderr, "# %s:%d: %s\n", file, line, why);
        show("got", got);
        show("want", want);
        fail();
    }
}

void cm_true(int holds, const char *what, const char *why, const char *file, int line)
{
    if (!holds) {
        fprintf(stderr, "# %s:%d: %s: %s\n", file, line, why, what);
        fail();
    }
}
