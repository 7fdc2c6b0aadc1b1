// SPDX-License-Identifier: MIT
// Opens the line to a kernel that runs already.
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static int open_unix(struct console *c, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof addr.sun_path)
        console_fail(c, EXIT_USAGE, "%s: a socket's path has at most %zu characters", path,
                     sizeof addr.sun_path - 1);
    strcpy(addr.sun_path, path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        console_fail(c, EXIT_CONNECT, "cannot connect to %s: %s", path, strerror(errno));
    return fd;
}

static int open_device(struct console *c, const char *path)
{
    struct termios t;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        console_fail(c, EXIT_CONNECT, "cannot open %s: %s", path, strerror(errno));
    if (tcgetattr(fd, &t) < 0)
        console_fail(c, EXIT_CONNECT, "%s is no terminal or serial device", path);
    cfmakeraw(&t);
    if (!strncmp(path, "/dev/ttyS", 9) || !strncmp(path, "/dev/ttyU", 9))
        cfsetspeed(&t, B115200);
    tcsetattr(fd, TCSANOW, &t);
    return fd;
}

void line_open(struct console *c, const char *address)
{
    if (!strncmp(address, "unix:", 5) && address[5])
        console_attach(c, open_unix(c, address + 5));
    else if (!strncmp(address, "pty:", 4) && address[4])
        console_attach(c, open_device(c, address + 4));
    else
        console_fail(c, EXIT_USAGE, "\"%s\" is no address; say unix:/path or pty:/dev/...",
                     address);
}
