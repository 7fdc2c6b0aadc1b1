// SPDX-License-Identifier: MIT
// Async functions in C: a task is a stack of frames, a frame is a struct.
//
// An async function returns long: >= 0 a value, < 0 a negative errno. Only what is in its frame
// (f->...) survives an AWAIT. The resume point is a pointer to a static await point, so program
// counter and debug information are one word, and an async backtrace costs nothing.
//
//     ASYNC_DECL(pipe_read, struct pipe *p; char *dst; size_t n;);      // in the header
//
//     ASYNC(pipe_read, struct waiter w; long r;)                        // in the .c file
//     {
//         ASYNC_BEGIN(pipe_read);
//         AWAIT(f->r, other, f->p, 3);
//         ASYNC_RETURN(f->r);
//         ASYNC_FINALLY;              // once on every way out: return, error, cancel, deadline
//         ASYNC_END;                  // FINALLY cannot await and cannot return
//     }
//
// An AWAIT runs the callee at once, as a C call; only when the callee suspends does the chain
// return to the executor, which later resumes the leaf directly: resuming costs the same at any
// depth. With ASYNC_CHECKED resume points are case labels, so that misuse (an initialised local
// that crosses an AWAIT, an AWAIT inside a nested switch) does not compile; otherwise they are
// label addresses. Both spellings accept the same programs.
#pragma once

#include "arch/types.h"
#include "lib/errno.h"
#include "lib/hard.h"
#include "lib/lock_order.h"
#include "lib/set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct task;
struct frame;

enum poll_how { POLL_DONE, POLL_PENDING, POLL_YIELD };
typedef struct {
    enum poll_how how;
} poll_t; // a struct, so that `return f->n;` does not compile

typedef poll_t async_resume(struct task *t, struct frame *frame);

// One per async function, in .rodata.
struct async_fn {
    const char *name, *file;
    async_resume *resume;
    uint32_t line, size; // size: bytes of the frame, header included, rounded up to 16
    int64_t *depth;      // async_depth() once computed, else 0
};

// An interface: the type of calls through a pointer. Implementations are in set async_impls.
struct async_iface {
    const char *name;
    uint64_t args_size;
};
struct async_impl {
    const struct async_iface *iface;
    const struct async_fn *fn;
};
SET_DECLARE(async_impls, struct async_impl);

// One per AWAIT and SUSPEND. `callee` or `iface` name whom it awaits; neither: a leaf wait.
struct await_point {
    const struct async_fn *const *fn; // the function that contains it
    const char *what;                 // callee's name, or what the leaf waits for
    const struct async_fn *callee;
    const struct async_iface *iface;
    uint64_t pc;
    uint64_t line;
};
SET_DECLARE(await_points, struct await_point);
extern const struct await_point async_entry, async_unwound;

// Every frame starts with one: 24 bytes.
struct frame {
    struct frame *parent;
    const struct async_fn *fn;
    const struct await_point *at;
};

#include "async/task.h"

// ---- declaring

#define ASYNC_DECL(name, args)                                                                     \
    struct name##_args {                                                                           \
        args                                                                                       \
    };                                                                                             \
    async_resume name;                                                                             \
    extern const struct async_fn name##_fn

