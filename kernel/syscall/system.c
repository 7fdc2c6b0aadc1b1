// SPDX-License-Identifier: MIT
// The machine and the kernel as a program sees them: names, totals, settings, log, reboot.
#include "async/executor.h"
#include "dev/uart.h"
#include "fs/file.h"
#include "fs/fsctx.h"
#include "lib/log.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/process.h"
#include "task/signal.h"
#include "task/time.h"

#include <stdio.h>
#include <string.h>

#define US thread_current()->space

// ---- names

enum { UTS_FIELD = 65 };
static char hostname[UTS_FIELD] = "tidepool", domainname[UTS_FIELD] = "(none)";
static struct spinlock hostname_lock = SPINLOCK_INIT("hostname");

long sys_uname(va_t out)
{
    char u[6][UTS_FIELD] = {"Linux", "", "6.12.0-tidepool", "#1 SMP Tidepool", "riscv64", ""};
    spin_lock(&hostname_lock);
    memcpy(u[1], hostname, UTS_FIELD);
    memcpy(u[5], domainname, UTS_FIELD);
    spin_unlock(&hostname_lock);
    return user_copy_out(US, out, u, sizeof u);
}
SYSCALL(160, uname, 1);

static long set_name(char *name, va_t in, uint64_t n)
{
    char text[UTS_FIELD] = "";
    if (!caller_can(CAP_SYS_ADMIN))
        return -EPERM;
    if (n >= UTS_FIELD)
        return -EINVAL;
    long e = user_copy_in(US, text, in, n);
    if (e)
        return e;
    spin_lock(&hostname_lock);
    memcpy(name, text, UTS_FIELD);
    spin_unlock(&hostname_lock);
    return 0;
}

long sys_sethostname(va_t in, uint64_t n)
{
    return set_name(hostname, in, n);
}
SYSCALL(161, sethostname, 2);

long sys_setdomainname(va_t in, uint64_t n)
{
    return set_name(domainname, in, n);
}
SYSCALL(162, setdomainname, 2);

// ---- totals

struct sysinfo_user {
    int64_t uptime;
    uint64_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
    uint16_t procs, pad;
    uint64_t totalhigh, freehigh;
    uint32_t mem_unit;
    uint32_t pad2;
};
_Static_assert(sizeof(struct sysinfo_user) == 112, "struct sysinfo");

static bool count_process(struct process *p, void *n)
{
    (void)p;
    ++*(uint16_t *)n;
    return true;
}

long sys_sysinfo(va_t out)
{
    struct sysinfo_user s = {.mem_unit = 1};
    s.uptime = (int64_t)(clock_monotonic_ns() / 1000000000);
    s.totalram = frame_total() * PAGE_SIZE;
    s.freeram = frame_free_count() * PAGE_SIZE;
    process_foreach(0, count_process, &s.procs);
    return user_copy_out(US, out, &s, sizeof s);
}
SYSCALL(179, sysinfo, 1);

long sys_umask(uint32_t mask)
{
    return atomic_swap32(&thread_current()->fs->umask, mask & 0777);
}
SYSCALL(166, umask, 1);

// ---- prctl

enum {
    PR_SET_PDEATHSIG = 1,
    PR_GET_PDEATHSIG = 2,
    PR_GET_DUMPABLE = 3,
    PR_SET_DUMPABLE = 4,
    PR_SET_NAME = 15,
    PR_GET_NAME = 16,
    PR_SET_TIMERSLACK = 29,
    PR_GET_TIMERSLACK = 30,
    PR_SET_CHILD_SUBREAPER = 36,
    PR_GET_CHILD_SUBREAPER = 37,
    PR_SET_NO_NEW_PRIVS = 38,
    PR_GET_NO_NEW_PRIVS = 39,
    PR_SET_THP_DISABLE = 41,
    PR_GET_THP_DISABLE = 42,
};

static long set_thread_name(va_t in)
{
    struct thread *th = thread_current();
    char name[16] = "";
    long n = user_string_in(th->space, name, in, sizeof name);
    if (n < 0 && n != -ENAMETOOLONG)
        return n;
    name[15] = 0;
    thread_set_name(th, name);
    return 0;
}

long sys_prctl(int32_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct process *p = process_current();
    char name[16] = "";
    uint32_t number;
    switch (op) {
    case PR_SET_PDEATHSIG:
        if (a > NSIG)
            return -EINVAL;
        p->death_signal = (uint8_t)a;
        return 0;
    case PR_GET_PDEATHSIG:
        number = p->death_signal;
        return user_copy_out(US, a, &number, sizeof number);
    case PR_SET_CHILD_SUBREAPER:
        p->child_subreaper = a != 0;
        return 0;
    case PR_GET_CHILD_SUBREAPER:
        number = p->child_subreaper;
        return user_copy_out(US, a, &number, sizeof number);
    case PR_SET_NAME:
        return set_thread_name(a);
    case PR_GET_NAME:
        strlcpy(name, current_task()->name, sizeof name);
        return user_copy_out(US, a, name, sizeof name);
    case PR_GET_DUMPABLE:
        return p->dumpable;
    case PR_SET_DUMPABLE:
        if (a > 1)
            return -EINVAL;
        p->dumpable = (uint8_t)a;
        return 0;
    case PR_SET_TIMERSLACK: // timers are as exact as the clock: slack is never used
        thread_current()->timer_slack = a ? a : 50000;
        return 0;
    case PR_GET_TIMERSLACK:
        return (long)thread_current()->timer_slack;
    case PR_SET_THP_DISABLE:
        if (b || c || d)
            return -EINVAL;
        US->no_huge = a != 0;
        return 0;
    case PR_GET_THP_DISABLE:
        return a || b || c || d ? -EINVAL : US->no_huge;
    case PR_SET_NO_NEW_PRIVS:
        if (a != 1 || b || c || d)
            return -EINVAL;
        p->no_new_privs = 1;
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return a || b || c || d ? -EINVAL : (long)p->no_new_privs;
    default:
        return caps_prctl(op, a, b, c, d);
    }
}
SYSCALL(167, prctl, 5);

