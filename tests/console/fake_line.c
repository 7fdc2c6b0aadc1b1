// SPDX-License-Identifier: MIT
// The fake kernel's end of the line, and what becomes of its frames on their way to kmon; see the header.
#define _GNU_SOURCE
#include "fake_line.h"

#include "wire/frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static void put(int fd, const uint8_t *data, size_t n)
{
    if (write(fd, data, n) != (ssize_t)n)
        exit(0);
}

// One of another session, whose number is far ahead.
static void put_stale(int fd)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_frame frame = {WIRE_LAST, WIRE_TTY, 51, 6, (const uint8_t *)"stale\n"};

    put(fd, buf, wire_frame_encode(buf, &frame));
}

static bool is_sequenced(const uint8_t *frame)
{
    return (frame[2] >> 4 & 3) <= WIRE_LAST;
}

// Longer than a second, amid it.
static void put_with_a_stop(int fd, const uint8_t *frame, size_t n)
{
    put(fd, frame, n / 2);
    usleep(1300000);
    put(fd, frame + n / 2, n - n / 2);
}

static void take_frame(int fd, const char *how, const uint8_t *frame, size_t n)
{
    static unsigned count;
    static uint8_t kept[WIRE_FRAME];
    static size_t kept_n;

    if (strcmp(how, "stale") == 0 && !is_sequenced(frame) && count++ == 0) {
        put(fd, frame, n);
        put_stale(fd);
        return;
    }
    if (is_sequenced(frame))
        count++;
    bool chosen = is_sequenced(frame) && count < 20 && count % 5 == 1;
    if (chosen && strcmp(how, "gaps") == 0)
        return;
    if (chosen && strcmp(how, "late") == 0 && !kept_n) {
        memcpy(kept, frame, n);
        kept_n = n;
        return;
    }
    if (chosen && strcmp(how, "stops") == 0) {
        put_with_a_stop(fd, frame, n);
        return;
    }
    put(fd, frame, n);
    if (strcmp(how, "twice") == 0)
        put(fd, frame, n);
    if (kept_n && count % 5 == 3) {
        put(fd, kept, kept_n);
        kept_n = 0;
    }
}

void fake_line_write(int fd, const char *how, const uint8_t *data, size_t n)
{
    static uint8_t frame[WIRE_FRAME];
    static size_t frame_n;

    for (; n--; data++) {
        frame[frame_n++] = *data;
        if (*data == 0 && frame_n > 1) {
            take_frame(fd, how, frame, frame_n);
            frame_n = 0;
        }
    }
}

// One whose connection never ends, as that of a serial line. What a terminal makes of bytes is left to kmon to switch off, but for
// the echo: both sides would answer it.
static int open_pty(const char *link)
{
    struct termios t;
    int pty = posix_openpt(O_RDWR | O_NOCTTY), other = -1;

    if (pty >= 0 && grantpt(pty) == 0 && unlockpt(pty) == 0)
        other = open(ptsname(pty), O_RDWR | O_NOCTTY);
    if (tcgetattr(other, &t) < 0)
        exit(1);
    t.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(other, TCSANOW, &t) < 0 || symlink(ptsname(pty), link) < 0)
        exit(1);
    return pty;
}

static int open_socket(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;

    // The name appears when somebody listens.
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s~", path);
    unlink(addr.sun_path);
    if (bind(listener, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(listener, 1) < 0 ||
        rename(addr.sun_path, path) < 0 || (fd = accept(listener, NULL, NULL)) < 0)
        exit(1);
    unlink(path);
    return fd;
}

int fake_line_open(const char *address)
{
    return strncmp(address, "pty:", 4) == 0 ? open_pty(address + 4) : open_socket(address);
}
