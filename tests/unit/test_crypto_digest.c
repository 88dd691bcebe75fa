#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/crypto/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void unhex(const char *hex, void *out)
{
    assert_int_equal(text_unhex(str_of(hex), out, NULL), ERR_NONE);
}

/* FIPS 180-4 examples. */
static void sha256_vectors(void **state)
{
    (void)state;
    static char million[1000000];
    memset(million, 'a', sizeof million);
    const struct {
        struct str text;
        const char *hex;
    } rows[] = {
        {STR(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {STR("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {{million, sizeof million},
         "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned char got[SHA256_BYTES], want[SHA256_BYTES];
        unhex(rows[i].hex, want);
        sha256(rows[i].text, got);
        assert_memory_equal(got, want, sizeof want);
        const struct str parts[] = {str_cut(rows[i].text, 0, 2), STR(""),
                                    str_cut(rows[i].text, 2, rows[i].text.n)};
        sha256_of(parts, 3, got);
        assert_memory_equal(got, want, sizeof want);
    }
}

/* RFC 8032 section 7.1. */
static const struct {
    const char *secret, *public_key, *text, *signature;
} ed25519_rows[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "46b"
     "d25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "659"
     "4a7c15e9716ed28dc027beceea1ec40a"},
};

static char path[] = "/tmp/dari-sign-XXXXXX";

/* PKCS #8 of RFC 8410 around the 32 secret bytes. */
static void write_pem(const char *secret_hex)
{
    char der[48], command[256];
    unhex("302e020100300506032b657004220420", der);
    unhex(secret_hex, der + 16);
    assert_int_equal(file_write(path, (struct str){der, sizeof der}, 0600, NULL), ERR_NONE);
    snprintf(
        command, sizeof command,
        "openssl pkey -inform DER -in %s -out %s.pem 2>/dev/null && mv %s.pem %s && chmod 600 %s",
        path, path, path, path, path);
    assert_int_equal(system(command), 0);
}

static void ed25519_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ed25519_rows / sizeof ed25519_rows[0]; i++) {
        unsigned char key[ED25519_PUBLIC], got_key[ED25519_PUBLIC];
        unsigned char want[ED25519_SIGNATURE], got[ED25519_SIGNATURE];
        char bytes[8];
        struct signer *s = NULL;
        struct str text = {bytes, strlen(ed25519_rows[i].text) / 2};
        unhex(ed25519_rows[i].text, bytes);
        unhex(ed25519_rows[i].public_key, key);
        unhex(ed25519_rows[i].signature, want);
        write_pem(ed25519_rows[i].secret);
        assert_int_equal(signer_open(path, &s, NULL), ERR_NONE);
        assert_int_equal(signer_public(s, got_key, NULL), ERR_NONE);
        assert_memory_equal(got_key, key, sizeof key);
        assert_int_equal(signer_sign(s, text, got, NULL), ERR_NONE);
        assert_memory_equal(got, want, sizeof want);
        assert_true(public_verify(key, text, got));
        got[3] ^= 1;
        assert_false(public_verify(key, text, got));
        assert_false(public_verify(key, STR("other"), want));
        key[0] ^= 1;
        assert_false(public_verify(key, text, want));
        signer_free(&s);
        assert_null(s);
    }
}

static void wrong_key_files_are_named(void **state)
{
    (void)state;
    struct err e = {0};
    struct signer *s = NULL;
    unsigned char key[ED25519_PUBLIC];
    assert_int_equal(signer_open("/nonexistent/ledger.key", &s, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.msg, "/nonexistent/ledger.key"));
    assert_int_equal(public_read("/nonexistent/ledger.pub", key, &e), ERR_NOTFOUND);
    assert_int_equal(file_write(path, STR("not PEM"), 0600, NULL), ERR_NONE);
    assert_int_equal(signer_open(path, &s, &e), ERR_CONFIG);
    assert_null(s);
    assert_int_equal(public_read(path, key, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, path));
    /* A key of another kind, and one under a passphrase (which must not be asked for). */
    static const char *const other[] = {"-algorithm X25519",
                                        "-algorithm ED25519 -aes128 -pass pass:x"};
    for (size_t i = 0; i < 2; i++) {
        char command[128];
        snprintf(command, sizeof command, "openssl genpkey %s -out %s 2>/dev/null", other[i], path);
        assert_int_equal(system(command), 0);
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(signer_open(path, &s, &e), ERR_CONFIG);
        assert_non_null(strstr(e.msg, "Ed25519"));
    }
    write_pem(ed25519_rows[0].secret);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(signer_open(path, &s, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "chmod 600"));
}

/* ZeroMQ RFC 32 gives the 8 bytes and the client and server key of the second row's form. */
static void z85_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *text;
    } rows[] = {
        {"864fd26fb559f75b864fd26fb559f75b864fd26fb559f75b864fd26fb559f75b",
         "HelloWorldHelloWorldHelloWorldHelloWorld"},
        {"bb88471d65e2659b30c55a5321cebb5aab2b70a398645c26dca2b2fcb43fc518",
         "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"},
        {"54fcba24e93249969316fb617c872bb0c1d1ff14800427c594cbfacf1bc2d652",
         "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"},
        {"0000000000000000000000000000000000000000000000000000000000000000",
         "0000000000000000000000000000000000000000"},
        {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
         "%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned char raw[32], back[32];
        char text[CURVE_TEXT];
        unhex(rows[i].hex, raw);
        z85_encode(raw, text);
        assert_string_equal(text, rows[i].text);
        assert_true(z85_decode(text, back));
        assert_memory_equal(back, raw, sizeof raw);
    }
    unsigned char raw[32];
    assert_false(z85_decode("", raw));
    assert_false(z85_decode("%nSc1%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0", raw)); /* 2^32 */
    assert_false(z85_decode("000000000000000000000000000000000000000", raw));
    assert_false(z85_decode("00000000000000000000000000000000000000000", raw));
    assert_false(z85_decode("000000000000000000000000000000000000000~", raw));
    /* The client keys of RFC 26's examples in libzmq: the public half follows from the secret. */
    char key[CURVE_TEXT];
    assert_int_equal(curve_public("D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs", key, NULL), ERR_NONE);
    assert_string_equal(key, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
    assert_int_equal(curve_public("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6", key, NULL), ERR_NONE);
    assert_string_equal(key, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
    assert_int_equal(curve_public("short", key, NULL), ERR_VALUE);
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(ed25519_vectors),
        cmocka_unit_test(wrong_key_files_are_named),
        cmocka_unit_test(z85_vectors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
