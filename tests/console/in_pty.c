// SPDX-License-Identifier: MIT
// in_pty ROWSxCOLS COMMAND...: runs it on a terminal of that size. What comes in is typed; a zero byte and "ROWSxCOLS" up to a line
// feed changes the size. What it shows goes out. Ends with its status.
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct winsize size_of(const char *text)
{
    char *end;
    struct winsize ws = {.ws_row = (unsigned short)strtoul(text, &end, 10)};

    ws.ws_col = (unsigned short)strtoul(end + 1, NULL, 10);
    return ws;
}

static void type(int pty, const char *keys, ssize_t n)
{
    static char size[32];
    static size_t at;
    static int sizing;

    for (; n-- > 0; keys++) {
        if (sizing && *keys == '\n') {
            struct winsize ws = size_of(size);
            ioctl(pty, TIOCSWINSZ, &ws);
            sizing = 0;
        } else if (sizing && at + 1 < sizeof size) {
            size[at++] = *keys;
            size[at] = 0;
        } else if (*keys == 0) {
            sizing = 1;
            at = 0;
        } else if (write(pty, keys, 1) != 1) {
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    char buf[65536];
    int pty, status = 0;

    if (argc < 3)
        return 2;
    struct winsize ws = size_of(argv[1]);
    pid_t pid = forkpty(&pty, NULL, NULL, &ws);
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    struct pollfd p[2] = {{0, POLLIN, 0}, {pty, POLLIN, 0}};
    while (poll(p, 2, -1) >= 0) {
        ssize_t n;
        if (p[0].revents && (n = read(0, buf, sizeof buf)) > 0)
            type(pty, buf, n);
        else if (p[0].revents)
            p[0].fd = -1;
        if (p[1].revents &&
            ((n = read(pty, buf, sizeof buf)) <= 0 || write(1, buf, (size_t)n) != n))
            break;
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
