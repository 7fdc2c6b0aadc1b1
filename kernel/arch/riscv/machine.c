// SPDX-License-Identifier: MIT
// Firmware services and inter-hart interrupts: SBI calls, IPIs, timer, power.
#include "arch/atomic.h"
#include "arch/cpu.h"
#include "arch/sbi.h"
#include "async/timer.h"
#include "lib/dt.h"
#include "lib/lock_order.h"
#include "lib/log.h"

uint64_t timebase_hz = 10000000;
static bool has_sstc;
static void (*ipi_handlers[32])(void);
void (*irq_external)(void);

bool sbi_has(long ext)
{
    return sbi_call(SBI_EXT_BASE, 3, (uint64_t)ext, 0, 0, 0).value != 0;
}

void machine_init(void)
{
    timebase_hz = dt_timebase();
    has_sstc = dt_isa_has("sstc");
}

// Ticks to nanoseconds without overflow: whole seconds apart from the rest.
uint64_t ticks_to_ns(uint64_t ticks)
{
    return ticks / timebase_hz * 1000000000 + ticks % timebase_hz * 1000000000 / timebase_hz;
}

uint64_t ns_to_ticks(uint64_t ns)
{
    uint64_t s = ns / 1000000000, r = ns % 1000000000;
    if (s >= UINT64_MAX / timebase_hz / 2)
        return UINT64_MAX / 2;
    return s * timebase_hz + (r * timebase_hz + 999999999) / 1000000000;
}

// A hart looks at its timers once a minute whatever there is to do. QEMU's `-icount sleep=off` jumps
// to the next deadline when all harts sleep; were there none but the firmware's at the end of time,
// it would jump there, and its own devices' timers overflow.
enum { TIMER_AT_MOST_S = 60 };

void timer_program(uint64_t ticks)
{
    uint64_t most = time_ticks() + TIMER_AT_MOST_S * timebase_hz;
    if (ticks > most)
        ticks = most;
    if (has_sstc)
        csr_write(0x14d, ticks); // stimecmp
    else
        sbi_call(SBI_EXT_TIME, 0, ticks, 0, 0, 0);
}

static void sbi_ipi(uint32_t hart)
{
    sbi_call(SBI_EXT_IPI, 0, 1, harts[hart]->id, 0, 0);
}

bool (*ipi_is_lost)(uint32_t hart, uint32_t what);

void ipi_send(uint32_t hart, uint32_t what)
{
    bool (*lost)(uint32_t, uint32_t) = load_relaxed(&ipi_is_lost);
    if (unlikely(lost != NULL) && lost(hart, what))
        return;
    hart_self.ipis_sent++;
    if (atomic_or32(&harts[hart]->ipi_pending, what) == 0)
        sbi_ipi(hart);
}

void ipi_register(uint32_t what, void (*handler)(void))
{
    ipi_handlers[__builtin_ctz(what)] = handler;
}

static _Noreturn void stop_here(void)
{
    csr_write(sie, 0);
    store_release(&hart_self.stop, 2);
    for (;;)
        __asm__ volatile("wfi");
}

// at: where a spinner was, or 0.
static void ipi_run(uint32_t bits, uint64_t at)
{
    if (bits & IPI_STOP) {
        hart_self.stopped_at = at;
        stop_here();
    }
    for (uint32_t left = bits; left; left &= left - 1) {
        void (*h)(void) = ipi_handlers[__builtin_ctz(left)];
        if (h)
            h();
    }
}

// Called while spinning: what the spinner does not serve stays pending, and the next irq_poll
// finds SSIP still set.
void ipi_serve(void)
{
    uint32_t now = IPI_SHOOTDOWN | IPI_STOP | IPI_FENCE_I;
    uint32_t bits = load_relaxed(&hart_self.ipi_pending) & now;
    if (!bits)
        return;
    atomic_and32(&hart_self.ipi_pending, ~bits);
    ipi_run(bits, (uint64_t)__builtin_return_address(0));
}

void irq_poll_slow(uint64_t pending)
{
    uint32_t bits = 0;
    lock_order_none_held("interrupt work");
    if (pending & SIP_SSIP) {
        csr_clear(sip, SIP_SSIP); // before the bits are taken, or a later IPI is lost
        hart_self.ipis_taken++;
        bits = atomic_swap32(&hart_self.ipi_pending, 0);
        ipi_run(bits & ~(uint32_t)IPI_PARK, 0);
    }
    if (pending & SIP_STIP)
        timers_run();
    if ((pending & SIP_SEIP) && irq_external)
        irq_external();
    if (unlikely(bits & IPI_PARK)) // when nothing of this interrupt is left to do
        ipi_run(IPI_PARK, 0);
}

static _Noreturn void reset(uint64_t type)
{
    sbi_call(SBI_EXT_SRST, 0, type, 0, 0, 0);
    log_error("system reset is not supported by this firmware: halted");
    stop_here();
}

void machine_poweroff(void)
{
    reset(0);
}

void machine_reboot(void)
{
    reset(1);
}

void machine_halt(void)
{
    for (uint32_t i = 0; i < hart_count; i++)
        if (i != hart_self.index)
            ipi_send(i, IPI_STOP);
    stop_here();
}

// Asks the other harts to stop and waits at most a second. Panic only: takes no lock.
void machine_stop_others(void)
{
    uint64_t until = time_ticks() + timebase_hz;
    for (uint32_t i = 0; i < hart_count; i++)
        if (i != hart_self.index && harts[i] && harts[i]->online)
            ipi_send(i, IPI_STOP);
    for (uint32_t i = 0; i < hart_count; i++)
        while (i != hart_self.index && harts[i] && harts[i]->online &&
               load_acquire(&harts[i]->stop) != 2 && time_ticks() < until)
            cpu_relax();
}
