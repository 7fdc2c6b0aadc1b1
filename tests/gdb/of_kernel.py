# SPDX-License-Identifier: MIT
"""Tasks, harts, devices, queues, trace points: see fields.py."""
import gdb

from __main__ import all_tasks
from inferior import Grows, Holds, Moves, at, c, each, first, function, hart_variable, harts, key, member, ns, task_key, text

# ---- tasks

def task(number, owner=0):
    return first(all_tasks(), lambda t: int(t["id"]) == number)


def thread(t):
    return t["thread"] if int(t["thread"]) else None


def of_thread(path, otherwise=0):
    return lambda t, x: member(thread(t), path) if thread(t) else otherwise


def parent(t, x):
    p = thread(t) and thread(t)["process"]["parent"]
    return p["pid"] if p and int(p) else 0


def state(t, x):
    s, attn = int(t["state"]), int(t["attn"])
    for bit, name in ((4, "dead"), (8, "new"), (1, "running")):
        if s & bit:
            return name
    for bit, name in ((64, "suspended"), (4, "stopped"), (8, "held")):
        if attn & bit:
            return name
    return "ready" if s & 2 else "waiting"


def leaf(t, x):
    return t["light"]["name"] if int(t["light"]) else t["top"]["fn"]["name"] if int(t["top"]) else None


def wait(t, x):
    if int(t["light"]) or not int(t["top"]):
        return text(t["light"]["what"])[:47] if int(t["light"]) else ""
    f = t["top"]
    what = text(f["at"]["what"])
    if text(f["fn"]["name"]) == "event_wait" and int(f["parent"]):
        what = "%s of %s" % (what, text(f["parent"]["fn"]["name"]))
    return what[:47]


def local(name):
    offset = "'monitor/class/birth.c'::%s_local_state.offset" % name
    return lambda t, x: at(int(t["locals"]) + int(c(offset)), "struct " + name)[{"birth": "ns", "creator": "id"}[name]]


def deadline(t, x):
    rows = c("'monitor/session/later.c'::deadlines")
    return sum(int(rows[i]["ns"]) for i in range(16) if int(rows[i]["whose"]) == int(t["id"]))


def files_of(t):
    table = thread(t) and thread(t)["files"]
    if not table or not int(table):
        return {}
    return {i: table["file"][i] for i in range(int(table["capacity"])) if int(table["file"][i])}


def signed(v):
    return (int(v) & (1 << 64) - 1 ^ 1 << 63) - (1 << 63)


def times(which):
    def fn(t, x):
        return ns(thread(t)["said"][which]) if thread(t) else ns(t["ticks"]) if which == "system" else 0
    return fn


def system_time(t, x, said):
    return x["moved"] or signed(t["ticks"]) < 0 or said == times("system")(t, x)


def set_begin(name, kind):
    return at(int(c("(unsigned long)&__start_set_" + name)), kind)


def set_count(name, kind):
    return (int(c("(unsigned long)&__stop_set_" + name)) - int(c("(unsigned long)&__start_set_" + name))) // gdb.lookup_type(kind).sizeof


def tls_of_tasks(t=None, x=None):
    rows = c("'monitor/class/constructors.c'::rows")
    return set_count("task_locals", "struct local_ctor") + sum(bool(rows[i]["in_list"]) for i in range(8))


TASK = {
    "id": "id", "name": lambda t, x: thread(t)["process"]["comm"] if thread(t) else t["name"],
    "kind": lambda t, x: "user" if thread(t) else "kernel", "pid": of_thread("process.pid"), "tid": of_thread("tid"), "parent": parent,
    "state": Moves(state), "wait": Moves(wait), "fn": Moves(leaf), "since": Moves(lambda t, x: ns(t["since"])), "born": local("birth"),
    "creator": local("creator"), "hart": Moves(lambda t, x: key("Hart", int(t["hart"]))),
    "space": lambda t, x: key("Space", int(thread(t)["space"]["id"])) if thread(t) and int(thread(t)["space"]) else None,
    "affinity": "affinity", "utime": Moves(times("user")), "stime": Holds(system_time), "polls": Grows("polls"), "attn": Moves("attn"),
    "shield": Moves("shield"), "tls": tls_of_tasks, "files": lambda t, x: len(files_of(t)), "signals": lambda t, x: 64 if thread(t) else 0,
    "nice": of_thread("sched.nice"), "deadline": deadline, "suspended": lambda t, x: int(t["attn"]) & 64,
}


