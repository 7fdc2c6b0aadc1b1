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

struct altstack { // stack_t
    uint64_t sp;
    uint32_t flags, pad;
    uint64_t size;
};

struct user_context {
    uint64_t flags, link;
    struct altstack stack;
    sigset mask;
    uint8_t reserved[120];
    uint64_t pad1;     // sc_regs is 16-aligned
    uint64_t regs[32]; // pc, x1 .. x31
    uint64_t fp[32];   // d extension: f0 .. f31
    uint32_t fcsr;
    uint32_t pad2[64];     // rest of the union, sized for the q extension
    uint32_t reserved2;    // must be 0
    uint32_t extension[2]; // magic and size of the next extension's state: none, 0 and 0
};

struct signal_frame {
    struct siginfo_user info;
    struct user_context uc;
};
_Static_assert(sizeof(struct siginfo_user) == 128, "siginfo_t");
_Static_assert(offsetof(struct user_context, regs) == 176, "sc_regs");
_Static_assert(offsetof(struct user_context, fp) == 432, "sc_fpregs");
_Static_assert(sizeof(struct signal_frame) == 1088, "rt_sigframe");

// One that disarms itself while it is used is never in use.
static bool on_altstack(const struct thread *th, va_t sp)
{
    return !(th->altstack_flags & SS_AUTODISARM) && sp - th->altstack_sp - 1 < th->altstack_size;
}

// 0: the alternate stack is full.
static va_t frame_place(const struct thread *th, const struct sigaction_k *action)
{
    va_t sp = tf_sp(&th->tf);
    if (on_altstack(th, sp) && !on_altstack(th, sp - sizeof(struct signal_frame)))
        return 0;
    if ((action->flags & SA_ONSTACK) && th->altstack_size && !on_altstack(th, sp))
        sp = th->altstack_sp + th->altstack_size;
    return (sp - sizeof(struct signal_frame)) & ~15ul;
}

static void fill_frame(struct signal_frame *fr, struct thread *th, const struct siginfo_k *info)
{
    *fr = (struct signal_frame){0};
    siginfo_to_user(info, &fr->info);
    fr->uc.stack.sp = th->altstack_sp;
    fr->uc.stack.size = th->altstack_size;
    fr->uc.stack.flags = th->altstack_flags | (th->altstack_size ? 0 : SS_DISABLE);
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
    if (th->altstack_flags & SS_AUTODISARM)
        th->altstack_flags = th->altstack_sp = th->altstack_size = 0;
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

// What the kernel would refuse from sigaltstack(2) changes nothing.
static long set_altstack(struct thread *th, const struct altstack *new)
{
    uint32_t mode = new->flags & ~SS_AUTODISARM;
    if (on_altstack(th, tf_sp(&th->tf)))
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (mode != SS_DISABLE && new->size < MINSIGSTKSZ_K)
        return -ENOMEM;
    th->altstack_flags = new->flags;
    th->altstack_sp = mode == SS_DISABLE ? 0 : new->sp;
    th->altstack_size = mode == SS_DISABLE ? 0 : new->size;
    return 0;
}

static bool all_zero(const uint64_t *word, size_t n)
{
    while (n && !word[n - 1])
        n--;
    return n == 0;
}

static void restore(struct thread *th, const struct signal_frame *fr)
{
    memcpy(th->tf.x, fr->uc.regs, sizeof th->tf.x);
    tf_sepc(&th->tf) &= ~1ul;
    bool oom, zero = !fr->uc.fcsr && all_zero(fr->uc.fp, 32);
    if (th->fpu.used || (!zero && fpu_fault(&th->fpu, &oom))) {
        memcpy(th->fpu.state->f, fr->uc.fp, sizeof fr->uc.fp);
        th->fpu.state->fcsr = fr->uc.fcsr & 0xff;
        fpu_forget(&th->fpu);
    }
    set_altstack(th, &fr->uc.stack);
    signal_set_blocked(th, fr->uc.mask);
}

ASYNC_SYSCALL(sys_rt_sigreturn, long r; struct signal_frame frame;)
{
    ASYNC_BEGIN(sys_rt_sigreturn);
    AWAIT(f->r, user_read, t->thread->space, &f->frame, tf_sp(&t->thread->tf), sizeof f->frame);
    if (f->r < 0 || f->frame.uc.reserved2 || f->frame.uc.extension[0] || f->frame.uc.extension[1]) {
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

long sys_sigaltstack(va_t new_va, va_t old_va)
{
    struct thread *th = thread_current();
    struct altstack new,
        old = {th->altstack_sp, th->altstack_flags & SS_AUTODISARM, 0, th->altstack_size};
    old.flags |= !th->altstack_size ? SS_DISABLE : on_altstack(th, tf_sp(&th->tf)) ? SS_ONSTACK : 0;
    long e = new_va ? user_copy_in(th->space, &new, new_va, sizeof new) : 0;
    if (!e && old_va) // first: it may have to be tried again
        e = user_copy_out(th->space, old_va, &old, sizeof old);
    return e || !new_va ? e : set_altstack(th, &new);
}
SYSCALL(132, sigaltstack, 2);
