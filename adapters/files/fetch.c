#include "adapters/files/files_internal.h"

void fetch_turn(struct adapter *a)
{
    (void)a;
}

enum err_code fetch_check(const struct files_options *o, struct err *e)
{
    (void)o;
    return ERR(e, ERR_CONFIG, 0, "url: not yet");
}

void fetch_surroundings(const struct files_options *o, const char *file, int line,
                        struct problems *p)
{
    (void)o, (void)file, (void)line, (void)p;
}
