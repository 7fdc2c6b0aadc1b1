// SPDX-License-Identifier: MIT
// Threads: creation and joining, thread-local storage, group exit, exec and signals with several of them, and what
// the siblings of one that waits in a call may do.
#include "abi.h"
#include <pthread.h>
#include <sys/mman.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int counter, turn;
static __thread int mine = 5;
static char self[4096];

static void *add(void *times)
{
    for (long i = 0; i < (long)times; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        mine++;
    }
    return (void *)(long)mine;
}

static void *take_turns(void *number)
{
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&lock);
        while (turn % 4 != (long)number)
            pthread_cond_wait(&changed, &lock);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void test_join(void)
{
    pthread_t threads[8];
    long sum = 0;
    void *result;

    for (int i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, add, (void *)1000L))
            say("harness", "pthread_create");
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    say("counted", "%d, thread-local %ld, here %d", counter, sum, mine);
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_turns, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    say("turns", "%d", turn);
}

static void *show_ids(void *leader)
{
    YES("same pid", getpid() == (pid_t)(long)leader);
    YES("another tid", gettid() != (pid_t)(long)leader);
    VALUE("its signal is its own", syscall(SYS_tgkill, getpid(), gettid(), 0));
    return NULL;
}

static void *exit_all(void *unused)
{
    (void)unused;
    _exit(7);
}

static void *exit_late(void *unused)
{
    (void)unused;
    for (int i = 0; i < 50; i++)
        sched_yield();
    exit(8);
}

static void *run_again(void *part)
{
    char *const argv[] = {self, part, NULL};

    execv(self, argv);
    _exit(98);
}

static void *block_forever(void *unused)
{
    pause();
    return unused;
}

static void *fault(void *unused)
{
    static volatile int *volatile nowhere = (int *)0x10;

    *nowhere = 1;
    return unused;
}

static void test_ends(void)
{
    pthread_t thread;

    CHILD("exit_group by another thread", pthread_create(&thread, NULL, exit_all, NULL);
          for (;;) pause());
    CHILD("leader leaves first", pthread_create(&thread, NULL, exit_late, NULL);
          syscall(SYS_exit, 3));
    CHILD("last thread's code is the leader's", syscall(SYS_exit, 4));
    CHILD("return with a blocked thread", pthread_create(&thread, NULL, block_forever, NULL);
          exit(9));
    CHILD("fault of one kills all", pthread_create(&thread, NULL, fault, NULL); for (;;) pause());
    CHILD("SIGKILL kills all", pthread_create(&thread, NULL, block_forever, NULL);
          kill(getpid(), SIGKILL); for (;;) pause());
    CHILD("exec by another thread", pthread_create(&thread, NULL, run_again, "another's program");
          for (;;) pause());
    CHILD("exec by the leader", pthread_create(&thread, NULL, block_forever, NULL);
          run_again("the leader's program"));
}

static volatile int handled_by, handled;

static void on_signal(int sig)
{
    (void)sig;
    handled_by = gettid();
    handled = 1;
}

static void *wait_for_signal(void *tid)
{
    sigset_t none;

    sigemptyset(&none);
    *(volatile int *)tid = gettid();
    while (!handled)
        sched_yield();
    return NULL;
}

static void test_signals(void)
{
    pthread_t thread;
    sigset_t usr1, before;
    volatile int tid = 0;

    signal(SIGUSR1, on_signal);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_create(&thread, NULL, wait_for_signal, (void *)&tid);
    while (!tid)
        sched_yield();
    pthread_sigmask(SIG_BLOCK, &usr1, &before);
    kill(getpid(), SIGUSR1);
    pthread_join(thread, NULL);
    YES("a process's signal goes to who does not block it", handled_by == tid);
    handled = 0;
    syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
    say("a thread's signal waits for that thread", "%d", handled);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    YES("and finds it", handled && handled_by == gettid());
}

static int raw_thread(void *word)
{
    *(volatile int *)word = gettid();
    syscall(SYS_exit, 0);
    return 0;
}

// clone as the C library uses it, but by hand: the kernel writes and clears the tid words.
static void test_raw(void)
{
    static volatile int parent_tid, child_tid = -1, seen;
    size_t size = 64 << 10;
    char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    int tid = clone(raw_thread, stack + size, flags, (void *)&seen, &parent_tid, NULL, &child_tid);
    YES("clone", tid > 0);
    YES("PARENT_SETTID", parent_tid == tid);
    for (int now; (now = child_tid) != 0;)
        syscall(SYS_futex, &child_tid, 0, now, NULL, NULL, 0);
    YES("CHILD_CLEARTID wakes", child_tid == 0);
    YES("it ran", seen == tid);
    VALUE("wait does not see threads", waitpid(tid, NULL, __WALL));
    YES("set_tid_address", syscall(SYS_set_tid_address, &child_tid) == gettid());
}

// ---- while a thread waits in a call with a buffer, its siblings do whatever they like

enum { FLOW = 1 << 20 };
static int channel[2];
static volatile pid_t caller;

static void *read_all(void *buffer)
{
    long have = 0;

    caller = gettid();
    for (long n; (n = read(channel[0], (char *)buffer + have, FLOW - have)) > 0;)
        have += n;
    return (void *)have;
}

static void *write_all(void *buffer)
{
    caller = gettid();
    long have = 0; // a reference that forks may cut a write short
    for (long n; have < FLOW && (n = write(channel[1], (char *)buffer + have, FLOW - have)) > 0;)
        have += n;
    close(channel[1]);
    return (void *)have;
}

static void *untouched(void)
{
    return mmap(NULL, FLOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void use_memory(const char *key)
{
    char *p = untouched();

    p[FLOW / 2] = 1;
    int r = mprotect(p, PAGE, PROT_READ) | munmap(p + PAGE, FLOW - PAGE) | munmap(p, PAGE);
    YES(key, r == 0);
}

static void start_caller(pthread_t *thread, void *(*call)(void *))
{
    caller = 0;
    pthread_create(thread, NULL, call, untouched());
    while (!caller)
        sched_yield();
    until_state(caller, 'S');
}

// Both buffers are pages that nobody has touched, so that the calls fault them in on their way.
static void test_siblings(void)
{
    pthread_t first, second;
    void *result;

    if (pipe(channel) < 0)
        return;
    start_caller(&first, read_all);
    use_memory("siblings of a reader");
    CHILD("child of a reader's sibling", _exit(3));
    pthread_create(&second, NULL, write_all, untouched());
    pthread_join(second, &result);
    YES("a pipe between two threads takes all", (long)result == FLOW);
    pthread_join(first, &result);
    YES("and gives all", (long)result == FLOW);
    close(channel[0]);
    if (pipe(channel) < 0)
        return;
    start_caller(&first, write_all);
    use_memory("siblings of a writer");
    CHILD("child of a writer's sibling", _exit(3));
    read_all(untouched());
    pthread_join(first, &result);
    YES("all is written", (long)result == FLOW);
    close(channel[0]);
}

int main(int argc, char **argv)
{
    pthread_t thread;

    if (argc > 1) {
        YES(argv[1], getpid() == gettid());
        return 10;
    }
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        say("harness", "no /proc/self/exe");
    test_join();
    pthread_create(&thread, NULL, show_ids, (void *)(long)getpid());
    pthread_join(thread, NULL);
    test_signals();
    test_raw();
    test_siblings();
    test_ends();
    return 0;
}
