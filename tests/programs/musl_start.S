# SPDX-License-Identifier: MIT
# The start of a dynamic program for musl: gp, then __libc_start_main(main, argc, argv, init, fini, 0). musl's own is made for
# a newer linker than Debian 12's.
    .globl  _start
_start:
    .option push
    .option norelax
    lla     gp, __global_pointer$
    .option pop
    la      a0, main
    ld      a1, 0(sp)
    addi    a2, sp, 8
    li      a3, 0
    li      a4, 0
    li      a5, 0
    andi    sp, sp, -16
    call    __libc_start_main
