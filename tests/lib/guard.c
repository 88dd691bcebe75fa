#include "tests/lib/guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guarded {
    struct guarded *next;
    char *pages;
    size_t size;
};
static struct guarded *all;

struct str guard_copy(struct str s)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (s.n + page) / page * page;
    struct guarded *g = malloc(sizeof *g);
    char *pages =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!g || pages == MAP_FAILED || mprotect(pages + room, page, PROT_NONE) != 0) {
        abort();
    }
    *g = (struct guarded){all, pages, room + page};
    all = g;
    char *p = pages + room - s.n;
    if (s.n) {
        memcpy(p, s.p, s.n);
    }
    return (struct str){p, s.n};
}

void guard_free_all(void)
{
    while (all) {
        struct guarded *g = all;
        all = g->next;
        munmap(g->pages, g->size);
        free(g);
    }
}
