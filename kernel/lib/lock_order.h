// SPDX-License-Identifier: MIT
// DEBUG builds: the order in which spinlocks are taken, checked at every taking (LOCK_ORDER).
//
// Locks declared or initialised at one place, under one name, are a class. Whenever a lock of class B
// is taken while one of class A is held, "A before B" is remembered for ever; a taking that closes a
// circle panics with the locks, their places and who took them, also when this time nobody would have
// waited. Within a class no second lock is taken, unless the caller knows an order among them and says
// so (spin_lock_nested). What spin_trylock takes waits for nobody, so it is in no order with what is
// held before, only with what comes after.
//
// Interrupts are off whenever the kernel runs (arch/cpu.h), so a lock can be shared with interrupt
// work; that this is so is checked at every taking as well. With a lock held nothing is awaited, no
// interrupt work is done and no user code entered: who does it calls lock_order_none_held.
//
// Mutexes, which tasks hold over awaits, are checked in the same graph, by task: all of one name are a
// class, and within one the order is the callers' (two files, parents before children).
#pragma once

struct mutex;
struct spinlock;
struct task;

enum lock_how { LOCK_ORDERED, LOCK_NESTED, LOCK_TRY };

#ifdef LOCK_ORDER
// Before the lock is waited for; LOCK_TRY: once it is held. pc: of the taking.
void lock_order_take(struct spinlock *l, enum lock_how how, const void *pc);
void lock_order_drop(struct spinlock *l);
// Panics, naming lock and taker, if this hart holds any spinlock. `what` is about to be done.
void lock_order_none_held(const char *what);

// The task is about to wait for the mutex; now it holds it; no more. With the mutex's spinlock held.
void lock_order_mutex_wait(struct mutex *m, struct task *t);
void lock_order_mutex_taken(struct mutex *m, struct task *t);
void lock_order_mutex_dropped(struct mutex *m, struct task *t);
#else
#define lock_order_take(l, how, pc)    ((void)(how))
#define lock_order_drop(l)             ((void)0)
#define lock_order_none_held(what)     ((void)0)
#define lock_order_mutex_wait(m, t)    ((void)0)
#define lock_order_mutex_taken(m, t)   ((void)0)
#define lock_order_mutex_dropped(m, t) ((void)0)
#endif
