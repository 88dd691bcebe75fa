/*
 * Inside core/table: a look at the end of a zip archive before libzip opens it, since that reads
 * the whole list of parts into memory, as long as the archive says it is.
 */
#ifndef DARI_TABLE_ARCHIVE_H
#define DARI_TABLE_ARCHIVE_H

#include "core/base/err.h"

/*
 * ERR_SYNTAX: no end of an archive; ERR_LIMIT: more parts, or a longer list of them; ERR_IO. Every
 * place that might be taken for the end is looked at (PKWARE APPNOTE 4.3.14 to 4.3.16).
 */
enum err_code archive_check(const char *path, size_t max_parts, size_t max_directory,
                            struct err *e);

#endif
