#include "tests/lib/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

bool book_write_parts(const char *path, const struct book_part *parts)
{
    int why = 0;
    unlink(path);
    struct zip *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &why);
    bool ok = z != NULL;
    for (; ok && parts->name; parts++) {
        size_t n = parts->n ? parts->n : strlen(parts->text);
        struct zip_source *s = zip_source_buffer(z, parts->text, n, 0);
        ok = s && zip_file_add(z, parts->name, s, ZIP_FL_OVERWRITE) >= 0;
    }
    return ok && zip_close(z) == 0;
}

#define MAIN "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
#define REL "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define PACKAGE "http://schemas.openxmlformats.org/package/2006/relationships"

static const char root_rels[] =
    "<Relationships xmlns=\"" PACKAGE "\"><Relationship Id=\"rId1\" Type=\"" REL
    "/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>";
static const char book[] = "<workbook xmlns=\"" MAIN "\" xmlns:r=\"" REL
                           "\"><sheets><sheet name=\"예약\" sheetId=\"1\" r:id=\"rId1\"/>"
                           "</sheets></workbook>";
static const char book_rels[] =
    "<Relationships xmlns=\"" PACKAGE "\"><Relationship Id=\"rId1\" Type=\"" REL
    "/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"rId2\" Type=\"" REL
    "/sharedStrings\" Target=\"/xl/sharedStrings.xml\"/><Relationship Id=\"rId3\" Type=\"" REL
    "/styles\" Target=\"styles.xml\"/></Relationships>";
static const char styles[] =
    "<styleSheet xmlns=\"" MAIN "\"><numFmts><numFmt numFmtId=\"164\" "
    "formatCode=\"yyyy&quot;년&quot;\\ m/d;@\"/><numFmt numFmtId=\"165\" formatCode=\"00000000\"/>"
    "<numFmt numFmtId=\"166\" formatCode=\"[h]:mm:ss\"/></numFmts><cellStyleXfs><xf "
    "numFmtId=\"14\"/></cellStyleXfs><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"164\"/><xf "
    "numFmtId=\"22\"/><xf numFmtId=\"20\"/><xf numFmtId=\"165\"/><xf numFmtId=\"166\"/>"
    "</cellXfs></styleSheet>";

bool book_write(const char *path, const char *rows, const char *strings,
                const struct book_part *extra)
{
    size_t room = strlen(rows) + strlen(strings) + 1024;
    char *sheet = malloc(room), *shared = malloc(room);
    if (!sheet || !shared) {
        free(sheet);
        free(shared);
        return false;
    }
    snprintf(sheet, room,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<worksheet xmlns=\"" MAIN
             "\"><cols><col min=\"1\"/></cols><sheetData>%s</sheetData><mergeCells/></worksheet>",
             rows);
    snprintf(shared, room, "<sst xmlns=\"" MAIN "\">%s</sst>", strings);
    const struct book_part none = {NULL, NULL, 0};
    const struct book_part parts[] = {{"_rels/.rels", root_rels, 0},
                                      {"xl/workbook.xml", book, 0},
                                      {"xl/_rels/workbook.xml.rels", book_rels, 0},
                                      {"xl/styles.xml", styles, 0},
                                      {"xl/sharedStrings.xml", shared, 0},
                                      {"xl/worksheets/sheet1.xml", sheet, 0},
                                      extra ? *extra : none,
                                      none};
    bool ok = book_write_parts(path, parts);
    free(sheet);
    free(shared);
    return ok;
}
