# SPDX-License-Identifier: MIT
# A program of one segment at 0x1000 that is readable, writable and executable: it changes a word of its data and an
# instruction of its code, runs that, and tells by its status that both held.
    .section .all, "awx", @progbits
    .globl  _start
    .option norvc
_start:
    lla     a0, word
    lw      a1, 0(a0)
    addi    a1, a1, 1
    sw      a1, 0(a0)
    lla     a2, patched
    lla     a3, instead
    lw      a4, 0(a3)
    sw      a4, 0(a2)
    li      a0, 0           # riscv_flush_icache(all)
    li      a1, 0
    li      a2, 0
    li      a7, 259
    ecall
patched:
    li      a0, 1
    lla     a1, word
    lw      a1, 0(a1)
    addi    a1, a1, -42
    add     a0, a0, a1      # 7 when both were written
    lla     a1, _start
    lui     a2, 1
    sub     a1, a1, a2
    snez    a1, a1
    add     a0, a0, a1      # and the code lies at 0x1000
    li      a7, 93
    ecall
instead:
    li      a0, 7
word:
    .word   41
