// SPDX-License-Identifier: MIT
// What becomes of the fake kernel's frames on their way to kmon; see the header.
#include "fake_line.h"

#include "wire/frame.h"

#include <stdlib.h>
#include <string.h>
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