def task_moved(t, said):
    return int(t["polls"]) != said["polls"]


# ---- harts and what belongs to them

def queued(i):
    q = c("run_queues")[i]
    ring = q["ring"]
    return (int(q["locked"]["tasks"]["count"]) + (int(ring["tail"]) - int(ring["head"]) & 0xffffffff) + int(ring["bound"]["count"])
            + bool(int(ring["next"])) + bool(int(ring["inbox"])))


def idle(h, x, said):
    """What it has slept by the time it was asked: of one that has slept ever since at least what C says of that time."""
    slept, (before, after) = signed(h["idle_ticks"]), x["ns"]
    least = ns(slept) + before - 1000 if slept < 0 and not x["moved"] else 0
    return least <= said <= (after if slept < 0 else ns(slept))


HART = {
    "index": "index", "hart_id": "id", "online": "online", "idle": Moves("idle"), "current": Moves(lambda h, x: task_key(h["current"])),
    "queued": Moves(lambda h, x: queued(int(h["index"]))), "switches": Grows("switches"), "steals": Grows("steals"),
    "ipis_sent": Grows("ipis_sent"), "ipis_taken": Grows("ipis_taken"), "idle_ns": Holds(idle),
    "started_ns": lambda h, x: hart_variable(h, "hart_started_ns").cast(gdb.lookup_type("unsigned long").pointer()).dereference(),
    "tls": lambda h, x: set_count("hart_locals", "struct local_ctor"),
}



def hart_moved(h, said):
    return int(h["switches"]) != said["switches"] or int(h["index"]) == 0    # the monitor's own


def nth_device(i, owner=0):
    for n, d in enumerate(each(c("&devices"), "device", "link")):
        if n == i:
            return d


def place(device):
    return next(n for n, d in enumerate(each(c("&devices"), "device", "link")) if int(d) == int(device))


def handler(source):
    return int(c("'kernel/dev/irq.c'::sources")[source]["handler"]) != 0


DEVICE = {
    "name": "name", "compatible": "compatible", "driver": lambda d, x: d["driver"]["name"] if int(d["driver"]) else None,
    "state": lambda d, x: str(d["state"])[7:].lower(), "error": "error",
    "registers": lambda d, x: d["reg"][0]["pa"] if int(d["reg_count"]) else 0, "bytes": lambda d, x: d["reg"][0]["size"] if int(d["reg_count"]) else 0,
    "irq": lambda d, x: key("Irq", int(d["irq"])) if handler(int(d["irq"])) else None,
    "parent": lambda d, x: key("Device", place(d["parent"])) if int(d["parent"]) else None,
}


def count_irq(i, x):
    counts = c("'kernel/dev/irq.c'::counts")
    return sum(int(counts[int(h["index"])][x["id"]]) for h in harts() if int(counts[int(h["index"])]))


IRQ = {"source": lambda i, x: x["id"], "name": "name", "hart": "hart", "count": Grows(count_irq)}

TIMER = {
    "when": Moves(lambda t, x: ns(t["when"])), "hart": Moves(lambda t, x: key("Hart", int(t["hart"]))), "fires": Moves(lambda t, x: function(t["fire"])),
    "left": Moves(Holds(lambda t, x, said: ns(t["when"]) - x["ns"][1] <= said <= ns(t["when"]) - x["ns"][0])),
}


def may_have_fired(t, said):
    return said["left"] < 200 * 10**9   # no machine lives that long here


def construct_row(number):
    rows = c("'monitor/class/constructors.c'::rows")
    return first((rows[i] for i in range(8)), lambda r: int(r["id"]) == number)


def constructor(number, owner):
    if number >= 100:
        return construct_row(number)["ctor"].address
    return set_begin("task_locals" if owner & 1 else "hart_locals", "struct local_ctor") + number


def instance(l, x):
    whose = (x["owner"] >> 1) - 1
    if whose < 0:
        return 0
    if not x["owner"] & 1:
        return hart_variable(harts()[whose], text(l["name"]))
    return int(task(whose)["locals"]) + int(l["state"]["offset"]) if int(task(whose)["locals"]) and int(l["size"]) else 0


