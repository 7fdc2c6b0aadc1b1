// SPDX-License-Identifier: MIT
// What happens when a slice is over: who is called to help, and who must give way.
#include "async/slice.h"

#include "async/policy.h"
#include "async/timer.h"

#define SLICE_NS (EXECUTOR_SLICE_US * 1000ul)
enum { KICK_US = HARD_STEAL ? 1 : 100, KICKS = HARD_STEAL ? 1 : 16 };

uint64_t idle_harts;
_Thread_local uint32_t slice_kicks;
_Thread_local struct task *turn_kept;
static _Thread_local uint64_t slice_switches; // hart's switch count when the slice began
static _Thread_local bool slice_is_kick;
static _Thread_local uint64_t turn_switches; // hart's switch count when a slice ended
static _Thread_local uint64_t turn_ns;       // whole slices that who ran then has had since
static _Thread_local bool kernel_first;      // of two that are urgent, these take turns

static void slice_over(void);

cold void slice_begin(bool helpable)
{
    slice_is_kick = helpable && load_relaxed(&idle_harts);
    slice_switches = hart_self.switches;
    hart_self.slice_armed = 1;
    timer_slice(slice_is_kick ? KICK_US * 1000ul : policy_slice_ns(SLICE_NS), slice_over);
}

void slice_goes_on(unsigned polls)
{
    slice_switches = turn_switches = hart_self.switches + polls;
}

// Whether who runs must give way. `same` has run all through the slice. A weight is how many turns it may have in a row, of
// two slices each: in the first it came.
static bool turn_is_over(const struct task *t, bool same)
{
    if (turn_switches != hart_self.switches) {
        turn_switches = hart_self.switches;
        turn_ns = 0;
    }
    if (!same)
        return false;
    turn_ns += policy_slice_ns(SLICE_NS);
    return turn_ns >= (2ul * policy_weight(t) - 1) * SLICE_NS;
}

// Somebody whom no turn keeps waiting is next to run here. The two kinds of them come first by turns.
static bool hurry(void)
{
    if (!policy_in_force())
        return false;
    kernel_first = !kernel_first;
    return run_queue_hurry(kernel_first ? policy_is_kernels : policy_has_deadline) ||
           run_queue_hurry(kernel_first ? policy_has_deadline : policy_is_kernels);
}

static bool others_are_awake(void)
{
    return (load_relaxed(&idle_harts) | 1ul << hart_self.index) != (1ul << hart_count) - 1;
}

// Tasks that no other hart may take need no helper, but the slice's end. With nobody ready here it goes on while
// this hart and another are busy: QEMU -icount gives the other a turn when this one sets a timer.
static void slice_over(void)
{
    struct task *t = hart_self.current;
    bool kick = slice_is_kick, helpable = run_queue_expose(), urgent = hurry();
    bool same = t && slice_switches == hart_self.switches;
    uint64_t idle = load_relaxed(&idle_harts);
    hart_self.slice_armed = 0;
    slice_kicks = executor_has_ready() ? slice_kicks + 1 : 0;
    if (!slice_kicks) {
        if (t && others_are_awake())
            slice_begin(false);
        return;
    }
    bool called = helpable && idle && (same || !kick || slice_kicks >= KICKS);
    if (called)
        ipi_send((uint32_t)__builtin_ctzl(idle), IPI_WAKE);
    bool over = t && !kick && !called && turn_is_over(t, same);
    turn_kept = t && urgent && !over ? t : NULL;
    if (over || turn_kept)
        atomic_or32(&t->attn, ATTN_RESCHED);
    slice_begin(helpable);
}
