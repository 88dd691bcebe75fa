#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/crypto/digest.h"
#include "core/crypto/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/dari-keys-XXXXXX";
static char folder[128];

static int setup(void **state)
{
    (void)state;
    memcpy(root + sizeof root - 7, "XXXXXX", 7); /* mkdtemp() wrote over it */
    if (!mkdtemp(root)) {
        return -1;
    }
    snprintf(folder, sizeof folder, "%s/a b/keys", root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static const char *in(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void init_makes_everything_once(void **state)
{
    (void)state;
    static const char *const names[] = {"site.key",    "ledger.key",    "ledger.pub",
                                        "stream.key",  "stream.pub",    "segment.key",
                                        "segment.pub", "messaging.key", "messaging.pub"};
    struct err e = {0};
    assert_int_equal(keys_init(folder, &e), ERR_NONE);
    assert_int_equal(mode_of(folder), 0700);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        bool secret = strstr(names[i], ".key") != NULL;
        assert_int_equal(mode_of(in(names[i])), secret ? 0600 : 0644);
    }
    char before[CURVE_TEXT], after[CURVE_TEXT], public_key[CURVE_TEXT];
    assert_int_equal(curve_read(folder, "stream.key", before, &e), ERR_NONE);
    assert_int_equal(keys_init(folder, &e), ERR_EXISTS);

    /* What is missing is made again from the private half; what is there stays. */
    assert_int_equal(unlink(in("stream.pub")), 0);
    assert_int_equal(unlink(in("ledger.pub")), 0);
    assert_int_equal(keys_init(folder, &e), ERR_NONE);
    assert_int_equal(curve_read(folder, "stream.key", after, &e), ERR_NONE);
    assert_string_equal(before, after);
    assert_int_equal(curve_public(after, public_key, &e), ERR_NONE);
    assert_int_equal(curve_read(folder, "stream.pub", after, &e), ERR_NONE);
    assert_string_equal(public_key, after);

    struct signer *s = NULL;
    unsigned char a[ED25519_PUBLIC], b[ED25519_PUBLIC];
    assert_int_equal(signer_open(in("ledger.key"), &s, &e), ERR_NONE);
    assert_int_equal(signer_public(s, a, &e), ERR_NONE);
    assert_int_equal(public_read(in("ledger.pub"), b, &e), ERR_NONE);
    assert_memory_equal(a, b, sizeof a);
    signer_free(&s);

    /* No half-made file is left over. */
    struct arena *arena = arena_new(0);
    char **left;
    size_t count = 0;
    assert_int_equal(file_list(arena, folder, ".new", &left, &count, &e), ERR_NONE);
    assert_int_equal(count, 0);
    arena_free(&arena);
}

static void public_half_alone_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(keys_init(folder, &e), ERR_NONE);
    assert_int_equal(unlink(in("segment.key")), 0);
    assert_int_equal(keys_init(folder, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "segment.key"));
}

static void open_names_what_is_wrong(void **state)
{
    (void)state;
    struct err e = {0};
    struct keyring *k = NULL;
    assert_int_equal(keyring_open(folder, &k, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.msg, "dari keys init"));
    assert_null(k);

    assert_int_equal(keys_init(folder, &e), ERR_NONE);
    static const char *const secrets[] = {"site.key", "ledger.key", "stream.key", "segment.key",
                                          "messaging.key"};
    static const mode_t wide[] = {0640, 0604, 0620, 0601};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        for (size_t m = 0; m < sizeof wide / sizeof wide[0]; m++) {
            assert_int_equal(chmod(in(secrets[i]), wide[m]), 0);
            assert_int_equal(keyring_open(folder, &k, &e), ERR_CONFIG);
            assert_non_null(strstr(e.msg, "chmod 600"));
            assert_non_null(strstr(e.msg, secrets[i]));
        }
        assert_int_equal(chmod(in(secrets[i]), 0600), 0);
    }
    assert_int_equal(chmod(folder, 0770), 0);
    assert_int_equal(keyring_open(folder, &k, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "chmod 700"));
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(keyring_open(folder, &k, &e), ERR_NONE);
    keyring_free(&k);
    keyring_free(&k);
    assert_null(k);

    /* Not the ledger's private half: only the steward's user can read that. */
    assert_int_equal(unlink(in("ledger.key")), 0);
    assert_int_equal(keyring_open(folder, &k, &e), ERR_NONE);
    keyring_free(&k);

    static const char *const damaged[] = {"", "00", "zz", NULL};
    for (size_t i = 0; damaged[i]; i++) {
        assert_int_equal(file_write(in("site.key"), str_of(damaged[i]), 0600, &e), ERR_NONE);
        assert_int_equal(keyring_open(folder, &k, &e), ERR_CONFIG);
        assert_non_null(strstr(e.msg, "site.key is damaged"));
    }
    assert_int_equal(unlink(in("site.key")), 0);
    assert_int_equal(keyring_open(folder, &k, &e), ERR_NOTFOUND);
}

