/*
 * The configuration (config/dari.xml): read once, checked by RELAX NG and then by meaning, all
 * problems at once. Everything is in one arena; a struct config never changes after loading.
 * Relative paths are taken from `home`, which is itself relative to the file's folder, and are
 * absolute afterwards.
 */
#ifndef DARI_APP_CONFIG_H
#define DARI_APP_CONFIG_H

#include "core/adapter.h"
#include "core/base/charset.h"
#include "core/base/problem.h"
#include "core/intake/covers.h"
#include "core/intake/silence.h"
#include "core/store/db.h"

struct config_feed {
    const char *name;
    int line;
    const struct adapter_ops *adapter;
    const void *options; /* adapter->options_size bytes */
    int options_line;
    const void *attributes; /* all of its own, for config_rows("feed") */
    const char *mapping;    /* file or folder */
    bool has_charset;       /* charset overrides MSH-18 */
    enum charset charset;
    enum charset fallback;   /* when MSH-18 is empty */
    bool refuse_reuse;       /* a control id used for another message: AR instead of flagged */
    bool sequence;           /* MSH-13 is checked and answered */
    bool accept_quarantined; /* answer AA although the message went to quarantine */
    int64_t max_pending;     /* messages waiting for their commit */
    int64_t max_group;       /* messages in one commit */
    const char *senders;     /* which certificate speaks for whom, "": any */
    int64_t max_parts, max_whole, parts_wait_ms; /* of messages in several parts */
    bool snapshot;                               /* of tables: a file is the whole state */
    struct snapshot_covers covers;               /* what it lacks of these is gone */
    int64_t max_gone;  /* per cent of its rows that one snapshot may lack */
    char delimiter;    /* 0: found out */
    int header_row;    /* 0: found out */
    const char *sheet; /* NULL: found out */
    struct silence_rule silence;
    const char *spool; /* folder of what was answered while the database was away */
    int64_t spool_max; /* bytes; 0: none, such messages are refused for the time being */
};

struct config {
    const char *file, *path, *home; /* as it was named; absolute */
    const char *site, *site_name, *site_phone, *site_sender, *zone;
    const char *keys;          /* folder */
    const char *conninfo;      /* PostgreSQL; NULL when it stands in a file: config_conninfo() */
    const char *conninfo_file; /* or NULL */
    bool set_role;             /* SET ROLE dari_<role> after connecting */
    bool migrate;              /* dari run applies migrations first */
    const char *log4crc;       /* or NULL */
    const char *run;           /* folder of our sockets and state files */
    const char *catalogue;
    const struct config_feed *feeds;
    size_t feed_count;
    struct {
        const char *local;   /* ipc path for our own consumers, relative to home: short */
        const char *address; /* tcp for vendors ("127.0.0.1"), NULL: none */
        int64_t port;
        const char *contracts; /* folder */
        int64_t max_credit;
    } relay;
    struct {
        const char *segments; /* folder */
        int64_t sweep_ms;     /* re-evaluation by time */
    } segment;
    struct {
        const char *journeys, *templates; /* folders */
        const char *channel;              /* file or http */
        const char *outbox;               /* folder of channel file */
        const char *url;                  /* of channel http */
        int64_t timeout_ms;
    } messaging;
    struct {
        int64_t tick_ms, checkpoint_entries, checkpoint_ms;
    } steward;
};

/*
 * path NULL: $DARI_CONFIG, else config/dari.xml below the working folder. NULL when there are
 * problems. The zone is set as a side effect.
 */
const struct config *config_load(struct arena *a, const char *path, struct problems *p);

/* Same, for commands: prints the problems on standard error. *status is the exit status (1). */
const struct config *config_open(struct arena *a, const char *path, int *status);

/* NULL: there is no feed of this name. */
const struct config_feed *config_feed_named(const struct config *c, const char *name);

/* The connection string of this moment; NULL when its file is not there (yet). */
const char *config_conninfo(const struct config *c, struct arena *a, struct err *e);

/* The database of a role, opened and checked for its version. Prints nothing. */
enum err_code config_db(const struct config *c, const char *role, struct db **out, struct err *e);

/* The options of an element with their offsets: in struct config ("relay"), or in the attributes of
 * a feed ("feed"). */
const struct option_row *config_rows(const char *element);

/* Every attribute with its limits, default and meaning, for dari check --options. */
void config_print_options(FILE *to);

#endif
