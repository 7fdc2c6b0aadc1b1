// SPDX-License-Identifier: MIT
// Turning the machine off on the host's behalf: what is dirty is written back first.
#include "session/power.h"

#include "arch/cpu.h"
#include "dev/uart.h"
#include "fs/path.h"
#include "lib/log.h"

ASYNC(monitor_poweroff, long r;)
{
    ASYNC_BEGIN(monitor_poweroff);
    AWAIT(f->r, vfs_sync, false);
    if (f->r < 0)
        log_error("monitor: writing back before power off failed (error %ld)", -f->r);
    uart_drain();
    machine_poweroff();
    ASYNC_FINALLY;
    ASYNC_END;
}