static void damaged_curve_keys_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    char key[CURVE_TEXT];
    assert_int_equal(keys_init(folder, &e), ERR_NONE);
    static const char *const texts[] = {
        "",
        "short\n",
        "0123456789012345678901234567890123456789x\n",
        "################################ ######\n",
        "#######################################~\n",
        "########################################\n" /* each group above 2^32 - 1 */};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(file_write(in("stream.pub"), str_of(texts[i]), 0644, &e), ERR_NONE);
        assert_int_equal(curve_read(folder, "stream.pub", key, &e), ERR_CONFIG);
        assert_non_null(strstr(e.msg, "stream.pub is damaged"));
    }
    assert_int_equal(curve_read(folder, "other.pub", key, &e), ERR_NOTFOUND);
    assert_int_equal(chmod(in("stream.key"), 0644), 0);
    assert_int_equal(curve_read(folder, "stream.key", key, &e), ERR_CONFIG);
}

/* With a fixed site.key the ids are fixed for ever: computed apart with Python's hmac module. */
static void ids_never_change(void **state)
{
    (void)state;
    struct err e = {0};
    struct keyring *k = NULL;
    assert_int_equal(keys_init(folder, &e), ERR_NONE);
    static const char site_key[] =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    assert_int_equal(file_write(in("site.key"), str_of(site_key), 0600, &e), ERR_NONE);
    assert_int_equal(keyring_open(folder, &k, &e), ERR_NONE);
    char key[KEY_TEXT];
    key_patient(k, STR("clinic"), STR("00012345"), key);
    assert_string_equal(key, "wnfx65seksevzq718xgdvx60ww");
    key_opaque(k, "appointment", STR("clinic"), STR("A-1"), key);
    assert_string_equal(key, "6esxaby08va0th7z18nbxkfjec");
    key_pseudonym(k, STR("vendor"), STR("abc"), key);
    assert_string_equal(key, "02xczj8vxt0chtymm21dx0kc70");
    key_event(k, STR("cause"), STR("visit.arrived"), 258, key);
    assert_string_equal(key, "eke8f9a7ekymwfmbwx51xv5vvm");
    unsigned char id[16];
    static const unsigned char expect[16] = {0x3e, 0x3a, 0x20, 0x9f, 0x45, 0x45, 0x95, 0xff,
                                             0x26, 0x6f, 0xa4, 0x88, 0x17, 0xbc, 0x76, 0x48};
    key_message(k, STR("clinic"), STR("emr"), STR("MSG1"), STR("MSH|^~\\&|A|B|C|D|"),
                STR("||ADT^A08\r"), id);
    assert_memory_equal(id, expect, 16);
    keyring_free(&k);
}

static void parts_do_not_run_together(void **state)
{
    (void)state;
    struct err e = {0};
    struct keyring *k = NULL;
    assert_int_equal(keys_init(folder, &e), ERR_NONE);
    assert_int_equal(keyring_open(folder, &k, &e), ERR_NONE);
    char a[KEY_TEXT], b[KEY_TEXT];
    key_patient(k, STR("ab"), STR("c"), a);
    key_patient(k, STR("a"), STR("bc"), b);
    assert_string_not_equal(a, b);
    key_patient(k, STR(""), STR(""), b);
    assert_string_not_equal(a, b);
    key_event(k, STR("x"), STR("y"), 1, a);
    key_event(k, STR("x"), STR("y"), 2, b);
    assert_string_not_equal(a, b);
    key_pseudonym(k, STR("v1"), STR("key"), a);
    key_pseudonym(k, STR("v2"), STR("key"), b);
    assert_string_not_equal(a, b);
    /* The same texts under another use. */
    key_patient(k, STR("v2"), STR("key"), a);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), KEY_TEXT - 1);
    keyring_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(init_makes_everything_once, setup, teardown),
        cmocka_unit_test_setup_teardown(public_half_alone_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(open_names_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_curve_keys_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_never_change, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_do_not_run_together, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
