// SPDX-License-Identifier: MIT
// The 16550 UART (National Semiconductor PC16550D): see uart.h.
//
// Output is pulled a FIFO at a time from the interrupt handler; the transmitter's interrupt is
// enabled exactly while somebody may have bytes. Log text has a ring of its own here, so that the
// log's sink only stores and kicks. Without a UART the same sources are drained into the
// firmware's console.
#include "dev/uart.h"

#include "arch/cpu.h"
#include "arch/mmio.h"
#include "arch/start.h"
#include "dev/driver.h"
#include "dev/irq.h"
#include "fs/tty.h"
#include "lib/errno.h"
#include "lib/init.h"
#include "lib/log.h"
#include "lib/spinlock.h"

#include <string.h>

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };
enum { IER_RX = 1, IER_TX = 2 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, LCR_8N1 = 3, MCR_DTR_RTS_OUT2 = 11 };
enum { LSR_DATA = 1, LSR_OVERRUN = 2, LSR_THR_EMPTY = 32, LSR_IDLE = 64 };
enum { FIFO = 16, FIFOS_AT_ONCE = 32, RX_AT_ONCE = 256, LOG_RING = 32768 };
enum { DRAIN_LIMIT = 1 << 18 }; // who stands above may never run dry
enum { POLL_LIMIT = 10000000 }; // a transmitter that is stuck does not hang the kernel

static struct spinlock lock = SPINLOCK_INIT("uart");
static volatile uint8_t *regs;
static uint32_t reg_shift;
static uint8_t ier; // what IER holds
static bool live;   // log goes by interrupt, no more by polling
static bool panicking;
static struct uart_stats stats;

static uint8_t log_ring[LOG_RING]; // free-running indices
static uint32_t log_head, log_tail_;

static uint8_t reg_read(unsigned reg)
{
    return mmio_read8(regs + (reg << reg_shift));
}

static void reg_write(unsigned reg, uint8_t v)
{
    mmio_write8(regs + (reg << reg_shift), v);
}

bool uart_present(void)
{
    return regs != NULL;
}

void uart_get_stats(struct uart_stats *out)
{
    *out = stats;
}

// ---- the log's ring

static void log_store(const char *text, size_t n)
{
    for (; n > 0; n--) {
        if (log_head - log_tail_ == LOG_RING) {
            log_tail_++;
            stats.log_dropped++;
        }
        log_ring[log_head++ % LOG_RING] = (uint8_t)*text++;
    }
}

size_t uart_log_pull(uint8_t *buf, size_t max)
{
    size_t n = 0;
    while (n < max && log_tail_ != log_head)
        buf[n++] = log_ring[log_tail_++ % LOG_RING];
    return n;
}

// ---- what stands above

static size_t direct_pull(uint8_t *buf, size_t max)
{
    size_t n = uart_log_pull(buf, max);
    return n + tty_tx_pull(buf + n, max - n);
}

static const struct uart_ops direct_ops = {.rx = tty_rx, .tx_pull = direct_pull};
static const struct uart_ops *ops = &direct_ops;

void uart_set_ops(const struct uart_ops *new_ops)
{
    spin_lock(&lock);
    store_release(&ops, new_ops ? new_ops : &direct_ops);
    spin_unlock(&lock);
    uart_kick();
}

// ---- sending

static void put_polled(uint8_t c)
{
    for (unsigned i = 0; i < POLL_LIMIT && !(reg_read(LSR) & LSR_THR_EMPTY); i++)
        cpu_relax();
    reg_write(THR, c);
}

static void send_polled(const uint8_t *buf, size_t n)
{
    if (!regs)
        boot_console_put((const char *)buf, n);
    else
        while (n-- > 0)
            put_polled(*buf++);
}

// Lock held.
static void set_ier(uint8_t v)
{
    if (v != ier)
        reg_write(IER, ier = v);
}

// Lock held, transmitter empty. False: nobody has anything.
static bool send_fifo(void)
{
    uint8_t buf[FIFO];
    size_t n = ops->tx_pull(buf, FIFO);
    for (size_t i = 0; i < n; i++)
        reg_write(THR, buf[i]);
    stats.tx_bytes += n;
    return n > 0;
}

