/* Shared inside core/event. */
#ifndef DARI_EVENT_EVENT_INTERNAL_H
#define DARI_EVENT_EVENT_INTERNAL_H

#include "core/event/event.h"

/* 26 characters of lower-case base32. */
bool key_valid(struct str s);

#endif
