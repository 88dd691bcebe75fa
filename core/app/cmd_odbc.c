/* The process that an ODBC driver runs in: started by the feeds of adapters/sql, by nobody else. */
#include "adapters/sql/sql.h"
#include "core/app/command.h"

#include <fcntl.h>

static const char help[] = "usage: none: feeds that use an ODBC driver start this for it\n";

int cmd_odbc(int argc, char **argv)
{
    const struct command_option options[] = {{0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    if (left > 0 || fcntl(3, F_GETFD) < 0 || fcntl(4, F_GETFD) < 0) {
        return command_usage("odbc", "only a feed can start this");
    }
    return sql_odbc_helper();
}
