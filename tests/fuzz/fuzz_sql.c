/* What adapters/sql reads that others write: statements of a person, marks and rows of a database,
 * frames of the process that a driver runs in. */
#include "adapters/sql/mark.h"
#include "adapters/sql/schedule.h"
#include "adapters/sql/statement.h"
#include "adapters/sql/talk.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void statements(struct arena *a, struct str in)
{
    struct statement numbered, question;
    enum err_code one = statement_parse(a, in, STATEMENT_NUMBERED, &numbered, NULL);
    enum err_code each = statement_parse(a, in, STATEMENT_QUESTION, &question, NULL);
    /* A name that stands twice is one number and two question marks: only that may differ. */
    if ((one != each && each != ERR_LIMIT) ||
        (each == ERR_NONE && question.count < numbered.count)) {
        abort();
    }
}

static void frames(struct str in)
{
    struct talk_frame f;
    size_t size = 1;
    while (in.n && size && talk_frame(in, 1 << 16, &f, &size) && size) {
        while (!f.broken && f.rest.n) {
            struct cell c = talk_read_text(&f);
            if (c.text.n > in.n) {
                abort();
            }
        }
        in = str_cut(in, size, in.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct str a = str_cut(in, 0, size / 2), b = str_cut(in, size / 2, size);
    struct schedule s;
    struct arena *memory = arena_new(0);
    statements(memory, in);
    frames(in);
    schedule_parse(in, &s, NULL);
    int order = mark_order(a, b), back = mark_order(b, a);
    if ((order < 0) != (back > 0) || (order == 0) != (back == 0)) {
        abort();
    }
    arena_free(&memory);
    return 0;
}
