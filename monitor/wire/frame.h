// SPDX-License-Identifier: MIT
// One frame on the wire: `00 COBS(head seq payload crc) 00`.
//
//     head     ver:2 (binary 10) type:2 chan:4    0x80..0xbf, so never an ASCII character
//     seq      8 bits; host to kernel the go-back-N number, kernel to host a running count of
//              sequenced frames, by which the host sees a loss
//     payload  0..240 bytes
//     crc      CRC-32 of head, seq and payload, least significant byte first
//
// As the head byte is never zero, the byte behind the delimiter is a COBS code >= 2 and the next
// one is the head: two bytes tell text from the beginning of a frame.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_PAYLOAD = 240,
    WIRE_RAW = 2 + WIRE_PAYLOAD + 4, // before stuffing; one COBS block is enough
    WIRE_STUFFED = WIRE_RAW + 1,
    WIRE_FRAME = WIRE_STUFFED + 2, // with both delimiters
    WIRE_VERSION = 2,
};

enum wire_type {
    WIRE_DATA = 0, // sequenced; more of this message follows
    WIRE_LAST = 1, // sequenced; the last or only part of a message
    WIRE_NOW = 2,  // control, outside the sequence, may be repeated
    WIRE_ACK = 3,  // kernel to host: seq is the next one expected; payload struct below
};

enum wire_channel {
    WIRE_CONTROL = 0,
    WIRE_TTY = 1, // both ways: bytes of the user's terminal
    WIRE_LOG = 2, // to host: text of the kernel log
    // These three once for each session of the monitor, one behind the other: so parts of what several say
    // may stand between each other. Here those of session 0.
    WIRE_RPC = 3,    // both ways: messages of rpc.h
    WIRE_REPL = 4,   // to host: text a script prints, UTF-8
    WIRE_EVENTS = 5, // to host: CBOR items; may be dropped
    WIRE_CHANNELS = 15,
};
enum { WIRE_SESSIONS = 4, WIRE_OF_SESSION = 3 };
_Static_assert(WIRE_RPC + WIRE_SESSIONS * WIRE_OF_SESSION == WIRE_CHANNELS, "channels of sessions");

// WIRE_RPC, WIRE_REPL or WIRE_EVENTS of a session; and back, of one that is not below WIRE_RPC.
static inline enum wire_channel wire_channel_of(enum wire_channel which, unsigned session)
{
    return (enum wire_channel)(which + WIRE_OF_SESSION * session);
}
static inline unsigned wire_session(enum wire_channel chan)
{
    return (chan - WIRE_RPC) / WIRE_OF_SESSION;
}
static inline enum wire_channel wire_which(enum wire_channel chan)
{
    return chan < WIRE_RPC ? chan
                           : (enum wire_channel)(WIRE_RPC + (chan - WIRE_RPC) % WIRE_OF_SESSION);
}

struct wire_frame {
    enum wire_type type;
    enum wire_channel chan;
    uint8_t seq;
    size_t len;
    const uint8_t *payload;
};

// The two bytes behind a delimiter could begin a frame.
static inline bool wire_frame_begins(uint8_t code, uint8_t head)
{
    return code >= 2 && head >> 6 == WIRE_VERSION && (head & 15) < WIRE_CHANNELS;
}

// Whole frame with delimiters into dst (WIRE_FRAME bytes); len <= WIRE_PAYLOAD. Its length.
size_t wire_frame_encode(uint8_t *dst, const struct wire_frame *frame);

// `raw`: what stood between two delimiters, n <= WIRE_STUFFED; it is decoded in place and the
// frame's payload points into it. False when it is no frame.
bool wire_frame_decode(struct wire_frame *frame, uint8_t *raw, size_t n);

// ---- control messages: frames on WIRE_CONTROL, NOW but for OPEN; the first payload byte says which

enum wire_control {
    WIRE_BYE = 2, // to kernel: back to PLAIN
    WIRE_INT =
        3, // to kernel: session:8 (0 when it is missing): interrupt its script, in the RX interrupt
    WIRE_RESET = 4,   // to kernel: drop messages half received, interrupt, forget all sessions
    WIRE_WELCOME = 5, // to host: answer to HELLO: nonce[5], count:8, then the info map of rpc.h
    WIRE_DROPPED = 6, // to host: u32le events dropped since HELLO
    WIRE_WANT = 7,    // to kernel: sessions:8, a bit for each that shall be open
    WIRE_OPEN = 8,    // to host, LAST: open:8, refused:8; answer to WANT
};

// Sessions. After HELLO and RESET only session 0 is wanted, and it is always there. The host says WANT again and
// again until OPEN shows what it wants, or refused, since there is no memory, what is missing: each is what holds
// now, so nothing is done twice. A session that is no longer wanted is interrupted and forgotten; when its bit is
// gone from OPEN nothing more comes of it: OPEN stands in the order of what it said. Then the bit may be set anew. One that
// has not ended yet and is wanted again is not open before it is a new one.

// HELLO, to kernel. Sent again and again it is the keep-alive; one with another nonce starts
// another connection. Its raw bytes contain no zero: `salt` is chosen so that the CRC has none, all
// other fields have the high bit set. So its stuffed form is exactly 00 code HELLO 00, in PLAIN
// every byte but the variable ones is compared at once, and a user's typing is never withheld.
// Nor is any byte of the CRC a control character, and hardly ever ASCII: a HELLO that comes before
// the kernel listens is typed at the terminal, where ^S would stop the output, a quote wait for another, and ^A
// put all that is typed behind it before what stands there.
enum {
    WIRE_HELLO_HEAD = 0xa0, // version 2, NOW, control
    WIRE_HELLO_SEQ = 0x81,
    WIRE_NONCE = 5,
    WIRE_HELLO_PAYLOAD = 5 + WIRE_NONCE + 1 + 4 + 1,
    WIRE_HELLO_STUFFED = 1 + 2 + WIRE_HELLO_PAYLOAD + 4,
};
#define WIRE_HELLO_MAGIC "HELLO"
enum { WIRE_WELCOME_HEAD = 1 + WIRE_NONCE + 1 };

struct wire_hello {
    uint8_t nonce[WIRE_NONCE]; // 7 bits each
    uint8_t keepalive;         // seconds of silence until PLAIN, 0..127; 0: for ever
    uint16_t rows, cols;       // of the host's terminal, 14 bits; 0: unknown
};
size_t wire_hello_encode(uint8_t *dst, const struct wire_hello *hello);
// False when the frame is no HELLO.
bool wire_hello_decode(struct wire_hello *hello, const struct wire_frame *frame);

// `count` in WELCOME is of connections since boot. When it changes under the same nonce, the
// kernel had given the host up (no HELLO for the keep-alive): both sides number from 0 again.

// Payload of an ACK. Host side: data on rpc may be sent while the rpc bytes in frames not yet
// acknowledged stay within `room`. The tty has no limit: what the line discipline cannot hold, it
// drops, like a real terminal line.
struct wire_ack {
    uint8_t next;  // sequence number expected next
    uint8_t gap;   // 1: a frame was not taken; send again from `next`
    uint16_t room; // payload bytes that may come on rpc
};
size_t wire_ack_encode(uint8_t *dst, const struct wire_ack *ack);
bool wire_ack_decode(struct wire_ack *ack, const struct wire_frame *frame);
