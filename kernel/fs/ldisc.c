// SPDX-License-Identifier: MIT
// The line discipline: see ldisc.h.
//
// Both rings use free-running 32-bit indices. In canonical mode a delimiter is marked in in_flag,
// so that a literal newline (^V^J) does not end a line; an end of file is a marked NUL, which is
// never copied out. One input slot is kept for a delimiter: a line that filled the ring can end.
#include "fs/ldisc.h"

#include <string.h>

enum { TABDLY = 014000, XTABS = 014000, ECHO_RESERVE = 512, WRITE_ROOM = 1024, DISABLED = 0 };
enum { CTRL_ERASE_WIDTH = 2, TAB_WIDTH = 8 };
_Static_assert((LDISC_IN & (LDISC_IN - 1)) == 0 && (LDISC_OUT & (LDISC_OUT - 1)) == 0, "rings");

static const struct termios2 default_termios = {
    .c_iflag = ICRNL | IXON,
    .c_oflag = OPOST | ONLCR,
    .c_cflag = B38400 | CS8 | CREAD | HUPCL,
    .c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
    .c_cc = {[VINTR] = 3, [VQUIT] = 28, [VERASE] = 127, [VKILL] = 21, [VEOF] = 4, [VMIN] = 1,
             [VSTART] = 17, [VSTOP] = 19, [VSUSP] = 26, [VREPRINT] = 18, [VDISCARD] = 15,
             [VWERASE] = 23, [VLNEXT] = 22},
    .c_ispeed = 38400,
    .c_ospeed = 38400,
};

void ldisc_init(struct ldisc *ld)
{
    memset(ld, 0, sizeof(*ld));
    ld->termios = default_termios;
}

static bool lflag(const struct ldisc *ld, uint32_t bit)
{
    return ld->termios.c_lflag & bit;
}

static bool iflag(const struct ldisc *ld, uint32_t bit)
{
    return ld->termios.c_iflag & bit;
}

static bool is_cc(const struct ldisc *ld, unsigned which, uint8_t c)
{
    return c != DISABLED && ld->termios.c_cc[which] == c;
}

static bool is_control(uint8_t c)
{
    return c < 32 || c == 127;
}

static bool is_continuation(const struct ldisc *ld, uint8_t c)
{
    return iflag(ld, IUTF8) && (c & 0xc0) == 0x80;
}

static bool is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '_' || c >= 128;
}

// ---- the input ring

static uint8_t *in_at(struct ldisc *ld, uint32_t i)
{
    return &ld->in[i % LDISC_IN];
}

static bool is_delimiter(const struct ldisc *ld, uint32_t i)
{
    return ld->in_flag[i % LDISC_IN / 8] & (1u << (i % 8));
}

static void in_put(struct ldisc *ld, uint8_t c, bool delimiter)
{
    uint8_t *flags = &ld->in_flag[ld->head % LDISC_IN / 8], bit = (uint8_t)(1u << (ld->head % 8));
    *flags = delimiter ? *flags | bit : *flags & (uint8_t)~bit;
    *in_at(ld, ld->head++) = c;
}

void ldisc_flush_input(struct ldisc *ld)
{
    ld->head = ld->canon = ld->tail = 0;
    ld->lines = 0;
    ld->literal_next = false;
}

// ---- the output ring

static uint32_t out_free(const struct ldisc *ld)
{
    return LDISC_OUT - (ld->out_head - ld->out_tail);
}

static void out_raw(struct ldisc *ld, uint8_t c)
{
    if (out_free(ld) > 0)
        ld->out[ld->out_head++ % LDISC_OUT] = c;
}

static void out_tab(struct ldisc *ld)
{
    uint32_t n = TAB_WIDTH - ld->column % TAB_WIDTH;
    ld->column += n;
    if ((ld->termios.c_oflag & TABDLY) != XTABS) {
        out_raw(ld, '\t');
        return;
    }
    while (n-- > 0)
        out_raw(ld, ' ');
}

