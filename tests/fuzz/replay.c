/* Runs a fuzz target over files and folders, for builds without libFuzzer: replay PATH... */
#include "core/base/file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT = 64 << 20 };

/* A copy of its own size, so that a sanitizer sees a read behind its end. */
static bool run_file(struct arena *a, const char *path)
{
    struct str bytes;
    struct err e = {.code = ERR_NONE};
    if (file_read(a, path, MAX_INPUT, &bytes, &e) != ERR_NONE) {
        fprintf(stderr, "replay: %s\n", e.msg);
        return false;
    }
    uint8_t *copy = malloc(bytes.n ? bytes.n : 1);
    if (!copy) {
        return false;
    }
    if (bytes.n) {
        memcpy(copy, bytes.p, bytes.n);
    }
    LLVMFuzzerTestOneInput(copy, bytes.n);
    free(copy);
    return true;
}

static bool run_path(const char *path, size_t *count)
{
    struct arena *a = arena_new(0);
    struct stat st;
    char **names = NULL;
    size_t n = 0;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    bool ok = a && (!folder || file_list(a, path, "", &names, &n, NULL) == ERR_NONE);
    for (size_t i = 0; ok && i < n; i++) {
        ok = run_path(file_path(a, path, names[i]), count);
    }
    if (ok && !folder) {
        ok = run_file(a, path);
        *count += ok;
    }
    arena_free(&a);
    return ok;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    bool ok = true;
    for (int i = 1; i < argc; i++) {
        ok = run_path(argv[i], &count) && ok;
    }
    printf("replayed %zu inputs\n", count);
    return ok ? 0 : 1;
}