def local_state(l, x):
    """Of the list what happens at birth; of an owner's instance what its bit says."""
    whose = (x["owner"] >> 1) - 1
    if whose < 0 or x["id"] >= 100:
        return ("disabled" if l["state"]["disabled"] else "run by the monitor at birth" if x["id"] >= 100
                else "constructed at birth" if int(l["ctor"]) else "zeroed at birth")
    block = int(task(whose)["locals"]) if x["owner"] & 1 else int(hart_variable(harts()[whose], "hart_locals_made"))
    if not block or not int(l["size"]):
        return "none"
    made = int(at(block, "unsigned int").dereference()) >> x["id"] & 1
    return "zeroed" if not int(l["ctor"]) else "constructed" if made else "not constructed"


def missed(l, x):
    row = construct_row(x["id"])
    return int(row["late"]) + int(c("'monitor/class/newborns.c'::missed")) - int(row["missed_before"]) if row else 0


TLS = {
    "name": "name", "of": lambda l, x: "task" if x["owner"] & 1 else "hart", "size": "size", "address": instance, "state": local_state,
    "order": "state.order", "disabled": "state.disabled", "skipped_last": "state.skipped_last", "constructed": "state.constructed",
    "destroyed": "state.destroyed", "failed": "state.failed", "late": missed,
    "error": lambda l, x: construct_row(x["id"])["error"] if x["id"] >= 100 else "",
    "ctor": lambda l, x: "in Lua" if x["id"] >= 100 else function(l["ctor"]), "dtor": lambda l, x: function(l["dtor"]),
    "at": lambda l, x: "%s:%d" % (text(l["file"]), int(l["line"])),
}

# ---- queues, the heap, epochs, the scheduler, memory as a whole


def queue(i, owner):
    for n, q in enumerate(each(c("&virtqueues"), "virtqueue", "link")):
        if n == i:
            return q


def delay(q, x):
    rows = c("'monitor/session/later.c'::delays")
    return sum(int(rows[i]["ns"]) for i in range(16) if int(rows[i]["whose"]) == x["id"] + 1) // 10**6


def in_flight(q, x):
    return sum(int(q["slot"][i]["state"]) == 1 for i in range(int(q["size"])))


QUEUE = {name: name for name in ("name size held held_count avail_idx last_used kicked_idx event_idx broken adds completions kicks bogus").split()}
QUEUE.update({"free": "free_count", "used_idx": "used.idx", "in_flight": in_flight, "delay_ms": delay})


def heap(what, of_harts, sign=1):
    def fn(s, x):
        stacks = c("'kernel/page/heap.c'::stacks_of_hart")
        n = int(s[what]) if what else 0
        return n + sign * sum(int(stacks[i][x["id"]][f]) for i in range(len(harts())) if int(stacks[i]) for f in of_harts)
    return fn


HEAP = {
    "size": lambda s, x: c("'kernel/page/heap.c'::shape")[x["id"]]["size"], "used": heap("used", ("count", "held"), -1), "room": "objects",
    "slabs": "slabs", "frames": "frames", "allocs": Grows(heap(None, ("allocs",))), "frees": Grows(heap(None, ("frees",))),
}

EPOCHS = {
    "epoch": Grows(lambda q, x: c("epoch_now")), "retired": Grows("retired"), "deferred": Grows("deferred"),
    "freed": Grows(lambda q, x: c("'kernel/async/epoch.c'::freed")), "pending": lambda q, x: x["said"]["retired"] - x["said"]["freed"],
    "inside": lambda q, x: sum((int(c("epoch_slots")[i]["inside"]) != 0) << i for i in range(len(harts()))),
}

def all_queued(s, x, said):
    """What the other harts have, and on the monitor's own whatever there was then."""
    others = sum(queued(i) for i in range(1, len(harts())))
    return others <= said <= others + sum(1 for _ in all_tasks())


SCHED = {
    "queue": lambda s, x: {0: "ring", 1: "locked"}[int(c("'kernel/async/runqueue.c'::chosen"))],
    "queued": Holds(all_queued), "injected": lambda s, x: c("ring_injector.tasks.count"),
}

