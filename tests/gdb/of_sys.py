# SPDX-License-Identifier: MIT
"""System calls, lines of the log, virtio devices: see fields.py."""
import errno

from inferior import Grows, Moves, c, each, first, harts, key, text
from of_kernel import nth_device, set_begin, set_count

# ---- system calls

def call(nr, owner):
    table, n = set_begin("syscalls", "struct syscall_entry"), set_count("syscalls", "struct syscall_entry")
    return first((table + i for i in range(n)), lambda e: int(e["nr"]) == nr)


def counts(e):
    """What each hart has counted of it."""
    rows, place = c("'monitor/class/syscall.c'::counts_of"), int(e - set_begin("syscalls", "struct syscall_entry"))
    return [rows[i][place] for i in range(len(harts())) if int(rows[i])]


def total(e, field):
    return sum(int(r[field]) for r in counts(e))


def buckets(e):
    low, high = counts(e)[0]["bucket"].type.range()
    return [sum(int(r["bucket"][i]) for r in counts(e)) for i in range(low, high + 1)]


def calls(e):
    return sum(buckets(e))


def last_errno(e):
    failed = [(int(r["failed_at"]), int(r["last_errno"])) for r in counts(e) if int(r["errors"])]
    return max(failed)[1] if failed else None


def kind(e, x):
    return "plain" if not int(e["async"]) else "plain first" if int(e["plain"]) else "async"


def error_name(e, x):
    return {**errno.errorcode, 512: "ERESTARTSYS"}.get(last_errno(e))


def latency(e, x):
    """The buckets from the first to the last that is not empty: negative, 0, then the powers of two."""
    b = buckets(e)
    used = [i for i, n in enumerate(b) if n]
    if not used:
        return ""
    return ";".join("count=%d,hi=%d,lo=%d" % (b[i], (1 << i - 1) - 1, 1 << i - 2 if i > 1 else 0) for i in range(used[0], used[-1] + 1))


def called_since(e, said):
    return calls(e) != said["calls"]


SYSCALL = {
    "nr": "nr", "name": "name", "args": "nargs", "kind": kind, "calls": Grows(lambda e, x: calls(e)), "errors": Grows(lambda e, x: total(e, "errors")),
    "last_errno": Moves(lambda e, x: last_errno(e)), "last_error": Moves(error_name),
    "mean": Moves(lambda e, x: total(e, "ns") // calls(e) if calls(e) else None), "latency": Moves(latency),
}

# ---- the log

def line(number, owner):
    return c("'kernel/lib/log.c'::ring")[number % 256]


LINE = {"ns": "ns", "hart": "hart", "level": lambda l, x: ("error", "warning", "info", "debug")[int(l["level"])], "text": "text"}

# ---- virtio devices

def device(number, owner):
    d = nth_device(number)
    return d["priv"].cast(c("(struct virtio_device *)0").type) if int(d["priv"]) else None


def status(v, x):
    """The register itself (virtio 1.2, 4.2.2)."""
    bits = int(c("*(uint32_t *)%d" % (int(v["regs"]) + 0x70)))
    words = ("acknowledge", "driver", "driver_ok", "features_ok", None, None, "needs_reset", "failed")
    return " ".join(w for i, w in enumerate(words) if w and bits >> i & 1)


def name(v, x):
    q = v["queue"][0]
    return text(q["name"] if int(q) else v["driver"]["name"]).split(".")[0]


def queues(v, x):
    places = [int(q) for q in each(c("&virtqueues"), "virtqueue", "link")]
    return ";".join("%d=%s" % (i, key("VirtQueue", places.index(int(v["queue"][i])))) for i in range(4) if int(v["queue"][i]))


VIRTIO = {
    "name": name, "type": "type", "kind": lambda v, x: {1: "network", 2: "block", 4: "entropy"}.get(int(v["type"])), "driver": "driver.name",
    "status": status, "offered": "offered", "features": "features", "q": queues, "device": lambda v, x: key("Device", x["id"]),
}
