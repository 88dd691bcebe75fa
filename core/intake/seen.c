#include "core/intake/seen.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 1024 };

/* Open addressing, at most three quarters full; 0 marks a free place. */
struct seen {
    uint64_t *places;
    size_t room, count;
};

struct seen *seen_new(void)
{
    struct seen *s = calloc(1, sizeof *s);
    if (s && !(s->places = calloc(FIRST_ROOM, sizeof *s->places))) {
        free(s);
        return NULL;
    }
    if (s) {
        s->room = FIRST_ROOM;
    }
    return s;
}

void seen_free(struct seen **ps)
{
    struct seen *s = *ps;
    if (s) {
        free(s->places);
        free(s);
        *ps = NULL;
    }
}

static uint64_t short_of(const unsigned char key[ROW_KEY])
{
    uint64_t x;
    memcpy(&x, key, sizeof x);
    return x ? x : 1;
}

/* Where it is, or where it would go. */
static size_t place_of(const uint64_t *places, size_t room, uint64_t x)
{
    size_t i = (size_t)x & (room - 1);
    while (places[i] && places[i] != x) {
        i = (i + 1) & (room - 1);
    }
    return i;
}

static bool grow(struct seen *s)
{
    size_t room = s->room * 2;
    uint64_t *places = calloc(room, sizeof *places);
    if (!places) {
        return false;
    }
    for (size_t i = 0; i < s->room; i++) {
        if (s->places[i]) {
            places[place_of(places, room, s->places[i])] = s->places[i];
        }
    }
    free(s->places);
    s->places = places;
    s->room = room;
    return true;
}

bool seen_has(const struct seen *s, const unsigned char key[ROW_KEY])
{
    return s->places[place_of(s->places, s->room, short_of(key))] != 0;
}

enum err_code seen_add(struct seen *s, const unsigned char key[ROW_KEY], bool *news, struct err *e)
{
    uint64_t x = short_of(key);
    size_t i = place_of(s->places, s->room, x);
    *news = s->places[i] == 0;
    if (!*news) {
        return ERR_NONE;
    }
    if (s->count == SEEN_MAX) {
        return ERR(e, ERR_LIMIT, 0, "a snapshot has more than %d rows", SEEN_MAX);
    }
    s->places[i] = x;
    s->count++;
    if (s->count * 4 > s->room * 3 && !grow(s)) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the keys of a snapshot");
    }
    return ERR_NONE;
}
