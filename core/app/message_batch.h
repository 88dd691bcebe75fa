/* Messages and the files they came in (core/intake/label.h says which have such a link). */
#ifndef DARI_APP_MESSAGE_BATCH_H
#define DARI_APP_MESSAGE_BATCH_H

#include "core/app/message_find.h"
#include "core/app/session.h"

struct message_batch {
    int64_t no; /* of dari.batch; 0: it came in none, or brought a control id of its own */
    struct str name;
    int64_t number; /* in the file; 0: a row that the file no longer has */
};

/* The file of one message. Asked again for the same file it remembers: `last` begins zeroed, and
 * what it holds lives in `a`. */
struct message_batch_last {
    struct str feed, label;
    struct message_batch is;
};
enum err_code message_batch_of(struct session *s, struct arena *a, struct str feed,
                               struct str control_id, struct message_batch_last *last,
                               struct message_batch *out, struct err *e);

/* Narrows a filter to the messages of a file. ERR_NOTFOUND, ERR_VALUE for a filter of another feed.
 */
enum err_code message_batch_only(struct session *s, int64_t no, struct message_filter *f,
                                 struct err *e);

#endif
