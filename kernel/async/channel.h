// SPDX-License-Identifier: MIT
// Channels: messages from many senders to many receivers, in the order in which they were sent.
//
// Messages are intrusive: whoever sends allocates (and reports -ENOMEM itself), the channel never
// does. A message stays in the channel until a receiver that runs takes it: one that was woken and
// then cancelled cannot lose a message, its wake is passed on to the next. A sender that is
// cancelled, interrupted or timed out still owns its message.
// Invariant, when nobody is about to run: receivers wait only while it is empty, senders only while
// it is full.
#pragma once

#include "async/async.h"
#include "async/wait.h"

struct message {
    struct list link; // the sender's before it is sent, the receiver's after it is received
};

struct channel {
    struct spinlock lock;
    struct waitq receivers, senders;
    struct list messages;
    uint32_t count, limit; // limit 0: unbounded
    bool closed;
};

void channel_init(struct channel *c, const char *name, uint32_t limit);
// 0; -EPIPE when closed; -EINTR if interruptible and interrupted while full.
ASYNC_DECL(channel_send, struct channel *c; struct message *m; bool interruptible;);
// 0, -EPIPE, -EAGAIN when full. Any context.
int channel_try_send(struct channel *c, struct message *m);
// 0 and *out; -EPIPE when closed and empty; -EINTR if interruptible and interrupted while empty.
ASYNC_DECL(channel_receive, struct channel *c; struct message **out; bool interruptible;);
// 0, -EPIPE, -EAGAIN when empty. Any context.
int channel_try_receive(struct channel *c, struct message **out);
// No more is sent; what is in it can still be received. Any context.
void channel_close(struct channel *c);
