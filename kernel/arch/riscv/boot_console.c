// SPDX-License-Identifier: MIT
// The firmware's console: what the log uses until a UART driver binds, and without one for ever.
#include "arch/sbi.h"
#include "arch/start.h"

void boot_console_put(const char *text, size_t n)
{
    while (n--)
        sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, (uint8_t)*text++, 0, 0, 0);
}
