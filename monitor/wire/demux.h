// SPDX-License-Identifier: MIT
// The host's receiving end: bytes of the line in; frames, plain text and losses out.
//
// What stands outside frames, or between delimiters without being a frame, is text of somebody who
// does not know of frames: firmware, the kernel before and after MUX, a panic. Before the first
// session it is passed on byte by byte. Afterwards it may also be a damaged frame, so it is passed
// on a line at a time and only if it is printable; else its bytes are counted as lost, and a
// terminal never sees an escape sequence out of a damaged frame.
//
// Nor is a frame given up then that has begun: a machine may stand still for any time amid one, and
// its CRC says at the end whether it is whole. If it is none, what came behind a long silence is
// another's, say of firmware, and is judged by itself.
#pragma once

#include "wire/frame.h"

struct wire_demux_sink {
    void (*frame)(void *ctx, const struct wire_frame *frame);
    void (*text)(void *ctx, const uint8_t *data, size_t n);
    void (*lost)(void *ctx, size_t n); // told before the next frame or text, or when idle
};

struct wire_demux {
    const struct wire_demux_sink *sink;
    void *ctx;
    bool strict; // a session began: text may be a damaged frame
    enum { DEMUX_TEXT, DEMUX_FRAME } state;
    size_t held;
    size_t before_silence; // of what is held, in a frame that goes on behind one
    uint8_t buf[WIRE_STUFFED];
    size_t lost; // not yet told
    uint64_t frames;
};

void wire_demux_init(struct wire_demux *d, const struct wire_demux_sink *sink, void *ctx);
void wire_demux_bytes(struct wire_demux *d, const uint8_t *data, size_t n);
// Nothing came for a while: text that is held is passed on. for_long: nor for a second, so before a session what
// looks like the beginning of a frame is text.
void wire_demux_idle(struct wire_demux *d, bool for_long);
// Nothing will come any more.
void wire_demux_end(struct wire_demux *d);
// wire_demux_idle would change something.
static inline bool wire_demux_holds(const struct wire_demux *d)
{
    bool decided = d->state == DEMUX_FRAME && d->before_silence;

    return (d->held != 0 && !decided) || d->lost != 0;
}
