// SPDX-License-Identifier: MIT
// The depot: harts push and pop batches of free frames (depot_push, depot_pop in kernel/page/depot.c).
//
// Each access to shared memory is one step; compare-and-swap is an `atomic` block. There are as many batches as ABA takes here,
// where the head counts them, too: two in the depot and one of a hart's, which can take both and give back its own and then the
// first while the other hart stands before its exchange. The tag wraps in no run. Who owns a batch writes to its link, as
// those may who allocate its frames.
// Checked: nobody takes a batch that is not the depot's, the bound holds, and at the end what can be reached from the head, as
// many as it says, is the depot's and all else some hart's.
// -DMISTAKE=n makes a mistake that the checker must find:
//   1 no tag                               2 the head is changed by a plain store
//   3 push links after its exchange        4 pop reads the link before the head (no acquire)
//   5 push looks at the bound only once
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define BATCHES 3
#define HARTS   2
#define OPS     4 // of each hart
#define BOUND   2
#define DEPOT   HARTS
#define GARBAGE 7

typedef word {
    byte tag, count, top
}
word head;
byte link[BATCHES];  // the batch below it, or what its owner wrote there
byte owner[BATCHES]; // a hart or DEPOT; a ghost, which changes with the head
bool filled;

inline forget(h) { d_step { h.tag = 0; h.count = 0; h.top = 0 } }
inline read_head(h) { d_step { h.tag = head.tag; h.count = head.count; h.top = head.top } }

// Moves `batch` to or from the depot if the head is still h.
inline exchange(h, count_, top_, batch, from, to, done)
{
    atomic {
        done = MISTAKE == 2 || (head.tag == h.tag && head.count == h.count && head.top == h.top);
        if
        :: done ->
            assert(batch < BATCHES && owner[batch] == from);
            owner[batch] = to;
            head.tag = (MISTAKE == 1 -> 0 : head.tag + 1);
            head.count = count_;
            head.top = top_;
            assert(head.count <= BOUND)
        :: else
        fi
    }
}

// got: a batch, or BATCHES if there is none
inline pop(h, below, got, done)
{
    do
    :: done -> break
    :: else ->
#if MISTAKE == 4
        d_step {
            got = head.top;
            below = (head.count -> link[got] : GARBAGE)
        };
#endif
        read_head(h);
        if
        :: h.count == 0 -> got = BATCHES; break
        :: else
        fi;
#if MISTAKE == 4
        if
        :: got != h.top || below == GARBAGE -> below = link[h.top]
        :: else
        fi;
        got = h.top;
#else
        got = h.top;
        below = link[got];
#endif
        exchange(h, h.count - 1, below, got, DEPOT, _pid, done)
    od;
    below = 0;
    done = false;
    forget(h)
}

// done: false if the depot is full
inline push(h, batch, done)
{
    read_head(h);
    do
    :: done || h.count >= BOUND -> break
    :: else ->
#if MISTAKE != 3
        link[batch] = h.top;
#endif
        exchange(h, h.count + 1, batch, batch, _pid, DEPOT, done);
        if
        :: done ->
#if MISTAKE == 3
            link[batch] = h.top;
#endif
            break
        :: else -> read_head(h)
        fi;
#if MISTAKE == 5
        link[batch] = h.top;
        exchange(h, h.count + 1, batch, batch, _pid, DEPOT, done)
#endif
    od;
    forget(h)
}

// mine: a bit for each batch it owns
active [HARTS] proctype hart()
{
    word h;
    byte ops, below, got;
    byte mine = (_pid == 1 -> 4 : 0);
    bool done;
    filled;
    do
    :: ops == OPS -> break
    :: ops < OPS -> ops++;
        pop(h, below, got, done);
        if
        :: got < BATCHES ->
            assert(!(mine >> got & 1));
            mine = mine | (1 << got);
            link[got] = GARBAGE
        :: else
        fi;
        got = 0
    :: ops < OPS && mine -> ops++;
        if
        :: mine & 1 -> got = 0
        :: mine & 2 -> got = 1
        :: mine & 4 -> got = 2
        fi;
        push(h, got, done);
        mine = (done -> mine & ~(1 << got) : mine);
        got = 0;
        done = false
    od
}

init
{
    byte n, b;
    atomic {
        link[0] = 1; // batch 0 lies on batch 1; batch 2 is the second hart's
        owner[0] = DEPOT; owner[1] = DEPOT; owner[2] = 1;
        head.top = 0;
        head.count = 2;
        filled = true
    };
    timeout;
    b = head.top;
    for (n : 1 .. head.count) {
        assert(b < BATCHES && owner[b] == DEPOT);
        owner[b] = GARBAGE;
        b = link[b]
    }
    for (b : 0 .. BATCHES - 1) {
        assert(owner[b] != DEPOT)
    }
}
