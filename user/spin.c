// SPDX-License-Identifier: MIT
// Keeps harts busy in user mode: `spin [N]` runs N threads (1) that only count, until killed.
//
// The counters are in one page whose address is printed, so that the monitor can watch them move.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST 64

static volatile uint64_t counters[MOST] __attribute__((aligned(4096)));

static void *spin(void *counter)
{
    for (volatile uint64_t *c = counter;; ++*c)
        ;
    return NULL;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t thread;

    if (n < 1 || n > MOST) {
        fprintf(stderr, "usage: spin [1-%d]\n", MOST);
        return 2;
    }
    printf("spin: pid %d, %d threads, counters at %p\n", getpid(), n, (void *)counters);
    fflush(stdout);
    for (int i = 1; i < n; i++) {
        if (pthread_create(&thread, NULL, spin, (void *)&counters[i])) {
            perror("spin: pthread_create");
            return 1;
        }
    }
    spin((void *)&counters[0]);
}
