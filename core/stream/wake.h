/*
 * "There is something new": a datagram to the relay's local socket (RUN/relay.wake). A hint only:
 * nobody waits for it, it may get lost, and the relay looks by itself. An empty one (intake sends
 * these) means events, WAKE_KEYS means that consumers changed.
 */
#ifndef DARI_STREAM_WAKE_H
#define DARI_STREAM_WAKE_H

#include <stdbool.h>

enum { WAKE_KEYS = 'K' };

/* The relay's end, not blocking; -1 when it cannot be had (a path that is too long). */
int wake_open(const char *run_folder);
void wake_close(int fd, const char *run_folder);
/* Empties the socket; true when something was there; *keys when one of them was WAKE_KEYS. */
bool wake_take(int fd, bool *keys);
void wake_send(const char *run_folder, char what);

#endif
