// SPDX-License-Identifier: MIT
// What a reader takes from the line discipline: a line, or what is there; never more than asked for.
#include "fs/ldisc_impl.h"

// The index of the first line's delimiter. Only when lines > 0.
static uint32_t line_end(const struct ldisc *ld)
{
    uint32_t i = ld->tail;
    while (!ldisc_is_delimiter(ld, i))
        i++;
    return i;
}

static bool is_eof_mark(const struct ldisc *ld, uint32_t i)
{
    return ldisc_is_delimiter(ld, i) && ld->in[i % LDISC_IN] == LDISC_DISABLED;
}

long ldisc_readable(const struct ldisc *ld)
{
    if (!ldisc_lflag(ld, ICANON))
        return ld->head == ld->tail ? -1 : (long)(ld->head - ld->tail);
    if (ld->lines == 0)
        return -1;
    uint32_t end = line_end(ld);
    return (long)(end - ld->tail) + (is_eof_mark(ld, end) ? 0 : 1);
}

static long read_raw(struct ldisc *ld, uint8_t *buf, size_t n, bool *end)
{
    size_t i = 0;
    for (; i < n && ld->tail != ld->head; ld->tail++)
        buf[i++] = *ldisc_in_at(ld, ld->tail);
    ld->canon = ld->tail;
    *end = ld->tail == ld->head;
    return (long)i;
}

// An end of file right behind what fitted is taken with it, or the next read would return 0.
static long read_line(struct ldisc *ld, uint8_t *buf, size_t n, bool *end)
{
    size_t i = 0;
    *end = false;
    while (!*end && (i < n || is_eof_mark(ld, ld->tail))) {
        *end = ldisc_is_delimiter(ld, ld->tail);
        if (!is_eof_mark(ld, ld->tail))
            buf[i++] = *ldisc_in_at(ld, ld->tail);
        ld->tail++;
    }
    ld->lines -= *end;
    return (long)i;
}

long ldisc_read(struct ldisc *ld, uint8_t *buf, size_t n, bool *end)
{
    *end = false;
    if (ldisc_readable(ld) < 0)
        return -1;
    return ldisc_lflag(ld, ICANON) ? read_line(ld, buf, n, end) : read_raw(ld, buf, n, end);
}

bool ldisc_in_room(const struct ldisc *ld)
{
    return ld->head - ld->tail < LDISC_IN - 1 || (ldisc_lflag(ld, ICANON) && ld->lines == 0);
}

uint32_t ldisc_pending(const struct ldisc *ld)
{
    if (!ldisc_lflag(ld, ICANON))
        return ld->head - ld->tail;
    uint32_t n = 0;
    for (uint32_t i = ld->tail; i != ld->canon; i++)
        n += !is_eof_mark(ld, i);
    return n;
}
