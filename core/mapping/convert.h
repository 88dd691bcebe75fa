/*
 * Conversions: one source text → one value in the canonical form that the event builder takes.
 * Pure functions of their input, the rules of the field and the zone of the process. Nothing is
 * guessed: what a conversion does not know is ERR_VALUE, never a plausible value.
 */
#ifndef DARI_MAPPING_CONVERT_H
#define DARI_MAPPING_CONVERT_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/rrn.h"

#include <stdint.h>

/* What each does, and its name in mapping files: README.md. */
enum conversion {
    CONVERT_TEXT,
    CONVERT_ID,
    CONVERT_DATE,
    CONVERT_TIME,
    CONVERT_INT,
    CONVERT_KRW,
    CONVERT_KRW_MAN,   /* 만원: 35 is 350,000 */
    CONVERT_KRW_SIZE,  /* without its sign */
    CONVERT_KRW_MINUS, /* has it one? */
    CONVERT_MONTH,     /* the first day of it */
    CONVERT_MINUTES,
    CONVERT_DAYS,
    CONVERT_BOOL,
    CONVERT_NAME,
    CONVERT_ADDRESS,
    CONVERT_PHONE,
    CONVERT_PHONE_MOBILE,
    CONVERT_PHONE_FIXED,
    CONVERT_PHONE_USE,
    CONVERT_PHONE_VALID,
    CONVERT_RRN_BIRTH,
    CONVERT_RRN_SEX,
    CONVERT_KEY,
    CONVERT_PATIENT
};

/* A date where an instant is wanted, a month where a date is wanted. */
enum partial { PARTIAL_REFUSE, PARTIAL_LEAVE_OUT, PARTIAL_START };

struct convert_rules {
    enum conversion as;
    enum partial partial;
    bool has_unit;    /* of minutes and days: the unit is elsewhere, not in the value (M30) */
    struct str unit;  /* what it says; empty: minutes, and no days */
    bool has_offset;  /* the message's own offset from UTC (MSH-7), else the site's zone */
    int offset;       /* seconds east */
    bool sheet;       /* written by people into a list: the forms of convert_sheet.c count too */
    struct str about; /* a date of the same message, for dates without a year; empty: none */
    int year;         /* of the message, for years of two digits */
};

/*
 * Text, id, date, time, int, krw, minutes, days, bool, phone…, rrn-…: `in` is trimmed and not
 * empty. out->p is NULL when the value is left out (partial, or a text that names no telephone
 * number). ERR_VALUE, ERR_REFUSED (a resident registration number in a text), ERR_NOMEM.
 */
enum err_code convert(const struct convert_rules *rules, struct arena *a, struct str in,
                      struct str *out, struct err *e);

/* HL7 DT, DTM and TS, and the same with separators (2026-03-11 09:00). */
enum precision {
    PRECISION_YEAR,
    PRECISION_MONTH,
    PRECISION_DAY,
    PRECISION_HOUR,
    PRECISION_MINUTE,
    PRECISION_SECOND
};
struct hl7_time {
    struct civil at; /* offset only when has_offset */
    enum precision precision;
    bool has_offset;
};
enum err_code hl7_time_parse(struct str in, struct hl7_time *out, struct err *e);
usec hl7_time_instant(const struct hl7_time *t, const struct convert_rules *rules);

/*
 * Lists that people keep, in a hospital's spreadsheet or an EMR's export. Dates with separators,
 * Korean words, years of two digits, days without a year, serial numbers; am and pm; amounts with
 * 만 and 원; yes and no in words and marks. What could be read in two ways is ERR_VALUE.
 */
struct sheet_hints {
    int year;                     /* this one */
    const struct hl7_time *about; /* a day without a year is near this one; NULL: refused */
};
enum err_code sheet_time_parse(struct str in, const struct sheet_hints *hints, struct hl7_time *out,
                               struct err *e);
/* Its parts. A moment as one person writes it: not what two columns make when they are joined. */
enum { SHEET_NO_YEAR = 1900 }; /* days up to then are what databases put times of day on */
enum err_code sheet_moment(struct str in, const struct sheet_hints *hints, struct hl7_time *out,
                           struct err *e);
/* Days since 1899-12-30, as spreadsheets count; 46092.375 is nine o'clock. */
bool sheet_serial(struct str in, struct hl7_time *t);
/* In won; a bare number counts 만원 when `ten_thousands`. */
enum err_code sheet_amount(struct str in, bool ten_thousands, int64_t *out, struct err *e);
enum err_code sheet_minutes(struct str in, int64_t *out, struct err *e);
struct str sheet_count(struct str in); /* 3회차 → 3 */
bool sheet_bool(struct str in, bool *out);

/* Parts of a name as the source has them; `family` and `given` may be empty. */
struct str convert_name(struct arena *a, struct str family, struct str given);
bool text_has_hangul(struct str s);
/* Street, other, city, state of an address: in Korean order when it is in Hangul. */
enum { ADDRESS_STREET, ADDRESS_OTHER, ADDRESS_CITY, ADDRESS_STATE, ADDRESS_PARTS };
struct str convert_address(struct arena *a, const struct str part[ADDRESS_PARTS]);

enum phone_kind {
    PHONE_UNKNOWN,
    PHONE_MOBILE,
    PHONE_FIXED,
    PHONE_INTERNET,       /* 070 */
    PHONE_PERSONAL,       /* 050x */
    PHONE_REPRESENTATIVE, /* 1588-…, 080: nobody's own, no message reaches it */
    PHONE_FOREIGN
};
enum { PHONE_TEXT = 24 };
/* Writes E.164 to `out`; "" when the kind is PHONE_UNKNOWN. */
enum phone_kind phone_parse(struct str in, char out[PHONE_TEXT]);

#endif
