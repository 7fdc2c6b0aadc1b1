// sources: monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c monitor/wire/demux.c
// SPDX-License-Identifier: MIT
// Any bytes on the line: no byte is read or written out of place, none disappears without being told.
//
// What the demultiplexer hands on or counts as lost may not exceed what it was fed; the same bytes in
// other portions must come out the same, and, in a session, the same frames when the line was silent between any two of them.
#include "wire/demux.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    uint64_t frames, text, lost, sum;
};

static void mix(struct seen *s, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->sum = s->sum * 31 + data[i] + 1;
}

static void on_frame(void *ctx, const struct wire_frame *frame)
{
    struct seen *s = ctx;

    (void)frame;
    s->frames++;
}

static void on_text(void *ctx, const uint8_t *data, size_t n)
{
    struct seen *s = ctx;

    s->text += n;
    mix(s, data, n);
}

static void on_lost(void *ctx, size_t n)
{
    struct seen *s = ctx;

    s->lost += n;
}

static struct seen run(const uint8_t *data, size_t n, size_t portion, bool strict, bool silent)
{
    static const struct wire_demux_sink sink = {on_frame, on_text, on_lost};
    static struct wire_demux demux;
    struct seen seen = {0};

    wire_demux_init(&demux, &sink, &seen);
    demux.strict = strict;
    for (size_t at = 0; at < n; at += portion) {
        wire_demux_bytes(&demux, data + at, n - at < portion ? n - at : portion);
        if (silent)
            wire_demux_idle(&demux, true);
    }
    wire_demux_end(&demux);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct seen whole, single, silent;

    for (int strict = 0; strict < 2; strict++) {
        whole = run(data, n, n + 1, strict, false);
        single = run(data, n, 1, strict, false);
        if (whole.text + whole.lost > n || memcmp(&whole, &single, sizeof whole) != 0)
            abort();
    }
    silent = run(data, n, 1, true, true);
    if (silent.text + silent.lost > n || silent.frames != whole.frames)
        abort();
    return 0;
}
