// sources: monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c monitor/wire/demux.c
// SPDX-License-Identifier: MIT
// Any bytes on the line: no byte is read or written out of place, none disappears without being told.
//
// What the demultiplexer hands on or counts as lost may not exceed what it was fed; the same bytes in
// other portions must come out the same.
#include "wire/demux.h"

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

static struct seen run(const uint8_t *data, size_t n, size_t portion)
{
    static const struct wire_demux_sink sink = {on_frame, on_text, on_lost};
    static struct wire_demux demux;
    struct seen seen = {0};

    wire_demux_init(&demux, &sink, &seen);
    for (size_t at = 0; at < n; at += portion)
        wire_demux_bytes(&demux, data + at, n - at < portion ? n - at : portion);
    wire_demux_idle(&demux, true);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct seen whole = run(data, n, n + 1), single = run(data, n, 1);

    if (whole.text + whole.lost > n || memcmp(&whole, &single, sizeof whole) != 0)
        abort();
    return 0;
}