static void out_newline(struct ldisc *ld)
{
    if (ld->termios.c_oflag & ONLCR)
        out_raw(ld, '\r');
    if (ld->termios.c_oflag & (ONLCR | ONLRET))
        ld->column = 0;
    out_raw(ld, '\n');
}

static void out_return(struct ldisc *ld)
{
    uint32_t o = ld->termios.c_oflag;
    if ((o & ONOCR) && ld->column == 0)
        return;
    if (o & OCRNL) {
        if (o & ONLRET)
            ld->column = 0;
        out_raw(ld, '\n');
        return;
    }
    ld->column = 0;
    out_raw(ld, '\r');
}

// At most 8 bytes go into the ring.
static void out_processed(struct ldisc *ld, uint8_t c)
{
    if (!(ld->termios.c_oflag & OPOST)) {
        out_raw(ld, c);
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
        if (!is_control(c) && !is_continuation(ld, c))
            ld->column++;
    }
    out_raw(ld, c);
}

size_t ldisc_write(struct ldisc *ld, const uint8_t *buf, size_t n)
{
    size_t i = 0;
    while (i < n && out_free(ld) > ECHO_RESERVE)
        out_processed(ld, buf[i++]);
    return i;
}

size_t ldisc_pull(struct ldisc *ld, uint8_t *buf, size_t max)
{
    size_t n = 0;
    while (!ld->stopped && n < max && ld->out_tail != ld->out_head)
        buf[n++] = ld->out[ld->out_tail++ % LDISC_OUT];
    return n;
}

bool ldisc_out_room(const struct ldisc *ld)
{
    return out_free(ld) >= WRITE_ROOM;
}

// ---- echo

static void echo(struct ldisc *ld, uint8_t c)
{
    if (out_free(ld) < 2 * TAB_WIDTH)
        return;
    if (lflag(ld, ECHOCTL) && is_control(c) && c != '\t' && c != '\n') {
        out_processed(ld, '^');
        out_processed(ld, c ^ 0100);
    } else {
        out_processed(ld, c);
    }
}

static void echo_rubout(struct ldisc *ld, unsigned columns)
{
    while (columns-- > 0 && out_free(ld) >= 2 * TAB_WIDTH) {
        out_processed(ld, '\b');
        out_processed(ld, ' ');
        out_processed(ld, '\b');
    }
}

static unsigned echo_width(const struct ldisc *ld, uint8_t c)
{
    if (is_control(c))
        return lflag(ld, ECHOCTL) ? CTRL_ERASE_WIDTH : 0;
    return is_continuation(ld, c) ? 0 : 1;
}

// The column of the cursor after the bytes [canon, end) of the line being edited.
static uint32_t column_at(struct ldisc *ld, uint32_t end)
{
    uint32_t col = ld->edit_column;
    for (uint32_t i = ld->canon; i != end; i++) {
        uint8_t c = *in_at(ld, i);
        col += c == '\t' ? TAB_WIDTH - col % TAB_WIDTH : echo_width(ld, c);
    }
    return col;
}

static void echo_input(struct ldisc *ld, uint8_t c)
{
    if (!lflag(ld, ECHO))
        return;
    if (ld->head == ld->canon)
        ld->edit_column = ld->column;
    echo(ld, c);
}

// ---- editing

static void echo_erased(struct ldisc *ld, uint8_t c, bool single)
{
    if (!lflag(ld, ECHO))
        return;
    if (single && !lflag(ld, ECHOE)) {
        echo(ld, ld->termios.c_cc[VERASE]);
    } else if (c == '\t') {
        uint32_t n = TAB_WIDTH - column_at(ld, ld->head) % TAB_WIDTH;
        while (n-- > 0)
            out_processed(ld, '\b');
    } else {
        echo_rubout(ld, echo_width(ld, c));
    }
}

