// SPDX-License-Identifier: MIT
// The line discipline: see ldisc.h.
//
// Both rings use free-running 32-bit indices. In canonical mode a delimiter is marked in in_flag,
// so that a literal newline (^V^J) does not end a line; an end of file is a marked NUL, which is
// never copied out. One input slot is kept for a delimiter: a line that filled the ring can end.
#include "fs/ldisc.h"

#include "fs/ldisc_impl.h"

#include <string.h>

_Static_assert((LDISC_IN & (LDISC_IN - 1)) == 0 && (LDISC_OUT & (LDISC_OUT - 1)) == 0, "rings");

static const struct termios2 default_termios = {
    .c_iflag = ICRNL | IXON,
    .c_oflag = OPOST | ONLCR,
    .c_cflag = B38400 | CS8 | CREAD | HUPCL,
    .c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
    .c_cc = {[VINTR] = 3,
             [VQUIT] = 28,
             [VERASE] = 127,
             [VKILL] = 21,
             [VEOF] = 4,
             [VMIN] = 1,
             [VSTART] = 17,
             [VSTOP] = 19,
             [VSUSP] = 26,
             [VREPRINT] = 18,
             [VDISCARD] = 15,
             [VWERASE] = 23,
             [VLNEXT] = 22},
    .c_ispeed = 38400,
    .c_ospeed = 38400,
};

void ldisc_init(struct ldisc *ld)
{
    memset(ld, 0, sizeof(*ld));
    ld->termios = default_termios;
}

static bool is_cc(const struct ldisc *ld, unsigned which, uint8_t c)
{
    return c != LDISC_DISABLED && ld->termios.c_cc[which] == c;
}

static bool is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c >= 128;
}

// ---- the input ring

static void in_put(struct ldisc *ld, uint8_t c, bool delimiter)
{
    uint8_t *flags = &ld->in_flag[ld->head % LDISC_IN / 8], bit = (uint8_t)(1u << (ld->head % 8));
    *flags = delimiter ? *flags | bit : *flags & (uint8_t)~bit;
    *ldisc_in_at(ld, ld->head++) = c;
}

void ldisc_flush_input(struct ldisc *ld)
{
    ld->head = ld->canon = ld->tail = 0;
    ld->lines = 0;
    ld->literal_next = false;
}

// ---- echo

// How far a tab behind the line being edited goes. What stands before the last tab in it is not looked at: each begins a
// column that is a multiple of their width, so erasing all of a line of tabs looks at each byte once.
static uint32_t tab_width(struct ldisc *ld)
{
    uint32_t col = 0, i = ld->head;
    while (i != ld->canon && *ldisc_in_at(ld, i - 1) != '\t')
        col += ldisc_echo_width(ld, *ldisc_in_at(ld, --i));
    if (i == ld->canon)
        col += ld->edit_column;
    return LDISC_TAB - col % LDISC_TAB;
}

// mapped: c came from c_iflag's newline rules. Any other newline was quoted by ^V or typed in raw
// mode, and shows as ^J.
static void echo_input(struct ldisc *ld, uint8_t c, bool mapped)
{
    if (!ldisc_lflag(ld, ECHO))
        return;
    if (ld->head == ld->canon)
        ld->edit_column = ld->column;
    if (c == '\n' && mapped)
        ldisc_out(ld, c);
    else
        ldisc_echo(ld, c);
}

// ---- editing

static void echo_erased(struct ldisc *ld, uint8_t c, bool single)
{
    if (!ldisc_lflag(ld, ECHO))
        return;
    if (single && !ldisc_lflag(ld, ECHOE)) {
        ldisc_echo(ld, ld->termios.c_cc[VERASE]);
    } else if (c == '\t') {
        uint32_t n = tab_width(ld);
        while (n-- > 0)
            ldisc_out(ld, '\b');
    } else {
        ldisc_echo_rubout(ld, ldisc_echo_width(ld, c));
    }
}

