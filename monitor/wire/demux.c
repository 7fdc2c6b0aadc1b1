// SPDX-License-Identifier: MIT
// Tells frames from text on the host's side; see the header.
#include "wire/demux.h"

#include <string.h>

void wire_demux_init(struct wire_demux *d, const struct wire_demux_sink *sink, void *ctx)
{
    memset(d, 0, sizeof *d);
    d->sink = sink;
    d->ctx = ctx;
}

static void tell_lost(struct wire_demux *d)
{
    size_t n = d->lost;

    d->lost = 0;
    if (n)
        d->sink->lost(d->ctx, n);
}

static bool printable(const uint8_t *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((s[i] < 0x20 && s[i] != '\n' && s[i] != '\r' && s[i] != '\t') || s[i] >= 0x7f)
            return false;
    return true;
}

static void release_part(struct wire_demux *d, const uint8_t *part, size_t n)
{
    if (n == 0)
        return;
    if (d->strict && !printable(part, n)) {
        d->lost += n;
        return;
    }
    tell_lost(d);
    d->sink->text(d->ctx, part, n);
}

// What is held turns out to be no frame.
static void release(struct wire_demux *d)
{
    size_t n = d->held, before = d->before_silence;

    d->held = d->before_silence = 0;
    release_part(d, d->buf, before);
    release_part(d, d->buf + before, n - before);
}

static void end_frame(struct wire_demux *d)
{
    uint8_t copy[WIRE_STUFFED];
    struct wire_frame frame;

    memcpy(copy, d->buf, d->held);
    if (!wire_frame_decode(&frame, copy, d->held)) {
        release(d);
        return;
    }
    d->held = d->before_silence = 0;
    d->frames++;
    tell_lost(d);
    d->sink->frame(d->ctx, &frame);
}

static void text_byte(struct wire_demux *d, uint8_t byte)
{
    d->buf[d->held++] = byte;
    if (byte == '\n' || d->held == sizeof d->buf)
        release(d);
}

static void frame_byte(struct wire_demux *d, uint8_t byte)
{
    if (d->held == sizeof d->buf) { // one more than the longest frame
        release(d);
        d->state = DEMUX_TEXT;
        text_byte(d, byte);
        return;
    }
    d->buf[d->held++] = byte;
    if (d->held == 2 && !wire_frame_begins(d->buf[0], d->buf[1])) {
        d->state = DEMUX_TEXT;
        if (!d->strict || memchr(d->buf, '\n', 2))
            release(d);
    }
}

void wire_demux_bytes(struct wire_demux *d, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] == 0) {
            if (d->state == DEMUX_FRAME && d->held)
                end_frame(d);
            else
                release(d);
            d->state = DEMUX_FRAME;
        } else if (d->state == DEMUX_FRAME) {
            frame_byte(d, data[i]);
        } else {
            text_byte(d, data[i]);
        }
    }
    // Before the first session nobody waits for the end of a line.
    if (d->state == DEMUX_TEXT && !d->strict)
        release(d);
}

void wire_demux_idle(struct wire_demux *d, bool for_long)
{
    if (d->state == DEMUX_FRAME && d->held) {
        if (!for_long)
            return;
        if (d->strict) {
            if (!d->before_silence)
                d->before_silence = d->held;
            tell_lost(d);
            return;
        }
        d->state = DEMUX_TEXT;
    }
    release(d);
    tell_lost(d);
}

void wire_demux_end(struct wire_demux *d)
{
    d->state = DEMUX_TEXT;
    release(d);
    tell_lost(d);
}