void uart_drain(void)
{
    uint8_t buf[FIFO];
    size_t n = FIFO;
    spin_lock(&lock);
    for (size_t sent = 0; n > 0 && sent < DRAIN_LIMIT; sent += n) {
        n = ops->tx_pull(buf, FIFO);
        send_polled(buf, n);
        stats.tx_bytes += n;
    }
    for (unsigned i = 0; regs && i < POLL_LIMIT && !(reg_read(LSR) & LSR_IDLE); i++)
        cpu_relax();
    spin_unlock(&lock);
}

void uart_kick(void)
{
    if (load_relaxed(&panicking))
        return;
    if (!regs) {
        uart_drain();
        return;
    }
    spin_lock(&lock);
    set_ier(ier | IER_TX);
    spin_unlock(&lock);
}

static void handle_tx(void)
{
    for (unsigned i = 0; i < FIFOS_AT_ONCE; i++) {
        spin_lock(&lock);
        bool idle = !(ier & IER_TX) || !(reg_read(LSR) & LSR_THR_EMPTY);
        if (!idle && !send_fifo()) {
            set_ier(ier & ~IER_TX);
            idle = true;
        }
        spin_unlock(&lock);
        if (idle)
            return;
    }
}

// ---- receiving

// Only the handler reads RBR, and a source is in service on one hart at a time: no lock.
static void handle_rx(void)
{
    const struct uart_ops *o = load_acquire(&ops);
    for (unsigned i = 0; i < RX_AT_ONCE; i++) {
        uint8_t lsr = reg_read(LSR);
        if (lsr & LSR_OVERRUN)
            stats.rx_overruns++;
        if (!(lsr & LSR_DATA))
            return;
        stats.rx_bytes++;
        o->rx(reg_read(RBR));
    }
}

static void handle_irq(uint32_t source, void *arg)
{
    (void)source;
    (void)arg;
    if (load_relaxed(&panicking))
        return;
    stats.interrupts++;
    reg_read(IIR); // acknowledges a transmitter interrupt; what is true shows in LSR
    handle_rx();
    handle_tx();
}

// ---- the log

static void log_sink(const char *text, size_t n)
{
    if (load_relaxed(&panicking))
        return;
    spin_lock(&lock);
    if (live || ops != &direct_ops) {
        log_store(text, n);
        set_ier(ier | IER_TX);
    } else {
        send_polled((const uint8_t *)text, n);
    }
    spin_unlock(&lock);
}

void uart_interrupts_live(void)
{
    if (regs)
        live = true;
}

static void boot_done(void)
{
    uart_interrupts_live();
    if (!regs)
        log_warn("no UART in the device tree: console output goes through the firmware, and "
                 "there is no input");
}
INIT(INIT_LATE, boot_done);

// ---- panic

// A console that speaks frames drops to plain text at a 00; the log's ring goes out first.
static void panic_take_over(void)
{
    uint8_t c, plain = 0;
    store_relaxed(&panicking, true);
    if (regs)
        reg_write(IER, 0);
    if (ops != &direct_ops)
        send_polled(&plain, 1);
    while (uart_log_pull(&c, 1) > 0)
        send_polled(&c, 1);
}

void uart_panic_puts(const char *text, size_t n)
{
    if (!load_relaxed(&panicking))
        panic_take_over();
    send_polled((const uint8_t *)text, n);
}

int uart_panic_getc(void)
{
    if (!regs || !(reg_read(LSR) & LSR_DATA))
        return -1;
    return reg_read(RBR);
}

static void panic_put_string(const char *text)
{
    uart_panic_puts(text, strlen(text));
}

// ---- probe

static void set_up(const struct device *dev)
{
    device_u32(dev, "reg-shift", &reg_shift);
    regs = device_map(dev, 0);
    reg_write(IER, 0);
    reg_write(LCR, LCR_8N1);
    reg_write(FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX);
    reg_write(MCR, MCR_DTR_RTS_OUT2);
    log_set_sink(log_sink);
    panic_puts = panic_put_string;
}

// Output works by polling from the first probe on, also while the interrupt controller is missing.
static int probe(struct device *dev)
{
    static struct device *owner;
    if (!device_map(dev, 0) || !dev->irq)
        return -EINVAL;
    if (owner && owner != dev)
        return -EBUSY;
    if (!owner)
        set_up(dev);
    owner = dev;
    int r = irq_register(dev->irq, handle_irq, NULL, "uart");
    if (r < 0)
        return r;
    spin_lock(&lock);
    set_ier(IER_RX);
    spin_unlock(&lock);
    return 0;
}
DRIVER(uart16550, "ns16550a\0ns16550", probe);
