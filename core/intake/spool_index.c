#include "core/intake/spool_index.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 1024 };

static uint64_t key_of(const unsigned char id[16])
{
    uint64_t key;
    memcpy(&key, id, sizeof key);
    return key;
}

static void put(struct spool_index *x, uint64_t key, uint64_t place)
{
    size_t i = key & (x->size - 1);
    while (x->slots[i].place) {
        i = (i + 1) & (x->size - 1);
    }
    x->slots[i] = (struct spool_slot){key, place};
}

static bool grow(struct spool_index *x)
{
    struct spool_index bigger = {.size = x->size ? x->size * 2 : FIRST_SIZE, .count = x->count};
    bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
    if (!bigger.slots) {
        return false;
    }
    for (size_t i = 0; i < x->size; i++) {
        if (x->slots[i].place) {
            put(&bigger, x->slots[i].key, x->slots[i].place);
        }
    }
    free(x->slots);
    *x = bigger;
    return true;
}

bool spool_index_add(struct spool_index *x, const unsigned char id[16], uint64_t offset)
{
    if (x->count >= x->size / 2 && !grow(x)) {
        return false;
    }
    put(x, key_of(id), offset + 1);
    x->count++;
    return true;
}

bool spool_index_next(const struct spool_index *x, const unsigned char id[16], size_t *cursor,
                      uint64_t *offset)
{
    uint64_t key = key_of(id);
    while (x->size && *cursor < x->size) {
        const struct spool_slot *s = &x->slots[(key + (*cursor)++) & (x->size - 1)];
        if (!s->place) {
            return false;
        }
        if (s->key == key) {
            *offset = s->place - 1;
            return true;
        }
    }
    return false;
}

void spool_index_reset(struct spool_index *x)
{
    free(x->slots);
    *x = (struct spool_index){0};
}
