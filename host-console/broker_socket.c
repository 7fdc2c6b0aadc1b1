// SPDX-License-Identifier: MIT
// The local socket that clients of a shared line come through.
#include "broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static pid_t owner;

static void remove_socket(void)
{
    if (owner == getpid())
        unlink(address.sun_path);
}

// A socket nobody listens at is what a kmon that was killed left behind.
static bool somebody_listens(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes =
        connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno != ECONNREFUSED;

    close(fd);
    return yes;
}

int broker_listen(struct console *c, const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask;

    if (*path == 0 || strlen(path) >= sizeof address.sun_path)
        console_fail(c, EXIT_USAGE, "--share %s: a socket's path has 1 to %zu characters", path,
                     sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    mask = umask(0177); // a monitor may change everything: for this user only
    int r = bind(fd, (struct sockaddr *)&address, sizeof address);
    if (r < 0 && errno == EADDRINUSE) {
        struct stat st;
        if (stat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
            console_fail(c, EXIT_USAGE, "--share %s: a file that is no socket", path);
        if (somebody_listens())
            console_fail(c, EXIT_CONNECT, "another kmon shares its line at %s", path);
        unlink(path);
        r = bind(fd, (struct sockaddr *)&address, sizeof address);
    }
    umask(mask);
    if (r < 0 || listen(fd, 8) < 0)
        console_fail(c, EXIT_CONNECT, "cannot share the line at %s: %s", path, strerror(errno));
    owner = getpid();
    atexit(remove_socket);
    return fd;
}

static void come_in(struct console *c, void *arg)
{
    static const char full[] = "kmon: too many clients on this line\r\n";
    struct broker *b = arg;
    int fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)c;
    if (fd < 0)
        return;
    for (int i = 0; i < BROKER_CLIENTS; i++)
        if (b->clients[i].fd < 0 && !(b->child && i == 0)) {
            attached_open(b, &b->clients[i], fd);
            return;
        }
    if (write(fd, full, sizeof full - 1) < 0)
        errno = 0; // it sees the end all the same
    close(fd);
}

void broker_accept(struct broker *b)
{
    console_watch(b->c, b->listener, true, false, come_in, b);
}
