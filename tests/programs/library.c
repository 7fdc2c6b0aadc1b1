// SPDX-License-Identifier: MIT
// The shared object probe.c is linked with: a constructor, thread-local data, a call back into libc.
#include <stdlib.h>

__thread int library_local = 7;
static int value;

static __attribute__((constructor)) void construct(void)
{
    value = atoi("1234");
}

int library_value(void)
{
    return value + library_local;
}
