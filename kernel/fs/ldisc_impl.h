// SPDX-License-Identifier: MIT
// What the two halves of the line discipline share: input (ldisc.c), output (ldisc_out.c).
#pragma once

#include "fs/ldisc.h"

enum { LDISC_TAB = 8, LDISC_EXPANSION = 16 }; // no byte becomes more than LDISC_EXPANSION

static inline bool ldisc_lflag(const struct ldisc *ld, uint32_t bit)
{
    return ld->termios.c_lflag & bit;
}

static inline bool ldisc_iflag(const struct ldisc *ld, uint32_t bit)
{
    return ld->termios.c_iflag & bit;
}

static inline bool ldisc_is_control(uint8_t c)
{
    return c < 32 || c == 127;
}

// A byte of a UTF-8 character other than its first: it takes no column of its own.
static inline bool ldisc_is_continuation(const struct ldisc *ld, uint8_t c)
{
    return ldisc_iflag(ld, IUTF8) && (c & 0xc0) == 0x80;
}

// One byte into the output ring, as it is or processed; nothing when there is no room.
void ldisc_out_raw(struct ldisc *ld, uint8_t c);
void ldisc_out(struct ldisc *ld, uint8_t c);

// Echo of a typed byte, with ^X for control characters if ECHOCTL; and of its removal.
void ldisc_echo(struct ldisc *ld, uint8_t c);
void ldisc_echo_rubout(struct ldisc *ld, unsigned columns);
unsigned ldisc_echo_width(const struct ldisc *ld, uint8_t c);

enum { LDISC_DISABLED = 0 }; // a c_cc entry that is off, and the byte of an end of file

static inline uint8_t *ldisc_in_at(struct ldisc *ld, uint32_t i)
{
    return &ld->in[i % LDISC_IN];
}

static inline bool ldisc_is_delimiter(const struct ldisc *ld, uint32_t i)
{
    return ld->in_flag[i % LDISC_IN / 8] & (1u << (i % 8));
}
