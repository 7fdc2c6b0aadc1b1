/* SPDX-License-Identifier: MIT
 * The Lua text that a fresh state runs first. */
    .section .rodata
    .globl  prelude_text, prelude_text_end
prelude_text:
    .incbin "monitor/session/prelude.lua"
prelude_text_end:
    .byte   0
#if defined(__x86_64__)
    .section .note.GNU-stack, "", @progbits
#endif
