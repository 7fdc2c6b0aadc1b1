/* SPDX-License-Identifier: MIT
 * The Lua text that a fresh state runs first: {name, text, length} for each file, in order. */
    .macro  part, name
    .section .rodata
1:  .asciz  "\name"
2:  .incbin "monitor/session/prelude/\name\().lua"
3:  .byte   0
    .section .data.rel.ro, "aw"
    .quad   1b, 2b, 3b - 2b
    .endm

    .section .data.rel.ro, "aw"
    .balign 8
    .globl  prelude_parts
prelude_parts:
    part    print
    part    seq
    part    trace
    part    layout
    part    show
    part    snap
    part    help
    part    complete
    part    host
    part    check
    .quad   0, 0, 0
#if defined(__x86_64__)
    .section .note.GNU-stack, "", @progbits
#endif
