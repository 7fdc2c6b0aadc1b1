// SPDX-License-Identifier: MIT
// Appends to a file page by page while other threads write it back all the time: `append FILE KIB`. Then
// `append -c FILE KIB`, once the file is read from the disk again, checks that no byte was left out.
//
// A page that is written back between the moment it changes and the moment the file grows over the change must
// not count as clean.
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SYNCERS = 2, PAGE = 4096, DELAY = 3000 };

static int fd;
static atomic_bool over;
static atomic_uint begun;

// The byte at `pos` of the file, never zero.
static char byte_at(size_t pos)
{
    uint64_t x = pos * 0x9e3779b97f4a7c15;
    return (char)(x >> 56 | 1);
}

static void *sync_always(void *arg)
{
    for (; !over; begun++)
        if (fdatasync(fd))
            arg = "fdatasync";
    return arg;
}

static int check(size_t size)
{
    size_t pos = 0, wrong = 0;
    static char buf[4096];
    for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0; pos += (size_t)n)
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != byte_at(pos + (size_t)i) && wrong++ < 4)
                printf("append: byte %zu is %d, not %d\n", pos + (size_t)i, buf[i],
                       byte_at(pos + (size_t)i));
    if (pos != size)
        printf("append: %zu bytes, not %zu\n", pos, size);
    printf("append: %zu bytes wrong\n", wrong);
    return pos != size || wrong;
}

int main(int argc, char **argv)
{
    int checks = argc > 1 && !strcmp(argv[1], "-c");
    if (argc != 3 + checks)
        return 2;
    size_t size = strtoul(argv[2 + checks], NULL, 0) << 10;
    fd = open(argv[1 + checks], checks ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) {
        perror("open");
        return 1;
    }
    if (checks)
        return check(size);
    pthread_t syncer[SYNCERS];
    for (int i = 0; i < SYNCERS; i++)
        if (pthread_create(&syncer[i], NULL, sync_always, NULL))
            return 1;
    static char page[PAGE];
    unsigned seed = 1;
    for (size_t pos = 0; pos < size; pos += PAGE) {
        for (size_t i = 0; i < PAGE; i++)
            page[i] = byte_at(pos + i);
        // At about the time when a thread goes looking for what is to be written.
        for (unsigned was = begun; begun == was;)
            ;
        for (unsigned i = rand_r(&seed) % DELAY; i && begun; i--)
            ;
        if (write(fd, page, PAGE) != PAGE) {
            perror("write");
            return 1;
        }
    }
    over = true;
    int bad = 0;
    for (int i = 0; i < SYNCERS; i++) {
        void *failed;
        pthread_join(syncer[i], &failed);
        bad |= failed != NULL;
    }
    return bad;
}
