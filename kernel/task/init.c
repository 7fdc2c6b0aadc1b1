// SPDX-License-Identifier: MIT
// Process 1: what `init=` names, else the first of a few usual places.
//
// As in Linux, words of the command line that are `name=value` without a dot and mean nothing to
// the kernel become init's environment.
#include "task/init.h"

#include "async/wait_async.h"
#include "fs/file.h"
#include "fs/fsctx.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "lib/log.h"
#include "task/caps.h"
#include "task/exec.h"
#include "task/process.h"
#include "task/signal.h"

#include <string.h>

enum { ENV_MAX = 24 };

static const char *const usual[] = {"/init", "/sbin/init", "/bin/init", "/bin/sh", NULL};
static char words[1024];
static const char *env[ENV_MAX] = {"HOME=/", "TERM=linux", "PATH=/bin:/sbin:/usr/bin:/usr/sbin"};
static const char *argv[2];
static char init_path[128];

static bool is_kernel_word(const char *w)
{
    static const char *const own[] = {"init=", "root=", "console=", "panic=", "quiet", NULL};
    const char *eq = strchr(w, '=');
    const char *dot = strchr(w, '.');
    if (!eq || (dot && dot < eq))
        return true;
    for (int i = 0; own[i]; i++)
        if (!strncmp(w, own[i], strlen(own[i])))
            return true;
    return false;
}

static void collect_environment(void)
{
    int n = 3;
    char *save = NULL;
    strncpy(words, boot_args(), sizeof words - 1);
    for (char *w = strtok_r(words, " ", &save); w && n < ENV_MAX - 1;
         w = strtok_r(NULL, " ", &save))
        if (!is_kernel_word(w))
            env[n++] = w;
}

static void open_console(struct thread *th, struct file *file)
{
    for (int i = 0; i < 3; i++)
        if (fd_install(th->files, file_get(file), 0, 64, false) < 0)
            panic("init: no descriptor for the console");
    file_put(file);
}

ASYNC(init_exec, long r; int i; struct file *file;)
{
    ASYNC_BEGIN(init_exec);
    AWAIT(f->r, event_wait, &fs_ready, false);
    AWAIT(f->r, file_open_kernel, "/dev/console", O_RDWR, 0, &f->file);
    if (f->r < 0)
        log_warn("init: cannot open /dev/console (error %ld)", -f->r);
    else
        open_console(f->th, f->file);
    collect_environment();
    if (boot_arg("init", init_path, sizeof init_path)) {
        argv[0] = init_path;
        AWAIT(f->r, exec_kernel, init_path, argv, env);
        if (f->r == 0)
            ASYNC_RETURN(0);
        log_error("init: cannot run %s (error %ld)", init_path, -f->r);
    }
    for (f->i = 0; usual[f->i]; f->i++) {
        argv[0] = usual[f->i];
        AWAIT(f->r, exec_kernel, argv[0], argv, env);
        if (f->r == 0)
            ASYNC_RETURN(0);
        if (f->r != -ENOENT)
            log_error("init: cannot run %s (error %ld)", argv[0], -f->r);
    }
    panic("no init found: tried /init, /sbin/init, /bin/init, /bin/sh; give init=PATH");
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct rlimit_k default_limits[RLIM_COUNT] = {
    [RLIMIT_CPU] = {UINT64_MAX, UINT64_MAX},
    [RLIMIT_FSIZE] = {UINT64_MAX, UINT64_MAX},
    [RLIMIT_DATA] = {UINT64_MAX, UINT64_MAX},
    [RLIMIT_STACK] = {8 << 20, UINT64_MAX},
    [RLIMIT_CORE] = {0, UINT64_MAX},
    [RLIMIT_RSS] = {UINT64_MAX, UINT64_MAX},
    [RLIMIT_NPROC] = {32768, 32768},
    [RLIMIT_NOFILE] = {1024, 65536},
    [RLIMIT_MEMLOCK] = {8 << 20, 8 << 20},
    [RLIMIT_AS] = {UINT64_MAX, UINT64_MAX},
    [RLIMIT_LOCKS] = {UINT64_MAX, UINT64_MAX},
    [RLIMIT_SIGPENDING] = {4096, 4096},
    [RLIMIT_MSGQUEUE] = {819200, 819200},
    [RLIMIT_NICE] = {0, 0},
    [RLIMIT_RTPRIO] = {0, 0},
    [RLIMIT_RTTIME] = {UINT64_MAX, UINT64_MAX},
};

static void init_start(void)
{
    struct credentials *root = cred_new();
    struct sighand *sh = sighand_new();
    struct process *p = sh ? process_new(NULL, sh) : NULL;
    if (!p || !root)
        panic("no memory for init");
    root->effective = root->permitted = root->bounding = CAPS_ALL;
    cred_show(p, root);
    sighand_put(sh);
    memcpy(p->rlimit, default_limits, sizeof p->rlimit);
    strcpy(p->comm, "init");
    p->dumpable = 1;
    process_init = p;
    process_link(p, NULL, false, 1);
    struct thread *th = thread_new(p, "init");
    if (!th || !(th->files = fd_table_new()) || !(th->fs = fs_context_new()) || thread_link(th, 0))
        panic("no memory for init");
    th->cred = root;
    thread_start(th);
}
INIT(INIT_USER, init_start);
