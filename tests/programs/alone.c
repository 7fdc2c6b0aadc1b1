// SPDX-License-Identifier: MIT
// A position-independent program without an interpreter and without a C library. Its status is 5 when
// the auxiliary vector speaks of it where it lies, and where it lies is not where it was linked.
#include <elf.h>
#include <stdint.h>

extern char __ehdr_start[] __attribute__((visibility("hidden")));
void _start(void) __attribute__((visibility("hidden")));

__attribute__((noreturn, used)) static void begin(const uint64_t *sp)
{
    uint64_t base = 1, entry = 0, phdr = 0, phnum = 0; // no array: clearing it would call memset
    const uint64_t *p = sp + 1 + sp[0] + 1;
    register long status __asm__("a0") = 5, nr __asm__("a7") = 93;

    while (*p)
        p++;
    for (p++; p[0]; p += 2) {
        base = p[0] == AT_BASE ? p[1] : base;
        entry = p[0] == AT_ENTRY ? p[1] : entry;
        phdr = p[0] == AT_PHDR ? p[1] : phdr;
        phnum = p[0] == AT_PHNUM ? p[1] : phnum;
    }
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)__ehdr_start;
    if (base || entry != (uint64_t)_start || phnum != header->e_phnum ||
        phdr != (uint64_t)__ehdr_start + header->e_phoff)
        status = 1;
    if ((uint64_t)__ehdr_start < 0x100000) // linked at 0
        status = 2;
    __asm__ volatile("ecall" ::"r"(status), "r"(nr));
    __builtin_unreachable();
}

__asm__(".globl _start\n_start: mv a0, sp\n j begin\n");
