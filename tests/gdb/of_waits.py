# SPDX-License-Identifier: MIT
"""Futexes, signals, locks and channels: see fields.py."""
import signal as signals

from __main__ import all_tasks
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


def lock(address, owner):
    """By what waits for it; one for which nobody waits is a mutex."""
    for t in all_tasks():
        f = t["top"]
        fn = text(f["fn"]["name"]) if int(f) and not int(t["light"]) else ""
        if fn != "semaphore_take" or int(at(int(f), "struct semaphore_take_frame")["s"]) != address:
            continue
        by = f["parent"]
        return at(address, "struct rwlock" if int(by) and text(by["fn"]["name"]) == "rwlock_lock" else "struct semaphore")
    return at(address, "struct mutex")


def kind(m, x=None):
    return m.type.target().name


def has_units(m):
    return m["units"] if kind(m) == "rwlock" else m


def holder(m, x):
    if kind(m) == "rwlock":
        return task_key(m["writer"]) if not int(m["units"]["units"]) else None
    return task_key(m["holder"]) if kind(m) == "mutex" else None


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
    return "Task#%d waits" % int(first(all_tasks(), lambda t: int(t["id"]) in {int(w["task"]["id"]) for w in waiters(has_units(m)["waiters"])})["id"])


LOCK = {
    "name": lambda m, x: has_units(m)["name"], "kind": kind, "of": lock_of, "holder": holder,
    "waiters": lambda m, x: len(waiters(has_units(m)["waiters"])), "contended": lambda m, x: has_units(m)["contended"],
    "units": lambda m, x: has_units(m)["units"] if kind(m) != "mutex" else 0, "address": lambda m, x: x["id"],
}

# ---- channels

CHANNELS = {"channel_send": ("c", "channel"), "channel_receive": ("c", "channel"), "broadcast_receive": ("b", "broadcast"),
            "oneshot_receive": ("o", "oneshot")}
SET, DROPPED = 2, 3


def channel(address, owner):
    """By what waits for it."""
    for t in all_tasks():
        f = t["top"]
        if int(f) and not int(t["light"]) and text(f["fn"]["name"]) == "event_wait":
            f = f["parent"]
        fn = text(f["fn"]["name"]) if int(f) else ""
        if fn in CHANNELS:
            member, name = CHANNELS[fn]
            if int(at(int(f), "struct %s_frame" % fn)[member]) == address:
                return at(address, "struct " + name)
    return None


def of_kind(channel, broadcast, oneshot):
    return lambda m, x: {"channel": channel, "broadcast": broadcast, "oneshot": oneshot}[kind(m)](m)


CHANNEL = {
    "name": of_kind(lambda m: m["lock"]["name"], lambda m: m["lock"]["name"], lambda m: None), "kind": kind,
    "count": of_kind(lambda m: m["count"], lambda m: min(int(m["sent"]), int(m["size"])), lambda m: int(m["state"]) == SET),
    "limit": of_kind(lambda m: m["limit"], lambda m: m["size"], lambda m: 1),
    "closed": of_kind(lambda m: m["closed"], lambda m: m["closed"], lambda m: int(m["state"]) == DROPPED),
    "senders": of_kind(lambda m: len(waiters(m["senders"])), lambda m: 0, lambda m: 0),
    "receivers": of_kind(lambda m: len(waiters(m["receivers"])), lambda m: len(waiters(m["waiters"])),
                         lambda m: len(waiters(m["ready"]["waiters"]))),
    "address": lambda m, x: x["id"],
}
