#include "adapters/files/look.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

enum err_code look_init(struct look *l, struct err *e)
{
    memset(l, 0, sizeof *l);
    l->now = arena_new(0);
    l->before = arena_new(0);
    return l->now && l->before ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a look");
}

void look_release(struct look *l)
{
    arena_free(&l->now);
    arena_free(&l->before);
    memset(l, 0, sizeof *l);
}

void look_begin(struct look *l)
{
    struct arena *a = l->before;
    l->before = l->now;
    l->now = a;
    arena_reset(a);
    l->old = l->files;
    l->old_count = l->count;
    l->files = NULL;
    l->controls = NULL;
    l->count = l->cap = l->control_count = l->control_cap = 0;
    l->full = l->failed = false;
}

/* Room for one more in an array of the arena; NULL when memory is out. */
static void *grown(struct look *l, void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return array;
    }
    size_t cap2 = *cap ? *cap * 2 : FIRST_ROOM;
    void *bigger = arena_array(l->now, cap2, size);
    if (bigger && count) {
        memcpy(bigger, array, count * size);
    }
    *cap = cap2;
    return bigger;
}

static void add_control(struct look *l, const char *path)
{
    l->controls = grown(l, l->controls, l->control_count, &l->control_cap, sizeof *l->controls);
    if (l->controls) {
        l->controls[l->control_count++] = path;
    }
    l->failed = l->failed || !l->controls;
}

void look_add(struct look *l, const struct look_rules *r, const char *path, int64_t size,
              int64_t time, uint64_t inode)
{
    bool control = r->complete == LOOK_CONTROL && str_ends(str_of(path), r->control);
    if (l->failed || (control ? l->control_count : l->count) >= r->max) {
        l->full = l->full || !l->failed;
        return;
    }
    const char *copy = arena_z(l->now, str_of(path));
    if (copy && control) {
        add_control(l, copy);
        return;
    }
    l->files = copy ? grown(l, l->files, l->count, &l->cap, sizeof *l->files) : NULL;
    l->failed = !l->files;
    if (!l->failed) {
        l->files[l->count++] =
            (struct look_file){.path = copy, .size = size, .time = time, .inode = inode};
    }
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct look_file *)a)->path, ((const struct look_file *)b)->path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void compare_with_before(struct look *l, struct look_file *f, usec now)
{
    const struct look_file *o =
        l->old_count ? bsearch(f, l->old, l->old_count, sizeof *f, by_path) : NULL;
    bool same = o && o->looks && o->size == f->size && o->time == f->time && o->inode == f->inode;
    f->unreadable = same && o->unreadable;
    f->since = same ? o->since : now;
    f->looks = same ? (o->looks < 1000 ? o->looks + 1 : o->looks) : 1;
}

/* Kept as the names of what they release. */
static void sort_controls(struct look *l, size_t suffix)
{
    for (size_t i = 0; i < l->control_count; i++) {
        char *c =
            arena_z(l->now, str_cut(str_of(l->controls[i]), 0, strlen(l->controls[i]) - suffix));
        if (!c) {
            l->failed = true;
            return;
        }
        l->controls[i] = c;
    }
    if (l->control_count) {
        qsort(l->controls, l->control_count, sizeof *l->controls, by_name);
    }
}

void look_end(struct look *l, const struct look_rules *r, usec now)
{
    sort_controls(l, r->control.n);
    if (l->failed) {
        look_undo(l);
        return;
    }
    if (l->count) {
        qsort(l->files, l->count, sizeof *l->files, by_path);
    }
    for (size_t i = 0; i < l->count; i++) {
        struct look_file *f = &l->files[i];
        compare_with_before(l, f, now);
        f->released = l->control_count && bsearch(&f->path, l->controls, l->control_count,
                                                  sizeof *l->controls, by_name);
    }
}

void look_undo(struct look *l)
{
    struct arena *a = l->now;
    l->now = l->before;
    l->before = a;
    l->files = l->old;
    l->count = l->old_count;
    l->old = NULL;
    l->old_count = 0;
}

bool look_complete(const struct look_file *f, const struct look_rules *r, usec now)
{
    if (!f->looks) {
        return false;
    }
    switch (r->complete) {
    case LOOK_STABLE:
        return f->looks >= 2 && now - f->since >= r->age_ms * 1000;
    case LOOK_RENAME:
        return true;
    case LOOK_CONTROL:
        return f->released;
    }
    return false;
}

struct look_file *look_first(struct look *l, const struct look_rules *r, usec now)
{
    struct look_file *first = NULL;
    for (size_t i = 0; i < l->count; i++) {
        struct look_file *f = &l->files[i];
        bool earlier = !first || (r->by_time && f->time < first->time); /* sorted by path */
        if (earlier && !f->unreadable && look_complete(f, r, now)) {
            first = f;
        }
    }
    return first;
}

usec look_due(const struct look *l, const struct look_rules *r, usec now)
{
    usec due = 0;
    for (size_t i = 0; r->complete == LOOK_STABLE && i < l->count; i++) {
        const struct look_file *f = &l->files[i];
        usec at = f->since + r->age_ms * 1000;
        if (f->looks && !look_complete(f, r, now) && (!due || at < due)) {
            due = at;
        }
    }
    return due;
}
