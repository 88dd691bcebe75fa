#include "core/base/problem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 256 * 1024 };

void problem_add(struct problems *p, const char *file, int line, const char *fmt, ...)
{
    char text[1024];
    int n = line > 0 ? snprintf(text, sizeof text, "%s:%d: ", file, line)
                     : snprintf(text, sizeof text, "%s: ", file);
    va_list ap;
    va_start(ap, fmt);
    n += vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    va_end(ap);
    size_t len = n < (int)sizeof text - 1 ? (size_t)n : sizeof text - 2;
    text[len++] = '\n';
    p->count++;
    if (p->n + len + 1 > p->cap) {
        size_t cap = (p->cap ? p->cap * 2 : 4096) + len;
        char *bigger = cap > MAX_TEXT ? NULL : realloc(p->text, cap);
        if (!bigger) {
            return; /* counted, if not shown */
        }
        p->text = bigger;
        p->cap = cap;
    }
    memcpy(p->text + p->n, text, len);
    p->n += len;
    p->text[p->n] = '\0';
}

void problems_print(const struct problems *p, FILE *to)
{
    if (p->text) {
        fputs(p->text, to);
    }
}

void problems_release(struct problems *p)
{
    free(p->text);
    *p = (struct problems){0};
}
