/* What is wrong with options of the MLLP adapter is named, and nothing listens. */
#include "tests/lib/mllp_host.h"

static const struct {
    const char *pairs[3];
    const char *says;
    bool late; /* an address is only tried by listening */
} wrong[] = {
    {{"max-in-flight=1k"}, "max-in-flight must be at least max-message", false},
    {{"clients=required"}, "need tls=\"yes\"", false},
    {{"tls=yes", "clients=some"}, "clients must be none, optional or", false},
    {{"tls=yes"}, "certificate", false},
    {{"address=emr.example"}, "address must be a numeric IP address", true},
    {{"allow=10.0.0.0/33"}, "allow", false},
    {{"allow=hospital"}, "allow", false},
    {{"framing=x"}, "framing", false},
    {{"start-byte=0d"}, "start-byte", false},
    {{"start-byte=4d"}, "start-byte", false},
    {{"end-bytes=0b"}, "end-bytes", false},
    {{"end-bytes=1c0d0a"}, "end-bytes", false},
    {{"end-bytes="}, "end-bytes", false},
    {{"reply-to=host"}, "reply-to", false},
    {{"reply-to=:25"}, "reply-to", false},
};

static void wrong_options_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct adapter_host h = {.loop = net_loop_new(NULL), .memory = arena_new(0)};
        struct err e = {0};
        struct problems p = {0};
        h.options = options_of(&h, wrong[i].pairs);
        adapter_mllp.check(h.options, "f", 7, &p);
        assert_row(p.count == (wrong[i].late ? 0 : 1), wrong[i].pairs[0]);
        assert_row(wrong[i].late || strstr(p.text, wrong[i].says), wrong[i].pairs[0]);
        problems_release(&p);
        assert_row(adapter_mllp.start(&h, h.loop, h.options, &h.adapter, &e) != ERR_NONE,
                   wrong[i].pairs[0]);
        assert_row(strstr(e.msg, wrong[i].says), e.msg);
        assert_null(h.adapter);
        net_loop_free(&h.loop);
        arena_free(&h.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
