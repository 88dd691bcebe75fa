/*
 * Templates (config/templates, one file each): the text of a message with #{variables}, checked
 * when it is loaded (lint.h) and again when it is rendered. A template never produces a blank: a
 * variable without a value, a character that CP949 does not have, a text that is too long each
 * refuse the message with a reason. The byte class is decided on the rendered text, since a name
 * decides whether a message costs one text or three.
 */
#ifndef DARI_MESSAGING_TEMPLATE_H
#define DARI_MESSAGING_TEMPLATE_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/problem.h"
#include "core/base/str.h"
#include "core/messaging/reason.h"

enum message_class { MESSAGE_INFO, MESSAGE_AD };
const char *message_class_name(enum message_class c); /* info, ad */

/* SMS at most 90 bytes, LMS at most 2,000, counted in CP949 (2 bytes per Hangul syllable). */
enum { SMS_BYTES = 90, LMS_BYTES = 2000 };
enum byte_class { BYTE_CLASS_SMS, BYTE_CLASS_LMS };
const char *byte_class_name(enum byte_class c); /* sms, lms */

/* Everything a text may speak of; nothing about health. */
enum template_variable {
    VARIABLE_HOSPITAL,  /* hospital  서울내과 */
    VARIABLE_NAME,      /* name      홍길동 */
    VARIABLE_DATE,      /* date      6/26 */
    VARIABLE_LONG_DATE, /* long_date 6월 26일 */
    VARIABLE_WEEKDAY,   /* weekday   금 */
    VARIABLE_TIME,      /* time      17:00 */
    VARIABLE_DAY,   /* day       오늘, 내일, 3일 뒤: as seen on the day of the hand-over */
    VARIABLE_PHONE, /* phone     02-123-4567, the site's */
    VARIABLE_COUNT
};

struct template_values {
    struct str v[VARIABLE_COUNT]; /* an empty one refuses the templates that use it */
};

struct template
{
    const char *id, *file;
    int line; /* of its text */
    enum message_class class;
    struct str text;
    bool used[VARIABLE_COUNT];
    struct template_values sample, longest;
};

struct templates {
    const struct template *items;
    size_t count;
};

/* All templates of a folder, in `a`. Problems with file and line; what has none is still returned.
 */
void templates_load(struct arena *a, const char *folder, struct templates *out, struct problems *p);
const struct template *template_find(const struct templates *t, const char *id);

/* False when no variable has this name. */
bool variable_named(struct str name, enum template_variable *out);

/* The next piece of a template text: literal text or a variable's name. False at the end. */
struct template_piece {
    struct str text;
    bool variable;
};
bool template_next(struct str *rest, struct template_piece *out);

struct rendered {
    struct str text; /* UTF-8, in the arena */
    size_t bytes;    /* in CP949 */
    enum byte_class class;
};

/* REASON_NONE, _LINT, _CHARSET or _TOO_LONG. */
enum message_reason template_render(const struct template *t, const struct template_values *v,
                                    struct arena *a, struct rendered *out);

/* The values that come from an appointment; `now` decides what `day` says. Texts in `a`. */
void template_appointment(struct template_values *v, struct arena *a, usec start, usec now);

#endif
