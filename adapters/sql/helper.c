/*
 * The ODBC helper: the process that a driver runs in. It reads commands from descriptor 3, answers
 * on 4, and has nothing else of ours: standard input, output and error lead nowhere, since what a
 * driver prints may be about patients. One thread, one environment, one connection, one statement.
 * It ends when there are no more commands, or by a signal at any moment.
 */
#include "adapters/sql/sql.h"

#include "adapters/sql/helper_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMANDS = 3, ANSWERS = 4, PIECE = 64 * 1024, COMMAND_MAX = 1 << 26 };

/* ---- answers ---- */

void helper_flush(struct helper *h)
{
    struct str rest = buf_str(&h->out);
    if (!buf_ok(&h->out)) {
        _exit(3);
    }
    while (rest.n > 0) {
        ssize_t w = write(ANSWERS, rest.p, rest.n);
        if (w < 0 && errno != EINTR) {
            _exit(2); /* nobody listens */
        }
        rest = str_cut(rest, w < 0 ? 0 : (size_t)w, rest.n);
    }
    buf_reset(&h->out);
}

static void say(struct helper *h, enum talk_type type)
{
    talk_end(&h->out, talk_begin(&h->out, type));
    helper_flush(h);
}

void helper_failed(struct helper *h, bool opening, const char *state, struct str text)
{
    buf_reset(&h->out); /* half a row, perhaps */
    size_t at = talk_begin(&h->out, TALK_FAILED);
    talk_number(&h->out, opening ? 0 : 1);
    talk_text(&h->out, str_of(state));
    talk_text(&h->out, text);
    talk_end(&h->out, at);
    helper_flush(h);
}

static bool holds(struct str text, struct str part)
{
    for (size_t i = 0; i + part.n <= text.n; i++) {
        if (memcmp(text.p + i, part.p, part.n) == 0) {
            return true;
        }
    }
    return false;
}

/* Cuts "KEY=VALUE;" off a connection string. In braces a value may hold a semicolon. */
static bool next_pair(struct str *rest, struct str *key, struct str *value)
{
    struct str s = *rest;
    size_t equals = str_find(s, '=', 0), end = str_find(s, ';', 0);
    *key = str_trim(str_cut(s, 0, equals < end ? equals : end));
    *value = str_trim(str_cut(s, equals + 1, end));
    if (equals < end && value->n && value->p[0] == '{') {
        size_t from = (size_t)(value->p - s.p) + 1, to = str_find(s, '}', from);
        *value = str_cut(s, from, to);
        end = str_find(s, ';', to);
    }
    *rest = str_cut(s, end + 1, s.n);
    return s.n > 0;
}

/* A driver may quote the connection string: not where a password stands. */
static bool tells_secret(struct str text, struct str connection)
{
    struct str key, value;
    while (next_pair(&connection, &key, &value)) {
        if (value.n && (str_same(key, STR("PWD")) || str_same(key, STR("Password"))) &&
            holds(text, value)) {
            return true;
        }
    }
    return false;
}

/* The first record: what it is about. The text goes on only if it cannot hold a value. */
static void say_diagnosis(struct helper *h, SQLSMALLINT kind, SQLHANDLE handle, bool opening,
                          struct str connection)
{
    SQLCHAR state[6] = "HY000", text[1024] = "";
    SQLINTEGER native;
    SQLSMALLINT n = 0;
    SQLRETURN r = SQLGetDiagRec(kind, handle, 1, state, &native, text, sizeof text, &n);
    struct str said = {(const char *)text, SQL_SUCCEEDED(r) && n > 0 ? (size_t)n : 0};
    if (said.n >= sizeof text) {
        said.n = sizeof text - 1;
    }
    said = str_cut(said, 0, str_find(said, '\n', 0));
    if (!(opening || foreign_shows(str_of((const char *)state))) ||
        tells_secret(said, connection)) {
        said.n = 0;
    }
    helper_failed(h, opening, (const char *)state, said);
}

void helper_refused(struct helper *h)
{
    say_diagnosis(h, SQL_HANDLE_STMT, h->stmt, false, STR(""));
}

/* ---- text for the driver ---- */

/* For the driver: UTF-16 or its own character set, with an end. *n is in bytes. NULL: it has no
 * such character. */
static void *to_driver(struct helper *h, struct str s, size_t *n)
{
    struct str out;
    char *copy = NULL;
    enum charset to = h->wide ? CHARSET_UTF16LE : h->charset;
    if (s.n == 0) {
        out = STR("");
    } else if (charset_encode(h->arena, to, s, &out, NULL) != ERR_NONE) {
        return NULL;
    }
    copy = arena_alloc(h->arena, out.n + 2);
    if (copy) {
        memcpy(copy, out.p, out.n);
    }
    *n = out.n;
    return copy;
}

