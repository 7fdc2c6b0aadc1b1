// SPDX-License-Identifier: MIT
// The frame of a signal handler on the user's stack, as Linux lays it out on riscv64 (uapi
// asm/ucontext.h, asm/sigcontext.h): siginfo, ucontext with the integer and FP registers.
//
// riscv has no SA_RESTORER: the handler returns to a page of the kernel's that calls sigreturn
// (elf.c maps it into every space).
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/signal.h"

#include <string.h>

struct user_context {
    uint64_t flags, link;
    uint64_t stack_sp;
    uint32_t stack_flags, pad0;
    uint64_t stack_size;
    sigset mask;
    uint8_t reserved[120];
    uint64_t pad1;     // sc_regs is 16-aligned
    uint64_t regs[32]; // pc, x1 .. x31
    uint64_t fp[32];   // d extension: f0 .. f31
    uint32_t fcsr;
    uint32_t pad2[67]; // rest of the union, sized for the q extension
};

struct signal_frame {
    struct siginfo_user info;
    struct user_context uc;
};
_Static_assert(sizeof(struct siginfo_user) == 128, "siginfo_t");
_Static_assert(offsetof(struct user_context, regs) == 176, "sc_regs");
_Static_assert(offsetof(struct user_context, fp) == 432, "sc_fpregs");
_Static_assert(sizeof(struct signal_frame) == 1088, "rt_sigframe");

static bool on_altstack(const struct thread *th, va_t sp)
{
    return !(th->altstack_flags & SS_DISABLE) && sp - th->altstack_sp <= th->altstack_size &&
           sp != th->altstack_sp;
}

static va_t frame_place(const struct thread *th, const struct sigaction_k *action)
{
    va_t sp = tf_sp(&th->tf);
    if ((action->flags & SA_ONSTACK) && !(th->altstack_flags & SS_DISABLE) && !on_altstack(th, sp))
        sp = th->altstack_sp + th->altstack_size;
    return (sp - sizeof(struct signal_frame)) & ~15ul;
}

static void fill_frame(struct signal_frame *fr, struct thread *th, const struct siginfo_k *info)
{
    *fr = (struct signal_frame){0};
    siginfo_to_user(info, &fr->info);
    fr->uc.stack_sp = th->altstack_sp;
    fr->uc.stack_size = th->altstack_size;
    fr->uc.stack_flags = th->altstack_flags & SS_DISABLE   ? SS_DISABLE
                         : on_altstack(th, tf_sp(&th->tf)) ? SS_ONSTACK
                                                           : 0;
    fr->uc.mask = th->restore_blocked ? th->saved_blocked : th->blocked;
    memcpy(fr->uc.regs, th->tf.x, sizeof fr->uc.regs);
    if (th->fpu.used) {
        fpu_save(&th->fpu);
        memcpy(fr->uc.fp, th->fpu.state->f, sizeof fr->uc.fp);
        fr->uc.fcsr = (uint32_t)th->fpu.state->fcsr;
    }
}

ASYNC(sigframe_push, long r; va_t at; struct signal_frame frame;)
{
    ASYNC_BEGIN(sigframe_push);
    f->at = frame_place(f->th, f->action);
    fill_frame(&f->frame, f->th, f->info);
    AWAIT(f->r, user_write, f->th->space, f->at, &f->frame, sizeof f->frame);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    struct thread *th = f->th;
    th->tf.x[1] = th->sigreturn_va;
    tf_sp(&th->tf) = f->at;
    tf_sepc(&th->tf) = f->action->handler;
    th->tf.x[10] = (uint64_t)f->info->signo;
    th->tf.x[11] = f->at;
    th->tf.x[12] = f->at + offsetof(struct signal_frame, uc);
    sigset mask = th->blocked | f->action->mask;
    if (!(f->action->flags & SA_NODEFER))
        mask |= SIGMASK(f->info->signo);
    signal_set_blocked(th, mask);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void restore(struct thread *th, const struct signal_frame *fr)
{
    memcpy(th->tf.x, fr->uc.regs, sizeof th->tf.x);
    tf_sepc(&th->tf) &= ~1ul;
    bool oom;
    if (th->fpu.used || fr->uc.fcsr || fr->uc.fp[0])
        if (th->fpu.used || fpu_fault(&th->fpu, &oom)) {
            memcpy(th->fpu.state->f, fr->uc.fp, sizeof fr->uc.fp);
            th->fpu.state->fcsr = fr->uc.fcsr & 0xff;
            fpu_forget(&th->fpu);
        }
    if (fr->uc.stack_flags & SS_DISABLE) {
        th->altstack_flags = SS_DISABLE;
    } else if (fr->uc.stack_size >= MINSIGSTKSZ_K) {
        th->altstack_flags = 0;
        th->altstack_sp = fr->uc.stack_sp;
        th->altstack_size = fr->uc.stack_size;
    }
    signal_set_blocked(th, fr->uc.mask);
}

ASYNC_SYSCALL(sys_rt_sigreturn, long r; struct signal_frame frame;)
{
    ASYNC_BEGIN(sys_rt_sigreturn);
    AWAIT(f->r, user_read, t->thread->space, &f->frame, tf_sp(&t->thread->tf), sizeof f->frame);
    if (f->r < 0) {
        signal_force_fault(t->thread, SIGSEGV, SI_KERNEL, 0);
        ASYNC_RETURN(0);
    }
    restore(t->thread, &f->frame);
    t->local |= LOCAL_KEEP_A0;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(139, rt_sigreturn, 0);