FLUSHER = {
    "age_ms": lambda t, x: int(c("'kernel/mem/writeback.c'::flusher")["age_ns"]) // 10**6, "dirty": "dirty", "throttled": "throttled",
    "synced": lambda t, x: t["written_for"][int(c("PHYS_SYNC"))], "aged": lambda t, x: t["written_for"][int(c("PHYS_AGE"))],
    "pressed": lambda t, x: t["written_for"][int(c("PHYS_PRESSURE"))],
}


def free_frames(t, x):
    caches = [c("frame_cache_of")[i] for i in range(len(harts()))]
    depot = int(c("depot.head")) >> int(c("DEPOT_INDEX_BITS")) & (1 << int(c("DEPOT_COUNT_BITS"))) - 1
    held = gdb.lookup_global_symbol("frame_held_back")      # of a build that checks what was freed
    return (int(c("buddy.free")) + depot * int(c("FRAME_BATCH")) + sum(int(f["count"]) + int(f["zeroed"]) for f in caches if int(f))
            + sum(int(held.value()[i]["count"]) for i in range(len(harts())) if held and held.type.sizeof))


MEMORY = {
    "lo": lambda t, x: c("frame_base"), "hi": lambda t, x: c("frame_end"), "frames": lambda t, x: c("buddy.total"),
    # What the monitor and the programs take and give back until the machine is stopped.
    "free": Holds(lambda t, x, said: abs(free_frames(t, x) - said) <= 256),
    "cached": "cached", "dirty": "dirty", "shared": "shared_anon",
}

SYMBOL = {
    "name": lambda s, x: function(x["id"]).removesuffix("+0x0"), "address": lambda s, x: x["id"],
    "bytes": Holds(lambda s, x, said: function(x["id"] + said - 1) == "%s+%#x" % (x["said"]["name"], said - 1) and function(x["id"] + said).endswith("+0x0")),
}

# ---- trace points


def types_of(p, x):
    words = {c("TRACE_" + n): w for n, w in (("SIGNED", "signed"), ("ADDRESS", "address"), ("BYTES", "bytes"), ("NS", "nanoseconds"),
             ("TASK", "Task"), ("CALL", "call"), ("CODE", "code"), ("ENTRY", "entry"), ("NAME", "name"))}
    words = {int(n): w for n, w in words.items()}
    out = []
    for i in range(p["arg"].type.range()[1] + 1):
        a = p["arg"][i]
        if not int(a["name"]):
            break
        kind = text(a["words"]) if int(a["type"]) == int(c("TRACE_WORD")) else words.get(int(a["type"]))
        out.append(text(a["name"]) + (": " + kind if kind else ""))
    return ", ".join(out)


def uses(good, what):
    table = c("'monitor/trace/tracer.c'::uses")
    return sum(int(table[i][what][h]) for i in range(32) if good(i, table[i]) for h in range(len(harts())))


POINT = {
    "name": "name", "help": "help", "arguments": types_of, "on": lambda p, x: int(p["state"]["handler"]) or int(p["state"]["hold"]),
    "pausable": lambda p, x: int(p["parks"]) or int(p["release"]),
    "hits": Grows(lambda p, x: uses(lambda i, u: int(u["point"]) == int(p), "hits")),
    "lost": Grows(lambda p, x: uses(lambda i, u: int(u["point"]) == int(p), "lost")),
}


def trace(number, owner):
    tracers = c("'monitor/trace/tracer.c'::tracers")
    return first((tracers[i].address for i in range(16)), lambda t: int(t["kind"]) and int(t["id"]) == number)


def points(t, x):
    table = c("'monitor/trace/tracer.c'::uses")
    return " ".join(text(table[i]["point"]["name"]) for i in range(32) if int(t["uses"]) >> i & 1)


TRACE = {
    "id": "id", "points": points, "kind": lambda t, x: str(t["kind"])[7:].lower(), "running": "running", "bytes": "bytes",
    "hits": Grows(lambda t, x: uses(lambda i, u: int(t["uses"]) >> i & 1, "hits")),
    "lost": Grows(lambda t, x: uses(lambda i, u: int(t["uses"]) >> i & 1, "lost")),
    "ns": Holds(lambda t, x, said: x["ns"][0] - ns(t["began"]) <= said <= x["ns"][1] - ns(t["began"])),
    "session": lambda t, x: int(t["session"]) + 1,
}