// Removes the last character, all bytes of it, and returns its first byte.
static uint8_t remove_last(struct ldisc *ld)
{
    do
        ld->head--;
    while (ldisc_is_continuation(ld, *ldisc_in_at(ld, ld->head)) && ld->head != ld->canon);
    return *ldisc_in_at(ld, ld->head);
}

static void erase_char(struct ldisc *ld)
{
    if (ld->head != ld->canon)
        echo_erased(ld, remove_last(ld), true);
}

static void erase_word(struct ldisc *ld)
{
    bool seen = false;
    while (ld->head != ld->canon) {
        uint32_t before = ld->head;
        uint8_t c = remove_last(ld);
        if (is_word(c)) {
            seen = true;
        } else if (seen) {
            ld->head = before;
            return;
        }
        echo_erased(ld, c, false);
    }
}

static void kill_line(struct ldisc *ld)
{
    if (ld->head == ld->canon)
        return;
    if (ldisc_lflag(ld, ECHO) && ldisc_lflag(ld, ECHOK) && ldisc_lflag(ld, ECHOKE) &&
        ldisc_lflag(ld, ECHOE)) {
        while (ld->head != ld->canon)
            echo_erased(ld, remove_last(ld), false);
        return;
    }
    ld->head = ld->canon;
    if (!ldisc_lflag(ld, ECHO))
        return;
    ldisc_echo(ld, ld->termios.c_cc[VKILL]);
    if (ldisc_lflag(ld, ECHOK))
        ldisc_out(ld, '\n');
}

static void reprint(struct ldisc *ld)
{
    ldisc_echo(ld, ld->termios.c_cc[VREPRINT]);
    ldisc_out(ld, '\n');
    ld->edit_column = ld->column;
    for (uint32_t i = ld->canon; i != ld->head; i++)
        ldisc_echo(ld, *ldisc_in_at(ld, i));
}

static unsigned end_line(struct ldisc *ld, uint8_t c)
{
    if (ld->head - ld->tail >= LDISC_IN) {
        ld->dropped++;
        return 0;
    }
    in_put(ld, c, true);
    ld->canon = ld->head;
    ld->lines++;
    return LDISC_WAKE;
}

static unsigned input_plain(struct ldisc *ld, uint8_t c, bool mapped)
{
    if (ld->head - ld->tail >= LDISC_IN - 1) {
        ld->dropped++;
        if (ldisc_iflag(ld, IMAXBEL))
            ldisc_out_raw(ld, '\a');
        return 0;
    }
    echo_input(ld, c, mapped);
    in_put(ld, c, false);
    return ldisc_lflag(ld, ICANON) ? 0 : LDISC_WAKE;
}

// *done: the byte was an editing character of canonical mode.
static unsigned input_canonical(struct ldisc *ld, uint8_t c, bool *done)
{
    bool extended = ldisc_lflag(ld, IEXTEN);
    *done = true;
    if (is_cc(ld, VERASE, c)) {
        erase_char(ld);
    } else if (is_cc(ld, VKILL, c)) {
        kill_line(ld);
    } else if (extended && is_cc(ld, VWERASE, c)) {
        erase_word(ld);
    } else if (extended && is_cc(ld, VLNEXT, c)) {
        ld->literal_next = true;
        if (ldisc_lflag(ld, ECHO) && ldisc_lflag(ld, ECHOCTL)) {
            ldisc_out_raw(ld, '^');
            ldisc_out_raw(ld, '\b');
        }
    } else if (extended && ldisc_lflag(ld, ECHO) && is_cc(ld, VREPRINT, c)) {
        reprint(ld);
    } else if (c == '\n') {
        if (ldisc_lflag(ld, ECHO) || ldisc_lflag(ld, ECHONL))
            ldisc_out(ld, c);
        return end_line(ld, c);
    } else if (is_cc(ld, VEOF, c)) {
        return end_line(ld, LDISC_DISABLED);
    } else if (is_cc(ld, VEOL, c) || (extended && is_cc(ld, VEOL2, c))) {
        echo_input(ld, c, false);
        return end_line(ld, c);
    } else {
        *done = false;
    }
    return 0;
}

