// SPDX-License-Identifier: MIT
// execve(2): gather arguments, find the program behind `#!` lines, load it, and replace the caller.
//
// Everything that can fail happens on the new space before the point of no return; after it the
// caller's other threads are gone, and what is left cannot fail and is shielded.
#include "task/caps.h"
#include "task/exec_impl.h"

#include "arch/shootdown.h"
#include "fs/file.h"
#include "fs/path.h"
#include "fs/poll.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/exit.h"
#include "task/family.h"
#include "task/futex.h"
#include "task/process.h"
#include "task/ptimer.h"
#include "task/robust.h"
#include "task/signal.h"
#include "task/vdso/vdso.h"
#include "task/worker.h"

#include <string.h>

// ---- the file

static int check_file(struct file *file)
{
    struct vnode *v = file->vnode;
    if (!S_ISREG(v->mode))
        return -EACCES;
    if (file->path.mount && (file->path.mount->flags & MS_NOEXEC))
        return -EACCES;
    int e = vnode_permission(v, X_OK);
    return e ? e : vnode_run_begin(v);
}

ASYNC(exec_file_open, struct file *file; long r;)
{
    ASYNC_BEGIN(exec_file_open);
    AWAIT(f->r, file_open_kernel, f->path, O_RDONLY, 0, &f->file);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->r = check_file(f->file);
    if (f->r < 0)
        file_put(f->file);
    else
        *f->out = f->file;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

void exec_file_put(struct file *file)
{
    vnode_run_end(file->vnode);
    file_put(file);
}

// Splits "#! interpreter [argument]" in place. -ENOEXEC when there is no interpreter.
static int parse_script(char *line, long n, char **interp, char **arg)
{
    line[n < SCRIPT_LINE ? n : SCRIPT_LINE] = 0;
    char *end = strchr(line, '\n');
    if (!end && n >= SCRIPT_LINE)
        return -ENOEXEC;
    if (end)
        *end = 0;
    char *p = line + 2;
    p += strspn(p, " \t");
    if (!*p)
        return -ENOEXEC;
    *interp = p;
    p += strcspn(p, " \t");
    *arg = NULL;
    if (*p) {
        *p++ = 0;
        p += strspn(p, " \t");
        size_t len = strlen(p);
        while (len && (p[len - 1] == ' ' || p[len - 1] == '\t'))
            p[--len] = 0;
        *arg = len ? p : NULL;
    }
    return 0;
}

static int enter_script(struct exec *x, long n)
{
    char *interp, *arg;
    int e = parse_script(x->line, n, &interp, &arg);
    if (!e)
        e = args_replace_first(&x->args, interp, arg ? arg : x->path, arg ? x->path : NULL);
    if (!e)
        strncpy(x->path, interp, sizeof x->path - 1);
    return e;
}

// Opens x->path, follows `#!`, leaves the ELF file in x->file.
ASYNC_DECL(exec_open, struct exec *x;);
ASYNC(exec_open, long r; int depth;)
{
    ASYNC_BEGIN(exec_open);
    for (f->depth = 0; f->depth <= SCRIPT_DEPTH; f->depth++) {
        AWAIT(f->r, exec_file_open, f->x->path, &f->x->file);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        AWAIT(f->r, file_read_kernel, f->x->file, 0, f->x->line, SCRIPT_LINE);
        if (f->r < 2)
            ASYNC_RETURN(f->r < 0 ? f->r : -ENOEXEC);
        if (f->x->line[0] != '#' || f->x->line[1] != '!')
            ASYNC_RETURN(0);
        exec_file_put(f->x->file);
        f->x->file = NULL;
        if ((f->r = enter_script(f->x, f->r)))
            ASYNC_RETURN(f->r);
    }
    ASYNC_RETURN(-ELOOP);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- the point of no return

static void become_leader(struct thread *th)
{
    struct process *p = th->process;
    spin_lock(&process_tree_lock);
    spin_lock(&p->lock);
    uint32_t was = th->tid;
    if (was != p->pid) {
        thread_rename_locked(th, p->pid);
        p->headless = 0;
    }
    p->exec_waiter = NULL;
    p->execs++;
    spin_unlock(&p->lock);
    family_thread_renamed_locked(p, was, p->pid);
    if (was != p->pid) // nobody has that number any more
        poll_wake(&p->ended, POLLIN | POLLRDNORM | POLLHUP);
    spin_unlock(&process_tree_lock);
}

// Cancels the other threads. False: the process is ending, or another thread execs already.
static bool claim_process(struct thread *th, struct event *alone)
{
    struct process *p = th->process;
    spin_lock(&p->lock);
    bool ok = !p->exiting && !p->exec_waiter;
    if (ok && p->nthreads > 1) {
        p->exec_waiter = alone;
        PROCESS_THREADS(it, p)
        if (thread_entry(it) != th)
            task_attention(&thread_entry(it)->task, ATTN_CANCEL);
    } else {
        alone->set = 1;
    }
    spin_unlock(&p->lock);
    return ok;
}

// Whom the program runs as: the caller, but for its set-user-id and set-group-id bits. 0, -ENOMEM.
static int exec_credentials(struct exec *x)
{
    const struct process *p = process_current();
    const struct vnode *v = x->file->vnode;
    const struct mount *m = x->file->path.mount;
    struct credentials *c = x->cred = cred_prepare();
    if (!c)
        return -ENOMEM;
    if (!p->no_new_privs && !(m && (m->flags & MS_NOSUID))) {
        if (v->mode & S_ISUID)
            c->euid = v->uid;
        if ((v->mode & S_ISGID) && (v->mode & 010))
            c->egid = v->gid;
    }
    c->suid = c->fsuid = c->euid;
    c->sgid = c->fsgid = c->egid;
    caps_after_exec(c, cred_current(), p->no_new_privs);
    return 0;
}

static void set_identity(struct thread *th, struct exec *x)
{
    struct process *p = th->process;
    const struct credentials *was = th->cred;
    struct path old;
    const char *base = strrchr(x->path, '/');
    spin_lock(&p->lock);
    old = p->exe;
    p->exe = x->file->path;
    path_get(&p->exe);
    vnode_run_again(x->file->vnode);
    memset(p->comm, 0, sizeof p->comm);
    strlcpy(p->comm, base ? base + 1 : x->path, sizeof p->comm);
    cred_commit_locked(th, x->cred);
    x->cred = NULL;
    p->dumpable = !exec_is_secure(th->cred);
    if (!p->dumpable || was->euid != th->cred->euid || was->egid != th->cred->egid)
        p->death_signal = 0;
    p->exit_signal = SIGCHLD;
    p->arg_start = p->arg_end = x->text_va;
    const char *s = x->args.text;
    for (uint32_t i = 0; i < x->args.argc; i++)
        s += strlen(s) + 1;
    p->arg_end += (va_t)(s - x->args.text);
    p->env_start = p->arg_end;
    p->env_end = x->text_va + x->args.used;
    p->space = x->image.space;
    spin_unlock(&p->lock);
    cred_put(was);
    memset(th->task.name, 0, sizeof th->task.name);
    strlcpy(th->task.name, p->comm, sizeof th->task.name);
    process_exe_put(&old);
}

static void start_image(struct thread *th, const struct exec *x)
{
    memset(th->tf.x, 0, sizeof th->tf.x);
    tf_sepc(&th->tf) = x->image.entry;
    tf_sp(&th->tf) = x->sp;
    fpu_reset(&th->fpu);
    th->sigreturn_va = vdso_sigreturn(x->image.vdso);
    th->clear_child_tid = th->set_child_tid = th->robust_list = 0;
    th->restart = 0;
    for (uint32_t i = 0; i < hart_count; i++)
        harts[i]->icache_stale = 1;
}

// Others hold process.lock, or process_tree_lock, from finding the table until they are done with it.
static struct sighand *replace_sighand(struct process *p, struct sighand *fresh)
{
    spin_lock(&process_tree_lock);
    spin_lock(&p->lock);
    struct sighand *old = p->sighand;
    p->sighand = fresh;
    spin_unlock(&p->lock);
    spin_unlock(&process_tree_lock);
    return old;
}

// Gives up the old image. Shielded by the caller.
ASYNC_DECL(exec_commit, struct exec *x; struct sighand *fresh;);
ASYNC(exec_commit, long r; struct space *old; struct sighand *shared; uint32_t zero;)
{
    ASYNC_BEGIN(exec_commit);
    become_leader(t->thread);
    if (workers_maybe(t->thread))
        AWAIT(f->r, workers_end, t->thread);
    if (t->thread->space)
        AWAIT(f->r, robust_release, t->thread);
    if (t->thread->clear_child_tid && load_relaxed(&t->thread->space->refs) > 1) {
        f->zero = 0;
        AWAIT(f->r, user_write, t->thread->space, t->thread->clear_child_tid, &f->zero, 4);
        if (f->r == 0)
            futex_wake(t->thread->space, t->thread->clear_child_tid, 1, ~0u, false);
    }
    if (f->fresh) {
        f->shared = replace_sighand(t->thread->process, f->fresh);
        sighand_put(f->shared);
    }
    signal_exec_reset(t->thread);
    ptimers_delete(t->thread->process, false);
    fd_table_close_on_exec(t->thread->files);
    f->old = t->thread->space;
    set_identity(t->thread, f->x);
    t->thread->space = f->x->image.space;
    f->x->image.space = NULL;
    start_image(t->thread, f->x);
    thread_vfork_done(t->thread);
    if (f->old) {
        process_count_space(t->thread->process, f->old);
        AWAIT(f->r, space_release, f->old);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// With arguments gathered and x->path set: load, and replace the caller.
ASYNC_DECL(exec_run, struct exec *x;);
ASYNC(exec_run, long r; struct event alone; struct sighand *fresh;)
{
    ASYNC_BEGIN(exec_run);
    f->fresh = NULL;
    AWAIT(f->r, exec_open, f->x);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, elf_load, f->x->file, &f->x->image);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if ((f->r = exec_credentials(f->x)) < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, exec_stack, f->x);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    // Until the other threads have ended one may make a process that shares the table.
    if ((load_relaxed(&t->thread->process->sighand->refs) > 1 ||
         load_relaxed(&t->thread->process->nthreads) > 1) &&
        !(f->fresh = sighand_copy(t->thread->process->sighand)))
        ASYNC_RETURN(-ENOMEM);
    if ((f->r = fd_table_unshare(&t->thread->files)) < 0)
        ASYNC_RETURN(f->r);
    event_init(&f->alone);
    if (!claim_process(t->thread, &f->alone))
        ASYNC_RETURN(-EAGAIN);
    SHIELD_BEGIN();
    AWAIT(f->r, event_wait, &f->alone, false);
    AWAIT(f->r, exec_commit, f->x, f->fresh);
    f->fresh = NULL;
    SHIELD_END();
    t->local |= LOCAL_KEEP_A0;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->fresh)
        sighand_put(f->fresh);
    ASYNC_END;
}

static struct exec *exec_new(void)
{
    struct exec *x = kzalloc(sizeof *x);
    if (!x)
        return NULL;
    uint64_t stack = process_current()->rlimit[RLIMIT_STACK].cur / 4;
    x->args.limit = stack > ARGS_MAX ? ARGS_MAX : stack < STRING_MAX ? STRING_MAX : stack;
    if (args_room(&x->args, 1)) {
        kfree(x);
        return NULL;
    }
    return x;
}

static void exec_free(struct exec *x)
{
    if (!x)
        return;
    if (x->file)
        exec_file_put(x->file);
    if (x->image.space)
        space_unref(x->image.space);
    cred_put(x->cred);
    kfree(x->args.text);
    kfree(x);
}

ASYNC_SYSCALL(sys_execve, long r; struct exec * x;)
{
    ASYNC_BEGIN(sys_execve);
    f->x = NULL;
    if (t->thread->process->over_nproc && process_user_is_over(0))
        ASYNC_RETURN(-EAGAIN);
    t->thread->process->over_nproc = 0;
    if (!(f->x = exec_new()))
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, user_read_string, t->thread->space, f->x->path, f->a[0], PATH_MAX);
    if (f->r <= 0)
        ASYNC_RETURN(f->r ? f->r : -ENOENT);
    f->x->args.limit -= (size_t)f->r + 1; // the path will lie beside them
    AWAIT(f->r, args_read, &f->x->args, f->a[1], &f->x->args.argc);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!f->x->args.argc) { // as Linux since 5.18: an empty argv becomes {""}
        f->x->args.argc = 1;
        if ((f->r = args_append(&f->x->args, "")))
            ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, args_read, &f->x->args, f->a[2], &f->x->args.envc);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, exec_run, f->x);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    exec_free(f->x);
    ASYNC_END;
}
SYSCALL_ASYNC(221, execve, 3);

ASYNC(exec_kernel, long r; struct exec *x; int i;)
{
    ASYNC_BEGIN(exec_kernel);
    if (!(f->x = exec_new()))
        ASYNC_RETURN(-ENOMEM);
    strncpy(f->x->path, f->path, PATH_MAX - 1);
    for (f->i = 0; f->argv[f->i]; f->i++, f->x->args.argc++)
        if ((f->r = args_append(&f->x->args, f->argv[f->i])))
            ASYNC_RETURN(f->r);
    for (f->i = 0; f->envp[f->i]; f->i++, f->x->args.envc++)
        if ((f->r = args_append(&f->x->args, f->envp[f->i])))
            ASYNC_RETURN(f->r);
    AWAIT(f->r, exec_run, f->x);
    t->local = 0;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    exec_free(f->x);
    ASYNC_END;
}
