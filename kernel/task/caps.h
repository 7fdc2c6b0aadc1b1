// SPDX-License-Identifier: MIT
// Capabilities (capabilities(7)): what root may do, in parts that a thread can give up.
//
// Of the securebits there are none but keep_caps, and files have no capabilities: who executes a program as root has all that
// the bounding set leaves, everybody else the ambient ones.
#pragma once

#include "task/thread.h"

enum {
    CAP_CHOWN = 0,
    CAP_DAC_OVERRIDE = 1,
    CAP_DAC_READ_SEARCH = 2,
    CAP_FOWNER = 3,
    CAP_FSETID = 4,
    CAP_KILL = 5,
    CAP_SETGID = 6,
    CAP_SETUID = 7,
    CAP_SETPCAP = 8,
    CAP_LINUX_IMMUTABLE = 9,
    CAP_IPC_LOCK = 14,
    CAP_SYS_CHROOT = 18,
    CAP_SYS_PTRACE = 19,
    CAP_SYS_ADMIN = 21,
    CAP_SYS_BOOT = 22,
    CAP_SYS_NICE = 23,
    CAP_SYS_RESOURCE = 24,
    CAP_SYS_TIME = 25,
    CAP_SYS_TTY_CONFIG = 26,
    CAP_MKNOD = 27,
    CAP_MAC_OVERRIDE = 32,
    CAP_WAKE_ALARM = 35,
    CAP_CHECKPOINT_RESTORE = 40,
    CAP_LAST = 40,
};
#define CAPS_ALL ((2ul << CAP_LAST) - 1)
#define CAP(cap) (1ul << (cap))
#define CAPS_FILE                                                                                  \
    (CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) |         \
     CAP(CAP_FSETID) | CAP(CAP_LINUX_IMMUTABLE) | CAP(CAP_MKNOD) | CAP(CAP_MAC_OVERRIDE))

static inline bool caps_have(const struct credentials *c, int cap)
{
    return c->effective >> cap & 1;
}
// The calling thread. Task context.
static inline bool caller_can(int cap)
{
    return caps_have(cred_current(), cap);
}

// What a change of user ids from those of *was, or of the file-system user id, gives and takes.
void caps_after_setuid(struct credentials *c, const struct credentials *was);
void caps_after_setfsuid(struct credentials *c, uint32_t was);
// Of a program that runs with the ids of *c, executed by who had *was.
void caps_after_exec(struct credentials *c, const struct credentials *was, bool no_new_privs);
// The options of prctl(2) that are about capabilities; others -EINVAL.
long caps_prctl(int32_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
