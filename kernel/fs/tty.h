// SPDX-License-Identifier: MIT
// Terminals, to those outside: the console's over the UART, and whose controlling terminal is which.
//
// A process has a controlling terminal or none (process.tty, referenced), a terminal a session and its
// foreground group or none; process_tree_lock guards all three. What a group is and how signals are sent
// is told by the task room through tty_set_job_ops(). Before that, signals go nowhere.
#pragma once

#include "fs/ldisc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process;
struct task;
struct tty;

struct tty_job_ops {
    // Sends sig to every process of the group, if it is (still) in that session: its number may be used again in another.
    // No lock held; interrupt side too.
    void (*signal_pgrp)(int32_t pgrp, int32_t sid, int sig);
    // To the leader of a session, if it lives. No lock held.
    void (*signal_leader)(int32_t sid, int sig);
    // 0 when that group is in that session, -EPERM when it is in another, -ESRCH: no such group.
    int (*check_pgrp)(int32_t pgrp, int32_t sid);
    // Does the caller ignore or block sig? Then a background read gets -EIO, a write goes through.
    bool (*ignores)(struct task *t, int sig);
    // Is the caller's process group orphaned?
    bool (*orphaned)(struct task *t);
};
void tty_set_job_ops(const struct tty_job_ops *ops);

// The console tty's two ends, for the UART or the link in between (see dev/uart.h).
void tty_rx(uint8_t byte);
size_t tty_tx_pull(uint8_t *buf, size_t max);
// The window as the host's terminal has it (0 x 0: unknown); SIGWINCH to the foreground group.
void tty_set_winsize(uint16_t rows, uint16_t cols);

// ---- the controlling terminals of processes (tty_session.c)

// A new child has what its parent has. process_tree_lock held.
void tty_inherit_locked(struct process *child, const struct process *parent);
// p begins a session, or exits: it has none any more. *tty is for tty_drop(), without the lock; NULL: it had none.
// process_tree_lock held.
struct tty *tty_leave_locked(struct process *p);
void tty_drop(struct tty *tty);
// p's last thread exits. A leader takes the terminal from its session: that is hung up, or, if it is a
// pseudo terminal, only its foreground group told (SIGHUP), as in Linux. No lock held.
void tty_process_exit(struct process *p);
// For /proc/PID/stat: device number and foreground group; 0 and -1: p has none.
void tty_of_process(const struct process *p, uint32_t *dev, int32_t *pgrp);
// Hangs up the caller's terminal, if it has one (vhangup).
void tty_hang_up_own(struct task *t);