static unsigned input_signal(struct ldisc *ld, uint8_t c, unsigned signal)
{
    if (!ldisc_lflag(ld, NOFLSH)) {
        ldisc_flush_input(ld);
        ldisc_flush_output(ld);
    }
    ld->stopped = false;
    if (ldisc_lflag(ld, ECHO))
        ldisc_echo(ld, c);
    return signal | LDISC_OUT_READY;
}

static bool flow_control(struct ldisc *ld, uint8_t c)
{
    if (!ldisc_iflag(ld, IXON))
        return false;
    if (is_cc(ld, VSTART, c)) {
        ld->stopped = false;
        return true;
    }
    if (is_cc(ld, VSTOP, c)) {
        ld->stopped = true;
        return true;
    }
    if (ldisc_iflag(ld, IXANY))
        ld->stopped = false;
    return false;
}

// Carriage returns and newlines as c_iflag wants them. False: the byte is dropped.
static bool map_newlines(struct ldisc *ld, uint8_t *c)
{
    if (*c == '\r') {
        if (ldisc_iflag(ld, IGNCR))
            return false;
        if (ldisc_iflag(ld, ICRNL))
            *c = '\n';
    } else if (*c == '\n' && ldisc_iflag(ld, INLCR)) {
        *c = '\r';
    }
    return true;
}

static unsigned input_byte(struct ldisc *ld, uint8_t c)
{
    if (ldisc_iflag(ld, ISTRIP))
        c &= 0x7f;
    if (ldisc_iflag(ld, IUCLC) && ldisc_lflag(ld, IEXTEN) && c >= 'A' && c <= 'Z')
        c += 32;
    if (ld->literal_next) {
        ld->literal_next = false;
        return input_plain(ld, c, false);
    }
    if (flow_control(ld, c))
        return 0;
    if (ldisc_lflag(ld, ISIG)) {
        if (is_cc(ld, VINTR, c))
            return input_signal(ld, c, LDISC_SIGINT);
        if (is_cc(ld, VQUIT, c))
            return input_signal(ld, c, LDISC_SIGQUIT);
        if (is_cc(ld, VSUSP, c))
            return input_signal(ld, c, LDISC_SIGTSTP);
    }
    uint8_t typed = c;
    if (!map_newlines(ld, &c))
        return 0;
    if (ldisc_lflag(ld, ICANON)) {
        bool done;
        unsigned r = input_canonical(ld, c, &done);
        if (done)
            return r;
    }
    return input_plain(ld, c, c != typed);
}

unsigned ldisc_input(struct ldisc *ld, uint8_t byte)
{
    uint32_t out_before = ld->out_head;
    bool was_stopped = ld->stopped;
    unsigned r = input_byte(ld, byte);
    if (ld->out_head != out_before || (was_stopped && !ld->stopped))
        r |= LDISC_OUT_READY;
    return r;
}

// What was typed under the other mode becomes readable at once: as bytes, or as one line.
static void switch_mode(struct ldisc *ld)
{
    memset(ld->in_flag, 0, sizeof(ld->in_flag));
    ld->literal_next = false;
    ld->lines = 0;
    ld->canon = ld->tail;
    if (ldisc_lflag(ld, ICANON) && ld->head != ld->tail) {
        uint32_t last = ld->head - 1;
        ld->in_flag[last % LDISC_IN / 8] |= (uint8_t)(1u << (last % 8));
        ld->canon = ld->head;
        ld->lines = 1;
    }
}

unsigned ldisc_set_termios(struct ldisc *ld, const struct termios2 *tio)
{
    uint32_t changed = ld->termios.c_lflag ^ tio->c_lflag;
    unsigned r = 0;
    ld->termios = *tio;
    if (changed & ICANON) {
        switch_mode(ld);
        if (ldisc_readable(ld) >= 0)
            r |= LDISC_WAKE;
    }
    if (ld->stopped && !ldisc_iflag(ld, IXON)) {
        ld->stopped = false;
        r |= LDISC_OUT_READY;
    }
    return r;
}
