// SPDX-License-Identifier: MIT
// What came for one session: put by the RX interrupt, taken by the session's task.
#include "session/link.h"

#include "async/wait_async.h"
#include "lib/errno.h"

enum {
    PARTS_AT_ONCE = 64
}; // taken under the lock, which the RX interrupt waits for: 15 KiB at most

static uint64_t overlong; // messages that had no room, of all boxes; only counted

uint64_t link_overlong(void)
{
    return load_relaxed(&overlong);
}

void link_box_init(struct link_box *b, unsigned session, void *memory)
{
    *b = (struct link_box){.lock = SPINLOCK_INIT("link box"),
                           .session = session,
                           .message = (uint8_t *)memory + LINK_INBOX};
    wire_ring_init(&b->inbox, memory, LINK_INBOX);
    event_init(&b->readable);
}

// A message that does not fit is taken out again as far as it has come.
static void drop_message(struct link_box *b)
{
    bool torn = (int32_t)(b->inbox.tail - b->begun) > 0;
    b->inbox.head = torn ? b->inbox.tail : b->begun;
    b->torn |= torn;
    b->dropping = true;
    atomic_add64(&overlong, 1);
}

void link_box_put(struct link_box *b, bool last, const void *data, size_t n)
{
    spin_lock(&b->lock);
    if (!b->dropping && !wire_ring_put(&b->inbox, last ? 0x80 : 0, data, n))
        drop_message(b);
    if (last) {
        b->dropping = false;
        b->begun = b->inbox.head;
    }
    spin_unlock(&b->lock);
    event_set(&b->readable);
}

void link_box_forget(struct link_box *b, bool interrupt)
{
    spin_lock(&b->lock);
    b->inbox.tail = b->begun = b->inbox.head;
    b->dropping = b->torn = false;
    store_relaxed(&b->changes, b->changes + 1);
    if (interrupt)
        store_relaxed(&b->interrupted, 1);
    spin_unlock(&b->lock);
    event_set(&b->readable);
}

void link_box_interrupt(struct link_box *b)
{
    store_relaxed(&b->interrupted, 1);
    event_set(&b->readable);
}

// ---- the session's side

// Adds the oldest part to the message. True when that was its last one; *none: there is no part.
static bool take_part(struct link_box *b, bool *none)
{
    uint8_t tag;
    size_t n;

    *none = !wire_ring_peek(&b->inbox, &tag, &n);
    if (*none)
        return false;
    bool fits = b->message_len + n <= RPC_MESSAGE;
    wire_ring_take(&b->inbox, fits ? b->message + b->message_len : NULL);
    b->message_len = fits ? b->message_len + n : RPC_MESSAGE + 1; // the rest of it is dropped too
    if (!(tag & 0x80))
        return false;
    if (fits)
        return true;
    atomic_add64(&overlong, 1);
    b->message_len = 0;
    return false;
}

// What link_recv finds now; 0: nothing, or *more to look at.
static long look(struct link_box *b, bool *more)
{
    bool none = false, whole = false;

    if (b->changes != b->changes_told) {
        b->changes_told = b->changes;
        b->message_len = 0;
        return -ECONNRESET;
    }
    if (link_interrupted(b))
        return -EINTR;
    if (b->torn)
        b->message_len = 0;
    b->torn = false;
    for (unsigned n = 0; n < PARTS_AT_ONCE && !whole && !none; n++)
        whole = take_part(b, &none);
    *more = !none;
    if (!whole)
        return 0;
    long len = (long)b->message_len;
    b->message_len = 0;
    return len;
}

static long look_through(struct link_box *b)
{
    bool more = false;
    long n;

    do {
        spin_lock(&b->lock);
        n = look(b, &more);
        spin_unlock(&b->lock);
    } while (n == 0 && more);
    return n;
}

ASYNC(link_recv, struct deadline d; long r;)
{
    ASYNC_BEGIN(link_recv);
    for (;;) {
        event_clear(&f->box->readable);
        f->r = look_through(f->box);
        if (f->r) {
            *f->data = f->box->message;
            ASYNC_RETURN(f->r);
        }
        if (f->ms)
            AWAIT_WITHIN(f->r, &f->d, f->ms * 1000000ul, event_wait, &f->box->readable, false);
        else
            AWAIT(f->r, event_wait, &f->box->readable, false);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}
