// SPDX-License-Identifier: MIT
// mprotect over a range with a hole: ENOMEM, and what lies behind the hole is as it was.
//
// Linux changes what lies before the hole, Tidepool, which validates first, nothing; POSIX allows both. It
// stands alone because qemu-user loops on the first access afterwards.
#include "abi.h"
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf after_fault;

static void on_fault(int sig)
{
    siglongjmp(after_fault, sig);
}

static int is_writable(volatile uint8_t *p)
{
    if (sigsetjmp(after_fault, 1) != 0)
        return 0;
    *p = 1;
    return 1;
}

int main(void)
{
    uint8_t *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char map[4] = "";

    signal(SIGSEGV, on_fault);
    memset(p, 1, 8 * PAGE);
    OK("make a hole", munmap(p + 4 * PAGE, PAGE));
    VALUE("protect over the hole", mprotect(p, 8 * PAGE, PROT_READ));
    for (int i = 0; i < 3; i++)
        map[i] = is_writable(p + (5 + i) * PAGE) ? 'w' : '.';
    say("writable behind the hole", "%s", map);
    VALUE("protect a range without anything", mprotect(p + 4 * PAGE, PAGE, PROT_READ));
    return 0;
}
