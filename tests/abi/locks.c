// SPDX-License-Identifier: MIT
// fcntl locks: ranges, who has them, when they go; and a descriptor that is closed while its lock is waited for.
#include "abi.h"
#include <pthread.h>
#include <sys/mman.h>

static struct flock range(int type, long start, long len)
{
    return (struct flock){
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static int lock(int fd, int how, int type, long start, long len)
{
    struct flock l = range(type, start, len);
    return fcntl(fd, how, &l);
}

// What is in the way of another process that wants to write the range: a child asks.
static void say_blocker(const char *key, const char *file, long start, long len)
{
    pid_t owner = getpid(), pid = fork();

    if (pid == 0) {
        int fd = open(file, O_RDWR);
        struct flock l = range(F_WRLCK, start, len);
        fcntl(fd, F_GETLK, &l);
        if (l.l_type == F_UNLCK)
            say(key, "nothing");
        else
            say(key, "%s lock, %ld and %ld bytes, %s", l.l_type == F_RDLCK ? "read" : "write",
                (long)l.l_start, (long)l.l_len, l.l_pid == owner ? "mine" : "not mine");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void test_ranges(void)
{
    int fd = open("ranges", O_RDWR | O_CREAT, 0644), again;
    OK("a write lock", lock(fd, F_SETLK, F_WRLCK, 10, 20));
    say_blocker("it is seen", "ranges", 0, 100);
    say_blocker("before it is nothing", "ranges", 0, 10);
    OK("a hole in it", lock(fd, F_SETLK, F_UNLCK, 15, 5));
    say_blocker("the hole", "ranges", 15, 5);
    say_blocker("behind the hole", "ranges", 15, 50);
    OK("to the end, wherever that is", lock(fd, F_SETLK, F_RDLCK, 40, 0));
    say_blocker("to the end", "ranges", 1000000, 1);
    VALUE("before the beginning", lock(fd, F_SETLK, F_WRLCK, -1, 1));
    VALUE("an odd type", lock(fd, F_SETLK, 9, 0, 1));
    VALUE("no descriptor", lock(999, F_SETLK, F_WRLCK, 0, 1));
    again = open("ranges", O_RDONLY);
    VALUE("to write, where one only reads", lock(again, F_SETLK, F_WRLCK, 0, 1));
    close(again);
    say_blocker("any close of the file lets all go", "ranges", 0, 0);
    close(fd);
}

// ---- a close meanwhile

static int contended, seen[2], go[2];

static void *close_it(void *unused)
{
    char c;

    read(seen[0], &c, 1);
    close(contended);
    close(go[1]); // the child goes, and its lock
    return unused;
}

static void hold_it(volatile int *wants)
{
    char c;

    close(go[1]);
    lock(contended, F_SETLK, F_WRLCK, 0, 1);
    *wants = 0;
    while (!*wants)
        ;
    until_state(getppid(), 'S');
    write(seen[1], "!", 1);
    read(go[0], &c, 1);
    _exit(0);
}

// The lock is had when the descriptor is closed already: nobody could ever let it go.
static void test_close_meanwhile(void)
{
    volatile int *wants =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;

    contended = open("contended", O_RDWR | O_CREAT, 0644);
    OK("pipes", pipe(go) | pipe(seen));
    *wants = -1;
    pid_t pid = fork();
    if (pid == 0)
        hold_it(wants);
    pthread_create(&thread, NULL, close_it, NULL);
    while (*wants)
        ;
    *wants = 1;
    VALUE("closed while it was waited for", lock(contended, F_SETLKW, F_WRLCK, 0, 1));
    pthread_join(thread, NULL);
    waitpid(pid, NULL, 0);
    say_blocker("nobody has it", "contended", 0, 1);
}

int main(void)
{
    test_ranges();
    test_close_meanwhile();
    return 0;
}
