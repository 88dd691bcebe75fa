/* The commands: each gets the arguments from its own name on and returns the exit status. */
#ifndef DARI_APP_COMMANDS_H
#define DARI_APP_COMMANDS_H

int cmd_parse(int argc, char **argv);

#endif
