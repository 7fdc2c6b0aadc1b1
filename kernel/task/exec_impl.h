// SPDX-License-Identifier: MIT
// What exec.c, exec_args.c and exec_stack.c share: a program that is about to take its caller's place.
#pragma once

#include "fs/abi.h"
#include "task/exec.h"
#include "task/process.h"

enum { STRING_MAX = 131072, ARGS_MAX = 2 << 20, SCRIPT_DEPTH = 5, SCRIPT_LINE = 256 };

// Argument and environment strings, one after the other, growing by doubling.
struct exec_args {
    char *text;
    size_t used, room, limit;
    uint32_t argc, envc;
};

struct exec {
    struct exec_args args;
    char path[PATH_MAX]; // of the file that is loaded at last
    char line[SCRIPT_LINE + 1];
    struct file *file;
    struct credentials *cred; // whom the program will run as
    struct image image;
    va_t sp;
    va_t text_va; // where args.text will be
};

// Makes room for `more` bytes of text, which with the pointers to what is counted already may reach a->limit. 0, -E2BIG
// (it would be more), -ENOMEM.
int args_room(struct exec_args *a, size_t more);
// Copies one string in; the caller counts it. Errors as above.
int args_append(struct exec_args *a, const char *s);
// Replaces argv[0] by up to three strings (NULL: left out). Errors as above.
int args_replace_first(struct exec_args *a, const char *s0, const char *s1, const char *s2);
// Appends a NULL-terminated vector of string pointers in the caller's memory (NULL: an empty one); *count becomes its length.
// 0, -E2BIG, -ENOMEM, -EFAULT, -EINTR.
ASYNC_DECL(args_read, struct exec_args *a; va_t vector; uint32_t *count;);

// Lays out path, strings, auxv and vectors at the top of the new image's stack; x->sp and x->text_va become known.
// 0, -ENOMEM, -EINTR.
ASYNC_DECL(exec_stack, struct exec *x;);

// It has rights that its real user and group have not.
static inline bool exec_is_secure(const struct credentials *c)
{
    return c->uid != c->euid || c->gid != c->egid;
}
