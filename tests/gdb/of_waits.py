# SPDX-License-Identifier: MIT
"""Futexes, signals and locks: see fields.py."""
import signal as signals

from inferior import at, c, each, first, key, task_key, text, waiters
from of_files import phys_key, supers
from of_kernel import task, thread


def futexes():
    buckets = c("'kernel/task/futex.c'::buckets")
    for i in range(buckets.type.range()[1] + 1):
        yield from each(buckets[i]["waiters"].address, "futex_waiter", "link")


def futex(number, owner):
    return first(futexes(), lambda w: int(w["task"]["id"]) == number)


def same_word(a, b):
    return int(a["key"]["object"]) == int(b["key"]["object"]) and int(a["key"]["offset"]) == int(b["key"]["offset"])


def private_of(w, x=None):
    s = first(each(c("&'kernel/mem/space.c'::spaces"), "space", "all"), lambda s: int(s) == int(w["key"]["object"]))
    return key("Space", int(s["id"])) if s else None


FUTEX = {
    "task": lambda w, x: task_key(w["task"]), "address": lambda w, x: int(w["key"]["offset"]) & ~1, "space": private_of, "bits": "bits",
    "object": lambda w, x: None if private_of(w) else phys_key(at(int(w["key"]["object"]), "struct phys")),
    "waiters": lambda w, x: sum(same_word(w, other) for other in futexes()),
}

# ---- signals and locks


def signal(number, owner):
    return thread(task(owner))["process"]["sighand"]["action"][number - 1]


def in_set(member):
    def fn(a, x):
        th = thread(task(x["owner"]))
        for name in member.split("."):
            th = th[name]
        return int(th) >> x["id"] - 1 & 1
    return fn


def signal_name(a, x):
    return signals.Signals(x["id"]).name[3:] if x["id"] < 32 else "RT%d" % (x["id"] - 32)


SIGNAL = {
    "number": lambda a, x: x["id"], "name": signal_name, "action": lambda a, x: {0: "default", 1: "ignored"}.get(int(a["handler"]), "handled"),
    "handler": lambda a, x: a["handler"] if int(a["handler"]) > 1 else 0, "flags": "flags", "mask": "mask", "blocked": in_set("blocked"),
    "awaited": in_set("waiting"), "pending": in_set("pending.set"), "pending_process": in_set("process.pending.set"),
    "task": lambda a, x: key("Task", x["owner"]),
}


def lock_of(m, x):
    for s in each(c("&'kernel/mem/space.c'::spaces"), "space", "all"):
        if int(s["mutate"].address) == int(m):
            return "Space#%d" % int(s["id"])
    if int(c("&super_mutex")) == int(m):
        return "all file systems"
    for s in supers():
        for v in each(s["vnodes"].address, "vnode", "in_super"):
            if int(v["lock"].address) == int(m):
                return "Vnode#%d" % int(v["ino"])
    return "Task#%d waits" % int(waiters(m["waiters"])[0]["task"]["id"])


def awaited_by(m, x):
    w = waiters(m["waiters"])
    return {"mutex_lock": "mutex", "semaphore_take": "semaphore"}[text(w[0]["task"]["top"]["fn"]["name"])] if w else "mutex"


LOCK = {
    "name": "name", "kind": awaited_by, "of": lock_of, "holder": lambda m, x: task_key(m["holder"]), "waiters": lambda m, x: len(waiters(m["waiters"])),
    "units": lambda m, x: 0, "contended": "contended", "address": lambda m, x: x["id"],
}