long sys_personality(uint32_t persona)
{
    struct process *p = process_current();
    long old = p->personality;
    if (persona != UINT32_MAX)
        p->personality = persona;
    return old;
}
SYSCALL(92, personality, 1);

// ---- reboot, kernel log

enum {
    REBOOT_MAGIC1 = (int)0xfee1dead,
    REBOOT_MAGIC2 = 672274793,
    REBOOT_RESTART = 0x01234567,
    REBOOT_HALT = (int)0xcdef0123,
    REBOOT_POWER_OFF = 0x4321fedc,
    REBOOT_CAD_ON = (int)0x89abcdef,
    REBOOT_CAD_OFF = 0,
};

static bool magic2_ok(int32_t m)
{
    return m == REBOOT_MAGIC2 || m == 85072278 || m == 369367448 || m == 537993216;
}

ASYNC_SYSCALL(sys_reboot, long r;)
{
    ASYNC_BEGIN(sys_reboot);
    if (!caller_can(CAP_SYS_BOOT))
        ASYNC_RETURN(-EPERM);
    if ((int32_t)f->a[0] != REBOOT_MAGIC1 || !magic2_ok((int32_t)f->a[1]))
        ASYNC_RETURN(-EINVAL);
    if ((int32_t)f->a[2] == REBOOT_CAD_OFF || (int32_t)f->a[2] == REBOOT_CAD_ON)
        ASYNC_RETURN(0);
    if ((int32_t)f->a[2] != REBOOT_RESTART && (int32_t)f->a[2] != REBOOT_HALT &&
        (int32_t)f->a[2] != REBOOT_POWER_OFF)
        ASYNC_RETURN(-EINVAL);
    SHIELD_BEGIN();
    AWAIT(f->r, vfs_sync, false);
    if (f->r < 0)
        log_error("reboot: writing back failed (error %ld)", -f->r);
    SHIELD_END();
    log_info("%s", (int32_t)f->a[2] == REBOOT_RESTART ? "restart"
                   : (int32_t)f->a[2] == REBOOT_HALT  ? "halted"
                                                      : "power off");
    uart_drain();
    if ((int32_t)f->a[2] == REBOOT_RESTART)
        machine_reboot();
    if ((int32_t)f->a[2] == REBOOT_HALT)
        machine_halt();
    machine_poweroff();
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(142, reboot, 4);

enum {
    SYSLOG_READ_ALL = 3,
    SYSLOG_CLEAR = 5,
    SYSLOG_CONSOLE_OFF,
    SYSLOG_CONSOLE_ON,
    SYSLOG_CONSOLE_LEVEL,
    SYSLOG_SIZE_UNREAD,
    SYSLOG_SIZE_BUFFER,
    SYSLOG_LINES = 64
};

// The newest lines that fit, in Linux's form "<level>[time] text".
static long copy_log(va_t out, uint64_t room)
{
    struct log_line line[SYSLOG_LINES];
    size_t n = log_tail(line, SYSLOG_LINES), first = n;
    char text[sizeof line[0].text + 40];
    uint64_t total = 0, done = 0;
    for (; first; first--) {
        const struct log_line *l = &line[first - 1];
        uint64_t len = (uint64_t)snprintf(text, sizeof text, "<%u>[%5lu.%06lu] %s\n", l->level + 3,
                                          l->ns / 1000000000, l->ns / 1000 % 1000000, l->text);
        if (total + len > room)
            break;
        total += len;
    }
    for (; first < n; first++) {
        const struct log_line *l = &line[first];
        int len = snprintf(text, sizeof text, "<%u>[%5lu.%06lu] %s\n", l->level + 3,
                           l->ns / 1000000000, l->ns / 1000 % 1000000, l->text);
        long e = user_copy_out(US, out + done, text, (size_t)len);
        if (e)
            return e;
        done += (uint64_t)len;
    }
    return (long)done;
}

long sys_syslog(int32_t op, va_t out, int32_t len)
{
    switch (op) {
    case SYSLOG_READ_ALL:
        return len < 0 || !out ? -EINVAL : copy_log(out, (uint64_t)len);
    case SYSLOG_CLEAR:
    case SYSLOG_CONSOLE_OFF:
    case SYSLOG_CONSOLE_ON:
    case SYSLOG_CONSOLE_LEVEL:
        return -EPERM; // the console's level is fixed
    case SYSLOG_SIZE_UNREAD:
        return 0;
    case SYSLOG_SIZE_BUFFER:
        return 16384;
    default:
        return -EINVAL;
    }
}
SYSCALL(116, syslog, 3);

// ---- processors

long sys_getcpu(va_t cpu, va_t node, va_t cache)
{
    (void)cache; // unused since Linux 2.6.24
    uint32_t zero = 0;
    long e = cpu ? user_copy_out(US, cpu, &hart_self.index, 4) : 0;
    return e || !node ? e : user_copy_out(US, node, &zero, 4);
}
SYSCALL(168, getcpu, 3);
