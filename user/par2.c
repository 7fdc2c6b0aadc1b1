// SPDX-License-Identifier: MIT
// What a second hart is worth in real time: `par2` runs a bare loop, getppid, and a pipe to itself, each in one process and
// in two at once, and prints how much more two get done, the kernel's rows also as a share of the loop's.
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MS = 100, ROUNDS = 15 };

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void loop(void)
{
    for (volatile int i = 0; i < 20000; i++)
        ;
}

static void call(void)
{
    for (int i = 0; i < 200; i++)
        syscall(SYS_getppid);
}

static int self[2];

static void pipe_self(void)
{
    char c = 'x';

    for (int i = 0; i < 50; i++)
        if (write(self[1], &c, 1) != 1 || read(self[0], &c, 1) != 1)
            _exit(1);
}

// How often work is done in MS by n processes together.
static double done_by(int n, void (*work)(void))
{
    volatile uint64_t *done =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double sum = 0;

    for (int i = 0; i < n; i++)
        if (fork() == 0) {
            if (pipe(self))
                _exit(1);
            for (double end = seconds() + MS / 1e3; seconds() < end;) {
                work();
                done[i * 8]++;
            }
            _exit(0);
        }
    for (int i = 0; i < n; i++)
        wait(NULL);
    for (int i = 0; i < n; i++)
        sum += (double)done[i * 8];
    munmap((void *)done, 4096);
    return sum;
}

static double median(double *v)
{
    for (int i = 1; i < ROUNDS; i++)
        for (int k = i; k > 0 && v[k] < v[k - 1]; k--) {
            double x = v[k];
            v[k] = v[k - 1];
            v[k - 1] = x;
        }
    return v[ROUNDS / 2];
}

int main(void)
{
    static const struct {
        const char *name;
        void (*work)(void);
    } row[] = {{"loop", loop}, {"getppid", call}, {"pipe", pipe_self}};
    double gain[3][ROUNDS];

    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < 3; i++)
            gain[i][r] = done_by(2, row[i].work) / done_by(1, row[i].work);
    for (int i = 0; i < 3; i++) {
        double m = median(gain[i]);
        printf("par2: %s %.2f times as much with two, %.2f of the loop's\n", row[i].name, m,
               m / median(gain[0]));
    }
    return 0;
}
