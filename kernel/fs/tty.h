// SPDX-License-Identifier: MIT
// Terminals: /dev/console and /dev/tty over the console UART.
//
// The tty knows sessions and process groups only as numbers; what they are is told by the task
// room through tty_set_job_ops(). Before that, nobody is in the background and signals go nowhere.
#pragma once

#include "fs/ldisc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

struct tty_job_ops {
    // Sends sig to every process of the group. No lock held; interrupt side too.
    void (*signal_pgrp)(int32_t pgrp, int sig);
    // Of the calling task's process.
    void (*self)(struct task *t, int32_t *pid, int32_t *pgrp, int32_t *sid);
    // 0 when that group is in that session, -EPERM when it is in another, -ESRCH: no such group.
    int (*check_pgrp)(int32_t pgrp, int32_t sid);
    // Does the caller ignore or block sig? Then a background read gets -EIO, a write goes through.
    bool (*ignores)(struct task *t, int sig);
    // Is the caller's process group orphaned? May be NULL: never.
    bool (*orphaned)(struct task *t);
};
void tty_set_job_ops(const struct tty_job_ops *ops);

// The console tty's two ends, for the UART or the link in between (see dev/uart.h).
void tty_rx(uint8_t byte);
size_t tty_tx_pull(uint8_t *buf, size_t max);
// The window as the host's terminal has it (0 x 0: unknown); SIGWINCH to the foreground group.
void tty_set_winsize(uint16_t rows, uint16_t cols);

// The session's leader exits: the terminal is nobody's; its foreground group gets SIGHUP, SIGCONT.
void tty_session_exit(int32_t sid);
// Is the console tty the controlling terminal of sid? For /proc/PID/stat: device number, else 0.
uint32_t tty_of_session(int32_t sid);
int32_t tty_foreground_pgrp(void);
