// SPDX-License-Identifier: MIT
// The argument and environment strings of execve(2), gathered in the kernel before anything is given up.
#include "mem/user.h"
#include "page/heap.h"
#include "task/exec_impl.h"

#include <string.h>

// As Linux (bprm_stack_limits), which counts a pointer even where there is no argument.
static size_t pointers(const struct exec_args *a)
{
    return ((a->argc ? a->argc : 1) + (size_t)a->envc) * sizeof(va_t);
}

int args_room(struct exec_args *a, size_t more)
{
    if (a->used + pointers(a) + more > a->limit)
        return -E2BIG;
    if (a->used + more <= a->room)
        return 0;
    size_t room = a->room ? a->room * 2 : PAGE_SIZE;
    while (room < a->used + more)
        room *= 2;
    char *text = kmalloc(room);
    if (!text)
        return -ENOMEM;
    if (a->used)
        memcpy(text, a->text, a->used);
    kfree(a->text);
    a->text = text;
    a->room = room;
    return 0;
}

int args_append(struct exec_args *a, const char *s)
{
    size_t n = strlen(s) + 1;
    int e = args_room(a, n);
    if (!e) {
        memcpy(a->text + a->used, s, n);
        a->used += n;
    }
    return e;
}

int args_replace_first(struct exec_args *a, const char *s0, const char *s1, const char *s2)
{
    const char *s[3] = {s0, s1, s2};
    size_t cut = a->argc ? strlen(a->text) + 1 : 0, n = 0;
    for (int i = 0; i < 3; i++)
        n += s[i] ? strlen(s[i]) + 1 : 0;
    int e = args_room(a, n);
    if (e)
        return e;
    memmove(a->text + n, a->text + cut, a->used - cut);
    a->used += n - cut;
    a->argc -= a->argc != 0;
    char *to = a->text;
    for (int i = 0; i < 3; i++)
        if (s[i]) {
            to = stpcpy(to, s[i]) + 1;
            a->argc++;
        }
    return 0;
}

static size_t string_room(const struct exec_args *a)
{
    size_t n = a->room - a->used;
    return n < STRING_MAX ? n : STRING_MAX;
}

ASYNC(args_read, long r; uint64_t s;)
{
    ASYNC_BEGIN(args_read);
    for (*f->count = 0; f->vector; f->vector += 8) {
        AWAIT(f->r, user_read, t->thread->space, &f->s, f->vector, 8);
        if (f->r < 0 || !f->s)
            break;
        for (;;) {
            AWAIT(f->r, user_read_string, t->thread->space, f->a->text + f->a->used, f->s,
                  string_room(f->a));
            if (f->r != -ENAMETOOLONG)
                break;
            if (string_room(f->a) == STRING_MAX ||
                (f->r = args_room(f->a, f->a->room - f->a->used + 1))) {
                f->r = f->r == -ENOMEM ? -ENOMEM : -E2BIG;
                break;
            }
        }
        if (f->r < 0)
            break;
        f->a->used += (size_t)f->r + 1;
        ++*f->count;
        if ((f->r = args_room(f->a, 0)) < 0) // the room may be larger than the limit
            break;
    }
    ASYNC_RETURN(f->vector ? f->r : 0);
    ASYNC_FINALLY;
    ASYNC_END;
}
