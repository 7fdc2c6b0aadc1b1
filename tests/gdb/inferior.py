# SPDX-License-Identifier: MIT
"""What the tables of fields (fields.py) are written with: entries that are more than a value, and ways into the kernel's memory."""
import re
import subprocess

import gdb

PAGE, LINEAR, MASK = 4096, 0xffffffc000000000, (1 << 64) - 1


class Moves:
    def __init__(self, fn):
        self.fn = fn


class Grows:
    def __init__(self, fn):
        self.fn = fn


class Holds:
    def __init__(self, fn):
        self.fn = fn


def member(o, path):
    for name in path.split("."):
        o = o[name]
    return o


def value(entry, o, context):
    return member(o, entry) if isinstance(entry, str) else entry(o, context)


def text(v):
    return v.string(errors="replace") if int(v.address if v.type.code == gdb.TYPE_CODE_ARRAY else v) else None


def plain(v):
    """As a Python value."""
    if not isinstance(v, gdb.Value):
        return v
    t = v.type.strip_typedefs()
    if t.code in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_PTR) and t.target().strip_typedefs().sizeof == 1:
        return text(v)
    return bool(v) if t.code == gdb.TYPE_CODE_BOOL else int(v) & MASK


def c(expression):
    return gdb.parse_and_eval(expression)


def each(head, kind, link):
    """The structures of a list: head is the address of its struct list."""
    t = gdb.lookup_type("struct " + kind)
    offset = next(f.bitpos // 8 for f in t.fields() if f.name == link)
    at = head["next"]
    while int(at) != int(head):
        yield gdb.Value(int(at) - offset).cast(t.pointer())
        at = at["next"]


def first(items, good):
    return next((x for x in items if good(x)), None)


def at(address, kind):
    return gdb.Value(address & MASK).cast(gdb.lookup_type(kind).pointer())


def waiters(q):
    return list(each(q["head"].address, "waiter", "link"))


def harts():
    h = c("harts")
    return [h[i] for i in range(int(c("hart_count")))]


def ns(ticks):
    hz = int(c("timebase_hz"))
    return int(ticks) // hz * 10**9 + int(ticks) % hz * 10**9 // hz


def key(kind, number, owner=0):
    return "%s#%d@%d" % (kind, number, owner)


def task_key(t):
    return key("Task", int(t["id"])) if int(t) else None


def function(address):
    """The ELF's name of a function, and how far behind its start."""
    if not int(address):
        return None
    name, _, offset = gdb.execute("info symbol %#x" % int(address), to_string=True).split(" in section")[0].partition(" + ")
    return "%s+%#x" % (name, int(offset or 0))


def thread_local_offsets():
    lines = subprocess.run(["riscv64-unknown-elf-nm", gdb.objfiles()[0].filename], capture_output=True, text=True, check=True).stdout
    return {name: int(offset, 16) for offset, kind, name in re.findall("^([0-9a-f]+) ([bBdD]) (\\S+)$", lines, re.M) if int(offset, 16) < 1 << 20}


OFFSETS = thread_local_offsets()


def hart_variable(h, name):
    return at(int(h) + OFFSETS[name] - OFFSETS["hart_self"], "char")


def never(o, said):
    return False


def once(expression):
    """The one object of a class, of which id 0 is the only one."""
    return lambda number, owner: c(expression) if number == 0 else None
