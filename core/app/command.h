/*
 * Commands of `dari`. argv[0] is the command's own name ("keys"), what follows is as typed. A
 * command prints its result on standard output, one line per error on standard error, and returns
 * the exit status. One file per command: cmd_NAME.c.
 */
#ifndef DARI_APP_COMMAND_H
#define DARI_APP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/* name, one line of help ("" for what only dari itself starts); the order is that of dari --help */
#define COMMANDS(X)                                                                                \
    X(run, "start all roles, or some of them, and keep them running")                              \
    X(reload, "make a running dari read its configuration again")                                  \
    X(check, "check the configuration and all it names")                                           \
    X(keys, "make the site's secrets")                                                             \
    X(db, "bring the database's schema up to date, or show its state")                             \
    X(status, "what came in, what became of it, who reads it")                                     \
    X(feed, "list, pause and resume feeds, forget the rows of one")                                \
    X(batch, "list files that feeds took, with their sums")                                        \
    X(message, "list, show, reprocess messages, try another mapping on them")                      \
    X(event, "show an event")                                                                      \
    X(trace, "follow one message, event or reminder through every step")                           \
    X(parse, "read HL7 v2 files, print messages or single values")                                 \
    X(map, "turn messages, documents and lists into events, without a database")                   \
    X(schema, "print JSON Schemas of events, or AsyncAPI of the stream")                           \
    X(send, "send HL7 v2 files over MLLP and check the replies")                                   \
    X(tail, "print the event stream")                                                              \
    X(consumer, "add, list, rotate and revoke consumers of the stream")                            \
    X(segment, "list segments, their members, and why somebody is in one")                         \
    X(plan, "list planned messages, preview a template")                                           \
    X(ledger, "verify and export the ledger")                                                      \
    X(odbc, "")

#define X(name, help) int cmd_##name(int argc, char **argv);
COMMANDS(X)
#undef X

/*
 * Options of one command. Values and flags are written where the row points; what is no option is
 * moved to the front of argv (argv[0] stays). "--" ends the options.
 */
struct command_option {
    const char *name;   /* "--config" */
    const char **value; /* takes an argument */
    bool *flag;         /* takes none */
};

/*
 * Returns the number of words left behind argv[0], or -1 when the command is done: `*status` is
 * then EXIT_DONE (--help was printed) or EXIT_USAGE (said on standard error).
 */
int command_options(int argc, char **argv, const char *help, const struct command_option *options,
                    int *status);

/* "dari NAME: what" on standard error; returns EXIT_USAGE or EXIT_REFUSED. */
int command_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int command_failed(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
