/*
 * A database behind an ODBC driver. Drivers crash, hang and write to standard output, so each piece
 * of work runs in a process of its own (helper.c), which is killed at its deadline, after an error,
 * and when we end. What it sends is checked like anything from outside.
 */
#include "adapters/sql/foreign.h"
#include "adapters/sql/talk.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ = 64 * 1024,
    REAP_MS = 20,
    REAP_LOOKS = 50,
    GRACE_MS = 1000,
    OUT_MAX = 64 * 1024 * 1024
};

struct foreign {
    struct net_loop *loop;
    const struct foreign_job *job;
    const struct foreign_handlers *h;
    void *ctx;
    pid_t pid;    /* 0: reaped */
    int to, from; /* pipes, -1: closed */
    struct net_watch *writing, *reading;
    struct net_timer *deadline;
    struct buf in, out;
    size_t out_at;
    bool opened, told_columns, last, over, stopped;
    size_t columns;
    struct err failed;
    int looks; /* after the end, whether the process is gone */
};

/* ---- its process ---- */

static void close_pipe(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* In the child: nothing of ours but the two pipes, as descriptors 3 and 4. */
static void become_helper(int commands, int answers, pid_t parent)
{
    char *argv[] = {(char[]){"dari"}, (char[]){"odbc"}, NULL};
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Both above 4 first, so that neither is overwritten. */
    int in = fcntl(commands, F_DUPFD_CLOEXEC, 10), out = fcntl(answers, F_DUPFD_CLOEXEC, 10);
    int null = fcntl(open("/dev/null", O_RDWR | O_CLOEXEC), F_DUPFD_CLOEXEC, 10);
    if (getppid() == parent && in >= 0 && out >= 0 && null >= 0) {
        dup2(in, 3);
        dup2(out, 4);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execv("/proc/self/exe", argv);
    }
    _exit(127);
}

static enum err_code start_process(struct foreign *s, struct err *e)
{
    int commands[2] = {-1, -1}, answers[2] = {-1, -1};
    pid_t parent = getpid();
    if (pipe(commands) != 0 || pipe(answers) != 0) {
        goto failed;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(commands[i], F_SETFD, FD_CLOEXEC);
        fcntl(answers[i], F_SETFD, FD_CLOEXEC);
    }
    s->pid = fork();
    if (s->pid < 0) {
        s->pid = 0;
        goto failed;
    }
    if (s->pid == 0) {
        become_helper(commands[0], answers[1], parent);
    }
    close(commands[0]);
    close(answers[1]);
    s->to = commands[1];
    s->from = answers[0];
    fcntl(s->to, F_SETFL, O_NONBLOCK);
    fcntl(s->from, F_SETFL, O_NONBLOCK);
    return ERR_NONE;
failed:
    for (int i = 0; i < 2; i++) {
        close_pipe(&commands[i]);
        close_pipe(&answers[i]);
    }
    return ERR(e, ERR_IO, 0, "could not start the ODBC helper: %s", strerror(errno));
}

/* It has no say in it: SIGKILL for it and whatever it started. */
static void end_process(struct foreign *s)
{
    net_watch_free(&s->reading);
    net_watch_free(&s->writing);
    close_pipe(&s->to);
    close_pipe(&s->from);
    if (s->pid > 0) {
        kill(-s->pid, SIGKILL);
        kill(s->pid, SIGKILL);
    }
}

static bool reap(struct foreign *s, int *status)
{
    if (s->pid <= 0) {
        return true;
    }
    pid_t got = waitpid(s->pid, status, WNOHANG);
    if (got == s->pid || (got < 0 && errno == ECHILD)) {
        s->pid = 0;
    }
    return s->pid == 0;
}

/* ---- the end ---- */

/* From the timer, once the process is gone: then the owner may start another one. */
static void finish(struct foreign *s)
{
    int status = 0;
    if (!reap(s, &status)) {
        if (++s->looks == REAP_LOOKS) {
            end_process(s);
        }
        net_timer_set(s->deadline, REAP_MS);
        return;
    }
    if (s->failed.code == ERR_NONE && !s->stopped) {
        ERR(&s->failed, ERR_PEER, 0, "the ODBC driver ended its process (%s %d)",
            WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    s->h->done(s->ctx, s->failed.code == ERR_NONE ? NULL : &s->failed);
}

/* Either it is through and may take its leave of the database, or it ended by itself: a second. */
static void let_go(struct foreign *s)
{
    s->over = true;
    net_watch_free(&s->reading);
    net_watch_free(&s->writing);
    close_pipe(&s->to);
    net_timer_set(s->deadline, 0);
}

static void stop(struct foreign *s)
{
    s->over = true;
    end_process(s);
    net_timer_set(s->deadline, 0);
}

static void fail(struct foreign *s, enum err_code code, const char *what)
{
    if (s->failed.code == ERR_NONE) {
        ERR(&s->failed, code, 0, "%s", what);
    }
    stop(s);
}

static void on_deadline(void *ctx)
{
    struct foreign *s = ctx;
    if (s->over) {
        finish(s);
        return;
    }
    ERR(&s->failed, ERR_PEER, 0, "the ODBC driver gave no %s within %lld ms: its process was ended",
        s->opened ? "result" : "connection",
        (long long)(s->opened ? s->job->timeout_ms : s->job->connect_ms));
    stop(s);
}

/* ---- talking ---- */

static void write_out(struct foreign *s)
{
    while (s->out_at < s->out.n) {
        ssize_t w = write(s->to, s->out.p + s->out_at, s->out.n - s->out_at);
        if (w < 0 && errno == EINTR) {
            continue;
        }
        if (w < 0 && errno == EAGAIN) {
            net_watch_want(s->writing, NET_WRITE);
            return;
        }
        if (w < 0) {
            break; /* it is gone: reading says so */
        }
        s->out_at += (size_t)w;
    }
    net_watch_want(s->writing, 0);
    buf_reset(&s->out);
    s->out_at = 0;
}

static void on_writable(void *ctx, int ready)
{
    (void)ready;
    write_out(ctx);
}

static void send_open(struct foreign *s)
{
    const struct foreign_job *j = s->job;
    size_t at = talk_begin(&s->out, TALK_OPEN);
    talk_text(&s->out, j->connection);
    talk_number(&s->out, j->writes);
    talk_number(&s->out, (uint32_t)((j->connect_ms + 999) / 1000));
    talk_number(&s->out, (uint32_t)((j->timeout_ms + 999) / 1000));
    talk_number(&s->out, j->wide ? TALK_WIDE : (uint32_t)j->charset);
    talk_number(&s->out, (uint32_t)j->max_row);
    talk_number(&s->out, j->hex);
    talk_end(&s->out, at);
}

static void send_query(struct foreign *s)
{
    size_t at = talk_begin(&s->out, TALK_QUERY);
    talk_text(&s->out, str_of(s->job->statement->text));
    talk_number(&s->out, (uint32_t)s->job->statement->count);
    for (size_t i = 0; i < s->job->statement->count; i++) {
        talk_text(&s->out, str_of(s->job->mark));
    }
    talk_end(&s->out, at);
}

/* Up to FOREIGN_COMMIT sets of parameters, then the commit of them. */
static void send_keys(struct foreign *s)
{
    struct cell params[STATEMENT_PLACES];
    size_t n = s->job->statement->count;
    for (int k = 0; k < FOREIGN_COMMIT && !s->last; k++) {
        if (!s->h->next(s->ctx, params, n)) {
            s->last = true;
            break;
        }
        size_t at = talk_begin(&s->out, TALK_EXECUTE);
        talk_number(&s->out, (uint32_t)n);
        for (size_t i = 0; i < n; i++) {
            if (params[i].null) {
                talk_null(&s->out);
            } else {
                talk_text(&s->out, params[i].text);
            }
        }
        talk_end(&s->out, at);
    }
    talk_end(&s->out, talk_begin(&s->out, TALK_COMMIT));
    net_timer_set(s->deadline, s->job->timeout_ms + GRACE_MS);
}

static void got_opened(struct foreign *s)
{
    s->opened = true;
    net_timer_set(s->deadline, s->job->timeout_ms + GRACE_MS);
    if (s->job->writes) {
        size_t at = talk_begin(&s->out, TALK_PREPARE);
        talk_text(&s->out, str_of(s->job->statement->text));
        talk_end(&s->out, at);
    } else {
        send_query(s);
    }
}

static void got_failed(struct foreign *s, struct talk_frame *f)
{
    bool opening = talk_read_number(f) == 0;
    struct str state = talk_read_text(f).text, text = talk_read_text(f).text;
    const char *what = opening          ? "could not connect"
                       : s->job->writes ? "the database refused the taken statement"
                                        : "the database refused the query";
    if (state.n == 0) { /* the helper's own words */
        ERR(&s->failed, ERR_DB, 0, "%s: %.*s", what, STR_ARG(text));
    } else if (text.n && (opening || foreign_shows(state))) {
        ERR(&s->failed, ERR_DB, 0, "%s (%.*s): %.*s", what, STR_ARG(state), STR_ARG(text));
    } else {
        ERR(&s->failed, ERR_DB, 0, "%s (%.*s)", what, STR_ARG(state));
    }
    stop(s);
}

static void got_columns(struct foreign *s, struct talk_frame *f)
{
    static struct str names[FOREIGN_COLUMNS];
    s->columns = talk_read_number(f);
    if (s->told_columns || s->columns < 1 || s->columns > FOREIGN_COLUMNS) {
        fail(s, ERR_PEER, "the query gives too many columns, or none");
        return;
    }
    for (size_t i = 0; i < s->columns; i++) {
        names[i] = talk_read_text(f).text;
    }
    s->told_columns = true;
    if (!f->broken && !s->h->columns(s->ctx, names, s->columns)) {
        s->stopped = true;
        stop(s);
    }
}

static void got_row(struct foreign *s, struct talk_frame *f)
{
    static struct cell cells[FOREIGN_COLUMNS];
    if (!s->told_columns || talk_read_number(f) != s->columns) {
        f->broken = true;
        return;
    }
    for (size_t i = 0; i < s->columns; i++) {
        cells[i] = talk_read_text(f);
    }
    if (!f->broken && !s->h->row(s->ctx, cells, s->columns)) {
        s->stopped = true;
        stop(s);
    }
}

static void got_committed(struct foreign *s, struct talk_frame *f)
{
    s->h->marked(s->ctx, talk_read_number(f));
    if (s->last) {
        s->stopped = true;
        let_go(s);
    } else {
        send_keys(s);
    }
}

/* Only what fits the state we are in; anything else is a helper gone mad. */
static void got_frame(struct foreign *s, struct talk_frame *f)
{
    if (f->type == TALK_FAILED) {
        got_failed(s, f);
    } else if (f->type == TALK_OPENED && !s->opened) {
        got_opened(s);
    } else if (f->type == TALK_COLUMNS && s->opened && !s->job->writes) {
        got_columns(s, f);
    } else if (f->type == TALK_ROW && s->opened) {
        got_row(s, f);
    } else if (f->type == TALK_END && s->told_columns) {
        s->stopped = true;
        let_go(s);
    } else if (f->type == TALK_PREPARED && s->job->writes) {
        send_keys(s);
    } else if (f->type == TALK_COMMITTED && s->job->writes) {
        got_committed(s, f);
    } else {
        f->broken = true;
    }
    if (f->broken && !s->over) {
        fail(s, ERR_PEER, "the ODBC helper sent what makes no sense");
    }
}

static void take_frames(struct foreign *s)
{
    size_t at = 0, size = 0;
    struct talk_frame f;
    bool fits = true;
    do {
        at += size;
        fits = talk_frame(str_cut(buf_str(&s->in), at, s->in.n), s->in.max, &f, &size);
        if (fits && size) {
            got_frame(s, &f);
        }
    } while (fits && size && !s->over);
    if (!fits && !s->over) {
        fail(s, ERR_PEER, "the ODBC helper sent more than a row may be");
    }
    if (s->over) {
        return;
    }
    buf_drop(&s->in, at);
    if (!buf_ok(&s->out)) {
        fail(s, ERR_NOMEM, "no memory for the ODBC helper");
        return;
    }
    write_out(s);
}

static void on_readable(void *ctx, int ready)
{
    struct foreign *s = ctx;
    (void)ready;
    size_t want = s->in.max - s->in.n < READ ? s->in.max - s->in.n : READ;
    char *room = buf_room(&s->in, want);
    ssize_t n = room ? read(s->from, room, want) : -1;
    if (!room) {
        fail(s, ERR_NOMEM, "no memory for a row");
    } else if (n == 0) {
        let_go(s); /* crashed, or ended by a driver that calls exit() */
    } else if (n > 0) {
        buf_took(&s->in, (size_t)n);
        take_frames(s);
    } else if (errno != EAGAIN && errno != EINTR) {
        fail(s, ERR_IO, "could not read from the ODBC helper");
    }
}

/* ---- start and end ---- */

static void odbc_free(struct foreign **s)
{
    if (!*s) {
        return;
    }
    end_process(*s);
    if ((*s)->pid > 0) { /* killed: gone in a moment, whatever it was doing */
        waitpid((*s)->pid, NULL, 0);
    }
    net_timer_free(&(*s)->deadline);
    buf_release(&(*s)->in);
    buf_release(&(*s)->out);
    free(*s);
    *s = NULL;
}

static enum err_code odbc_start(struct net_loop *l, const struct foreign_job *job,
                                const struct foreign_handlers *h, void *ctx, struct foreign **out,
                                struct err *e)
{
    *out = NULL;
    struct foreign *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the ODBC helper");
    }
    *s = (struct foreign){.loop = l, .job = job, .h = h, .ctx = ctx, .to = -1, .from = -1};
    buf_init(&s->in, (size_t)job->max_row + FOREIGN_COLUMNS * 8 + TALK_SLACK);
    buf_init(&s->out, OUT_MAX);
    s->deadline = net_timer_new(l, on_deadline, s);
    enum err_code code =
        s->deadline ? start_process(s, e) : ERR(e, ERR_NOMEM, 0, "no memory for a timer");
    if (code == ERR_NONE) {
        s->reading = net_watch_new(l, s->from, on_readable, s);
        s->writing = net_watch_new(l, s->to, on_writable, s);
        code = s->reading && s->writing ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a watch");
    }
    if (code != ERR_NONE) {
        odbc_free(&s);
        return code;
    }
    net_watch_want(s->reading, NET_READ);
    net_timer_set(s->deadline, job->connect_ms + GRACE_MS);
    send_open(s);
    write_out(s);
    *out = s;
    return ERR_NONE;
}

const struct foreign_kind foreign_odbc = {STATEMENT_QUESTION, odbc_start, odbc_free};
