// SPDX-License-Identifier: MIT
// eventfd: the counter and the semaphore, what is refused, who waits, and what poll says.
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define FULL (UINT64_MAX - 1)

static long put(int fd, uint64_t n)
{
    return write(fd, &n, sizeof n);
}

static void poll_shows(const char *key, int fd)
{
    struct pollfd p = {.fd = fd, .events = 0x3ff};
    int n = poll(&p, 1, 0);

    say(key, "%d 0x%x", n, p.revents);
}

static void test_making(void)
{
    int fd;

    VALUE("unknown flags", syscall(SYS_eventfd2, 0, 2));
    VALUE("more unknown flags", syscall(SYS_eventfd2, 0, O_APPEND));
    OK("an eventfd", fd = eventfd(0, 0));
    VALUE("its access mode", fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    VALUE("stays open on exec", fcntl(fd, F_GETFD));
    close(fd);
    OK("one with flags", fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    VALUE("its flags", fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    VALUE("closes on exec", fcntl(fd, F_GETFD));
    close(fd);
    fd = eventfd(UINT32_MAX, 0);
    say_count("the largest start", fd);
    close(fd);
}

static void test_place(void)
{
    int fd = eventfd(0, 0), other = eventfd(0, 0), reopened;
    struct stat a, b;
    char path[40], text[64] = "", byte;

    OK("fstat", fstat(fd, &a));
    fstat(other, &b);
    say("mode and size", "0%o %ld, %lu links", a.st_mode, (long)a.st_size,
        (unsigned long)a.st_nlink);
    YES("all are one inode", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    OK("readlink", readlink(path, text, sizeof text - 1));
    say("its name", "%s", text);
    VALUE("open it again", reopened = open(path, O_RDWR));
    VALUE("pread", pread(fd, &byte, 1, 0));
    VALUE("ftruncate", ftruncate(fd, 0));
    close(fd);
    close(other);
}

static void test_counter(void)
{
    int fd = eventfd(3, EFD_NONBLOCK);
    uint64_t three[3] = {1, 2, 3};
    struct iovec halves[2] = {{three, 4}, {(char *)three + 4, 4}};

    say_count("the start", fd);
    say_count("then nothing", fd);
    VALUE("write 5", put(fd, 5));
    VALUE("write 7", put(fd, 7));
    say_count("their sum", fd);
    VALUE("write 0", put(fd, 0));
    say_count("adds nothing", fd);
    VALUE("write the largest", put(fd, FULL));
    VALUE("one more", put(fd, 1));
    VALUE("none more", put(fd, 0));
    say_count("the largest", fd);
    VALUE("write what is no count", put(fd, UINT64_MAX));
    VALUE("short write", write(fd, three, 7));
    VALUE("short read", read(fd, three, 7));
    VALUE("long write", write(fd, three, sizeof three));
    VALUE("long read", read(fd, three, sizeof three));
    say("is of one word", "%lu %lu", three[0], three[1]);
    VALUE("write from nowhere", syscall(SYS_write, fd, 8, 8));
    VALUE("write in halves", writev(fd, halves, 2));
    VALUE("read in halves", readv(fd, halves, 2));
    say("the halves", "%lu", three[0]);
    close(fd);
}

// A vector is as many writes; a value is written whole or not at all.
static void test_vectors(void)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t value[3] = {1, 2, 3}, wrong[3] = {4, UINT64_MAX, 5}, full[2] = {FULL - 1, 2};
    struct iovec three[3] = {{value, 8}, {value + 1, 8}, {value + 2, 8}};
    struct iovec middle[3] = {{wrong, 8}, {wrong + 1, 8}, {wrong + 2, 8}};
    struct iovec longer[2] = {{value, 8}, {value + 1, 4}},
                 nowhere[2] = {{value, 8}, {(void *)8, 8}};
    struct iovec over[2] = {{full, 8}, {full + 1, 8}};
    char *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    VALUE("three values", writev(fd, three, 3));
    say_count("their sum as a vector", fd);
    VALUE("what is no count in the middle", writev(fd, middle, 3));
    say_count("the one before it", fd);
    VALUE("a value and a half", writev(fd, longer, 2));
    say_count("the whole one", fd);
    VALUE("a value and nowhere", writev(fd, nowhere, 2));
    say_count("the value", fd);
    VALUE("a value that fits and one that does not", writev(fd, over, 2));
    say_count("the one that does", fd);
    VALUE("a vector of none", writev(fd, three, 0));
    munmap(two + PAGE, PAGE);
    VALUE("half a value, then nowhere", write(fd, two + PAGE - 4, 8));
    VALUE("the same as a vector", writev(fd, &(struct iovec){two + PAGE - 4, 8}, 1));
    say_count("nothing of it", fd);
    close(fd);
}

static void test_semaphore(void)
{
    int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);

    say_count("one", fd);
    say_count("another", fd);
    say_count("no third", fd);
    VALUE("write 3 to a semaphore", put(fd, 3));
    say_count("one of three", fd);
    poll_shows("poll with some left", fd);
    close(fd);
}

static void test_poll(void)
{
    int fd = eventfd(0, EFD_NONBLOCK);

    poll_shows("poll 0", fd);
    put(fd, 1);
    poll_shows("poll 1", fd);
    put(fd, FULL - 1);
    poll_shows("poll full", fd);
    get_count(fd);
    pid_t pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        _exit(put(fd, 1) != 8);
    }
    struct pollfd p = {.fd = fd, .events = POLLIN};
    VALUE("poll until it is written", poll(&p, 1, -1));
    say("it shows", "0x%x", p.revents);
    say_end("its writer", pid);
    get_count(fd);
    put(fd, FULL);
    pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        _exit(get_count(fd) != FULL);
    }
    p.events = POLLOUT;
    VALUE("poll until it is read", poll(&p, 1, -1));
    say("then shows", "0x%x", p.revents);
    say_end("its reader", pid);
    close(fd);
}

