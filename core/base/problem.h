/*
 * A list of problems in files that people write (configuration, mappings, segments, journeys). All
 * of them are collected and reported in one go, each as "file:line: what, and what to do".
 */
#ifndef DARI_BASE_PROBLEM_H
#define DARI_BASE_PROBLEM_H

#include <stddef.h>
#include <stdio.h>

struct problems {
    size_t count;
    char *text; /* all lines, each ended by LF */
    size_t n, cap;
};

/* line 0: the whole file. */
void problem_add(struct problems *p, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void problems_print(const struct problems *p, FILE *to);
void problems_release(struct problems *p);

#endif
