/*
 * Made-up messages of a Korean clinic: ADT^A04, ADT^A08, SIU^S12 and DFT^P03, about 1.1 KB each,
 * the n-th always the same apart from MSH-10, which is PREFIX followed by n.
 */
#ifndef DARI_BENCH_MESSAGES_H
#define DARI_BENCH_MESSAGES_H

#include <stddef.h>

enum { BENCH_MESSAGE = 4096 };

/* Writes message n, without frame, and returns its length. */
size_t bench_message(char out[BENCH_MESSAGE], const char *prefix, unsigned long n);

#endif
