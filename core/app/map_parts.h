/*
 * Messages in parts (core/hl7/join.h) for `dari map`: without a database, the parts that the given
 * files hold are joined in memory, as a feed joins them as they come.
 */
#ifndef DARI_APP_MAP_PARTS_H
#define DARI_APP_MAP_PARTS_H

#include "core/intake/prepare.h"

struct map_part {
    struct map_part *next;
    struct prepared_part pointers;
    unsigned char id[16];
    struct str raw;
    const char *file;
    size_t n; /* message n of its file */
};

struct map_parts {
    struct arena *memory;
    struct map_part *waiting;
};

/*
 * A part that has just been prepared. When it was the missing one p->mapped is what the whole
 * becomes, and the others wait no more; else it waits. `file` must outlive the list. ERR_NOMEM.
 */
enum err_code map_parts_add(struct map_parts *l, const struct prepare_settings *s, struct arena *a,
                            const char *file, size_t n, usec at, struct prepared *p, struct err *e);

void map_parts_free(struct map_parts *l);

#endif
