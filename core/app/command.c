#include "core/app/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(const char *command, const char *fmt, va_list ap)
{
    fprintf(stderr, "dari %s: ", command);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int command_usage(const char *command, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(command, fmt, ap);
    va_end(ap);
    fprintf(stderr, "see dari %s --help\n", command);
    return EXIT_USAGE;
}

int command_failed(const char *command, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(command, fmt, ap);
    va_end(ap);
    return EXIT_REFUSED;
}

static const struct command_option *find(const struct command_option *options, const char *word,
                                         size_t n)
{
    for (; options->name; options++) {
        if (strlen(options->name) == n && strncmp(options->name, word, n) == 0) {
            return options;
        }
    }
    return NULL;
}

/* One option at argv[i]; returns how many words it took, 0 when it is wrong. */
static int take(int argc, char **argv, int i, const struct command_option *options)
{
    const char *word = argv[i], *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    const struct command_option *o = find(options, word, n);
    if (!o) {
        command_usage(argv[0], "unknown option %.*s", (int)n, word);
        return 0;
    }
    if (o->flag) {
        *o->flag = true;
        if (equals) {
            command_usage(argv[0], "%s takes no value", o->name);
        }
        return equals ? 0 : 1;
    }
    if (equals) {
        *o->value = equals + 1;
        return 1;
    }
    if (i + 1 >= argc) {
        command_usage(argv[0], "%s needs a value", o->name);
        return 0;
    }
    *o->value = argv[i + 1];
    return 2;
}

int command_options(int argc, char **argv, const char *help, const struct command_option *options,
                    int *status)
{
    int left = 0, i = 1;
    while (i < argc) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            *status = EXIT_DONE;
            return -1;
        }
        if (strcmp(argv[i], "--") == 0) {
            for (i++; i < argc; i++) {
                argv[++left] = argv[i];
            }
            break;
        }
        if (argv[i][0] != '-' || !argv[i][1]) {
            argv[++left] = argv[i++];
            continue;
        }
        int took = take(argc, argv, i, options);
        if (!took) {
            *status = EXIT_USAGE;
            return -1;
        }
        i += took;
    }
    argv[left + 1] = NULL;
    return left;
}
