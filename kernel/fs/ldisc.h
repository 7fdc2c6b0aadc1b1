// SPDX-License-Identifier: MIT
// The line discipline: a terminal's editing, echo, signals and output processing as a pure state
// machine, after POSIX termios (XBD chapter 11) and what Linux's n_tty does where it says more.
//
// No locks, no waiting, no user memory: the tty owns it and holds its lock around every call.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LDISC_IN = 4096, LDISC_OUT = 8192, NCCS = 19 };

// Linux's `struct termios2`; TCGETS without the two speeds is its first 36 bytes.
struct termios2 {
    uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
    uint8_t c_line;
    uint8_t c_cc[NCCS];
    uint32_t c_ispeed, c_ospeed;
};
_Static_assert(sizeof(struct termios2) == 44, "Linux ABI");
enum { TERMIOS_BYTES = 36 };

enum { // c_cc
    VINTR = 0,
    VQUIT = 1,
    VERASE = 2,
    VKILL = 3,
    VEOF = 4,
    VTIME = 5,
    VMIN = 6,
    VSWTC = 7,
    VSTART = 8,
    VSTOP = 9,
    VSUSP = 10,
    VEOL = 11,
    VREPRINT = 12,
    VDISCARD = 13,
    VWERASE = 14,
    VLNEXT = 15,
    VEOL2 = 16,
};
enum { // c_iflag
    IGNBRK = 1,
    BRKINT = 2,
    INLCR = 0100,
    IGNCR = 0200,
    ICRNL = 0400,
    IXON = 02000,
    IXANY = 04000,
    IMAXBEL = 020000,
    IUTF8 = 040000,
    ISTRIP = 040,
    IUCLC = 01000,
};
enum { OPOST = 1, OLCUC = 2, ONLCR = 4, OCRNL = 010, ONOCR = 020, ONLRET = 040 };
enum { CS8 = 060, CREAD = 0200, HUPCL = 02000, B38400 = 017 };
enum { // c_lflag
    ISIG = 1,
    ICANON = 2,
    ECHO = 010,
    ECHOE = 020,
    ECHOK = 040,
    ECHONL = 0100,
    NOFLSH = 0200,
    TOSTOP = 0400,
    ECHOCTL = 01000,
    ECHOKE = 04000,
    IEXTEN = 0100000,
};

// What ldisc_input asks of its owner, besides what it put into the output ring.
enum {
    LDISC_WAKE = 1,   // a reader may find something now
    LDISC_SIGINT = 2, // to the foreground process group
    LDISC_SIGQUIT = 4,
    LDISC_SIGTSTP = 8,
    LDISC_OUT_READY = 16, // output was added or restarted
};

struct ldisc {
    struct termios2 termios;
    // Input: [tail, canon) can be read in canonical mode, [canon, head) is the line being edited.
    uint32_t head, canon, tail;
    uint32_t lines;       // delimiters in [tail, canon)
    bool literal_next;    // ^V was typed
    bool stopped;         // ^S
    bool direct;          // the output ring is its reader's own: what is in it counts as sent
    uint32_t column;      // of the cursor, for tabs and erasing
    uint32_t edit_column; // where the line being edited began
    uint32_t out_head, out_tail;
    uint64_t dropped; // input bytes that had no room
    uint8_t in[LDISC_IN];
    uint8_t in_flag[LDISC_IN / 8]; // set: this byte ends a line (and is not just equal to NL)
    uint8_t out[LDISC_OUT];
};

void ldisc_init(struct ldisc *ld);

// One byte from the line. Returns LDISC_* bits.
unsigned ldisc_input(struct ldisc *ld, uint8_t byte);

// Bytes that a read may take now, -1 when it must wait; an end of file is 0. *n of VMIN > 0 reads
// is not decided here: in raw mode this is what is there, -1 when nothing is.
long ldisc_readable(const struct ldisc *ld);
// Takes at most n; never more than one line in canonical mode. Same results. *end: the line ended
// with these bytes, or in raw mode: nothing is left.
long ldisc_read(struct ldisc *ld, uint8_t *buf, size_t n, bool *end);
// What FIONREAD tells.
uint32_t ldisc_pending(const struct ldisc *ld);

// Output processing; returns how many bytes of buf were taken (the ring may fill).
size_t ldisc_write(struct ldisc *ld, const uint8_t *buf, size_t n);
// One byte as it is, behind what waits: VSTOP or VSTART to the other side; nothing if that is disabled.
void ldisc_send(struct ldisc *ld, uint8_t c);
// Bytes for the line; nothing while stopped.
size_t ldisc_pull(struct ldisc *ld, uint8_t *buf, size_t max);
bool ldisc_out_room(const struct ldisc *ld);
// Bytes that were written and are not sent.
static inline uint32_t ldisc_out_pending(const struct ldisc *ld)
{
    return ld->direct ? 0 : ld->out_head - ld->out_tail;
}
static inline uint32_t ldisc_out_held(const struct ldisc *ld) // sent or not
{
    return ld->out_head - ld->out_tail;
}
// False: what comes now is dropped. In canonical mode that is right while there is no line to read: it could not be
// ended otherwise.
bool ldisc_in_room(const struct ldisc *ld);

void ldisc_flush_input(struct ldisc *ld);
static inline void ldisc_flush_output(struct ldisc *ld)
{
    if (!ld->direct)
        ld->out_tail = ld->out_head;
}
// New settings; a change of ICANON makes what was typed readable, as in Linux. LDISC_* bits.
unsigned ldisc_set_termios(struct ldisc *ld, const struct termios2 *tio);
