// SPDX-License-Identifier: MIT
// Threads that do nothing but wait: `blocked [N]` parks N threads (1) in read of an empty pipe.
//
// The monitor shows where each of them waits; the bench divides the kernel memory by their number. A
// line on standard input, or its end, lets them go.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK 16384

static int gate[2];

static void *wait_at_gate(void *unused)
{
    char c;

    (void)unused;
    return read(gate[0], &c, 1) == 0 ? NULL : gate; // the end of the pipe is what it waits for
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1, started = 0, wrong = 0;
    pthread_t *threads = n > 0 ? calloc(n, sizeof *threads) : NULL;
    pthread_attr_t attr;
    char line[80];

    if (!threads || pipe(gate) < 0) {
        fprintf(stderr, "usage: blocked [threads]\n");
        return 2;
    }
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    for (; started < n; started++) {
        int error = pthread_create(&threads[started], &attr, wait_at_gate, NULL);
        if (error) {
            printf("blocked: thread %d: %s\n", started, strerror(error));
            break;
        }
    }
    printf("blocked: pid %d, %d threads\n", getpid(), started);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        line[0] = 0;
    close(gate[1]);
    for (int i = 0; i < started; i++) {
        void *result;
        wrong += pthread_join(threads[i], &result) != 0 || result != NULL;
    }
    printf("blocked: all joined, %d wrong\n", wrong);
    return wrong != 0 || started < n;
}