static void nothing(int sig)
{
    (void)sig;
}

static void test_waits(void)
{
    int fd = eventfd(0, 0), sem = eventfd(0, EFD_SEMAPHORE), total = 0, status;
    pid_t pid = fork(), readers[4];

    if (pid == 0) {
        until_state(getppid(), 'S');
        _exit(put(fd, 9) != 8);
    }
    say_count("a read waits for a write", fd);
    say_end("who wrote", pid);

    put(fd, FULL - 1);
    pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        _exit(get_count(fd) != FULL - 1);
    }
    VALUE("a write waits for a read", put(fd, 2));
    say_end("who read", pid);
    say_count("what was written then", fd);

    for (int i = 0; i < 4; i++)
        if ((readers[i] = fork()) == 0)
            _exit(get_count(sem) == 1 ? 1 : 100);
    for (int i = 0; i < 4; i++)
        until_state(readers[i], 'S');
    VALUE("a write for four readers", put(sem, 4));
    for (int i = 0; i < 4; i++) {
        waitpid(readers[i], &status, 0);
        total += WEXITSTATUS(status);
    }
    VALUE("each got one", total);

    for (int i = 0; i < 3; i++)
        if ((readers[i] = fork()) == 0)
            _exit(get_count(sem) == 1 ? 0 : 100);
    for (int i = 0; i < 3; i++)
        until_state(readers[i], 'S');
    kill(readers[0], SIGKILL);
    put(sem, 1);
    say_end("a reader is killed", readers[0]);
    put(sem, 1);
    say_end("the second reads", readers[1]);
    say_end("the third reads", readers[2]);
    close(fd);
    close(sem);
}

static void test_signals(void)
{
    int fd = eventfd(0, 0);
    struct sigaction action = {.sa_handler = nothing};

    sigaction(SIGUSR1, &action, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        _exit(kill(getppid(), SIGUSR1) != 0);
    }
    say_count("a read that a signal ends", fd);
    say_end("who signalled", pid);
    put(fd, FULL);
    pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        _exit(kill(getppid(), SIGUSR1) != 0);
    }
    VALUE("a write that a signal ends", put(fd, 1));
    say_end("who signalled again", pid);
    get_count(fd);

    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        kill(getppid(), SIGUSR1);
        until_state(getppid(), 'S');
        _exit(put(fd, 6) != 8);
    }
    say_count("a read that is restarted", fd);
    say_end("who signalled and wrote", pid);
    close(fd);
}

enum { ROUNDS = 2000, WRITERS = 3 };

static void *writer(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        put(*(int *)arg, 1);
    return arg;
}

static void test_threads(void)
{
    int fd = eventfd(0, 0), sem = eventfd(0, EFD_SEMAPHORE);
    pthread_t thread[WRITERS];
    uint64_t sum = 0;

    for (int i = 0; i < WRITERS; i++)
        pthread_create(&thread[i], NULL, writer, &fd);
    while (sum < WRITERS * ROUNDS)
        sum += get_count(fd);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(thread[i], NULL);
    say("what threads write is read once", "%lu", sum);
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&thread[i], NULL, writer, &sem);
    for (sum = 0; sum < WRITERS * ROUNDS;)
        sum += get_count(sem);
    say("one by one", "%lu", sum);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(thread[i], NULL);
    fcntl(sem, F_SETFL, O_NONBLOCK);
    say_count("and no more", sem);
}

int main(void)
{
    test_making();
    test_place();
    test_counter();
    test_vectors();
    test_semaphore();
    test_poll();
    test_waits();
    test_signals();
    test_threads();
    return 0;
}
