/*
 * Killed before each of its system calls that change a file: a second run finds everything, takes
 * it once and puts it away once. The first run is stepped through with ptrace; the host's memory is
 * shared with it, as a database outlives a process.
 */
#include "tests/lib/files_host.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const struct {
    const char *name, *content;
} files[] = {{"a.csv", "one"},
             {"b/c.csv", "two"},
             {"d.csv", "one"},
             {"e.csv", "REFUSE it"},
             {"f.hl7", "REPLY it"}};

static void lay_out(struct adapter_host *h)
{
    make_folder(h, "in/b");
    for (size_t i = 0; i < COUNT(files); i++) {
        write_file(h, arena_printf(h->memory, "in/%s", files[i].name), str_of(files[i].content));
        write_file(h, arena_printf(h->memory, "in/%s.done", files[i].name), STR(""));
    }
}

static bool all_away(void *ctx)
{
    struct adapter_host *h = ctx;
    return !there(h, "in/a.csv") && !there(h, "in/b/c.csv") && !there(h, "in/d.csv") &&
           !there(h, "in/e.csv") && !there(h, "in/f.hl7") && there(h, "in/.dari/working") &&
           !names_in(h, "in/.dari/working")[0];
}

static void go(struct adapter_host *h)
{
    int log = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO); /* thousands of lines */
    h->at_once = true;
    set_options(h, (const char *const[]){"complete", "control", "recursive", "yes", "scan", "10ms",
                                         "retry", "10ms", NULL});
    if (begin_with(h, NULL) == ERR_NONE) {
        run_until(h->loop, all_away, h);
    }
    dup2(log, STDERR_FILENO);
    close(log);
    close(null);
}

/* Does this call change files? */
static bool changes(const struct __ptrace_syscall_info *s)
{
    switch (s->entry.nr) {
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_mkdirat:
    case SYS_unlinkat:
    case SYS_fsync:
#ifdef SYS_rename
    case SYS_rename:
    case SYS_mkdir:
    case SYS_unlink:
    case SYS_rmdir:
#endif
        return true;
    case SYS_openat:
        return (s->entry.args[2] & O_CREAT) != 0;
    case SYS_write:
        return s->entry.args[0] > STDERR_FILENO;
    default:
        return false;
    }
}

/* Runs the child up to its k-th change and kills it there. False: it came to its end before. */
static bool kill_at(pid_t pid, int k)
{
    int status, seen = 0;
    waitpid(pid, &status, 0);
    assert_true(WIFSTOPPED(status));
    ptrace(PTRACE_SETOPTIONS, pid, NULL,
           (void *)(uintptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    for (int sig = 0;;) {
        struct __ptrace_syscall_info s;
        ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)sig);
        waitpid(pid, &status, 0);
        if (!WIFSTOPPED(status)) {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            return false;
        }
        bool call = WSTOPSIG(status) == (SIGTRAP | 0x80);
        sig = call ? 0 : WSTOPSIG(status);
        if (call && ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof s, &s) > 0 &&
            s.op == PTRACE_SYSCALL_INFO_ENTRY && changes(&s) && ++seen == k) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return true;
        }
    }
}

static bool killed_run(struct adapter_host *h, int k)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(1);
        }
        raise(SIGSTOP);
        h->loop = net_loop_new(NULL); /* an epoll descriptor must not be shared */
        h->later = net_timer_new(h->loop, host_later, h);
        go(h);
        _exit(0);
    }
    return kill_at(pid, k);
}

/* How often a name, or it with what we put behind it, lies in a folder. */
static int times(struct adapter_host *h, const char *folder, const char *name)
{
    int n = 0;
    struct str rest = str_of(names_in(h, folder)), one;
    while (rest.n && str_next(&rest, ' ', &one)) {
        n += str_starts(one, str_of(name));
    }
    return n;
}

static void check(struct adapter_host *h, int k)
{
    const char *day = today(h, "in/.dari/archive"),
               *why = arena_printf(h->memory, "killed at change %d", k);
    assert_row(h->kept->count == 3, why);
    assert_row(times(h, day, "a.csv") == 1, why);
    assert_row(times(h, arena_printf(h->memory, "%s/b", day), "c.csv") == 1, why);
    assert_row(times(h, day, "d.csv") == 1, why);
    assert_row(times(h, day, "f.hl7") == 1, why);
    assert_row(times(h, "in/.dari/error", "e.csv") == 2, why);
    assert_row(there(h, "in/.dari/error/e.csv") && there(h, "in/.dari/error/e.csv.problem.txt"),
               why);
    assert_string_equal(names_in(h, "in/.dari/reply"), "f.hl7.reply");
    assert_string_equal(names_in(h, "in"), "b"); /* no control file is left */
    assert_string_equal(names_in(h, "in/b"), "");
}

static bool may_trace(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void killed_before_each_change(void **state)
{
    (void)state;
    if (!may_trace()) {
        skip();
    }
    struct kept *kept =
        mmap(NULL, sizeof *kept, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(kept != MAP_FAILED);
    bool killed = true;
    int k = 1;
    for (; killed; k++) {
        void *s = NULL;
        memset(kept, 0, sizeof *kept);
        assert_int_equal(host_setup(&s), 0);
        struct adapter_host *h = s;
        h->kept = kept;
        lay_out(h);
        killed = killed_run(h, k);
        go(h);
        check(h, k);
        host_teardown(&s);
    }
    print_message("# killed at %d places\n", k - 2);
    assert_true(k > 60);
    munmap(kept, sizeof *kept);
}

int main(void)
{
    if (access("/dev/shm", W_OK) == 0) {
        setenv("TMPDIR", "/dev/shm",
               0); /* some hundred syncs; what is killed is a process, no disk */
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_before_each_change)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
