/*
 * An adapter turns one transport into requests, and takes the answers back to the peer. It knows
 * framing and connections, not HL7, not the database. One adapter instance per configured feed, in
 * a process of its own.
 */
#ifndef DARI_ADAPTER_H
#define DARI_ADAPTER_H

#include "core/base/option.h"
#include "core/base/err.h"
#include "core/base/problem.h"

struct net_loop;
struct adapter;      /* the instance, private to the adapter */
struct adapter_host; /* the intake side */

/*
 * Hands one received message over. The bytes are copied or finished with before it returns. The
 * answer comes later through ops->reply() with the same ticket, always exactly once per accepted
 * request, not necessarily in order: the adapter restores the order of its connection. False: the
 * host is at its limits; the adapter stops reading from everybody until ops->resume().
 */
bool adapter_submit(struct adapter_host *h, struct str message, void *ticket);

/*
 * Who sends the message that is submitted next: the subject of his certificate (RFC 2253), "" for
 * nobody known. For feeds that tie it to what the message says of its sender.
 */
void adapter_sender(struct adapter_host *h, const char *subject);

/*
 * Inside reply() only: is the message durable with us, now or from an earlier time? For transports
 * that tell this apart from the reply.
 */
bool adapter_kept(const struct adapter_host *h);

/* A message so broken that the transport had to cut it (too large). Gives the reply for it. */
bool adapter_submit_oversize(struct adapter_host *h, struct str beginning, void *ticket);

/*
 * A file to be taken: an export, the rows of a query, the body of a request. The host reads it
 * message by message and remembers in the database how far it came: after a crash the same file,
 * submitted again, continues there. What was taken once, known by the digest of its content, is not
 * taken again under any name. One file at a time: false means later, after ops->resume().
 */
struct adapter_file {
    const char *path; /* of a regular file that nobody changes until finished() */
    const char *name; /* as its source calls it; shown by dari status */
    const char *mark; /* what adapter_mark() gives once the file was taken; NULL: as before */
};

bool adapter_submit_file(struct adapter_host *h, const struct adapter_file *f, void *ticket);

/*
 * The mark of the newest file of this feed that was taken whole, "" when there is none. NULL while
 * that is not known, because the database is away: ask again later, never begin from nothing.
 */
const char *adapter_mark(const struct adapter_host *h);

enum adapter_outcome {
    ADAPTER_TAKEN,   /* read to its end; messages of it may have gone to quarantine (rejected) */
    ADAPTER_KNOWN,   /* the same content was taken before */
    ADAPTER_REFUSED, /* cannot be read as a whole: `problem` says why and where */
    ADAPTER_RETRY    /* the host cannot go on with it now (shutting down, or out of descriptors):
                        submit it    again */
};

/* What became of a file. read = mapped + ignored + unchanged + rejected + duplicates, in messages:
 * `mapped` counts messages that became events. Slices live until finished() returns. */
struct adapter_result {
    enum adapter_outcome outcome;
    struct str problem; /* of a refused file, or of the first message of it that was rejected:
                           place and reason, never a value */
    struct str reply;   /* HL7 batch reply for the sender, empty when there is none */
    int64_t read, mapped, ignored, unchanged, rejected, duplicates;
    int64_t events;
};

/* Counters shown by dari status: named once, bumped often. */
void adapter_count(struct adapter_host *h, const char *counter, int64_t by);

struct adapter_ops {
    const char *name, *help;
    const struct option_row *options;
    size_t options_size;
    /* What is wrong with the options beyond their rows: combinations, files they name. Adds to `p`
     * at file:line, for dari check, before a start and before a reload. Opens nothing that lasts.
     * NULL: nothing can be. */
    void (*check)(const void *options, const char *file, int line, struct problems *p);
    /* What is not there now, but may come: folders, key files. A start waits for it, so only dari
     * check says it. NULL: nothing. */
    void (*surroundings)(const void *options, const char *file, int line, struct problems *p);
    /* Listens or starts to poll. Errors name the option at fault and say what to do. */
    enum err_code (*start)(struct adapter_host *h, struct net_loop *loop, const void *options,
                           struct adapter **out, struct err *e);
    /* `reply` may be empty: the peer asked for none. The ticket is used up. */
    void (*reply)(struct adapter *a, void *ticket, struct str reply);
    /* The same for transports that tell the outcome themselves; used instead unless NULL. KNOWN is
     * not told apart from TAKEN; a REFUSED message was kept (in quarantine) unless it is too large.
     */
    void (*answer)(struct adapter *a, void *ticket, enum adapter_outcome outcome, struct str reply);
    /* What became of a submitted file; once for each. NULL for adapters that submit none. */
    void (*finished)(struct adapter *a, void *ticket, const struct adapter_result *result);
    /* There is room again: after a submit that was refused. */
    void (*resume)(struct adapter *a);
    /* Take nothing new; requests under way still get their reply. */
    void (*drain)(struct adapter *a);
    void (*stop)(struct adapter **a);
    /*
     * The files (not folders) that options of type OPTION_PATH name have changed, or other ones are
     * named: takes them for what comes, keeps the connections. All other options are as they were.
     * An error leaves everything as it was. NULL: paths are like other options, a change of which
     * ends the adapter in order and starts it again.
     */
    enum err_code (*reload)(struct adapter *a, const void *options, struct err *e);
};

/* All adapters, ends with NULL. In core/app, which is the only place that knows their names. */
extern const struct adapter_ops *const adapters[];

#endif
