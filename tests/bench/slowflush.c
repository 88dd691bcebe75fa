/*
 * A disk whose flush costs something: preloaded into PostgreSQL, every fsync and fdatasync takes at
 * least DARI_FLUSH_US microseconds more (default 2000), as on a drive without a protected cache.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

int fsync(int fd);
int fdatasync(int fd);

static void wait_a_while(void)
{
    static intmax_t us = -1;
    if (us < 0) {
        const char *text = getenv("DARI_FLUSH_US");
        us = text ? strtoimax(text, NULL, 10) : 2000;
    }
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

static int real(const char *name, int fd)
{
    int (*f)(int);
    *(void **)&f = dlsym(RTLD_NEXT, name);
    wait_a_while();
    return f(fd);
}

int fsync(int fd)
{
    return real("fsync", fd);
}

int fdatasync(int fd)
{
    return real("fdatasync", fd);
}
