/* The process that an ODBC driver runs in: started by the feeds of adapters/sql, by nobody else. */
#include "adapters/sql/sql.h"
#include "core/app/command.h"

#include <fcntl.h>

int cmd_odbc(int argc, char **argv)
{
    (void)argv;
    if (argc > 1 || fcntl(3, F_GETFD) < 0 || fcntl(4, F_GETFD) < 0) {
        return command_usage("odbc", "usage: feeds that use ODBC start this themselves");
    }
    return sql_odbc_helper();
}