/* ---- opening ---- */

static void set_attributes(struct helper *h, uint32_t connect_s)
{
    SQLSetConnectAttr(h->dbc, SQL_ATTR_LOGIN_TIMEOUT, (SQLPOINTER)(uintptr_t)connect_s, 0);
    SQLSetConnectAttr(h->dbc, SQL_ATTR_AUTOCOMMIT, SQL_AUTOCOMMIT_OFF, 0);
    if (!h->writes) {
        SQLSetConnectAttr(h->dbc, SQL_ATTR_ACCESS_MODE, (SQLPOINTER)SQL_MODE_READ_ONLY, 0);
    }
}

static bool open_connection(struct helper *h, struct str connection, uint32_t connect_s)
{
    char *z = arena_z(h->arena, connection);
    SQLSMALLINT n;
    if (!z || !SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &h->env)) ||
        !SQL_SUCCEEDED(SQLSetEnvAttr(h->env, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0)) ||
        !SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_DBC, h->env, &h->dbc))) {
        helper_failed(h, true, "", STR("no ODBC driver manager"));
        return false;
    }
    set_attributes(h, connect_s);
    if (!SQL_SUCCEEDED(SQLDriverConnect(h->dbc, NULL, (SQLCHAR *)z, SQL_NTS, NULL, 0, &n,
                                        SQL_DRIVER_NOPROMPT))) {
        say_diagnosis(h, SQL_HANDLE_DBC, h->dbc, true, connection);
        return false;
    }
    /* Some drivers only listen to these once connected. */
    SQLSetConnectAttr(h->dbc, SQL_ATTR_AUTOCOMMIT, SQL_AUTOCOMMIT_OFF, 0);
    if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_STMT, h->dbc, &h->stmt))) {
        say_diagnosis(h, SQL_HANDLE_DBC, h->dbc, true, connection);
        return false;
    }
    SQLSetStmtAttr(h->stmt, SQL_ATTR_QUERY_TIMEOUT, (SQLPOINTER)(uintptr_t)h->timeout_s, 0);
    return true;
}

static bool do_open(struct helper *h, struct talk_frame *f)
{
    struct str connection = talk_read_text(f).text;
    h->writes = talk_read_number(f) != 0;
    uint32_t connect_s = talk_read_number(f);
    h->timeout_s = talk_read_number(f);
    uint32_t charset = talk_read_number(f);
    h->wide = charset == TALK_WIDE;
    h->charset = h->wide ? CHARSET_UTF8 : (enum charset)charset;
    h->max_row = talk_read_number(f);
    h->hex = talk_read_number(f) != 0;
    buf_init(&h->cell, (size_t)h->max_row + PIECE);
    buf_init(&h->out, (size_t)h->max_row * 2 + FOREIGN_COLUMNS * 8 + TALK_SLACK);
    if (!open_connection(h, connection, connect_s)) {
        return false;
    }
    say(h, TALK_OPENED);
    return true;
}

/* ---- statements ---- */

static bool prepare(struct helper *h, struct str sql)
{
    size_t n = 0;
    void *text = to_driver(h, sql, &n);
    if (!text) {
        helper_failed(h, false, "",
                      STR("the statement has a character that the driver's character set lacks"));
        return false;
    }
    SQLRETURN r = h->wide ? SQLPrepareW(h->stmt, text, (SQLINTEGER)(n / sizeof(SQLWCHAR)))
                          : SQLPrepare(h->stmt, text, (SQLINTEGER)n);
    if (!SQL_SUCCEEDED(r)) {
        helper_refused(h);
        return false;
    }
    return true;
}

/* Always as text, so that nothing is rounded on its way: the statement says CAST(:x AS …) where the
 * database needs it. The lengths live as long as the arena. */
static bool bind(struct helper *h, struct talk_frame *f)
{
    uint32_t count = talk_read_number(f);
    for (uint32_t i = 0; i < count && i < STATEMENT_PLACES; i++) {
        struct cell c = talk_read_text(f);
        size_t n = 0;
        void *value = to_driver(h, c.text, &n);
        SQLLEN *length = arena_alloc(h->arena, sizeof *length);
        if (!value || !length) {
            helper_failed(h, false, "", STR("a parameter does not fit the driver"));
            return false;
        }
        *length = c.null ? SQL_NULL_DATA : (SQLLEN)n;
        size_t characters = h->wide ? n / sizeof(SQLWCHAR) : n;
        SQLRETURN r = SQLBindParameter(h->stmt, (SQLUSMALLINT)(i + 1), SQL_PARAM_INPUT,
                                       h->wide ? SQL_C_WCHAR : SQL_C_CHAR,
                                       h->wide ? SQL_WVARCHAR : SQL_VARCHAR,
                                       characters ? characters : 1, 0, value, (SQLLEN)n, length);
        if (!SQL_SUCCEEDED(r)) {
            helper_refused(h);
            return false;
        }
    }
    return true;
}

