// SPDX-License-Identifier: MIT
// Into user mode and out of it.
//
// sscratch is the trap frame in user mode and 0 in the kernel, so one vector tells both apart. A
// plain system call stores the caller-saved registers only, is called with the six argument
// registers still in place, and returns by sret; the C ABI keeps s0-s11. Everything else saves
// s0-s11 and gp too and returns from user_enter into the user loop.
#include "arch/trap_frame.h"

#define HART_TF 0           // offsets in struct hart, at tp + 0; checked in trap.c
#define HART_STACK_LO 40
#define HART_STACK_HI 48
#define SYSCALL_MAX 512

    .text
    .macro  EACH_CALLEE op, base
    \op     gp, TF_X(3)(\base)
    \op     s0, TF_X(8)(\base)
    \op     s1, TF_X(9)(\base)
    .irp    r, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
    \op     x\r, TF_X(\r)(\base)
    .endr
    .endm

    .globl  user_enter
user_enter:                 // a0 = trap frame; hart_self.tf and tf.tp remember each other
    sd      ra, TF_KRA(a0)
    sd      sp, TF_KSP(a0)
    sd      tp, TF_TP(a0)
    sd      a0, HART_TF(tp)
    ld      t0, TF_SEPC(a0)
    csrw    sscratch, a0
    andi    t0, t0, -2      // SEPC_CLEAN
    csrw    sepc, t0
    EACH_CALLEE ld, a0
    .irp    r, 1, 2, 4, 5, 6, 7, 28, 29, 30, 31, 11, 12, 13, 14, 15, 16, 17
    ld      x\r, TF_X(\r)(a0)
    .endr
    ld      a0, TF_X(10)(a0)
    sret

    .balign 4
    .globl  trap_entry
trap_entry:
    csrrw   sp, sscratch, sp
    beqz    sp, trap_kernel
    sd      t0, TF_X(5)(sp)
    sd      t1, TF_X(6)(sp)
    csrr    t1, scause
    csrrw   t0, sscratch, zero
    sd      tp, TF_X(4)(sp)
    ld      tp, TF_TP(sp)
    sd      t0, TF_X(2)(sp)
    csrr    t0, sepc
    .irp    r, 1, 7, 28, 29, 30, 31, 10, 11, 12, 13, 14, 15, 16, 17
    sd      x\r, TF_X(\r)(sp)
    .endr
    addi    t2, t1, -CAUSE_SYSCALL
    bnez    t2, trap_other
    addi    t0, t0, 4
    sd      t0, TF_SEPC(sp)
    ld      t2, TF_TABLE(sp)
    csrw    sepc, t0
    sltiu   t1, a7, SYSCALL_MAX
    beqz    t1, trap_slow_syscall
    slli    t1, a7, 3
    add     t2, t2, t1
    ld      t2, 0(t2)
    ld      sp, TF_KSP(sp)
    jalr    t2              // an async call's entry is trap_slow_syscall
    ld      t0, HART_TF(tp)
    ld      t1, TF_FLAGS(t0)
    ld      t1, 0(t1)
    bnez    t1, trap_flagged
    csrw    sscratch, t0
    .irp    r, 1, 2, 4, 6, 7, 28, 29, 30, 31, 11, 12, 13, 14, 15, 16, 17
    ld      x\r, TF_X(\r)(t0)
    .endr
    ld      t0, TF_X(5)(t0)
    sret

trap_flagged:               // the call is done, or wants the user loop
    sd      a0, TF_RESULT(t0)
    li      a0, CAUSE_FLAGGED
    j       trap_slow

    .globl  trap_slow_syscall
trap_slow_syscall:
    ld      t0, HART_TF(tp)
    li      a0, CAUSE_SYSCALL
trap_slow:                  // t0 = trap frame, a0 = cause: back into the user loop
    EACH_CALLEE sd, t0
    ld      sp, TF_KSP(t0)
    ld      ra, TF_KRA(t0)
    ret

