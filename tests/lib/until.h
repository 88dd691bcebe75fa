/* Turns of a loop, for tests: until something holds, or for a while to see that nothing happens. */
#ifndef DARI_TESTS_UNTIL_H
#define DARI_TESTS_UNTIL_H

#include "core/net/net.h"

/* Looks every millisecond. Fails after 15,000 looks, which is a quarter of a minute or longer. */
void run_until(struct net_loop *loop, bool (*done)(void *ctx), void *ctx);

void run_for(struct net_loop *loop, int64_t ms);

/* So many looks, whatever the time is: what must not happen could have happened. */
void run_looks(struct net_loop *loop, int looks);

#endif
