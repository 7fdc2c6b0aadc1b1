// SPDX-License-Identifier: MIT
// The memory keeper: rounds of giving up, writing back, ending a program; and who waits for them.
#include "mem/shortage.h"
#include "async/executor.h"
#include "async/wait_async.h"
#include "lib/init.h"
#include "lib/log.h"
#include "lib/stock.h"
#include "mem/phys.h"
#include "page/frame.h"

enum {
    ENOUGH = 2 * FRAME_BATCH,       // free above the reserve: a round is over
    RECLAIM_STEP = 2 * FRAME_BATCH, // frames one poll of the keeper tries to give up
    TURNS = 5, // looks at every page in vain before there is nothing to give up
};
// How long the keeper waits for a device to take dirty pages, and for an ended program to give back
// anything, before it looks again.
#define WRITE_NS  2000000000ull
#define VICTIM_NS 1000000000ull

struct memory_stats memory_stats;

static struct {
    struct spinlock lock;
    struct waitq waiters;
    uint64_t rounds;     // ended so far
    long result;         // of the last one
    char asked[24];      // name of the task this round is for; "": the kernel
    struct event short_; // somebody waits, or the kernel is low
    struct event returned;
    struct task *keeper;
} keep;

static bool (*end_one)(const char *asked);

void memory_set_policy(bool (*fn)(const char *asked))
{
    end_one = fn;
}

static bool enough(void)
{
    return frame_spare() >= frame_reserve + ENOUGH;
}

void memory_returned(void)
{
    if (!load_relaxed(&keep.returned.set))
        event_set(&keep.returned);
}

// Called by the frame allocator under whatever locks its caller holds: a wake is all it does.
static void frames_low(void)
{
    if (!load_relaxed(&keep.short_.set))
        event_set(&keep.short_);
}

// ---- waiting

static void join_locked(struct task *t, uint64_t *round)
{
    *round = keep.rounds;
    if (!keep.asked[0])
        memcpy(keep.asked, t->name, sizeof keep.asked);
    memory_stats.waits++;
}

// A task being killed, but shielded from it, may use the reserve: it must get on to end.
static bool dying(const struct task *t)
{
    return load_relaxed(&t->attn) & ATTN_CANCEL;
}

ASYNC(memory_wait, struct waiter w; uint64_t round;)
{
    ASYNC_BEGIN(memory_wait);
    waiter_init(&f->w);
    if (enough() || dying(t)) {
        YIELD(); // others get their turn to free what they hold; who is killed ends here
        ASYNC_RETURN(dying(t) && frame_spare() <= frame_reserve / 8 ? -ENOMEM : 0);
    }
    if (!keep.keeper)
        ASYNC_RETURN(-ENOMEM);
    spin_lock(&keep.lock);
    join_locked(t, &f->round);
    frames_low();
    while (keep.rounds == f->round && !dying(t)) {
        waitq_add(&keep.waiters, &f->w, t);
        spin_unlock(&keep.lock);
        SUSPEND("memory");
        spin_lock(&keep.lock);
    }
    waitq_remove(&keep.waiters, &f->w);
    spin_unlock(&keep.lock);
    ASYNC_RETURN(dying(t) ? 0 : keep.result);
    ASYNC_FINALLY;
    waiter_finish(&keep.lock, &keep.waiters, &f->w);
    ASYNC_END;
}

// ---- the keeper

// Has dirty pages written and waits a while. > 0: some were.
ASYNC_DECL(write_some, int unused;);
ASYNC(write_some, uint64_t before; struct deadline d; long r;)
{
    ASYNC_BEGIN(write_some);
    f->before = phys_totals.written;
    if (!phys_totals.dirty)
        ASYNC_RETURN(0);
    phys_write_soon();
    AWAIT_WITHIN(f->r, &f->d, WRITE_NS, phys_wait_written, f->before);
    ASYNC_RETURN(phys_totals.written != f->before);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Has every hart give back the frames it keeps for itself, where nobody else can have them.
ASYNC_DECL(collect_stocks, int unused;);
ASYNC(collect_stocks, uint64_t before; uint32_t request;)
{
    ASYNC_BEGIN(collect_stocks);
    f->before = frame_spare();
    f->request = stocks_ask();
    while (!stocks_given(f->request))
        YIELD();
    if (frame_spare() > f->before)
        memory_stats.collected += frame_spare() - f->before;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Until some memory is back.
ASYNC_DECL(wait_returned, int unused;);
ASYNC(wait_returned, struct deadline d; long r;)
{
    ASYNC_BEGIN(wait_returned);
    AWAIT_WITHIN(f->r, &f->d, VICTIM_NS, event_wait, &keep.returned, false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(keeper_round, int unused;);
ASYNC(keeper_round, uint64_t looked; long r;)
{
    ASYNC_BEGIN(keeper_round);
    f->looked = 0;
    while (!enough()) {
        YIELD();
        if (phys_reclaim(RECLAIM_STEP, &f->looked))
            f->looked = 0;
        if (!f->looked || f->looked < TURNS * phys_evictable())
            continue;
        f->looked = 0;
        AWAIT(f->r, write_some, 0);
        if (f->r > 0 || enough())
            continue;
        AWAIT(f->r, collect_stocks, 0);
        if (enough())
            continue;
        event_clear(&keep.returned);
        if (!end_one || !end_one(keep.asked[0] ? keep.asked : "the kernel"))
            ASYNC_RETURN(-ENOMEM);
        AWAIT(f->r, wait_returned, 0);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void round_over(long result)
{
    spin_lock(&keep.lock);
    keep.rounds++;
    keep.result = result;
    keep.asked[0] = 0;
    memory_stats.rounds++;
    waitq_wake_all(&keep.waiters);
    spin_unlock(&keep.lock);
}

ASYNC_DECL(memory_keeper, int unused;);
ASYNC(memory_keeper, long r;)
{
    ASYNC_BEGIN(memory_keeper);
    for (;;) {
        AWAIT(f->r, event_wait, &keep.short_, false);
        event_clear(&keep.short_);
        AWAIT(f->r, keeper_round, 0);
        round_over(f->r);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void shortage_start(void)
{
    spin_init(&keep.lock, "memory keeper");
    waitq_init(&keep.waiters);
    event_init(&keep.short_);
    event_init(&keep.returned);
    keep.keeper = SPAWN("memory keeper", memory_keeper, 0);
    if (!keep.keeper)
        panic("no memory for the memory keeper");
    frame_set_low(frames_low);
}
INIT(INIT_CORE, shortage_start);
