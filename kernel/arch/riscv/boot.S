// SPDX-License-Identifier: MIT
// From OpenSBI to C: a0 = hart id, a1 = device tree (boot hart) or our hart-start block (others).
//
// boot_root maps 128 GiB of physical space as gigapages at the linear offset, and the GiB of the
// image one to one for the moment in which satp is written. It is replaced by kernel_root in C.
#include "arch/trap_frame.h"

    .section .text.boot, "ax"
    .globl _start
_start:
    lla     t0, boot_taken
    li      t1, 1
    amoswap.w.aqrl t1, t1, (t0)
    bnez    t1, late_start
    lla     s2, boot_root
    la      s4, boot_main_high
    ld      s4, 0(s4)
    li      t0, (256 << 3)
    add     t0, t0, s2          // slot of LINEAR
    li      t1, 0xcf            // V R W X A D: gigapage of pa 0
    li      t2, (1 << 28)       // next gigapage
    li      t3, 128
1:  sd      t1, 0(t0)
    add     t1, t1, t2
    addi    t0, t0, 8
    addi    t3, t3, -1
    bnez    t3, 1b
    auipc   t0, 0               // identity for the GiB we run in
    srli    t0, t0, 30
    slli    t1, t0, 28
    ori     t1, t1, 0xcf
    slli    t0, t0, 3
    add     t0, t0, s2
    sd      t1, 0(t0)
    fence   rw, rw
    call    enter_high
    la      sp, boot_stack_top
    la      tp, boot_tls
    jr      s4
enter_high:                     // turns paging on with root s2, returns to the high alias of ra
    srli    t0, s2, 12
    li      t1, 8
    slli    t1, t1, 60
    or      t0, t0, t1
    li      t2, 0xffffffc000000000
    add     ra, ra, t2
    lla     t1, 1f
    add     t1, t1, t2
    csrw    stvec, t1           // where fetching goes on, whether or not the next line traps
    sfence.vma
    csrw    satp, t0
    sfence.vma
    .balign 4
1:  csrw    sscratch, zero
    li      t0, 0x6120          // SPP, SPIE, FS
    csrc    sstatus, t0
    ret

// OpenSBI 1.1 marks a hart as started before it stores where it is to start: one that looks in between comes to _start,
// with anything in a1. Harts are started one at a time, so the block is known.
late_start:
    lla     t0, hart_starting
    ld      a1, 0(t0)
    .globl secondary_start
secondary_start:                // a1 = struct hart_start, linear-map address
    li      t2, 0xffffffc000000000
    sub     t0, a1, t2
    ld      s2, 0(t0)           // boot_root, physical
    ld      s3, 8(t0)           // sp
    ld      s4, 16(t0)          // tp
    ld      s5, 24(t0)          // entry
    call    enter_high
    mv      sp, s3
    mv      tp, s4
    mv      a0, a1
    jr      s5

    .balign 8
boot_main_high: .dword boot_main

    .section .data
    .balign 8
    .globl hart_starting
hart_starting:  .dword 0        // struct hart_start *, linear-map address
boot_taken:     .word 0

    .section .bss_pages, "aw", @nobits
    .balign 4096
    .globl boot_root, boot_stack_guard, boot_stack_top
boot_root:          .space 4096
boot_stack_guard:   .space 4096
                    .space 32768
boot_stack_top:
    .globl emergency_stack, emergency_stack_top
emergency_stack:    .space 8192
emergency_stack_top:
