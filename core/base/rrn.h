/*
 * Resident registration numbers (주민등록번호): YYMMDD-GXXXXXX with a possible date, hyphen or
 * blanks optional, also in full-width digits. No check digit: since October 2020 there is none.
 * They are found in order to be kept out: birth date and sex are read from their first seven
 * digits, the number itself never becomes a value, and what is stored of a row shows no more.
 */
#ifndef DARI_BASE_RRN_H
#define DARI_BASE_RRN_H

#include "core/base/arena.h"
#include "core/base/str.h"

struct rrn {
    int year, month, day;
    char sex; /* M or F */
};

bool rrn_is(struct str s, struct rrn *out);     /* the whole text is one, unmasked */
bool rrn_masked(struct str s, struct rrn *out); /* the whole text is one, masked: 900101-1****** */
bool rrn_inside(struct str s);                  /* it holds an unmasked one somewhere */

/*
 * The text with every number in it as 900101-1******; `s` itself when it holds none. p == NULL when
 * memory is out.
 */
struct str rrn_mask(struct arena *a, struct str s);

/*
 * A cell of a column that is declared to hold these numbers, whatever its form: only the first
 * seven digits stay, every later one becomes a star. One that lost the zeros in front of it in a
 * spreadsheet gets them back (501013234567 is 050101-3******).
 */
struct str rrn_mask_all(struct arena *a, struct str s);

#endif
