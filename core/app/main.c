/* dari: one binary. This file only finds the command. */
#include "core/app/command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
#define X(name, help) {#name, help, cmd_##name},
    COMMANDS(X)
#undef X
};

static void print_help(FILE *to)
{
    fputs("usage: dari COMMAND [OPTIONS]\n\n"
          "Dari connects a hospital's EMR to the people who look after its patients.\n\n",
          to);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (commands[i].help[0]) {
            fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
        }
    }
    fputs("\nEvery command has --help. Exit status: 0 done, 1 refused or failed, 2 usage.\n", to);
}

/*
 * What is in our memory must not get into a file of a crash: keys and patients. 1, not 0, since
 * that is also what keeps the kernel from handing it to a program (core(5), core_pattern with a
 * pipe).
 */
static void no_core_dumps(void)
{
    const struct rlimit one = {.rlim_cur = 1, .rlim_max = 1};
    setrlimit(RLIMIT_CORE, &one);
}

int main(int argc, char **argv)
{
    no_core_dumps();
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            int status = commands[i].run(argc - 1, argv + 1);
            if (fflush(stdout) != 0 && status == EXIT_DONE) {
                fputs("dari: could not write the output\n", stderr);
                return EXIT_REFUSED;
            }
            return status;
        }
    }
    fprintf(stderr, "dari: there is no command %s; dari --help lists them\n", argv[1]);
    return EXIT_USAGE;
}
