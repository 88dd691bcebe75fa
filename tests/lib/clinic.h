/*
 * What a message needs to become events, for tests: a site with a fixed key in Asia/Seoul, the
 * shipped catalogue, and a message received on 2026-03-11 at 10:00. Keys, and with them ids, are
 * the same in every run.
 */
#ifndef DARI_TESTS_CLINIC_H
#define DARI_TESTS_CLINIC_H

#include "core/intake/prepare.h"

enum { CLINIC_FILE = 1 << 20 };
#define CLINIC_RECEIVED ((usec)1773190800 * USEC_SECOND)

struct clinic {
    struct arena *arena, *message; /* of the program; of the message at hand */
    struct catalogue *catalogue;
    struct keyring *keys;
};

/* To be released either way. Makes a folder (tests/lib/folder.h) and drops it. */
bool clinic_open(struct clinic *c);
void clinic_release(struct clinic *c);

/* `given`: the sender's name for it, like "#7" for a row. The result lives until the next one. */
void clinic_prepare(const struct clinic *c, const struct mapping_set *m, enum charset fallback,
                    struct str given, struct str raw, struct prepared *out);

/* With all fields, whatever their class. */
void clinic_payload(struct buf *out, const struct event *v);

#endif
