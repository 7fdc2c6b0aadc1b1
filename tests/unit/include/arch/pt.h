// SPDX-License-Identifier: MIT
// Page tables are memory: the kernel's own header serves the host.
#pragma once

#include "../../../../kernel/arch/riscv/include/arch/pt.h"
