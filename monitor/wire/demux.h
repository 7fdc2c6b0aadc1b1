// SPDX-License-Identifier: MIT
// The host's receiving end: bytes of the line in; frames, plain text and losses out.
//
// What stands outside frames, or between delimiters without being a frame, is text of somebody who
// does not know of frames: firmware, the kernel before and after MUX, a panic. Before the first
// session it is passed on byte by byte. Afterwards it may also be a damaged frame, so it is passed
// on a line at a time and only if it is printable; else its bytes are counted as lost, and a
// terminal never sees an escape sequence out of a damaged frame.
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
    uint8_t buf[WIRE_STUFFED];
    size_t lost; // not yet told
    uint64_t frames;
};

void wire_demux_init(struct wire_demux *d, const struct wire_demux_sink *sink, void *ctx);
void wire_demux_bytes(struct wire_demux *d, const uint8_t *data, size_t n);
// Nothing came for a while: text that is held is passed on. give_up: nothing will come any more, or
// not for a second, so the frame that has begun is none.
void wire_demux_idle(struct wire_demux *d, bool give_up);
static inline bool wire_demux_holds(const struct wire_demux *d)
{
    return d->held != 0 || d->lost != 0;
}
