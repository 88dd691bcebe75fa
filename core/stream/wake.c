#include "core/stream/wake.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool address(struct sockaddr_un *to, const char *run_folder)
{
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(to->sun_path, sizeof to->sun_path, "%s/relay.wake", run_folder);
    return n > 0 && n < (int)sizeof to->sun_path;
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int wake_open(const char *run_folder)
{
    struct sockaddr_un me;
    if (!address(&me, run_folder)) {
        return -1;
    }
    int fd = new_socket();
    unlink(me.sun_path);
    if (fd >= 0 && (bind(fd, (const struct sockaddr *)(const void *)&me, sizeof me) != 0 ||
                    chmod(me.sun_path, 0600) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void wake_close(int fd, const char *run_folder)
{
    struct sockaddr_un me;
    if (fd >= 0) {
        close(fd);
        if (address(&me, run_folder)) {
            unlink(me.sun_path);
        }
    }
}

bool wake_take(int fd, bool *keys)
{
    bool any = false;
    char what = 0;
    ssize_t n;
    while ((n = recv(fd, &what, 1, 0)) >= 0 || errno == EINTR) {
        any = true;
        *keys |= n == 1 && what == WAKE_KEYS;
    }
    return any;
}

void wake_send(const char *run_folder, char what)
{
    struct sockaddr_un to;
    int fd = address(&to, run_folder) ? new_socket() : -1;
    if (fd >= 0) {
        sendto(fd, &what, 1, MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&to, sizeof to);
        close(fd);
    }
}
