// SPDX-License-Identifier: MIT
// The goldfish real-time clock of QEMU's `virt` machine: see rtc.h.
//
// Two 32-bit registers hold nanoseconds since 1970; reading TIME_LOW latches TIME_HIGH (QEMU
// hw/rtc/goldfish_rtc.c), so the order is low, then high.
#include "dev/rtc.h"

#include "arch/mmio.h"
#include "async/timer.h"
#include "dev/driver.h"
#include "lib/errno.h"
#include "lib/log.h"

enum { TIME_LOW = 0, TIME_HIGH = 4 };

static volatile uint8_t *regs;

uint64_t rtc_read_ns(void)
{
    if (!regs)
        return 0;
    uint64_t low = mmio_read32(regs + TIME_LOW);
    return (uint64_t)mmio_read32(regs + TIME_HIGH) << 32 | low;
}

static int probe(struct device *dev)
{
    if (!device_map(dev, 0))
        return -EINVAL;
    regs = device_map(dev, 0);
    clock_set_realtime(rtc_read_ns());
    log_info("%s: %lu s since 1970", dev->name, (unsigned long)(rtc_read_ns() / 1000000000));
    return 0;
}
DRIVER(goldfish_rtc, "google,goldfish-rtc", probe);