static bool execute(struct helper *h)
{
    SQLRETURN r = SQLExecute(h->stmt);
    if (!SQL_SUCCEEDED(r) && r != SQL_NO_DATA) {
        helper_refused(h);
        return false;
    }
    return true;
}
static bool do_query(struct helper *h, struct talk_frame *f)
{
    SQLSMALLINT count = 0;
    if (!prepare(h, talk_read_text(f).text) || !bind(h, f) || !execute(h)) {
        return false;
    }
    SQLNumResultCols(h->stmt, &count);
    if (!helper_columns(h, count)) {
        return false;
    }
    for (;;) {
        SQLRETURN r = SQLFetch(h->stmt);
        if (r == SQL_NO_DATA) {
            break;
        }
        if (!SQL_SUCCEEDED(r)) {
            helper_refused(h);
            return false;
        }
        if (!helper_row(h, count)) {
            return false;
        }
    }
    SQLFreeStmt(h->stmt, SQL_CLOSE);
    SQLEndTran(SQL_HANDLE_DBC, h->dbc, SQL_ROLLBACK); /* whatever the query did, it did nothing */
    say(h, TALK_END);
    return true;
}

/* A driver that cannot count is believed. */
static bool do_execute(struct helper *h, struct talk_frame *f)
{
    SQLLEN n = -1;
    SQLFreeStmt(h->stmt, SQL_CLOSE);
    if (!bind(h, f) || !execute(h)) {
        return false;
    }
    h->changed += !SQL_SUCCEEDED(SQLRowCount(h->stmt, &n)) || n != 0;
    return true;
}

static bool do_commit(struct helper *h)
{
    SQLFreeStmt(h->stmt, SQL_CLOSE);
    if (!SQL_SUCCEEDED(SQLEndTran(SQL_HANDLE_DBC, h->dbc, SQL_COMMIT))) {
        say_diagnosis(h, SQL_HANDLE_DBC, h->dbc, false, STR(""));
        return false;
    }
    size_t at = talk_begin(&h->out, TALK_COMMITTED);
    talk_number(&h->out, h->changed);
    talk_end(&h->out, at);
    helper_flush(h);
    h->changed = 0;
    return true;
}

/* ---- commands ---- */

static bool obey(struct helper *h, struct talk_frame *f)
{
    switch (f->type) {
    case TALK_OPEN:
        return do_open(h, f);
    case TALK_QUERY:
        return h->stmt && do_query(h, f);
    case TALK_PREPARE:
        if (!h->stmt || !prepare(h, talk_read_text(f).text)) {
            return false;
        }
        say(h, TALK_PREPARED);
        return true;
    case TALK_EXECUTE:
        return do_execute(h, f);
    case TALK_COMMIT:
        return do_commit(h);
    case TALK_OPENED:
    case TALK_COLUMNS:
    case TALK_ROW:
    case TALK_END:
    case TALK_PREPARED:
    case TALK_COMMITTED:
    case TALK_FAILED:
        break;
    }
    return false;
}

static bool obey_all(struct helper *h)
{
    size_t at = 0, size = 0;
    struct talk_frame f;
    for (;;) {
        at += size;
        if (!talk_frame(str_cut(buf_str(&h->in), at, h->in.n), COMMAND_MAX, &f, &size)) {
            return false;
        }
        if (size == 0) {
            buf_drop(&h->in, at);
            return true;
        }
        arena_reset(h->arena);
        if (!obey(h, &f)) {
            return false;
        }
    }
}

/* The kernel, when it needs memory, takes it from the driver first. */
static void volunteer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t w = write(fd, "1000", 4);
        (void)w;
        close(fd);
    }
}

int sql_odbc_helper(void)
{
    static struct helper h;
    volunteer();
    h.arena = arena_new(0);
    h.scratch = arena_new(0);
    buf_init(&h.in, COMMAND_MAX + TALK_HEAD);
    buf_init(&h.out, TALK_SLACK);
    bool go_on = h.arena && h.scratch;
    while (go_on) {
        char *room = buf_room(&h.in, PIECE);
        ssize_t n = room ? read(COMMANDS, room, PIECE) : -1;
        if (n < 0 && room && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        buf_took(&h.in, (size_t)n);
        go_on = obey_all(&h);
    }
    if (h.stmt) {
        SQLFreeHandle(SQL_HANDLE_STMT, h.stmt);
        SQLEndTran(SQL_HANDLE_DBC, h.dbc, SQL_ROLLBACK);
        SQLDisconnect(h.dbc);
    }
    _exit(0); /* what a driver left to be done at exit is of no interest */
}
