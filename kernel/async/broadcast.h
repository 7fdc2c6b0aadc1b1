// SPDX-License-Identifier: MIT
// A broadcast: each receiver sees every value sent after it joined, or is told how many it lost.
//
// Sending never waits: the last `size` values are kept, older ones are overwritten. A oneshot is
// the other way to pass a value, once and to whoever asks.
#pragma once

#include "async/async.h"
#include "async/wait.h"

struct broadcast {
    struct spinlock lock;
    struct waitq waiters;
    uint64_t *ring;
    uint64_t size; // of ring, in values
    uint64_t sent; // value number i is at ring[i % size]
    bool closed;
};

struct broadcast_receiver {
    uint64_t next; // number of the value to be received next
};

// ring: size values, the caller's, for the broadcast's life.
void broadcast_init(struct broadcast *b, const char *name, uint64_t *ring, uint64_t size);
void broadcast_join(struct broadcast *b, struct broadcast_receiver *r);
void broadcast_send(struct broadcast *b, uint64_t value); // any context
void broadcast_close(struct broadcast *b);                // any context
// How many values before *out were lost; -EPIPE when closed and all are received; -EINTR if
// interruptible and interrupted. Cancelled or timed out: the receiver has not moved.
ASYNC_DECL(broadcast_receive, struct broadcast *b; struct broadcast_receiver *r; uint64_t *out;
           bool interruptible;);

// A value that is set once. The first to set it wins; all who wait get it.
enum oneshot_state { ONESHOT_OPEN, ONESHOT_SETTING, ONESHOT_SET, ONESHOT_DROPPED };
struct oneshot {
    struct event ready;
    uint64_t value;
    uint32_t state; // enum oneshot_state
};
void oneshot_init(struct oneshot *o);
int oneshot_send(struct oneshot *o, uint64_t value); // 0; -EBUSY when set or dropped. Any context
void oneshot_drop(struct oneshot *o);                // nobody will send. Any context
// 0 and *out; -EPIPE when dropped; -EINTR if interruptible and interrupted.
ASYNC_DECL(oneshot_receive, struct oneshot *o; uint64_t *out; bool interruptible;);
