// SPDX-License-Identifier: MIT
// The 16550 UART that carries the console, and what stands between it and the tty.
//
// Bytes are pushed up as they are received (ops->rx) and pulled from above as the transmitter has
// room (ops->tx_pull). At boot the ops are those of the tty and the log, wired directly; a monitor
// link may put itself in between with uart_set_ops() and then calls tty_rx(), tty_tx_pull() and
// uart_log_pull() itself.
//
// Lock order: uart lock, then whatever tx_pull takes. Who calls uart_kick() must not hold a lock
// that tx_pull takes, and nothing that tx_pull calls may log.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uart_ops {
    // One received byte, in order. Interrupt side: no lock held, must not block.
    void (*rx)(uint8_t byte);
    // Next bytes to send into buf, at most max; 0: nothing now. Under the uart lock.
    size_t (*tx_pull)(uint8_t *buf, size_t max);
};

// `ops` stays referenced. NULL: back to tty and log.
void uart_set_ops(const struct uart_ops *ops);

// There is something to pull. Cheap; sends from the interrupt handler.
void uart_kick(void);

// The part of uart_set_ops(NULL): log text that waits to be sent. Drops the oldest when nobody
// pulls; what was dropped is counted. Under the uart lock, or from tx_pull.
size_t uart_log_pull(uint8_t *buf, size_t max);

// Log text sent by polling until this is called (INIT_LATE does), by interrupt afterwards.
void uart_interrupts_live(void);

// Sends everything that waits, by polling: before poweroff and reboot.
void uart_drain(void);

// Panic: takes no lock, polls, and stops interrupt-driven output for good. The first call sends
// what the log had waiting. uart_panic_getc returns -1 when no byte is there.
void uart_panic_puts(const char *text, size_t n);
int uart_panic_getc(void);

bool uart_present(void);

struct uart_stats {
    uint64_t rx_bytes, tx_bytes, rx_overruns, log_dropped, interrupts;
};
void uart_get_stats(struct uart_stats *out);
