/*
 * An ODBC driver that does what its connection string says: for tests of what drivers do wrong.
 *
 *     Driver=…/odbc_fake.so;Do=WHAT;Rows=5;Log=/file
 *
 * A query gives the rows 1..Rows with the columns id (numbers) and name ("row 1"), from the value
 * of its parameter on when it has one. A statement with "taken" in it writes its parameter to Log
 * at the commit. WHAT: well, or one of the names below.
 */
#include <sql.h>
#include <sqlext.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 256, PENDING = 64 * 1024 };

static struct {
    char what[TEXT], log[TEXT], pending[PENDING];
    int rows, at, connected;
    int takes;
    const char *param;
    SQLLEN *param_size;
    char state[6];
} fake;

static void read_key(const char *connection, const char *key, char *out)
{
    const char *at = strstr(connection, key);
    size_t n = 0;
    for (at = at ? at + strlen(key) : ""; at[n] && at[n] != ';' && n < TEXT - 1; n++) {
        out[n] = at[n];
    }
    out[n] = '\0';
}

static int number(const char *s, size_t n)
{
    int x = 0;
    for (size_t i = 0; i < n && s[i] >= '0' && s[i] <= '9'; i++) {
        x = x * 10 + (s[i] - '0');
    }
    return x;
}

/* What goes wrong at this place, if anything. */
static void mishap(const char *place)
{
    char is[TEXT + 32];
    snprintf(is, sizeof is, "crash-%s", place);
    if (strcmp(fake.what, is) == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer would make an exit of it */
        raise(SIGSEGV);
    }
    snprintf(is, sizeof is, "hang-%s", place);
    while (strcmp(fake.what, is) == 0) {
        pause();
    }
    snprintf(is, sizeof is, "exit-%s", place);
    if (strcmp(fake.what, is) == 0) {
        exit(0);
    }
    snprintf(is, sizeof is, "garbage-%s", place);
    if (strcmp(fake.what, is) == 0) {
        ssize_t w = write(4, "\377\377\377\377garbage", 11);
        (void)w;
    }
    if (strcmp(fake.what, "print") == 0) {
        printf("this driver prints %s\n", place);
        fprintf(stderr, "this driver prints %s\n", place);
        fflush(stdout);
    }
}

SQLRETURN SQLAllocHandle(SQLSMALLINT type, SQLHANDLE in, SQLHANDLE *out)
{
    (void)type;
    (void)in;
    *out = &fake;
    return SQL_SUCCESS;
}

SQLRETURN SQLFreeHandle(SQLSMALLINT type, SQLHANDLE h)
{
    (void)type;
    (void)h;
    return SQL_SUCCESS;
}

SQLRETURN SQLSetEnvAttr(SQLHENV env, SQLINTEGER attr, SQLPOINTER value, SQLINTEGER n)
{
    (void)env;
    (void)attr;
    (void)value;
    (void)n;
    return SQL_SUCCESS;
}

SQLRETURN SQLSetConnectAttr(SQLHDBC dbc, SQLINTEGER attr, SQLPOINTER value, SQLINTEGER n)
{
    (void)dbc;
    (void)attr;
    (void)value;
    (void)n;
    return SQL_SUCCESS;
}

SQLRETURN SQLSetStmtAttr(SQLHSTMT stmt, SQLINTEGER attr, SQLPOINTER value, SQLINTEGER n)
{
    (void)stmt;
    (void)attr;
    (void)value;
    (void)n;
    return SQL_SUCCESS;
}

SQLRETURN SQLGetStmtAttr(SQLHSTMT stmt, SQLINTEGER attr, SQLPOINTER value, SQLINTEGER max,
                         SQLINTEGER *n)
{
    (void)stmt;
    (void)attr;
    (void)max;
    (void)n;
    *(SQLPOINTER *)value = &fake; /* its descriptors */
    return SQL_SUCCESS;
}

SQLRETURN SQLGetInfo(SQLHDBC dbc, SQLUSMALLINT what, SQLPOINTER value, SQLSMALLINT max,
                     SQLSMALLINT *n)
{
    (void)dbc;
    if (what == SQL_DRIVER_ODBC_VER && max > 5) {
        memcpy(value, "03.51", 6);
        if (n) {
            *n = 5;
        }
        return SQL_SUCCESS;
    }
    if (max >= 4) {
        memset(value, 0, 4);
    }
    return SQL_SUCCESS;
}

SQLRETURN SQLDriverConnect(SQLHDBC dbc, SQLHWND window, SQLCHAR *in, SQLSMALLINT in_size,
                           SQLCHAR *out, SQLSMALLINT out_max, SQLSMALLINT *out_size,
                           SQLUSMALLINT how)
{
    char rows[TEXT];
    (void)dbc;
    (void)window;
    (void)in_size;
    (void)out;
    (void)out_max;
    (void)out_size;
    (void)how;
    read_key((const char *)in, "Do=", fake.what);
    read_key((const char *)in, "Log=", fake.log);
    read_key((const char *)in, "Rows=", rows);
    fake.rows = number(rows, TEXT);
    mishap("connect");
    if (strcmp(fake.what, "refuse") == 0) {
        memcpy(fake.state, "28000", 6);
        return SQL_ERROR;
    }
    return SQL_SUCCESS;
}

SQLRETURN SQLDisconnect(SQLHDBC dbc)
{
    (void)dbc;
    mishap("disconnect");
    return SQL_SUCCESS;
}

