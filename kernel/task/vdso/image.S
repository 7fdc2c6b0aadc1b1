// SPDX-License-Identifier: MIT
// The vDSO's text as the build made it from code.c.
    .section .rodata
    .balign 8
    .globl  vdso_image, vdso_image_end
vdso_image:
    .incbin "build/vdso.so"
vdso_image_end:
