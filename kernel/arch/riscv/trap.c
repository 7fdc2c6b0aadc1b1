// SPDX-License-Identifier: MIT
// What a trap does: interrupts and page faults from user mode, exceptions of the kernel itself.
#include "arch/cpu.h"
#include "arch/trap_frame.h"
#include "async/executor.h"
#include "async/sample.h"
#include "async/task.h"
#include "lib/lock_order.h"
#include "lib/log.h"
#include "mem/space.h"
#include "mem/trace.h"

_Static_assert(offsetof(struct hart, tf) == 0 && offsetof(struct hart, stack_lo) == 40 &&
                   offsetof(struct hart, stack_hi) == 48,
               "trap.S knows these offsets");

struct fixup {
    uint64_t pc, target;
};
extern const struct fixup __start_fixups[], __stop_fixups[];
extern char emergency_stack[], emergency_stack_top[];

enum { CAUSE_INTERRUPT_BIT = 63 };

// Somebody listens to fault.page. What cannot be done at once ends in the user loop.
static cold bool fault_traced(va_t va, unsigned access)
{
    trace_fault_begins(hart_self.space, va, access);
    if (space_fault_fast(hart_self.space, va, access))
        return false;
    trace_fault_ends(va, access, 0);
    return true;
}

void tf_goes_on(struct trap_frame *tf)
{
    if (!(csr_read(sip) & SIP_STIP))
        tf_sepc(tf) |= SEPC_CLEAN;
}

// User mode had been entered at `entered`. 0: return to it at once. Else the cause the user loop gets.
long trap_user(struct trap_frame *tf, uint64_t cause, uint64_t stval, uint64_t entered)
{
    lock_order_none_held("user code ran");
    DEBUG_ASSERT(load_relaxed(&hart_self.space->refs)); // a dead space's entries go without a flush
    if (cause >> CAUSE_INTERRUPT_BIT) {
        sample_interrupt(tf_sepc(tf) != entered);
        irq_poll_slow(csr_read(sip) & csr_read(sie));
        executor_user_tick();
        if (*tf->flags)
            return CAUSE_INTERRUPTED;
        tf_goes_on(tf);
        return 0;
    }
    if (cause == 12 || cause == 13 || cause == 15) {
        unsigned access = cause == 12 ? ACCESS_EXEC : cause == 13 ? ACCESS_READ : ACCESS_WRITE;
        if (TRACE_HOLDS(fault_page, stval, access))
            return CAUSE_INTERRUPTED;
        if (TRACE_ON(fault_page) ? fault_traced(stval, access)
                                 : likely(space_fault_fast(hart_self.space, stval, access) == 0)) {
            hart_self.current->faults++;
            return *tf->flags ? CAUSE_INTERRUPTED : 0;
        }
    }
    return (long)cause;
}

static const char *const cause_names[] = {
    "instruction address misaligned",
    "instruction access fault",
    "illegal instruction",
    "breakpoint",
    "load address misaligned",
    "load access fault",
    "store address misaligned",
    "store access fault",
    "user ecall",
    "supervisor ecall",
    "?",
    "?",
    "instruction page fault",
    "load page fault",
    "?",
    "store page fault",
};

void trap_kernel_exception(struct trap_frame *tf, uint64_t cause, uint64_t stval)
{
    for (const struct fixup *x = __start_fixups; x < __stop_fixups; x++)
        if (x->pc == tf_sepc(tf)) {
            tf_sepc(tf) = x->target;
            return;
        }
    panic("kernel %s (cause %lu) at pc 0x%lx, address 0x%lx, ra 0x%lx, sp 0x%lx, a0 0x%lx",
          cause < 16 ? cause_names[cause] : "interrupt", cause, tf_sepc(tf), stval, tf->x[1],
          tf->x[2], tf->x[10]);
}

// On the emergency stack. A fault in the panic is the kernel's too, and happens on that one.
void trap_stack_overflow(uint64_t sp, uint64_t pc, uint64_t stval)
{
    uint64_t lo = hart_self.stack_lo, hi = hart_self.stack_hi;
    csr_write(sscratch, 0);
    hart_self.stack_lo = (uint64_t)emergency_stack;
    hart_self.stack_hi = (uint64_t)emergency_stack_top;
    panic("kernel stack overflow: sp 0x%lx outside 0x%lx-0x%lx, pc 0x%lx, address 0x%lx", sp, lo,
          hi, pc, stval);
}
