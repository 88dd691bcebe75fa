/*
 * Commands of `dari`. argv[0] is the command's own name ("keys"), what follows is as typed. A
 * command prints its result on standard output, one line per error on standard error, and returns
 * the exit status.
 */
#ifndef DARI_APP_COMMAND_H
#define DARI_APP_COMMAND_H

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

int cmd_keys(int argc, char **argv);
int cmd_ledger(int argc, char **argv);
int cmd_trace(int argc, char **argv);

#endif
