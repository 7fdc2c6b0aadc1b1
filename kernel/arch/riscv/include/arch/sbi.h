// SPDX-License-Identifier: MIT
// The Supervisor Binary Interface (RISC-V SBI specification 1.0): calls into OpenSBI.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sbi_ret {
    long error; // SBI error code, negative
    long value;
};

enum {
    SBI_EXT_BASE = 0x10,
    SBI_EXT_TIME = 0x54494d45,
    SBI_EXT_IPI = 0x735049,
    SBI_EXT_RFENCE = 0x52464e43,
    SBI_EXT_HSM = 0x48534d,
    SBI_EXT_SRST = 0x53525354,
    SBI_EXT_CONSOLE_PUTCHAR = 1, // legacy
};

static inline struct sbi_ret sbi_call(long ext, long fn, uint64_t a, uint64_t b, uint64_t c,
                                      uint64_t d)
{
    register uint64_t a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c,
                         a3 __asm__("a3") = d;
    register long a6 __asm__("a6") = fn, a7 __asm__("a7") = ext;
    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_ret){(long)a0, (long)a1};
}

bool sbi_has(long ext); // probe_extension, section 4.3