SQLRETURN SQLGetDiagRec(SQLSMALLINT type, SQLHANDLE h, SQLSMALLINT i, SQLCHAR *state,
                        SQLINTEGER *native, SQLCHAR *text, SQLSMALLINT max, SQLSMALLINT *n)
{
    const char *says = fake.state[0] == '2' && fake.state[1] == '8'
                           ? "no login with secret, nor with its; second"
                           : "value 900101-1234567 is wrong";
    (void)type;
    (void)h;
    if (i > 1 || !fake.state[0]) {
        return SQL_NO_DATA;
    }
    memcpy(state, fake.state, 6);
    *native = 7;
    snprintf((char *)text, (size_t)max, "%s", says);
    *n = (SQLSMALLINT)strlen(says);
    return SQL_SUCCESS;
}

/* The driver manager only asks for the reason where both functions are. */
SQLRETURN SQLGetDiagField(SQLSMALLINT type, SQLHANDLE h, SQLSMALLINT i, SQLSMALLINT what,
                          SQLPOINTER value, SQLSMALLINT max, SQLSMALLINT *n)
{
    (void)type;
    (void)h;
    (void)i;
    (void)what;
    (void)value;
    (void)max;
    (void)n;
    return SQL_NO_DATA;
}

SQLRETURN SQLPrepare(SQLHSTMT stmt, SQLCHAR *sql, SQLINTEGER n)
{
    char text[1024];
    (void)stmt;
    snprintf(text, sizeof text, "%.*s", n < 1000 ? (int)n : 1000, (const char *)sql);
    fake.takes = strstr(text, "taken") != NULL;
    fake.at = 0;
    fake.param = NULL;
    mishap("prepare");
    return SQL_SUCCESS;
}

SQLRETURN SQLBindParameter(SQLHSTMT stmt, SQLUSMALLINT i, SQLSMALLINT io, SQLSMALLINT ctype,
                           SQLSMALLINT type, SQLULEN size, SQLSMALLINT digits, SQLPOINTER value,
                           SQLLEN max, SQLLEN *n)
{
    (void)stmt;
    (void)i;
    (void)io;
    (void)ctype;
    (void)type;
    (void)size;
    (void)digits;
    (void)max;
    fake.param = value;
    fake.param_size = n;
    return SQL_SUCCESS;
}

SQLRETURN SQLExecute(SQLHSTMT stmt)
{
    (void)stmt;
    mishap(fake.takes ? "taken" : "execute");
    if (fake.takes) {
        size_t n = strlen(fake.pending);
        snprintf(fake.pending + n, PENDING - n, "%.*s\n", (int)*fake.param_size, fake.param);
        return SQL_SUCCESS;
    }
    if (strcmp(fake.what, "value") == 0) {
        memcpy(fake.state, "22018", 6);
        return SQL_ERROR;
    }
    fake.at = fake.param ? number(fake.param, (size_t)*fake.param_size) - 1 : 0;
    fake.at = fake.at < 0 ? 0 : fake.at;
    return SQL_SUCCESS;
}

SQLRETURN SQLRowCount(SQLHSTMT stmt, SQLLEN *n)
{
    (void)stmt;
    *n = strcmp(fake.what, "none") != 0;
    return SQL_SUCCESS;
}

SQLRETURN SQLNumResultCols(SQLHSTMT stmt, SQLSMALLINT *n)
{
    (void)stmt;
    *n = 2;
    return SQL_SUCCESS;
}

SQLRETURN SQLDescribeCol(SQLHSTMT stmt, SQLUSMALLINT i, SQLCHAR *name, SQLSMALLINT max,
                         SQLSMALLINT *n, SQLSMALLINT *type, SQLULEN *size, SQLSMALLINT *digits,
                         SQLSMALLINT *nullable)
{
    (void)stmt;
    *n = (SQLSMALLINT)snprintf((char *)name, (size_t)max, "%s", i == 1 ? "ID" : "name");
    *type = i == 1 ? SQL_INTEGER : SQL_VARCHAR;
    *size = 20;
    *digits = 0;
    *nullable = 1;
    return SQL_SUCCESS;
}

SQLRETURN SQLFetch(SQLHSTMT stmt)
{
    (void)stmt;
    if (fake.at >= fake.rows) {
        return SQL_NO_DATA;
    }
    if (++fake.at > fake.rows / 2) {
        mishap("row");
    }
    return SQL_SUCCESS;
}

SQLRETURN SQLGetData(SQLHSTMT stmt, SQLUSMALLINT i, SQLSMALLINT as, SQLPOINTER to, SQLLEN max,
                     SQLLEN *n)
{
    (void)stmt;
    (void)as;
    if (i == 2 && strcmp(fake.what, "long") == 0) { /* never an end */
        memset(to, 'x', (size_t)max - 1);
        *n = SQL_NO_TOTAL;
        return SQL_SUCCESS_WITH_INFO;
    }
    *n = snprintf(to, (size_t)max, i == 1 ? "%d" : "row %d", fake.at);
    return SQL_SUCCESS;
}

SQLRETURN SQLFreeStmt(SQLHSTMT stmt, SQLUSMALLINT how)
{
    (void)stmt;
    (void)how;
    return SQL_SUCCESS;
}

SQLRETURN SQLCloseCursor(SQLHSTMT stmt)
{
    (void)stmt;
    return SQL_SUCCESS;
}

SQLRETURN SQLEndTran(SQLSMALLINT type, SQLHANDLE h, SQLSMALLINT how)
{
    (void)type;
    (void)h;
    mishap("end");
    FILE *f = how == SQL_COMMIT && fake.log[0] ? fopen(fake.log, "a") : NULL;
    if (f) {
        fputs(fake.pending, f);
        fclose(f);
    }
    fake.pending[0] = '\0';
    return SQL_SUCCESS;
}
