// SPDX-License-Identifier: MIT
// The smallest useful program: prints its arguments, so that a boot test sees exec, argv and the console.
#include <stdio.h>

int main(int argc, char **argv)
{
    printf("hello");
    for (int i = 1; i < argc; i++)
        printf(" %s", argv[i]);
    printf("\n");
    return 0;
}
