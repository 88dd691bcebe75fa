/* core/intake/import: a file that cannot be opened, for its own fault or for ours.
 */
#include "core/intake/host.h"
#include "tests/lib/cm.h"
#include "tests/lib/folder.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static enum adapter_outcome outcome;
static int finished_count;

static void finished(struct adapter *a, void *ticket, const struct adapter_result *r)
{
    (void)a;
    (void)ticket;
    outcome = r->outcome;
    finished_count++;
}

static const struct adapter_ops ops = {.finished = finished};

static void pumped(void *ctx)
{
    (void)ctx;
}

/* Gives the file to a host that has no database yet, with so many descriptors at most. */
static void give(const char *name, rlim_t most)
{
    struct adapter_host h = {.ops = &ops, .s = {.feed = "f"}};
    struct adapter_file f = {.path = in_folder(name), .name = "the file"};
    struct rlimit before, now;
    h.loop = net_loop_new(NULL);
    h.pump = net_timer_new(h.loop, pumped, &h);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = (struct rlimit){most < before.rlim_cur ? most : before.rlim_cur, before.rlim_max};
    finished_count = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    assert_true(adapter_submit_file(&h, &f, NULL));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(finished_count, 0); /* not from inside */
    assert_false(import_step(&h));
    import_free(&h.import);
    net_timer_free(&h.pump);
    net_loop_free(&h.loop);
}

static rlim_t descriptors_now(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return (rlim_t)fd;
}

static void a_missing_file_is_refused(void **state)
{
    (void)state;
    give("nothing", RLIM_INFINITY);
    assert_int_equal(finished_count, 1);
    assert_int_equal(outcome, ADAPTER_REFUSED);
    assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
    give("folder", RLIM_INFINITY);
    assert_int_equal(outcome, ADAPTER_REFUSED);
}

static void without_descriptors_it_is_for_later(void **state)
{
    (void)state;
    folder_write("file", "x");
    give("file", RLIM_INFINITY);
    assert_int_equal(finished_count, 0); /* it is read */
    give("file", descriptors_now());
    assert_int_equal(finished_count, 1);
    assert_int_equal(outcome, ADAPTER_RETRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_is_refused),
        cmocka_unit_test(without_descriptors_it_is_for_later),
    };
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
