// SPDX-License-Identifier: MIT
// Output processing of the line discipline: POSIX XBD 11.2.3, with Linux's column tracking.
//
// The cursor's column is kept as far as bytes tell: tabs are expanded and erased by it.
#include "fs/ldisc_impl.h"

enum { TABDLY = 014000, XTABS = 014000, ECHO_RESERVE = 512, WRITE_ROOM = 1024 };
enum { CTRL_WIDTH = 2 };

static uint32_t out_free(const struct ldisc *ld)
{
    return LDISC_OUT - (ld->out_head - ld->out_tail);
}

void ldisc_out_raw(struct ldisc *ld, uint8_t c)
{
    if (out_free(ld) > 0)
        ld->out[ld->out_head++ % LDISC_OUT] = c;
}

static void out_tab(struct ldisc *ld)
{
    uint32_t n = LDISC_TAB - ld->column % LDISC_TAB;
    ld->column += n;
    if ((ld->termios.c_oflag & TABDLY) != XTABS) {
        ldisc_out_raw(ld, '\t');
        return;
    }
    while (n-- > 0)
        ldisc_out_raw(ld, ' ');
}

static void out_newline(struct ldisc *ld)
{
    if (ld->termios.c_oflag & ONLCR)
        ldisc_out_raw(ld, '\r');
    if (ld->termios.c_oflag & (ONLCR | ONLRET))
        ld->column = 0;
    ldisc_out_raw(ld, '\n');
}

static void out_return(struct ldisc *ld)
{
    uint32_t o = ld->termios.c_oflag;
    if ((o & ONOCR) && ld->column == 0)
        return;
    if (o & OCRNL) {
        if (o & ONLRET)
            ld->column = 0;
        ldisc_out_raw(ld, '\n');
        return;
    }
    ld->column = 0;
    ldisc_out_raw(ld, '\r');
}

// At most 8 bytes go into the ring.
void ldisc_out(struct ldisc *ld, uint8_t c)
{
    if (!(ld->termios.c_oflag & OPOST)) {
        ldisc_out_raw(ld, c);
        return;
    }
    switch (c) {
    case '\n':
        out_newline(ld);
        return;
    case '\r':
        out_return(ld);
        return;
    case '\t':
        out_tab(ld);
        return;
    case '\b':
        if (ld->column > 0)
            ld->column--;
        break;
    default:
        if ((ld->termios.c_oflag & OLCUC) && c >= 'a' && c <= 'z')
            c -= 32;
        if (!ldisc_is_control(c) && !ldisc_is_continuation(ld, c))
            ld->column++;
    }
    ldisc_out_raw(ld, c);
}

size_t ldisc_write(struct ldisc *ld, const uint8_t *buf, size_t n)
{
    size_t i = 0;
    while (i < n && out_free(ld) > ECHO_RESERVE && !(ld->direct && ld->stopped))
        ldisc_out(ld, buf[i++]);
    return i;
}

void ldisc_send(struct ldisc *ld, uint8_t c)
{
    if (c != LDISC_DISABLED)
        ldisc_out_raw(ld, c);
}

size_t ldisc_pull(struct ldisc *ld, uint8_t *buf, size_t max)
{
    size_t n = 0;
    while ((!ld->stopped || ld->direct) && n < max && ld->out_tail != ld->out_head)
        buf[n++] = ld->out[ld->out_tail++ % LDISC_OUT];
    return n;
}

bool ldisc_out_room(const struct ldisc *ld)
{
    return out_free(ld) >= WRITE_ROOM && !(ld->direct && ld->stopped);
}

void ldisc_echo(struct ldisc *ld, uint8_t c)
{
    if (out_free(ld) < LDISC_EXPANSION)
        return;
    if (ldisc_lflag(ld, ECHOCTL) && ldisc_is_control(c) && c != '\t') {
        ldisc_out(ld, '^');
        ldisc_out(ld, c ^ 0100);
    } else {
        ldisc_out(ld, c);
    }
}

void ldisc_echo_rubout(struct ldisc *ld, unsigned columns)
{
    while (columns-- > 0 && out_free(ld) >= LDISC_EXPANSION) {
        ldisc_out(ld, '\b');
        ldisc_out(ld, ' ');
        ldisc_out(ld, '\b');
    }
}

unsigned ldisc_echo_width(const struct ldisc *ld, uint8_t c)
{
    if (ldisc_is_control(c))
        return ldisc_lflag(ld, ECHOCTL) ? CTRL_WIDTH : 0;
    return ldisc_is_continuation(ld, c) ? 0 : 1;
}
