// SPDX-License-Identifier: MIT
// What a new program finds on its stack: strings, argv, envp and the auxiliary vector (getauxval(3), the RISC-V psABI).
#include "dev/random.h"
#include "lib/dt.h"
#include "mem/user.h"
#include "page/heap.h"
#include "task/exec_impl.h"

#include <string.h>

enum { AUX_MAX = 32 };

struct aux {
    uint64_t type, value;
};

// AT_HWCAP: a bit per single-letter extension that every hart has.
static uint64_t hwcap(void)
{
    static uint64_t bits;
    if (!bits)
        for (const char *c = "imafdcv"; *c; c++)
            bits |= dt_isa_has((char[2]){*c, 0}) ? 1ul << (*c - 'a') : 0;
    return bits;
}

static uint32_t build_aux(const struct exec *x, struct aux *a, va_t random, va_t execfn)
{
    const struct credentials *c = x->cred;
    const struct aux list[] = {
        {3, x->image.phdr},
        {4, x->image.phent},
        {5, x->image.phnum},
        {6, PAGE_SIZE},
        {7, x->image.base},
        {8, 0},
        {9, x->image.program_entry},
        {11, c->uid},
        {12, c->euid},
        {13, c->gid},
        {14, c->egid},
        {16, hwcap()},
        {17, 100},
        {23, exec_is_secure(c)},
        {25, random},
        {31, execfn},
        {33, x->image.vdso},
        // Size and geometry of the caches for instructions and data, and of levels 2 and 3: not known.
        {40, 0},
        {41, 0},
        {42, 0},
        {43, 0},
        {44, 0},
        {45, 0},
        {46, 0},
        {47, 0},
        {51, 1088}, // a signal frame: task/sigframe.c
        {0, 0},
    };
    _Static_assert(sizeof list / sizeof *list <= AUX_MAX, "auxiliary vector");
    memcpy(a, list, sizeof list);
    return sizeof list / sizeof *list;
}

// Lays out argc, argv, envp, auxv in *block for the strings at text_va. Returns its size.
static size_t build_vectors(const struct exec *x, uint64_t *block, va_t random, va_t execfn)
{
    const struct exec_args *a = &x->args;
    uint64_t *w = block;
    va_t at = x->text_va;
    const char *s = a->text;
    *w++ = a->argc;
    for (uint32_t i = 0; i < a->argc + a->envc; i++) {
        if (i == a->argc)
            *w++ = 0;
        *w++ = at;
        size_t n = strlen(s) + 1;
        s += n;
        at += n;
    }
    if (!a->envc)
        *w++ = 0;
    *w++ = 0;
    w += 2 * build_aux(x, (struct aux *)w, random, execfn);
    return (size_t)((char *)w - (char *)block);
}

static size_t vectors_size(const struct exec_args *a)
{
    return (3 + a->argc + a->envc) * 8 + AUX_MAX * sizeof(struct aux);
}

// From the top: 16 bytes zero, path, strings, random bytes, then vectors, sp 16-aligned.
ASYNC(exec_stack, long r; uint64_t *block; uint8_t random[16]; va_t path_va; va_t random_va;
      size_t size;)
{
    ASYNC_BEGIN(exec_stack);
    f->path_va = f->x->image.stack_top - 16 - strlen(f->x->path) - 1;
    f->x->text_va = f->path_va - f->x->args.used;
    f->random_va = (f->x->text_va - 16) & ~15ul;
    f->block = kmalloc(vectors_size(&f->x->args));
    if (!f->block)
        ASYNC_RETURN(-ENOMEM);
    random_bytes(f->random, sizeof f->random);
    f->size = build_vectors(f->x, f->block, f->random_va, f->path_va);
    f->x->sp = (f->random_va - f->size) & ~15ul;
    AWAIT(f->r, user_write, f->x->image.space, f->path_va, f->x->path, strlen(f->x->path) + 1);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, user_write, f->x->image.space, f->x->text_va, f->x->args.text, f->x->args.used);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, user_write, f->x->image.space, f->random_va, f->random, sizeof f->random);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, user_write, f->x->image.space, f->x->sp, f->block, f->size);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    kfree(f->block);
    ASYNC_END;
}
