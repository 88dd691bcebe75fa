#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/crypto/keys.h"
#include "tests/lib/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct keyring *keys;
static struct arena *arena;
static struct buf sealed;

static int setup(void **state)
{
    (void)state;
    if (!folder_make() || keys_init(in_folder(""), NULL) != ERR_NONE ||
        keyring_open(in_folder(""), &keys, NULL) != ERR_NONE) {
        return -1;
    }
    arena = arena_new(0);
    buf_init(&sealed, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    keyring_free(&keys);
    arena_free(&arena);
    buf_release(&sealed);
    folder_drop();
    return 0;
}

static enum err_code opens(struct str context, struct str bytes, struct str *plain)
{
    struct err e = {0};
    enum err_code code = unseal(keys, arena, context, bytes, plain, &e);
    assert_int_equal(e.code, code);
    assert_int_equal(plain->p != NULL, code == ERR_NONE);
    return code;
}

static void what_was_sealed_opens(void **state)
{
    (void)state;
    static char large[70000];
    memset(large, 'x', sizeof large);
    const struct str texts[] = {
        STR(""), STR("a"), STR("0123456789abcdef"), STR("nul \0 inside"), {large, sizeof large}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct str plain;
        buf_reset(&sealed);
        assert_int_equal(seal(keys, STR("clinic/message/1/raw"), texts[i], &sealed, NULL),
                         ERR_NONE);
        assert_int_equal(sealed.n, texts[i].n + SEAL_OVERHEAD);
        assert_int_equal(opens(STR("clinic/message/1/raw"), buf_str(&sealed), &plain), ERR_NONE);
        assert_true(str_eq(plain, texts[i]));
    }
}

/* Many records, some of them sealed by a forked process in between: no nonce twice. */
static void nonces_differ(void **state)
{
    (void)state;
    enum { HERE = 300, THERE = 40, NONCE = 12 };
    unsigned char seen[HERE + THERE][NONCE];
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = -1;
    for (size_t i = 0; i < HERE; i++) {
        if (i == HERE / 2 && (child = fork()) == 0) {
            break;
        }
        buf_reset(&sealed);
        assert_int_equal(seal(keys, STR("c"), STR("same"), &sealed, NULL), ERR_NONE);
        memcpy(seen[i], sealed.p + 1, NONCE);
    }
    for (size_t i = 0; child == 0 && i < THERE; i++) {
        buf_reset(&sealed);
        bool ok = seal(keys, STR("c"), STR("same"), &sealed, NULL) == ERR_NONE &&
                  write(pipes[1], sealed.p + 1, NONCE) == NONCE;
        if (!ok || i + 1 == THERE) {
            _exit(!ok);
        }
    }
    close(pipes[1]);
    for (size_t i = HERE; i < HERE + THERE; i++) {
        assert_int_equal(read(pipes[0], seen[i], NONCE), NONCE);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (size_t i = 0; i < HERE + THERE; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(seen[i], seen[k], NONCE);
        }
    }
    close(pipes[0]);
}

static void another_context_does_not_open(void **state)
{
    (void)state;
    const struct str others[] = {STR(""), STR("clinic/message/2/raw"), STR("clinic/message/1/raw "),
                                 STR("clinic/message/1/ra")};
    buf_reset(&sealed);
    assert_int_equal(seal(keys, STR("clinic/message/1/raw"), STR("secret"), &sealed, NULL),
                     ERR_NONE);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct str plain;
        assert_int_equal(opens(others[i], buf_str(&sealed), &plain), ERR_CRYPTO);
    }
}

static void a_flipped_bit_anywhere_is_seen(void **state)
{
    (void)state;
    struct str plain;
    buf_reset(&sealed);
    assert_int_equal(seal(keys, STR("c"), STR("secret"), &sealed, NULL), ERR_NONE);
    for (size_t bit = 0; bit < 8 * sealed.n; bit++) {
        sealed.p[bit / 8] = (char)(sealed.p[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(opens(STR("c"), buf_str(&sealed), &plain), ERR_CRYPTO);
        sealed.p[bit / 8] = (char)(sealed.p[bit / 8] ^ 1 << bit % 8);
    }
    assert_int_equal(opens(STR("c"), buf_str(&sealed), &plain), ERR_NONE);
}

static void a_cut_record_is_seen(void **state)
{
    (void)state;
    struct str plain;
    buf_reset(&sealed);
    assert_int_equal(seal(keys, STR("c"), STR("secret"), &sealed, NULL), ERR_NONE);
    for (size_t n = 0; n < sealed.n; n++) {
        assert_int_equal(opens(STR("c"), str_cut(buf_str(&sealed), 0, n), &plain), ERR_CRYPTO);
        assert_int_equal(opens(STR("c"), str_cut(buf_str(&sealed), n + 1, sealed.n), &plain),
                         ERR_CRYPTO);
    }
}

static void another_site_key_does_not_open(void **state)
{
    (void)state;
    const char *other = in_folder("other");
    struct keyring *k = NULL;
    struct str plain;
    assert_int_equal(keys_init(other, NULL), ERR_NONE);
    assert_int_equal(keyring_open(other, &k, NULL), ERR_NONE);
    buf_reset(&sealed);
    assert_int_equal(seal(k, STR("c"), STR("secret"), &sealed, NULL), ERR_NONE);
    assert_int_equal(opens(STR("c"), buf_str(&sealed), &plain), ERR_CRYPTO);
    keyring_free(&k);
}

static void a_full_buffer_says_so(void **state)
{
    (void)state;
    struct buf small;
    struct err e = {0};
    buf_init(&small, SEAL_OVERHEAD + 3);
    assert_int_equal(seal(keys, STR("c"), STR("four"), &small, &e), ERR_NOMEM);
    buf_reset(&small);
    assert_int_equal(seal(keys, STR("c"), STR("thr"), &small, &e), ERR_NONE);
    buf_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens),
        cmocka_unit_test(nonces_differ),
        cmocka_unit_test(another_context_does_not_open),
        cmocka_unit_test(a_flipped_bit_anywhere_is_seen),
        cmocka_unit_test(a_cut_record_is_seen),
        cmocka_unit_test(another_site_key_does_not_open),
        cmocka_unit_test(a_full_buffer_says_so),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
