// SPDX-License-Identifier: MIT
// Many senders, many takers: every real-time signal that was sent is taken once, with its value, and those
// from one sender to one thread in the order in which they were sent. Standard signals go in between.
#include "abi.h"
#include <pthread.h>
#include <stdatomic.h>

enum { SENDERS = 4, TAKERS = 4, EACH = 2000, TO_THREAD = SENDERS * EACH };

static atomic_int taken, wrong_order, standard, over;
static atomic_long sum;
static pid_t tids[TAKERS];
static struct gate ready;
static _Thread_local int next_of[SENDERS];

static void count(const siginfo_t *info)
{
    int value = info->si_value.sival_int, sender = value % TO_THREAD / EACH;

    atomic_fetch_add(&sum, value);
    if (value >= TO_THREAD && value % EACH != next_of[sender]++)
        atomic_fetch_add(&wrong_order, 1);
    atomic_fetch_add(&taken, 1);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    count(info);
}

static void on_standard(int sig)
{
    (void)sig;
    atomic_fetch_add(&standard, 1);
}

// Half of them run handlers, the others wait for their signals.
static void *take(void *arg)
{
    int me = (int)(intptr_t)arg;
    sigset_t set;
    siginfo_t info;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (me % 2)
        pthread_sigmask(SIG_BLOCK, &set, NULL);
    tids[me] = gettid();
    pass(&ready);
    while (!atomic_load(&over))
        if (me % 2 == 0)
            sched_yield();
        else if (sigtimedwait(&set, &info, &(struct timespec){0, 1000000}) > 0)
            count(&info);
    return NULL;
}

// A full queue makes the sender try again: nothing is lost.
static void queue(pid_t process, pid_t thread, int value)
{
    siginfo_t info = {.si_code = SI_QUEUE, .si_value.sival_int = value};

    while (thread ? syscall(SYS_rt_tgsigqueueinfo, process, thread, SIGRTMIN, &info)
                  : syscall(SYS_rt_sigqueueinfo, process, SIGRTMIN, &info)) {
        if (errno != EAGAIN) {
            say("sending", "%s", errno_name(errno));
            _exit(1);
        }
        sched_yield();
    }
}

static void send_all(int me, pid_t to)
{
    for (int i = 0; i < EACH; i++) {
        queue(to, 0, me * EACH + i);
        queue(to, tids[me], TO_THREAD + me * EACH + i);
        kill(to, SIGUSR1);
    }
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    pthread_t threads[TAKERS];
    pid_t pids[SENDERS], self = getpid();
    sigset_t set;
    long n = 2 * TO_THREAD;

    ready = gate_make();
    sigaction(SIGRTMIN, &action, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_standard, .sa_flags = SA_RESTART},
              NULL);
    for (int i = 0; i < TAKERS; i++)
        pthread_create(&threads[i], NULL, take, (void *)(intptr_t)i);
    for (int i = 0; i < TAKERS; i++)
        wait_for_pass(&ready);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < SENDERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            send_all(i, self);
            _exit(0);
        }
    }
    for (int i = 0; i < SENDERS; i++)
        say_end((const char *[]){"sender 0", "sender 1", "sender 2", "sender 3"}[i], pids[i]);
    while (atomic_load(&taken) < n)
        sched_yield();
    atomic_store(&over, 1);
    for (int i = 0; i < TAKERS; i++)
        pthread_join(threads[i], NULL);
    sigpending(&set);
    say("left", "%d", sigismember(&set, SIGRTMIN));
    say("taken of those sent", "%d of %ld", atomic_load(&taken), n);
    YES("each value once", atomic_load(&sum) == n * (n - 1) / 2);
    say("out of order", "%d", atomic_load(&wrong_order));
    YES("standard signals came, and not more than were sent",
        standard > 0 && standard <= SENDERS * EACH);
    return 0;
}
