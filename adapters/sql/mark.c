#include "adapters/sql/mark.h"

struct decimal {
    bool negative;
    struct str whole, fraction; /* without zeros that mean nothing */
};

static struct str digits(struct str *rest)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9') {
        n++;
    }
    struct str out = str_cut(*rest, 0, n);
    *rest = str_cut(*rest, n, rest->n);
    return out;
}

static bool decimal_of(struct str s, struct decimal *d)
{
    *d = (struct decimal){0};
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) {
        d->negative = s.p[0] == '-';
        s = str_cut(s, 1, s.n);
    }
    d->whole = digits(&s);
    bool any = d->whole.n > 0;
    if (s.n && s.p[0] == '.') {
        s = str_cut(s, 1, s.n);
        d->fraction = digits(&s);
        any |= d->fraction.n > 0;
    }
    while (d->whole.n && d->whole.p[0] == '0') {
        d->whole = str_cut(d->whole, 1, d->whole.n);
    }
    while (d->fraction.n && d->fraction.p[d->fraction.n - 1] == '0') {
        d->fraction = str_cut(d->fraction, 0, d->fraction.n - 1);
    }
    if (!d->whole.n && !d->fraction.n) {
        d->negative = false; /* -0 */
    }
    return any && s.n == 0;
}

static int size_order(const struct decimal *a, const struct decimal *b)
{
    if (a->whole.n != b->whole.n) {
        return a->whole.n < b->whole.n ? -1 : 1;
    }
    int order = str_cmp(a->whole, b->whole);
    return order ? order : str_cmp(a->fraction, b->fraction);
}

int mark_order(struct str a, struct str b)
{
    struct decimal x, y;
    if (!decimal_of(a, &x) || !decimal_of(b, &y)) {
        return str_cmp(a, b);
    }
    if (x.negative != y.negative) {
        return x.negative ? -1 : 1;
    }
    return x.negative ? size_order(&y, &x) : size_order(&x, &y);
}

enum err_code mark_fits(struct str mark, struct err *e)
{
    if (mark.n == 0) {
        return ERR(e, ERR_VALUE, 0, "the mark is empty");
    }
    if (mark.n > MARK_MAX) {
        return ERR(e, ERR_LIMIT, MARK_MAX, "the mark is longer than %d bytes", MARK_MAX);
    }
    for (size_t i = 0; i < mark.n; i++) {
        if ((unsigned char)mark.p[i] < 0x20 || mark.p[i] == 0x7f) {
            return ERR(e, ERR_VALUE, i, "the mark has a control character");
        }
    }
    return ERR_NONE;
}