#define ASYNC(name, locals)                                                                        \
    struct name##_frame {                                                                          \
        struct frame hdr;                                                                          \
        struct name##_args;                                                                        \
        locals                                                                                     \
    };                                                                                             \
    _Static_assert(_Alignof(struct name##_args) <= 8, #name ": arguments follow the header");      \
    static int64_t name##_depth;                                                                   \
    const struct async_fn name##_fn = {                                                            \
        #name, __FILE__, name, __LINE__, ASYNC_FRAME_SIZE_(name), &name##_depth};                  \
    poll_t name(struct task *t, struct frame *frame_)

// A call through a pointer: `struct vnode_ops { const struct async_fn *read; }` holds &fat_read_fn.
// ASYNC_IMPL defines fat_read with the arguments of the interface.
#define ASYNC_IFACE(name, args)                                                                    \
    struct name##_args {                                                                           \
        args                                                                                       \
    };                                                                                             \
    extern const struct async_iface name##_iface
#define ASYNC_IFACE_DEFINE(name)                                                                   \
    const struct async_iface name##_iface = {#name, sizeof(struct name##_args)}
#define ASYNC_FRAME_SIZE_(name) ((sizeof(struct name##_frame) + 15) & ~15ul)
#define ASYNC_IMPL_DECL(fn)                                                                        \
    async_resume fn;                                                                               \
    extern const struct async_fn fn##_fn
#define ASYNC_IMPL(fn_name, iface_name, locals)                                                    \
    struct fn_name##_frame {                                                                       \
        struct frame hdr;                                                                          \
        struct iface_name##_args;                                                                  \
        locals                                                                                     \
    };                                                                                             \
    _Static_assert(_Alignof(struct iface_name##_args) <= 8, #fn_name ": argument alignment");      \
    ASYNC_IMPL_DECL(fn_name);                                                                      \
    static int64_t fn_name##_depth;                                                                \
    const struct async_fn fn_name##_fn = {                                                         \
        #fn_name, __FILE__, fn_name, __LINE__, ASYNC_FRAME_SIZE_(fn_name), &fn_name##_depth};      \
    SET_ITEM(async_impls, struct async_impl, fn_name##_impl) = {&iface_name##_iface,               \
                                                                &fn_name##_fn};                    \
    poll_t fn_name(struct task *t, struct frame *frame_)

// ---- bodies

#define ASYNC_CAT_(a, b) a##b
#define ASYNC_CAT(a, b)  ASYNC_CAT_(a, b)

#ifdef ASYNC_CHECKED
// A tagged 64-bit case label: an AWAIT inside a nested 32-bit switch overflows and does not compile.
#define ASYNC_PC_(id)       (0xA5E0000000000000u + (uint64_t)(id))
#define ASYNC_PC_VALUE_(id) ASYNC_PC_((id) + 2)
#define ASYNC_LABEL_(id)    case ASYNC_PC_((id) + 2)
#define ASYNC_FALL_         __attribute__((fallthrough));
#define ASYNC_DISPATCH_                                                                            \
    switch (f->hdr.at->pc) {                                                                       \
    default:                                                                                       \
        async_bad_pc(t, frame_);                                                                   \
    case ASYNC_PC_(1):                                                                             \
        goto finally_;                                                                             \
    case ASYNC_PC_(0):
#define ASYNC_PC_ENTRY_  ASYNC_PC_(0)
#define ASYNC_PC_UNWIND_ ASYNC_PC_(1)
#else
#define ASYNC_PC_VALUE_(id) ((uint64_t) && ASYNC_CAT(resume_, id))
#define ASYNC_LABEL_(id)    ASYNC_CAT(resume_, id)
#define ASYNC_FALL_
#define ASYNC_DISPATCH_                                                                            \
    (void)&&finally_; /* clang wants a label's address wherever there is an indirect goto */       \
    if (f->hdr.at->pc > 1)                                                                         \
        goto *(void *)f->hdr.at->pc;                                                               \
    if (f->hdr.at->pc == 1)                                                                        \
        goto finally_;                                                                             \
    {
#define ASYNC_PC_ENTRY_  0
#define ASYNC_PC_UNWIND_ 1
#endif

#define ASYNC_BEGIN(name)                                                                          \
    struct name##_frame *f = (struct name##_frame *)frame_;                                        \
    static const struct async_fn *const async_self_ = &name##_fn;                                  \
    enum { async_may_return_ = 1 };                                                                \
    (void)async_self_;                                                                             \
    (void)t;                                                                                       \
    ASYNC_DISPATCH_

#define ASYNC_RETURN(v)                                                                            \
    do {                                                                                           \
        (void)sizeof(char[async_may_return_]);                                                     \
        t->result = (v);                                                                           \
        goto finally_;                                                                             \
    } while (0)

#define ASYNC_FINALLY                                                                              \
    t->result = 0;                                                                                 \
    }                                                                                              \
finally_:                                                                                          \
    __attribute__((unused));                                                                       \
    {                                                                                              \
        enum { async_may_return_ = -1 };

#define ASYNC_END                                                                                  \
    }                                                                                              \
    return (poll_t)                                                                                \
    {                                                                                              \
        POLL_DONE                                                                                  \
    }

#define ASYNC_HERE_(id, what_, callee_, iface_)                                                    \
    static const struct await_point __attribute__((section("set_await_points"), aligned(8), used)) \
    here_ = {&async_self_, what_, callee_, iface_, ASYNC_PC_VALUE_(id), __LINE__};                 \
    f->hdr.at = &here_

// dst = result of the callee, negative errno on error. Arguments are checked as a struct literal.
#define AWAIT(dst, callee, ...)        AWAIT_X_(__COUNTER__, dst, callee, __VA_ARGS__)
#define AWAIT_X_(id, dst, callee, ...) AWAIT_Y_(id, dst, callee, __VA_ARGS__)
#define AWAIT_Y_(id, dst, callee, ...)                                                             \
    do {                                                                                           \
        ASYNC_HERE_(id, #callee, &callee##_fn, NULL);                                              \
        if (likely(async_push(t, &callee##_fn))) {                                                 \
            *(struct callee##_args *)(t->top + 1) = (struct callee##_args){__VA_ARGS__};           \
            poll_t p_ = HARD_PREEMPT ? (poll_t){POLL_YIELD} : callee(t, t->top);                   \
            if (p_.how != POLL_DONE)                                                               \
                return p_;                                                                         \
            async_pop(t);                                                                          \
        }                                                                                          \
        ASYNC_FALL_ ASYNC_LABEL_(id) : (dst) = t->result;                                          \
    } while (0)

// The same through a pointer of an interface.
#define AWAIT_VIA(dst, iface, fnp, ...)        AWAIT_VIA_X_(__COUNTER__, dst, iface, fnp, __VA_ARGS__)
#define AWAIT_VIA_X_(id, dst, iface, fnp, ...) AWAIT_VIA_Y_(id, dst, iface, fnp, __VA_ARGS__)
#define AWAIT_VIA_Y_(id, dst, iface, fnp, ...)                                                     \
    do {                                                                                           \
        ASYNC_HERE_(id, #iface, NULL, &iface##_iface);                                             \
        if (likely(async_push(t, (fnp)))) {                                                        \
            *(struct iface##_args *)(t->top + 1) = (struct iface##_args){__VA_ARGS__};             \
            poll_t p_ = HARD_PREEMPT ? (poll_t){POLL_YIELD} : t->top->fn->resume(t, t->top);       \
            if (p_.how != POLL_DONE)                                                               \
                return p_;                                                                         \
            async_pop(t);                                                                          \
        }                                                                                          \
        ASYNC_FALL_ ASYNC_LABEL_(id) : (dst) = t->result;                                          \
    } while (0)

// The leaf primitive: sleep until task_wake(). Spurious wakes happen; test the condition again.
// Register the waiter first, test last, then suspend. Used by few functions: most await those.
#define SUSPEND(what) SUSPEND_X_(__COUNTER__, POLL_PENDING, what)
// Lets others run and goes on: for loops over work whose size the user chose.
#define YIELD()                   SUSPEND_X_(__COUNTER__, POLL_YIELD, "its turn")
#define SUSPEND_X_(id, how, what) SUSPEND_Y_(id, how, what)
#define SUSPEND_Y_(id, how, what)                                                                  \
    do {                                                                                           \
        ASYNC_HERE_(id, what, NULL, NULL);                                                         \
        return (poll_t){how};                                                                      \
        ASYNC_LABEL_(id) :;                                                                        \
    } while (0)

// SUSPEND or YIELD of a root that many tasks share: if the next task in turn waits at this same place, it goes on here at
// once, as t and f, without a way round through the executor.
#define SUSPEND_SWITCHING(how, what) SUSPEND_S_X_(__COUNTER__, how, what)
#define SUSPEND_S_X_(id, how, what)  SUSPEND_S_Y_(id, how, what)
#define SUSPEND_S_Y_(id, how_, what)                                                               \
    do {                                                                                           \
        ASYNC_HERE_(id, what, NULL, NULL);                                                         \
        struct task *next_;                                                                        \
        next_ = (how_) == POLL_YIELD ? executor_switch_yield(t) : executor_switch_pending(t);      \
        if (!next_)                                                                                \
            return (poll_t){how_};                                                                 \
        t = next_;                                                                                 \
        if (unlikely(load_relaxed(&t->attn) & ATTN_BEFORE_POLL))                                   \
            return (poll_t){POLL_YIELD}; /* of the new one: the executor sees to it */             \
        f = (void *)t->top;                                                                        \
        ASYNC_LABEL_(id) :;                                                                        \
    } while (0)

// AWAIT that is given up after `ns` nanoseconds: frames above this one are unwound leaf first and
// dst = -ETIMEDOUT. d is a `struct deadline` in the frame.
#define AWAIT_WITHIN(dst, d, ns, callee, ...)                                                      \
    do {                                                                                           \
        deadline_arm(t, &f->hdr, (d), (ns));                                                       \
        AWAIT(dst, callee, __VA_ARGS__);                                                           \
        deadline_disarm(t, (d));                                                                   \
    } while (0)

// A region that cancel, deadline and signals do not enter; they take effect at its end. Balanced
// within one function, and never left by ASYNC_RETURN in between.
#define SHIELD_BEGIN() ((void)t->shield++)
#define SHIELD_END()   ((void)t->shield--)

// For SUSPEND_SWITCHING: the poll of t, which runs, ends as POLL_PENDING or POLL_YIELD, and that of the task returned has begun,
// if the next in turn waits at t->top->at, too. NULL: nothing has changed, return to the executor.
struct task *executor_switch_pending(struct task *t);
struct task *executor_switch_yield(struct task *t);

// The caller of async_push stores the arguments behind the header.
static inline bool async_push(struct task *t, const struct async_fn *fn)
{
    struct frame *p = (struct frame *)t->sp;
    size_t size = fn->size;
    lock_order_none_held("an async call");
    if (unlikely(t->sp + size > t->limit) && !(p = async_grow(t, size)))
        return false;
    t->sp = (char *)p + size;
    p->parent = t->top;
    p->fn = fn;
    p->at = &async_entry;
    t->top = p;
    return true;
}

static inline void async_pop(struct task *t)
{
    t->sp = (char *)t->top;
    t->top = t->top->parent;
}

_Noreturn void async_bad_pc(struct task *t, struct frame *frame);

// Worst-case arena bytes of fn and all it may await, from the table of await points. -1: the call
// graph below fn is recursive. Remembered per function; the first call walks the table.
long async_depth(const struct async_fn *fn);

// Room in t's arena for fn and all it may await: 0 or -ENOMEM.
static inline int async_reserve(struct task *t, const struct async_fn *fn)
{
    long need = load_relaxed(fn->depth);
    if (likely(need > 0 && t->limit - t->sp >= need) && !HARD_GROW)
        return 0;
    return task_reserve(t, (size_t)async_depth(fn));
}
