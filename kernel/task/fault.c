// SPDX-License-Identifier: MIT
// Exceptions of user programs. No user action panics the kernel: every cause ends in a signal.
#include "task/fault.h"

#include "lib/log.h"
#include "mem/space.h"
#include "mem/trace.h"

enum {
    ILL_ILLOPC = 1,
    TRAP_BRKPT = 1,
    BUS_ADRALN = 1,
    BUS_ADRERR = 2,
    SEGV_MAPERR = 1,
    SEGV_ACCERR = 2,
};

// There was nobody else to end (mem/shortage.h). Init alone tries again until there is memory.
static void out_of_memory(struct thread *th)
{
    if (th->process->pid == 1)
        return;
    log_warn("out of memory: process %u (%s) is ended: there is no other", th->process->pid,
             th->process->comm);
    signal_send_process(th->process, SIGKILL, NULL);
}

static void page_fault_failed(struct thread *th, long error)
{
    if (error == -ENOMEM)
        out_of_memory(th);
    else if (error == -EIO) // unreadable, or beyond the end of the file
        signal_force_fault(th, SIGBUS, BUS_ADRERR, th->tf.stval);
    else
        signal_force_fault(th, SIGSEGV, error == -EACCES ? SEGV_ACCERR : SEGV_MAPERR, th->tf.stval);
}

// An illegal instruction may be the first use of FP.
static void illegal_instruction(struct thread *th)
{
    bool oom;
    if (fpu_fault(&th->fpu, &oom))
        return;
    if (oom)
        out_of_memory(th);
    else
        signal_force_fault(th, SIGILL, ILL_ILLOPC, tf_sepc(&th->tf));
}

static void other_exception(struct thread *th, uint64_t cause)
{
    uint64_t pc = tf_sepc(&th->tf);
    switch (cause) {
    case 2:
        illegal_instruction(th);
        break;
    case 3:
        signal_force_fault(th, SIGTRAP, TRAP_BRKPT, pc);
        break;
    case 0:
    case 4:
    case 6: // as Linux, which says where the instruction is
        signal_force_fault(th, SIGBUS, BUS_ADRALN, pc);
        break;
    default: // access faults: nothing there that the kernel mapped
        signal_force_fault(th, SIGSEGV, SEGV_ACCERR, th->tf.stval);
    }
}

static unsigned access_of(uint64_t cause)
{
    return cause == 12 ? ACCESS_EXEC : cause == 13 ? ACCESS_READ : ACCESS_WRITE;
}

ASYNC(user_fault, long r;)
{
    ASYNC_BEGIN(user_fault);
    if (f->cause == 12 || f->cause == 13 || f->cause == 15) {
        t->faults++;
        AWAIT(f->r, space_fault, f->th->space, f->th->tf.stval, access_of(f->cause));
        if (TRACE_ON(fault_page))
            trace_fault_ends(f->th->tf.stval, access_of(f->cause), f->r);
        if (f->r < 0 && !task_killed(t))
            page_fault_failed(f->th, f->r);
    } else {
        other_exception(f->th, f->cause);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
