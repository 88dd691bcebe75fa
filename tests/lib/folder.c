#include "tests/lib/folder.h"

#include "core/base/file.h"
#include "tests/lib/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char folder[32];

bool folder_make(void)
{
    snprintf(folder, sizeof folder, "/tmp/dari-test-XXXXXX");
    return mkdtemp(folder) != NULL;
}

void folder_drop(void)
{
    remove_all(folder);
}

bool folder_empty(void)
{
    remove_all(folder);
    return mkdir(folder, 0700) == 0;
}

int folder_setup(void **state)
{
    (void)state;
    return folder_make() ? 0 : -1;
}

int folder_teardown(void **state)
{
    (void)state;
    folder_drop();
    return 0;
}

const char *in_folder(const char *name)
{
    static char paths[4][300];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s%s%s", folder, name[0] ? "/" : "", name);
    return path;
}

void folder_write(const char *name, const char *text)
{
    assert_int_equal(file_write(in_folder(name), str_of(text), 0600, NULL), ERR_NONE);
}

void remove_all(const char *path)
{
    char command[600];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' 2>/dev/null; rm -rf '%s'", path, path);
    if (system(command) != 0) {
        fprintf(stderr, "could not remove %s\n", path);
    }
}