trap_other:                 // t0 = sepc, t1 = cause
    ld      a3, TF_SEPC(sp) // where user mode was entered
    sd      t0, TF_SEPC(sp)
    mv      a0, sp
    mv      a1, t1
    csrr    a2, stval
    ld      sp, TF_KSP(sp)
    sd      a1, TF_CAUSE(a0)
    sd      a2, TF_STVAL(a0)
    call    trap_user       // 0: back to user mode; else the user loop sees to it
    ld      t0, HART_TF(tp)
    bnez    a0, trap_slow
    ld      t1, TF_SEPC(t0)
    csrw    sscratch, t0
    andi    t1, t1, -2      // SEPC_CLEAN
    csrw    sepc, t1
    .irp    r, 1, 2, 4, 6, 7, 28, 29, 30, 31, 10, 11, 12, 13, 14, 15, 16, 17
    ld      x\r, TF_X(\r)(t0)
    .endr
    ld      t0, TF_X(5)(t0)
    sret

trap_kernel:                // an exception in the kernel: sp is checked before the first store
    csrrw   sp, sscratch, sp    // sp back, sscratch 0 again
    csrw    sscratch, t0
    ld      t0, HART_STACK_LO(tp)
    addi    t0, t0, 512
    bltu    sp, t0, 1f
    ld      t0, HART_STACK_HI(tp)
    bltu    t0, sp, 1f
    csrr    t0, sscratch
    addi    sp, sp, -TF_SIZE
2:  .irp    r, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd      x\r, TF_X(\r)(sp)
    .endr
    csrw    sscratch, zero
    addi    t0, sp, TF_SIZE
    sd      t0, TF_X(2)(sp)
    csrr    t0, sepc
    sd      t0, TF_SEPC(sp)
    mv      a0, sp
    csrr    a1, scause
    csrr    a2, stval
    call    trap_kernel_exception   // returns when a fixup moved sepc
    ld      t0, TF_SEPC(sp)
    csrw    sepc, t0
    .irp    r, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ld      x\r, TF_X(\r)(sp)
    .endr
    addi    sp, sp, TF_SIZE
    sret
1:  mv      t0, sp              // stack overflow: the emergency stack, one panic at a time
    la      sp, emergency_stack_top
    mv      a0, t0
    csrr    a1, sepc
    csrr    a2, stval
    call    trap_stack_overflow

    .globl  cpu_context_switch
cpu_context_switch:         // a0 = save, a1 = load: ra, sp, s0-s11
    .set    o, 0
    .irp    r, ra, sp, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
    sd      \r, o(a0)
    .set    o, o + 8
    .endr
    .set    o, 0
    .irp    r, ra, sp, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
    ld      \r, o(a1)
    .set    o, o + 8
    .endr
    ret

    .globl  spin_contended_stub
spin_contended_stub:        // a0 = lock, t0 = return address; no register changes
    addi    sp, sp, -128
    .set    o, 0
    .irp    r, ra, t0, t1, t2, t3, t4, t5, t6, a0, a1, a2, a3, a4, a5, a6, a7
    sd      \r, o(sp)
    .set    o, o + 8
    .endr
    mv      a1, t0
    call    spin_lock_contended
    .set    o, 0
    .irp    r, ra, t0, t1, t2, t3, t4, t5, t6, a0, a1, a2, a3, a4, a5, a6, a7
    ld      \r, o(sp)
    .set    o, o + 8
    .endr
    addi    sp, sp, 128
    jr      t0

    .globl  probe_read
probe_read:                 // a0 = dst, a1 = src, a2 = n: bytes, so that any address will do
    beqz    a2, 2f
1:  lb      t0, 0(a1)
    sb      t0, 0(a0)
    addi    a0, a0, 1
    addi    a1, a1, 1
    addi    a2, a2, -1
    bnez    a2, 1b
2:  li      a0, 0
    ret
probe_failed:
    li      a0, -14
    ret
    .section fixups, "a"
    .balign 8
    .dword  1b, probe_failed
    .text

    .globl  fpu_load_regs, fpu_store_regs, fpu_zero_regs
    .option push
    .option arch, +f, +d
fpu_store_regs:             // a0 = struct fpu_state
    .irp    r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fsd     f\r, (8 * \r)(a0)
    .endr
    frcsr   t0
    sd      t0, 256(a0)
    ret
fpu_load_regs:
    .irp    r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fld     f\r, (8 * \r)(a0)
    .endr
    ld      t0, 256(a0)
    fscsr   t0
    ret
    .option pop
