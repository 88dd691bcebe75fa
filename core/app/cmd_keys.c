#include "core/app/command.h"

#include "core/app/config.h"
#include "core/crypto/digest.h"
#include "core/crypto/keys.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari keys init [--config FILE | --folder DIR]\n"
    "\n"
    "Makes the site's secrets in its keys folder (mode 0700) and prints the public halves. What "
    "is\n"
    "there already is kept as it is; nothing is ever overwritten.\n"
    "\n"
    "  --config FILE   the folder named in this configuration (default: config/dari.xml)\n"
    "  --folder DIR    this folder\n"
    "\n"
    "Back up site.key: without it stored messages stay sealed for ever.\n";

/* The ledger's key as most tools want it: 32 bytes in hexadecimal. */
static void print_ledger_key(const char *folder)
{
    char path[4096];
    unsigned char key[ED25519_PUBLIC];
    if (snprintf(path, sizeof path, "%s/ledger.pub", folder) >= (int)sizeof path ||
        public_read(path, key, NULL) != ERR_NONE) {
        return;
    }
    printf("  ledger.pub     ");
    for (size_t i = 0; i < sizeof key; i++) {
        printf("%02x", key[i]);
    }
    printf("   who checks the ledger gets the file\n");
}

static int init(const char *folder)
{
    static const struct {
        const char *file, *use;
    } curves[] = {{"stream.pub", "consumers get this"},
                  {"segment.pub", "our own consumer"},
                  {"messaging.pub", "our own consumer"},
                  {"tail.pub", "dari tail"}};
    struct err e = {0};
    enum err_code code = keys_init(folder, &e);
    if (code != ERR_NONE && code != ERR_EXISTS) {
        return command_failed("keys", "%s", e.msg);
    }
    printf(code == ERR_EXISTS ? "all keys were there already in %s\n" : "made keys in %s\n",
           folder);
    print_ledger_key(folder);
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        char key[CURVE_TEXT];
        if (curve_read(folder, curves[i].file, key, &e) != ERR_NONE) {
            return command_failed("keys", "%s", e.msg);
        }
        printf("  %-14s %s   %s\n", curves[i].file, key, curves[i].use);
    }
    return EXIT_DONE;
}

static int init_configured(const char *config_file)
{
    int status = EXIT_REFUSED;
    struct arena *a = arena_new(0);
    const struct config *c = a ? config_open(a, config_file, &status) : NULL;
    if (c) {
        status = init(c->keys);
    }
    arena_free(&a);
    return status;
}

int cmd_keys(int argc, char **argv)
{
    const char *folder = NULL, *config_file = NULL;
    const struct command_option options[] = {
        {"--folder", &folder, NULL}, {"--config", &config_file, NULL}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    if (left != 1 || strcmp(argv[1], "init") != 0) {
        return command_usage("keys", "say what to do: init");
    }
    if (folder && config_file) {
        return command_usage("keys", "--folder and --config exclude each other");
    }
    return folder ? init(folder) : init_configured(config_file);
}
