/*
 * Which names are looked at. A list of patterns is separated by '|'. In a pattern `*` is any number
 * of bytes, `?` one character (UTF-8), `[abc]`, `[a-z]`, `[!a-z]` one ASCII character of a set;
 * ASCII letters match whatever their case, since exports come from systems that do not care. Only
 * the last part of a path is looked at.
 */
#ifndef DARI_ADAPTERS_FILES_RULES_H
#define DARI_ADAPTERS_FILES_RULES_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/err.h"

#include <stdint.h>

bool rule_match(struct str patterns, struct str name);

/* A pattern with a set that is not closed, or an empty one. ERR_CONFIG with the position. */
enum err_code rule_check(struct str patterns, struct err *e);

/*
 * A name of a file as text that can be shown and stored: valid UTF-8 stays, anything else and
 * control characters become \n, \r, \t or \xHH, a backslash \\. NULL when memory is out.
 */
const char *rule_text(struct arena *a, struct str name);

/* The part behind the last '/'. */
struct str rule_base(struct str path);

/*
 * One line of a folder's listing in the form of `ls -l`, as SFTP servers give it (draft-ietf-secsh-
 * filexfer-02, section 7). False: not of that form, or a name that cannot be (empty, ".", "..",
 * with a slash or a control character). The time has minutes for about half a year and days after
 * that; `now` tells which year is meant when none is given.
 */
struct rule_listed {
    char type; /* '-' file, 'd' folder, 'l' link, … */
    int64_t size;
    usec time;
    struct str name;
};
bool rule_listing(struct str line, usec now, struct rule_listed *out);

#endif
