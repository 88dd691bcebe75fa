#include "core/messaging/fail.h"

#ifdef DARI_FAIL_POINTS

#include "core/base/num.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void fail_point(const char *name)
{
    static int64_t hits;
    struct str wish = str_of(getenv("DARI_FAIL"));
    size_t colon = str_find(wish, ':', 0);
    int64_t at = 1;
    if (!str_is(str_cut(wish, 0, colon), name)) {
        return;
    }
    if (colon < wish.n) {
        num_i64(str_cut(wish, colon + 1, wish.n), 1, 1000000, &at, NULL);
    }
    if (++hits == at) {
        kill(getpid(), SIGKILL);
    }
}

#else

/* An object file without a symbol is not allowed in ISO C. */
extern const int fail_points;
const int fail_points = 0;

#endif
