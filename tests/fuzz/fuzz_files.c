/* Lines of an SFTP server's listing, patterns, and names as text: whatever the bytes. */
#include "adapters/files/rules.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str all = {(const char *)data, n}, line, rest = all;
    struct arena *m = arena_new(0);
    while (m && rest.n && str_next(&rest, '\n', &line)) {
        struct rule_listed l;
        size_t bad;
        if (rule_listing(line, (usec)1773216000 * USEC_SECOND, &l) &&
            (!l.name.n || l.size < 0 || memchr(l.name.p, '/', l.name.n))) {
            abort();
        }
        const char *text = rule_text(m, line);
        if (text && (!text_utf8(str_of(text), &bad) || strchr(text, '\n'))) {
            abort();
        }
    }
    size_t cut = str_find(all, '\n', 0);
    struct str patterns = str_cut(all, 0, cut);
    if (n < 4096 && rule_check(patterns, NULL) == ERR_NONE) {
        rule_match(patterns, str_cut(all, cut, n));
    }
    arena_free(&m);
    return 0;
}
