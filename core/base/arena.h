/*
 * An arena: memory of one lifetime (a message, a configuration, a connection), given back at once.
 * Nothing in it is freed singly. Its owner resets it for the next message; what must outlive that
 * is copied on purpose. Foreign objects (an xmlDoc) are tied to it with a callback. One process,
 * one thread: no locks.
 */
#ifndef DARI_BASE_ARENA_H
#define DARI_BASE_ARENA_H

#include "core/base/str.h"

#include <stdarg.h>

struct arena;

/* `limit` bytes in all, 0 for none. NULL when memory is out. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena **a);

/* Runs the callbacks, keeps one block of usual size. */
void arena_reset(struct arena *a);
size_t arena_used(const struct arena *a);

/* Zeroed and aligned for any type. NULL at the limit or when memory is out. */
void *arena_alloc(struct arena *a, size_t n);
/* n objects of `size`, checked for overflow. */
void *arena_array(struct arena *a, size_t n, size_t size);

/* Copies with a NUL behind the copy. A slice with p == NULL means failure. */
struct str arena_copy(struct arena *a, struct str s);
char *arena_z(struct arena *a, struct str s); /* as a C string; NULL on failure */
struct str arena_join(struct arena *a, const struct str *parts,
                      size_t count); /* one behind another */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Calls release(object) at the next reset or free, last registered first. False: not registered. */
bool arena_defer(struct arena *a, void (*release)(void *), void *object);

#endif
