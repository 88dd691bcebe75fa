/*
 * Inside core/table: the bytes of a text file, in a buffer that grows to one row at most. UTF-16
 * becomes UTF-8 here, since its delimiters are two bytes wide; other character sets stay as they
 * are, since none of them hides a delimiter inside a character. A NUL byte ends the input.
 */
#ifndef DARI_TABLE_INPUT_H
#define DARI_TABLE_INPUT_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

enum input_form { INPUT_NARROW, INPUT_UTF16LE, INPUT_UTF16BE };

struct input {
    int fd;
    enum input_form form;
    char *p;               /* one byte of room behind `end` for a sentinel */
    size_t at, end, room;  /* what is unread: p[at..end) */
    size_t most;           /* unread bytes at most */
    int64_t size, begin;   /* of the file; where text begins, behind the byte order mark */
    int64_t passed;        /* bytes of text before p[0] */
    int64_t taken;         /* bytes read from the file */
    unsigned char half[4]; /* UTF-16: what is left of a block */
    size_t half_n;
    bool ended, nul, broken; /* end of file; NUL byte at p[end]; bad UTF-16 at p[end] */
};

/* ERR_NOTFOUND, ERR_IO, ERR_NOMEM. */
enum err_code input_open(struct input *in, const char *path, size_t most, struct err *e);
void input_close(struct input *in);

/* The first bytes of the file, as they are. */
size_t input_peek(const struct input *in, unsigned char *to, size_t n);

/* Starts over behind `begin`. */
enum err_code input_rewind(struct input *in, struct err *e);

/*
 * Reads more behind what is unread. Nothing more comes when `ended`. ERR_LIMIT when `most` bytes
 * are unread already, ERR_IO, ERR_NOMEM.
 */
enum err_code input_fill(struct input *in, struct err *e);

#endif
