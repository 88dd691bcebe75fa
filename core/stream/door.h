/*
 * Is the door shut? Connects to our own endpoint with a key that was made this moment and is in no
 * list, and watches the handshake: refused is right, admitted means that everybody would be. The
 * caller keeps its loop turning (the ZAP handler is in it) and asks door_look() until it is
 * decided.
 */
#ifndef DARI_STREAM_DOOR_H
#define DARI_STREAM_DOOR_H

#include "core/base/err.h"

struct door;

enum door_state {
    DOOR_WAITING,
    DOOR_SHUT,  /* our handler refused the stranger: as it must be */
    DOOR_OPEN,  /* it was admitted: stop serving at once */
    DOOR_DEAF,  /* thrown out, but not by our handler: nobody can get in */
    DOOR_SILENT /* no answer within the time-out: nothing is proven */
};

enum { DOOR_TIMEOUT_MS = 10000 };

enum err_code door_knock(void *context, const char *endpoint, const char *server_key,
                         struct door **out, struct err *e);
void *door_socket(const struct door *d); /* to poll */
enum door_state door_look(struct door *d);
void door_free(struct door **d);

#endif