// Removes the last character, all bytes of it, and returns its first byte.
static uint8_t remove_last(struct ldisc *ld)
{
    do
        ld->head--;
    while (is_continuation(ld, *in_at(ld, ld->head)) && ld->head != ld->canon);
    return *in_at(ld, ld->head);
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
    if (lflag(ld, ECHO) && lflag(ld, ECHOK) && lflag(ld, ECHOKE) && lflag(ld, ECHOE)) {
        while (ld->head != ld->canon)
            echo_erased(ld, remove_last(ld), false);
        return;
    }
    ld->head = ld->canon;
    if (!lflag(ld, ECHO))
        return;
    echo(ld, ld->termios.c_cc[VKILL]);
    if (lflag(ld, ECHOK))
        echo(ld, '\n');
}

static void reprint(struct ldisc *ld)
{
    echo(ld, ld->termios.c_cc[VREPRINT]);
    echo(ld, '\n');
    ld->edit_column = ld->column;
    for (uint32_t i = ld->canon; i != ld->head; i++)
        echo(ld, *in_at(ld, i));
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

static unsigned input_plain(struct ldisc *ld, uint8_t c)
{
    if (ld->head - ld->tail >= LDISC_IN - 1) {
        ld->dropped++;
        if (iflag(ld, IMAXBEL))
            out_raw(ld, '\a');
        return 0;
    }
    echo_input(ld, c);
    in_put(ld, c, false);
    return lflag(ld, ICANON) ? 0 : LDISC_WAKE;
}

// *done: the byte was an editing character of canonical mode.
static unsigned input_canonical(struct ldisc *ld, uint8_t c, bool *done)
{
    bool extended = lflag(ld, IEXTEN);
    *done = true;
    if (is_cc(ld, VERASE, c)) {
        erase_char(ld);
    } else if (is_cc(ld, VKILL, c)) {
        kill_line(ld);
    } else if (extended && is_cc(ld, VWERASE, c)) {
        erase_word(ld);
    } else if (extended && is_cc(ld, VLNEXT, c)) {
        ld->literal_next = true;
        if (lflag(ld, ECHO) && lflag(ld, ECHOCTL)) {
            out_raw(ld, '^');
            out_raw(ld, '\b');
        }
    } else if (extended && lflag(ld, ECHO) && is_cc(ld, VREPRINT, c)) {
        reprint(ld);
    } else if (c == '\n') {
        if (lflag(ld, ECHO) || lflag(ld, ECHONL))
            echo(ld, c);
        return end_line(ld, c);
    } else if (is_cc(ld, VEOF, c)) {
        return end_line(ld, DISABLED);
    } else if (is_cc(ld, VEOL, c) || (extended && is_cc(ld, VEOL2, c))) {
        echo_input(ld, c);
        return end_line(ld, c);
    } else {
        *done = false;
    }
    return 0;
}

static unsigned input_signal(struct ldisc *ld, uint8_t c, unsigned signal)
{
    if (!lflag(ld, NOFLSH)) {
        ldisc_flush_input(ld);
        ld->out_tail = ld->out_head;
    }
    ld->stopped = false;
    if (lflag(ld, ECHO))
        echo(ld, c);
    return signal | LDISC_OUT_READY;
}

static bool flow_control(struct ldisc *ld, uint8_t c)
{
    if (!iflag(ld, IXON))
        return false;
    if (is_cc(ld, VSTART, c)) {
        ld->stopped = false;
        return true;
    }
    if (is_cc(ld, VSTOP, c)) {
        ld->stopped = true;
        return true;
    }
    if (iflag(ld, IXANY))
        ld->stopped = false;
    return false;
}

// Carriage returns and newlines as c_iflag wants them. False: the byte is dropped.
static bool map_newlines(struct ldisc *ld, uint8_t *c)
{
    if (*c == '\r') {
        if (iflag(ld, IGNCR))
            return false;
        if (iflag(ld, ICRNL))
            *c = '\n';
    } else if (*c == '\n' && iflag(ld, INLCR)) {
        *c = '\r';
    }
    return true;
}

static unsigned input_byte(struct ldisc *ld, uint8_t c)
{
    if (iflag(ld, ISTRIP))
        c &= 0x7f;
    if (iflag(ld, IUCLC) && lflag(ld, IEXTEN) && c >= 'A' && c <= 'Z')
        c += 32;
    if (ld->literal_next) {
        ld->literal_next = false;
        return input_plain(ld, c);
    }
    if (flow_control(ld, c))
        return 0;
    if (lflag(ld, ISIG)) {
        if (is_cc(ld, VINTR, c))
            return input_signal(ld, c, LDISC_SIGINT);
        if (is_cc(ld, VQUIT, c))
            return input_signal(ld, c, LDISC_SIGQUIT);
        if (is_cc(ld, VSUSP, c))
            return input_signal(ld, c, LDISC_SIGTSTP);
    }
    if (!map_newlines(ld, &c))
        return 0;
    if (lflag(ld, ICANON)) {
        bool done;
        unsigned r = input_canonical(ld, c, &done);
        if (done)
            return r;
    }
    return input_plain(ld, c);
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

// ---- reading

// Finds the end of the first line: *end is its delimiter's index. Only when lines > 0.
static uint32_t line_end(const struct ldisc *ld)
{
    uint32_t i = ld->tail;
    while (!is_delimiter(ld, i))
        i++;
    return i;
}

static bool is_eof_mark(const struct ldisc *ld, uint32_t i)
{
    return is_delimiter(ld, i) && ld->in[i % LDISC_IN] == DISABLED;
}

long ldisc_readable(const struct ldisc *ld)
{
    if (!lflag(ld, ICANON))
        return ld->head == ld->tail ? -1 : (long)(ld->head - ld->tail);
    if (ld->lines == 0)
        return -1;
    uint32_t end = line_end(ld);
    return (long)(end - ld->tail) + (is_eof_mark(ld, end) ? 0 : 1);
}

long ldisc_read(struct ldisc *ld, uint8_t *buf, size_t n)
{
    long have = ldisc_readable(ld);
    if (have < 0)
        return -1;
    size_t take = (size_t)have < n ? (size_t)have : n;
    for (size_t i = 0; i < take; i++, ld->tail++) {
        buf[i] = *in_at(ld, ld->tail);
        if (lflag(ld, ICANON) && is_delimiter(ld, ld->tail))
            ld->lines--;
    }
    // An end of file right behind what fitted goes with it, or the next read would return 0.
    if (lflag(ld, ICANON) && take == (size_t)have && ld->tail != ld->canon &&
        is_eof_mark(ld, ld->tail) && (take == 0 || !is_delimiter(ld, ld->tail - 1))) {
        ld->tail++;
        ld->lines--;
    }
    if (!lflag(ld, ICANON))
        ld->canon = ld->tail;
    return (long)take;
}

uint32_t ldisc_pending(const struct ldisc *ld)
{
    if (!lflag(ld, ICANON))
        return ld->head - ld->tail;
    uint32_t n = 0;
    for (uint32_t i = ld->tail; i != ld->canon; i++)
        n += !is_eof_mark(ld, i);
    return n;
}

// What was typed under the other mode becomes readable at once: as bytes, or as one line.
static void switch_mode(struct ldisc *ld)
{
    memset(ld->in_flag, 0, sizeof(ld->in_flag));
    ld->literal_next = false;
    ld->lines = 0;
    ld->canon = ld->tail;
    if (lflag(ld, ICANON) && ld->head != ld->tail) {
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
    if (ld->stopped && !iflag(ld, IXON)) {
        ld->stopped = false;
        r |= LDISC_OUT_READY;
    }
    return r;
}
