// SPDX-License-Identifier: MIT
// Many that do nothing but wait: `crowd futex|read|pause COUNT FIFO`; tests/boot/crowd.lua counts what they take.
//
// futex: threads of one process, whose life in user mode is one piece of assembly without a stack: no user page is
// theirs. read, pause: processes, blocked in read of an empty pipe or in pause. Says `ready` when all are blocked, lets
// them go when somebody writes to FIFO, checks the end of each and says `fine`.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 100000 };

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("crowd: not so: %s (%s)\n", #condition, strerror(errno));                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static int n;
static const char *fifo;
static uint32_t first_gate, gate; // futexes: threads wait at the first, and are moved to the second
static volatile uint32_t tid[MOST]; // of each thread, 0 once it has ended
static pid_t child[MOST];

static void show(void)
{
    char c;
    int fd;

    puts("ready");
    fflush(stdout);
    fd = open(fifo, O_RDONLY);
    CHECK(fd >= 0 && read(fd, &c, 1) == 1);
    close(fd);
}

// A thread waits until the gate is open, and ends with status 0.
static long start_thread(volatile uint32_t *id)
{
    register long a0 asm("a0") = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                 CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    register long a1 asm("a1") = 16; // its stack pointer: never used
    register volatile uint32_t *a2 asm("a2") = id;
    register long a3 asm("a3") = 0;
    register volatile uint32_t *a4 asm("a4") = id;
    register long a7 asm("a7") = SYS_clone;

    asm volatile("ecall\n"
                 "bnez a0, 2f\n"
                 "1: mv a0, %[gate]\n"
                 "li a1, %[wait]\n"
                 "li a2, 0\n"
                 "li a3, 0\n"
                 "li a7, %[futex]\n"
                 "ecall\n"
                 "lw t0, (%[gate])\n"
                 "beqz t0, 1b\n"
                 "li a0, 0\n"
                 "li a7, %[exit]\n"
                 "ecall\n"
                 "2:"
                 : "+r"(a0)
                 : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a7), [gate] "r"(&first_gate),
                   [wait] "i"(FUTEX_WAIT_PRIVATE), [futex] "i"(SYS_futex), [exit] "i"(SYS_exit)
                 : "t0", "memory");
    return a0;
}

static void threads(void)
{
    long moved = 0;
    int i;

    for (i = 0; i < n; i++) {
        long r = start_thread(&tid[i]);
        errno = r < 0 ? (int)-r : 0;
        CHECK(r > 0);
    }
    while (moved < n) { // those that are moved wait
        long r = syscall(SYS_futex, &first_gate, FUTEX_CMP_REQUEUE_PRIVATE, 0, INT_MAX, &gate, 0);
        CHECK(r >= 0);
        moved += r;
    }
    CHECK(moved == n);
    show();
    first_gate = 1;
    CHECK(syscall(SYS_futex, &gate, FUTEX_WAKE_PRIVATE, INT_MAX) == n);
    for (i = 0; i < n; i++)
        for (uint32_t id; (id = tid[i]);)
            syscall(SYS_futex, &tid[i], FUTEX_WAIT, id, NULL);
}

static void processes(int in_read)
{
    int pipe_fd[2], i, status;
    char c;

    CHECK(pipe(pipe_fd) == 0);
    for (i = 0; i < n; i++) {
        child[i] = fork();
        CHECK(child[i] >= 0);
        if (child[i] == 0) {
            close(pipe_fd[1]);
            if (!in_read)
                pause();
            _exit(read(pipe_fd[0], &c, 1) == 0 ? 7 : 1);
        }
    }
    show();
    close(pipe_fd[1]);
    for (i = 0; i < n; i++) {
        CHECK(in_read || kill(child[i], SIGTERM) == 0);
        CHECK(waitpid(child[i], &status, 0) == child[i]);
        CHECK(in_read ? status == 7 << 8 : status == SIGTERM);
    }
}

int main(int argc, char **argv)
{
    n = argc == 4 ? atoi(argv[2]) : 0;
    if (n < 1 || n > MOST) {
        fprintf(stderr, "usage: crowd futex|read|pause COUNT FIFO\n");
        return 2;
    }
    fifo = argv[3];
    if (!strcmp(argv[1], "futex"))
        threads();
    else
        processes(!strcmp(argv[1], "read"));
    puts("fine");
    return 0;
}
