// SPDX-License-Identifier: MIT
// Moves bytes between file systems and whoever reads or writes: user memory by the checked copies
// of mem/user.h, kernel memory by memcpy. The only file of this room that handles user addresses
// of file data.
#include "fs/iobuf.h"

#include "mem/user.h"

#include <string.h>

static void next_range(struct iobuf *b)
{
    while (b->range == 0 && b->more) {
        b->base = b->next->base;
        b->range = b->next->len;
        b->next++;
        b->more--;
    }
}

void iobuf_iovec(struct iobuf *b, struct space *space, const struct iovec_k *iov, uint32_t count)
{
    size_t all = 0;
    for (uint32_t i = 0; i < count; i++)
        all += iov[i].len;
    *b = (struct iobuf){.space = space, .left = all, .next = iov, .more = count};
    next_range(b);
}

static void advance(struct iobuf *b, size_t n)
{
    b->base += n;
    b->range -= n;
    b->left -= n;
    b->done += n;
    next_range(b);
}

enum direction { OUT, IN, ZERO };

static long copy(struct iobuf *b, enum direction how, void *kernel, size_t n)
{
    if (b->space == NULL) {
        if (how == OUT)
            memcpy((void *)b->base, kernel, n);
        else if (how == IN)
            memcpy(kernel, (void *)b->base, n);
        else
            memset((void *)b->base, 0, n);
        return 0;
    }
    if (how == OUT)
        return user_copy_out(b->space, b->base, kernel, n);
    if (how == IN)
        return user_copy_in(b->space, kernel, b->base, n);
    return user_zero_out(b->space, b->base, n);
}

// Page by page of the user's memory, so that what was moved before an absent page is known.
static long move(struct iobuf *b, enum direction how, char *kernel, size_t n)
{
    size_t moved = 0;
    while (moved < n && b->left) {
        size_t part = n - moved < b->range ? n - moved : b->range;
        size_t in_page = PAGE_SIZE - (b->base & PAGE_MASK);
        if (b->space && part > in_page)
            part = in_page;
        long r = copy(b, how, kernel ? kernel + moved : NULL, part);
        if (r < 0)
            return moved ? (long)moved : r;
        advance(b, part);
        moved += part;
    }
    return (long)moved;
}

long iobuf_out(struct iobuf *b, const void *src, size_t n)
{
    return move(b, OUT, (char *)src, n);
}

long iobuf_in(struct iobuf *b, void *dst, size_t n)
{
    return move(b, IN, dst, n);
}

long iobuf_zero(struct iobuf *b, size_t n)
{
    return move(b, ZERO, NULL, n);
}

void iobuf_skip(struct iobuf *b, size_t n)
{
    while (n && b->left) {
        size_t part = n < b->range ? n : b->range;
        advance(b, part);
        n -= part;
    }
}

ASYNC(iobuf_commit, long r;)
{
    ASYNC_BEGIN(iobuf_commit);
    if (f->buf->space == NULL || f->buf->range == 0)
        ASYNC_RETURN(-EFAULT);
    AWAIT(f->r, space_commit, f->buf->space, f->buf->base, 1,
          f->for_write ? ACCESS_WRITE : ACCESS_READ);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(iobuf_out_all, size_t moved; long r;)
{
    ASYNC_BEGIN(iobuf_out_all);
    f->moved = 0;
    while (f->moved < f->n && f->buf->left) {
        f->r = iobuf_out(f->buf, (const char *)f->src + f->moved, f->n - f->moved);
        if (f->r == -ECOMMIT)
            AWAIT(f->r, iobuf_commit, f->buf, true);
        if (f->r < 0)
            ASYNC_RETURN(f->moved ? (long)f->moved : f->r);
        f->moved += f->r;
    }
    ASYNC_RETURN((long)f->moved);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(iobuf_in_all, size_t moved; long r;)
{
    ASYNC_BEGIN(iobuf_in_all);
    f->moved = 0;
    while (f->moved < f->n && f->buf->left) {
        f->r = iobuf_in(f->buf, (char *)f->dst + f->moved, f->n - f->moved);
        if (f->r == -ECOMMIT)
            AWAIT(f->r, iobuf_commit, f->buf, false);
        if (f->r < 0)
            ASYNC_RETURN(f->moved ? (long)f->moved : f->r);
        f->moved += f->r;
    }
    ASYNC_RETURN((long)f->moved);
    ASYNC_FINALLY;
    ASYNC_END;
}
