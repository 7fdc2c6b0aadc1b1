// SPDX-License-Identifier: MIT
// Writes where the parts of its image lie, as binary words: end of the stack, top of the mmap area, start of this
// program, which is position independent, the empty heap, vDSO, and the program's end. For `aslr`.
.equ SYS_write, 64
.equ SYS_exit, 93
.equ SYS_brk, 214
.equ SYS_mmap, 222
.equ AT_EXECFN, 31
.equ AT_SYSINFO_EHDR, 33

    .globl _start
_start:
    mv      s0, sp
    addi    sp, sp, -48
    ld      t0, 0(s0)               // argc; argv, NULL, environment, NULL, auxiliary vector
    slli    t0, t0, 3
    add     s0, s0, t0
    addi    s0, s0, 16
1:  ld      t0, 0(s0)
    addi    s0, s0, 8
    bnez    t0, 1b
2:  ld      t0, 0(s0)
    ld      t1, 8(s0)
    addi    s0, s0, 16
    li      t2, AT_EXECFN           // the highest string of the stack: its page is the last
    bne     t0, t2, 3f
    srli    t1, t1, 12
    addi    t1, t1, 1
    slli    t1, t1, 12
    sd      t1, 0(sp)
3:  li      t2, AT_SYSINFO_EHDR
    bne     t0, t2, 4f
    sd      t1, 32(sp)
4:  bnez    t0, 2b

    li      a0, 0                   // the first mapping is the highest
    li      a1, 4096
    li      a2, 1
    li      a3, 0x22                // MAP_PRIVATE | MAP_ANONYMOUS
    li      a4, -1
    li      a5, 0
    li      a7, SYS_mmap
    ecall
    li      t0, 4096
    add     a0, a0, t0
    sd      a0, 8(sp)
    lla     t0, __ehdr_start
    sd      t0, 16(sp)
    lla     t0, _end
    sd      t0, 40(sp)
    li      a0, 0
    li      a7, SYS_brk
    ecall
    sd      a0, 24(sp)

    li      a0, 1
    mv      a1, sp
    li      a2, 48
    li      a7, SYS_write
    ecall
    li      a0, 0
    li      a7, SYS_exit
    ecall
