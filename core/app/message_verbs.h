/* What `dari message` does, one file per verb; cmd_message.c reads the options. */
#ifndef DARI_APP_MESSAGE_VERBS_H
#define DARI_APP_MESSAGE_VERBS_H

#include "core/app/message_find.h"
#include "core/app/session.h"
#include "core/intake/prepare.h"

struct message_options {
    const char *config, *state, *feed, *control_id, *type, *patient, *from, *to, *limit, *before;
    const char *batch;
    const char *mapping;
    bool json, dry_run, values;
    struct message_filter filter; /* of the above */
};

/* Each returns the exit status. The keys are open where a message is opened. */
int message_list(struct session *s, const struct message_options *o);
int message_show(struct session *s, const char *number);
int message_reprocess(struct session *s, char **numbers, int n, const struct message_options *o);
int message_diff(struct session *s, const struct message_options *o);

/* The number of a message; false: said. */
bool message_number(const char *text, int64_t *out);

/* The filter as "key=value …" for the ledger, our own ids and times only. */
const char *message_filter_text(struct arena *a, const struct message_options *o);

/* The received bytes of a message, opened with its id. */
enum err_code message_open(const struct session *s, struct arena *a, struct str id,
                           struct str sealed, struct str *raw, struct err *e);

/*
 * A row of a snapshot that was rejected before the mapping had it: without its key, with the key of
 * another row of its file, or torn. The snapshot does not know it, so events of it would contradict
 * the row that has that key, or be told once more by the next file. Columns of message_find: type,
 * state, coalesce(mapping, '').
 */
bool message_beside_snapshot(const struct config_feed *f, struct str type, struct str state,
                             struct str mapping);
/* How messages of a feed are prepared, now; `mapping` is whose it shall be. */
struct prepare_settings message_prepare(const struct session *s, const struct config_feed *f,
                                        const struct mapping_set *mapping);

#endif
