#include "core/ledger/walk.h"

#include "core/ledger/entry.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void walk_problem(struct walk *w, int64_t idx, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    w->report->problems++;
    if (idx > 0 && (w->report->wrong == 0 || idx < w->report->wrong)) {
        w->report->wrong = idx;
    }
    if (w->check->problem) {
        w->check->problem(w->check->ctx, idx, text);
    }
}

void walk_begin(struct walk *w, const struct ledger_check *c, const char *site,
                struct ledger_report *r, struct tree *tree, const struct tree_sink *sink)
{
    memset(r, 0, sizeof *r);
    snprintf(r->site, sizeof r->site, "%s", site);
    *w = (struct walk){.check = c, .report = r, .tree = tree, .sink = sink, .next_seq = 1};
    w->site = r->site;
    if (c->anchor.n) {
        struct err e = {0};
        w->anchor_given = true;
        if (checkpoint_open(c->anchor, w->site, c->key, &w->anchor, &e) != ERR_NONE) {
            walk_problem(w, 0, "the anchor: %s", e.msg);
            w->anchor_seen = true;
        }
    }
}

/* What the line itself must say: its number, its site, no control characters. */
static void check_line(struct walk *w, int64_t idx, struct str body)
{
    for (size_t i = 0; i < body.n; i++) {
        if ((unsigned char)body.p[i] < 0x20 || body.p[i] == 0x7f) {
            walk_problem(w, idx, "has a control character in it");
            break;
        }
    }
    if (entry_number(body, "idx") != idx) {
        walk_problem(w, idx, "does not carry its own number");
    }
    if (!str_is(entry_get(body, "site"), w->site)) {
        walk_problem(w, idx, "is not of this site");
    }
}

static void check_events(struct walk *w, int64_t idx, struct str body)
{
    int64_t first, last;
    if (entry_get(body, "eventsdigest").n == 0) {
        return;
    }
    if (!entry_range(body, "events", &first, &last)) {
        walk_problem(w, idx, "names no events for its digest");
        return;
    }
    if (first != w->next_seq) {
        walk_problem(w, idx, "names events from %lld on, expected %lld", (long long)first,
                     (long long)w->next_seq);
    }
    w->next_seq = last + 1;
}

static void see_anchor(struct walk *w)
{
    if (!w->anchor_given || w->anchor_seen || w->anchor.size != w->report->entries) {
        return;
    }
    const struct tree_hash root = tree_root(w->tree);
    w->anchor_seen = true;
    if (!tree_same(&root, &w->anchor.root)) {
        walk_problem(w, 0, "the anchor: its %lld entries were others than these",
                     (long long)w->anchor.size);
    }
}

enum err_code walk_entry(struct walk *w, int64_t idx, struct str body, struct err *e)
{
    int64_t expected = w->report->entries + 1;
    if (w->stopped) {
        return ERR_NONE;
    }
    if (idx != expected) {
        if (idx > expected) {
            walk_problem(w, expected, "is missing; the next one is %lld", (long long)idx);
        } else {
            walk_problem(w, idx, "is there twice or out of order");
        }
        w->stopped = true;
        return ERR_NONE;
    }
    check_line(w, idx, body);
    check_events(w, idx, body);
    const struct tree_hash leaf = tree_leaf(body);
    enum err_code code = tree_add(w->tree, &leaf, w->sink, e);
    if (code == ERR_NONE) {
        w->report->entries = idx;
        see_anchor(w);
    }
    return code;
}

void walk_checkpoint(struct walk *w, int64_t size, struct str note)
{
    struct checkpoint c;
    struct err e = {0};
    if (w->stopped) {
        return;
    }
    w->report->checkpoints++;
    if (checkpoint_open(note, w->site, w->check->key, &c, &e) != ERR_NONE) {
        walk_problem(w, 0, "checkpoint of %lld entries: %s", (long long)size, e.msg);
        return;
    }
    if (c.size != size || size != w->report->entries) {
        walk_problem(w, 0, "checkpoint of %lld entries: found after %lld", (long long)c.size,
                     (long long)w->report->entries);
        return;
    }
    const struct tree_hash root = tree_root(w->tree);
    if (tree_same(&root, &c.root)) {
        w->report->sealed = size;
    } else if (w->suspect == 0) { /* all later ones are wrong for the same reason */
        w->suspect = w->report->sealed + 1;
        walk_problem(w, 0,
                     "checkpoint of %lld entries: entries %lld to %lld are not what was signed",
                     (long long)size, (long long)w->suspect, (long long)size);
    }
}

void walk_end(struct walk *w)
{
    if (w->anchor_given && !w->anchor_seen && !w->stopped) {
        walk_problem(w, w->report->entries + 1,
                     "is missing: the anchor covers %lld entries, only %lld are here",
                     (long long)w->anchor.size, (long long)w->report->entries);
    }
    if (w->report->wrong == 0) {
        w->report->wrong = w->suspect;
    }
}
