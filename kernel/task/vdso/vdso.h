// SPDX-License-Identifier: MIT
// The vDSO (vdso(7)): a small shared library that the kernel maps into every program. It reads clocks
// without a system call and holds the code that returns from a signal handler.
#pragma once

#include "async/async.h"

struct space;

// Maps it where the space likes. *at: the address of its ELF header (AT_SYSINFO_EHDR). 0, -ENOMEM.
ASYNC_DECL(vdso_map, struct space *space; va_t *at;);

// The signal trampoline of the one mapped at `at`.
va_t vdso_sigreturn(va_t at);
