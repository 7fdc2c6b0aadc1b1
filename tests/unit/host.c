// SPDX-License-Identifier: MIT
// What kernel code needs from a machine, for unit tests on the host: one hart per thread, a clock
// that the test moves, memory from malloc, a panic that ends the test.
#include "host.h"

#include "arch/atomic.h"
#include "lib/log.h"
#include "page/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Thread_local struct hart hart_self;
struct hart *harts[MAX_HARTS];
uint32_t hart_count = 1;
uint64_t timebase_hz = 10000000;
uint64_t host_ticks;
long host_fail_after = -1;
static long host_live;

uint64_t time_ticks(void)
{
    return load_relaxed(&host_ticks);
}

uint64_t ticks_to_ns(uint64_t ticks)
{
    return ticks * 100;
}

uint64_t ns_to_ticks(uint64_t ns)
{
    return (ns + 99) / 100;
}

void timer_program(uint64_t ticks)
{
    (void)ticks;
}

void ipi_send(uint32_t hart, uint32_t what)
{
    atomic_or32(&harts[hart]->ipi_pending, what);
}

void ipi_register(uint32_t what, void (*handler)(void))
{
    (void)what;
    (void)handler;
}

void ipi_serve(void)
{
}

void host_hart_init(uint32_t index)
{
    hart_self = (struct hart){.index = index, .online = 1, .sample_at = UINT64_MAX};
    harts[index] = &hart_self;
}

__attribute__((constructor)) static void host_init(void)
{
    host_hart_init(0);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (getenv("TEST_LOG") || level == LOG_ERROR) {
        fprintf(stderr, "# ");
        vfprintf(stderr, fmt, ap);
        fputc('\n', stderr);
    }
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "# PANIC: ");
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

// Weak: a test of the kernel's own heap links that instead.
__attribute__((weak)) void *kmalloc(size_t size)
{
    if (host_fail_after >= 0 && host_fail_after-- == 0)
        return NULL;
    __atomic_add_fetch(&host_live, 1, __ATOMIC_RELAXED);
    return aligned_alloc(16, (size + 15) & ~15ul);
}

__attribute__((weak)) void *kzalloc(size_t size)
{
    void *p = kmalloc(size);
    return p ? memset(p, 0, size) : NULL;
}

__attribute__((weak)) void kfree(void *p)
{
    if (p)
        __atomic_sub_fetch(&host_live, 1, __ATOMIC_RELAXED);
    free(p);
}

long host_live_blocks(void)
{
    return host_live;
}
