#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/crypto/keys.h"
#include "core/ledger/checkpoint.h"
#include "tests/lib/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct signer *signer;
static unsigned char key[ED25519_PUBLIC];
static struct buf note;

static int setup(void **state)
{
    (void)state;
    if (!folder_make() || keys_init(in_folder(""), NULL) != ERR_NONE) {
        return -1;
    }
    buf_init(&note, 4096);
    return signer_open(in_folder("ledger.key"), &signer, NULL) == ERR_NONE &&
                   signer_public(signer, key, NULL) == ERR_NONE
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    signer_free(&signer);
    buf_release(&note);
    folder_drop();
    return 0;
}

static void make(int64_t size)
{
    struct checkpoint c = {.size = size};
    memset(c.root.b, 0xab, TREE_HASH);
    buf_reset(&note);
    assert_int_equal(checkpoint_sign(&note, "clinic", &c, signer, NULL), ERR_NONE);
}

static enum err_code opens(struct str text, const char *site)
{
    struct checkpoint c;
    struct err e = {0};
    enum err_code code = checkpoint_open(text, site, key, &c, &e);
    assert_int_equal(e.code, code);
    return code;
}

static void a_note_has_the_c2sp_form(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 256, INT64_C(1) << 55};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char head[256];
        make(sizes[i]);
        snprintf(head, sizeof head,
                 "dari/clinic\n%lld\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n\n"
                 "\xe2\x80\x94 dari/clinic ",
                 (long long)sizes[i]);
        assert_true(str_starts(buf_str(&note), str_of(head)));
        assert_int_equal(note.n, strlen(head) + 92 + 1); /* 68 bytes in base64 */
        struct checkpoint c;
        assert_int_equal(checkpoint_open(buf_str(&note), "clinic", key, &c, NULL), ERR_NONE);
        assert_int_equal(c.size, sizes[i]);
        assert_int_equal(c.root.b[31], 0xab);
    }
}

static void another_name_or_key_is_refused(void **state)
{
    (void)state;
    make(7);
    assert_int_equal(opens(buf_str(&note), "clinic"), ERR_NONE);
    assert_int_equal(opens(buf_str(&note), "clini"), ERR_REFUSED);
    assert_int_equal(opens(buf_str(&note), ""), ERR_CONFIG);
    assert_int_equal(opens(buf_str(&note), "two words"), ERR_CONFIG);
    key[0] ^= 1;
    assert_int_equal(opens(buf_str(&note), "clinic"), ERR_REFUSED);
    key[0] ^= 1;
}

static void any_changed_byte_is_refused(void **state)
{
    (void)state;
    make(1234);
    for (size_t i = 0; i < note.n; i++) {
        note.p[i] ^= 1;
        enum err_code code = opens(buf_str(&note), "clinic");
        assert_true(code == ERR_REFUSED || code == ERR_SYNTAX);
        note.p[i] ^= 1;
    }
    for (size_t i = 0; i < note.n; i++) {
        enum err_code code = opens(str_cut(buf_str(&note), 0, i), "clinic");
        assert_true(code == ERR_REFUSED || code == ERR_SYNTAX);
    }
    assert_int_equal(opens(buf_str(&note), "clinic"), ERR_NONE);
}

static void witnesses_may_sign_too(void **state)
{
    (void)state;
    make(5);
    buf_addz(&note, "\xe2\x80\x94 witness.example AAAAAGdvb2Q=\n");
    assert_int_equal(opens(buf_str(&note), "clinic"), ERR_NONE);
    /* Their lines may also come first. */
    struct buf b;
    size_t blank = 0;
    while (memcmp(note.p + blank, "\n\n", 2) != 0) {
        blank++;
    }
    buf_init(&b, 4096);
    buf_add(&b, str_cut(buf_str(&note), 0, blank + 2));
    buf_addz(&b, "\xe2\x80\x94 witness.example AAAAAGdvb2Q=\n");
    buf_add(&b, str_cut(buf_str(&note), blank + 2, note.n));
    assert_int_equal(opens(buf_str(&b), "clinic"), ERR_NONE);
    buf_release(&b);
}

static void malformed_notes_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        size_t pos;
    } rows[] = {
        {"", ERR_SYNTAX, 0},
        {"dari/clinic\n", ERR_SYNTAX, 0},
        {"dari/clinic\n\n", ERR_SYNTAX, 12},
        {"dari/clinic\n01\nqg==\n\n", ERR_SYNTAX, 12},
        {"dari/clinic\n-1\nqg==\n\n", ERR_SYNTAX, 12},
        {"dari/clinic\n9223372036854775808\nqg==\n\n", ERR_SYNTAX, 12},
        {"dari/clinic\n1\nqg==\n\n", ERR_SYNTAX, 14},
        {"dari/clinic\n1\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6t=\n\n", ERR_SYNTAX, 14},
        {"dari/clinic\n1\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n\n", ERR_REFUSED, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct checkpoint c;
        struct err e = {0};
        assert_int_equal(checkpoint_open(str_of(rows[i].text), "clinic", key, &c, &e),
                         rows[i].code);
        assert_int_equal(e.pos, rows[i].pos);
    }
}

/* RFC 4648 section 10. */
static void base64_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base64;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned char back[16];
        size_t n = sizeof back;
        buf_reset(&note);
        base64_put(&note, str_of(rows[i].text));
        assert_true(str_is(buf_str(&note), rows[i].base64));
        assert_true(base64_get(str_of(rows[i].base64), back, &n));
        assert_int_equal(n, strlen(rows[i].text));
        assert_memory_equal(back, rows[i].text, n);
    }
    static const char *const wrong[] = {
        "Z", "Zg=", "Zg==Zg==", "Zh==", "Zm9=", "Z===", "Zm 9", "Zm9v\n", "===="};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        unsigned char back[16];
        size_t n = sizeof back;
        assert_false(base64_get(str_of(wrong[i]), back, &n));
    }
    unsigned char small[2];
    size_t n = sizeof small;
    assert_false(base64_get(STR("Zm9v"), small, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_has_the_c2sp_form),
        cmocka_unit_test(another_name_or_key_is_refused),
        cmocka_unit_test(any_changed_byte_is_refused),
        cmocka_unit_test(witnesses_may_sign_too),
        cmocka_unit_test(malformed_notes_say_where),
        cmocka_unit_test(base64_vectors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
