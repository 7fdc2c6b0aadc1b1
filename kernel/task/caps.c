// SPDX-License-Identifier: MIT
// How capabilities follow the user ids (capabilities(7), "Effect of user ID changes on capabilities", "Transformation of
// capabilities during execve").
#include "task/caps.h"

static bool has_root(const struct credentials *c)
{
    return !c->uid || !c->euid || !c->suid;
}

void caps_after_setuid(struct credentials *c, const struct credentials *was)
{
    if (has_root(was) && !has_root(c)) {
        c->ambient = 0;
        if (!c->keep_caps)
            c->permitted = c->effective = 0;
    }
    if (!was->euid && c->euid)
        c->effective = 0;
    else if (was->euid && !c->euid)
        c->effective = c->permitted;
}

void caps_after_setfsuid(struct credentials *c, uint32_t was)
{
    if (!was && c->fsuid)
        c->effective &= ~CAPS_FILE;
    else if (was && !c->fsuid)
        c->effective |= c->permitted & CAPS_FILE;
}

void caps_after_exec(struct credentials *c, const struct credentials *was, bool no_new_privs)
{
    bool root = !c->uid || !c->euid;
    if (c->euid != was->uid || c->egid != was->gid)
        c->ambient = 0;
    c->permitted = root ? was->bounding | was->inheritable : 0;
    if (no_new_privs)
        c->permitted &= was->permitted;
    c->permitted |= c->ambient;
    c->effective = c->euid ? c->ambient : c->permitted;
    c->keep_caps = false;
}
