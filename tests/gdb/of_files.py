# SPDX-License-Identifier: MIT
"""Address spaces and their memory, files, pipes, terminals: see fields.py."""
import struct

import gdb

from inferior import LINEAR, PAGE, at, c, each, first, key, task_key, text, waiters
from of_kernel import files_of, task, thread

USER_TOP, LEVELS = 1 << 38, 3

# ---- page tables, read as memory


def entries(pa):
    return struct.unpack("<512Q", gdb.selected_inferior().read_memory(LINEAR + pa, PAGE))


def frame_of(e):
    return e >> 10 << 12


def leaf(e):
    return e & 14


def leaves(pa, level, base, lo, hi):
    """(va, pages) of each entry in [lo, hi) that has a frame."""
    step = PAGE << 9 * level
    for i, e in enumerate(entries(pa)):
        va = base + i * step
        if not e or va + step <= lo or va >= hi:
            continue
        if level == 0 or leaf(e):
            yield va, step // PAGE
        elif e & 1:
            yield from leaves(frame_of(e), level - 1, va, lo, hi)


def tables(pa, level, most=512):
    return 1 + sum(tables(frame_of(e), level - 1) for e in entries(pa)[:most] if level and e & 1 and not leaf(e))


def present(s, lo, hi):
    root = int(s["root"]) & (1 << 64) - 1
    return sum((min(va + n * PAGE, hi) - max(va, lo)) // PAGE for va, n in leaves(root - LINEAR, LEVELS - 1, 0, lo, hi))


def bits(e):
    return "".join(name if e >> bit & 1 else "-" for bit, name in zip(range(8, -1, -1), "hdaguxwrv"))


def steps(s, x):
    at_pa, out = root_of(s), []
    for level in range(LEVELS - 1, -1, -1):
        index = x["id"] >> 12 + 9 * level & 511
        e = entries(at_pa)[index]
        out.append((level, at_pa, index, e))
        if not e & 1 or leaf(e):
            break
        at_pa = frame_of(e)
    return out


def shown_steps(s, x):
    return ";".join("bits=%s,entry=%d,index=%d,level=%d,table=%d" % (bits(e), e, index, level, table) for level, table, index, e in steps(s, x))


def leads_to(s, x):
    level, _, _, e = steps(s, x)[-1]
    return frame_of(e) | x["id"] & (PAGE << 9 * level) - 1 if e & 1 else None


def stops(s, x):
    level, _, _, e = steps(s, x)[-1]
    return None if e & 1 else "level %d: the entry %s" % (level, "keeps a frame but is not valid" if e else "is empty")


# ---- spaces

def space(number, owner=0):
    return first(each(c("&'kernel/mem/space.c'::spaces"), "space", "all"), lambda s: int(s["id"]) == number)


def page_table(number, owner=0):
    """The space, or 0: the kernel's. Of a Walk the owner tells."""
    return space(number) if number else c("(struct space *)0")


def walked(address, owner):
    return page_table(owner)


def root_of(s):
    return (int(s["root"] if int(s) else c("kernel_root")) & (1 << 64) - 1) - LINEAR


SPACE = {name: name for name in "mapped resident huge peak tables faults cow_copies major harts brk_start brk mmap_top".split()}
SPACE.update({"mappings": "map.count", "pt": lambda s, x: key("PageTable", x["id"])})

PAGE_TABLE = {
    "root": lambda s, x: root_of(s), "satp": lambda s, x: s["satp"] if int(s) else 8 << 60 | root_of(s) // PAGE,
    "tables": lambda s, x: tables(root_of(s), LEVELS - 1, 256 if int(s) else 512),    # the upper half is the kernel's
    "resident": lambda s, x: sum(n for _, n in leaves(root_of(s), LEVELS - 1, 0, 0, USER_TOP)) if int(s) else None,
    "space": lambda s, x: key("Space", x["id"]) if int(s) else None,
}

WALK = {
    "pa": leads_to, "stops": stops, "bits": lambda s, x: bits(steps(s, x)[-1][3]), "pte": lambda s, x: steps(s, x)[-1][3],
    "steps": shown_steps, "pt": lambda s, x: key("PageTable", x["owner"]),
}


def ranges(r):
    if int(r):
        yield from ranges(r["link"]["rbe_left"])
        yield r.cast(gdb.lookup_type("struct mapping").pointer())
        yield from ranges(r["link"]["rbe_right"])


def mappings(s):
    return ranges(s["map"]["tree"]["rbh_root"])


def mapping(lo, owner):
    return first(mappings(space(owner)), lambda m: int(m["range"]["lo"]) == lo)


def kind(m, x=None):
    flags = int(m["flags"])
    for name in ("STACK", "HEAP", "VDSO"):
        if flags & int(c("MAPPING_" + name)):
            return name.lower()
    return "anonymous" if not int(m["phys"]) else "file" if int(m["phys"]["kind"]) == int(c("PHYS_FILE")) else "shared memory"


def rights(m, x):
    prot = int(m["prot"])
    return "".join(n if prot & b else "-" for n, b in (("r", 1), ("w", 2), ("x", 4))) + ("s" if int(m["flags"]) & 1 else "p")


def resident(m, x):
    return present(space(x["owner"]), int(m["range"]["lo"]), int(m["range"]["hi"]))


def length(m, x=None):
    return int(m["range"]["hi"]) - int(m["range"]["lo"])


MAPPING = {
    "lo": "range.lo", "hi": "range.hi", "bytes": length, "perm": rights, "kind": kind, "resident": resident, "offset": "offset", "flags": "flags",
    "lazy": lambda m, x: resident(m, x) * PAGE < length(m), "space": lambda m, x: key("Space", x["owner"]),
    "object": lambda m, x: phys_key(m["phys"]),
}

# ---- memory objects and frames

SHARED = 1 << 63


def bound(ph):
    return each(ph["mappings"].address, "mapping", "in_phys")


def phys_key(ph):
    if not int(ph):
        return None
    if int(ph["kind"]) == int(c("PHYS_FILE")):
        v = ph["owner"].cast(gdb.lookup_type("struct vnode").pointer())
        return vnode_key(v, "Phys")
    m = next(bound(ph), None)
    return shared_key(m) if m else None


def shared_key(m):
    return "Phys#%d@%d" % (int(m["range"]["lo"]), (SHARED | int(m["space"]["id"])) - (1 << 64))


def phys(number, owner):
    if owner & SHARED:
        return mapping(number, owner & ~SHARED & 0xffffffff)["phys"]
    return vnode(number, owner)["pages"]


PHYS = {name: name for name in "size pages dirty writing written hits misses error".split()}
PHYS.update({
    "kind": lambda p, x: "file" if int(p["kind"]) == int(c("PHYS_FILE")) else "shared memory",
    "dirty_since": lambda p, x: p["dirty_since_ns"] if int(p["dirty"]) else 0, "mappings": lambda p, x: sum(1 for _ in bound(p)),
    "vnode": lambda p, x: None if x["owner"] & SHARED else key("Vnode", x["id"], x["owner"]),
})


def frame(pa, owner):
    return c("frame_pages")[(pa - int(c("frame_base"))) // PAGE].address


def frame_kind(f):
    return int(f["kind"])


def of_cache(fn, otherwise):
    return lambda f, x: fn(f) if frame_kind(f) == int(c("FRAME_CACHE")) else otherwise


def kept(name):
    """What free frames and slabs keep elsewhere."""
    return lambda f, x: 0 if frame_kind(f) in (int(c("FRAME_FREE")), int(c("FRAME_SLAB"))) else f[name]


PAGE_FLAGS = "uptodate dirty busy writeback recent gone hot active".split()
KINDS = "reserved free kernel anon cache table slab heap".split()
FRAME = {
    "pa": lambda f, x: x["id"] // PAGE * PAGE, "kind": lambda f, x: KINDS[frame_kind(f)], "refs": kept("refs"), "pins": kept("pins"),
    "flags": of_cache(lambda f: " ".join(n for i, n in enumerate(PAGE_FLAGS) if int(f["flags"]) >> i & 1), ""),
    "index": of_cache(lambda f: f["index"], 0), "zero": lambda f, x: int(c("frame_zero")) == x["id"] // PAGE * PAGE,
    "object": of_cache(lambda f: phys_key(f["owner"].cast(gdb.lookup_type("struct phys").pointer())), None),
}


# ---- files


def supers():
    return each(c("&super_list"), "super", "all")


def vnode_key(v, kind="Vnode"):
    return key(kind, int(v["ino"]), int(v["super"]["dev"]))


def vnode(ino, dev):
    for s in supers():
        if int(s["dev"]) == dev:
            return first(each(s["vnodes"].address, "vnode", "in_super"), lambda v: int(v["ino"]) == ino)


def mounts():
    return each(c("&'kernel/fs/mount.c'::mounts"), "mount", "all")


def path(d, m):
    """Of a dentry, seen through a mount."""
    words = []
    while True:
        if int(d) == int(m["root"]):
            if not int(m["parent"]):
                return "/" + "/".join(reversed(words))
            d, m = m["point"], m["parent"]
        else:
            words.append(text(d["name"]))
            d = d["parent"]


def some_path(v, said):
    """Of a vnode that may have several, the one that was said if that is one of them; without a name: empty."""
    m = first(mounts(), lambda m: int(m["super"]) == int(v["super"]))
    names = [m["root"]] if m and int(m["root"]["vnode"]) == int(v) else []
    names += [d for d in each(c("&'kernel/fs/dentry.c'::all_dentries"), "dentry", "all") if int(d["vnode"]) == int(v)]
    paths = [path(d, m) for d in names] if m else []
    return said if said in paths else paths[0] if paths else ""


TYPES = {8: "file", 4: "directory", 10: "link", 1: "pipe", 2: "character device", 6: "block device", 12: "socket"}


def pipe_of(v, x=None):
    there = int(v["ops"]) == int(c("&pipe_vnode_ops")) or int(v["mode"]) >> 12 == 1 and int(v["pipe"])
    return vnode_key(v, "Pipe") if there else None


VNODE = {
    "ino": "ino", "device": "super.dev", "type": lambda v, x: TYPES[int(v["mode"]) >> 12], "path": lambda v, x: some_path(v, x["said"]["path"]),
    "mode": lambda v, x: "%04o" % (int(v["mode"]) & 0o7777), "links": "nlink", "uid": "uid", "gid": "gid", "size": "size", "refs": "refs",
    "writers": lambda v, x: max(int(v["writers"]), 0), "running": lambda v, x: max(-int(v["writers"]), 0),
    "locked": lambda v, x: int(v["lock"]["holder"]), "object": lambda v, x: vnode_key(v, "Phys") if int(v["pages"]) else None, "pipe": pipe_of,
}


def mount(number, owner):
    return first(mounts(), lambda m: int(m["id"]) == number)


MOUNT = {
    "path": lambda m, x: path(m["root"], m), "type": "super.fs.name", "source": "super.source", "device": "super.dev", "flags": "flags", "refs": "refs",
    "read_only": lambda m, x: int(m["flags"]) & 1 or int(m["super"]["flags"]) & 1,
    "vnodes": lambda m, x: sum(1 for _ in each(m["super"]["vnodes"].address, "vnode", "in_super")),
}


def file(fd, owner):
    return files_of(task(owner)).get(fd)


def file_path(f, x):
    if int(f["path"]["dentry"]):
        return path(f["path"]["dentry"], f["path"]["mount"])
    if int(f["ops"]["name"]):
        return "anon_inode:" + text(f["ops"]["name"])
    return "%s:[%d]" % ("pipe" if int(f["vnode"]["mode"]) >> 12 == 1 else "anon_inode", int(f["vnode"]["ino"]))


def terminal(f, x):
    if int(f["ops"]["poll"]) != int(c("(unsigned long)&tty_poll")):
        return None
    return key("Tty", int(f["priv"].cast(gdb.lookup_type("struct tty_file").pointer())["tty"]["id"]))


FILE = {
    "fd": lambda f, x: x["id"], "path": file_path, "access": lambda f, x: ("r" if f["readable"] else "") + ("w" if f["writable"] else ""),
    "position": "pos", "flags": "flags", "nonblocking": lambda f, x: int(f["flags"]) & 0o4000, "append": lambda f, x: int(f["flags"]) & 0o2000,
    "close_on_exec": lambda f, x: int(thread(task(x["owner"]))["files"]["cloexec"][x["id"] // 64]) >> x["id"] % 64 & 1, "references": "refs",
    "vnode": lambda f, x: vnode_key(f["vnode"]), "pipe": lambda f, x: pipe_of(f["vnode"]), "tty": terminal,
    "task": lambda f, x: key("Task", x["owner"]),
}


def pipe(ino, dev):
    v = vnode(ino, dev)
    if int(v["ops"]) != int(c("&pipe_vnode_ops")):
        return v["pipe"]
    offset = next(f.bitpos // 8 for f in gdb.lookup_type("struct pipe").fields() if f.name == "vnode")
    return at(int(v) - offset, "struct pipe")


def first_of(name):
    return lambda p, x: task_key(waiters(p[name])[0]["task"]) if waiters(p[name]) else None


PIPE = {
    "anonymous": lambda p, x: int(vnode(x["id"], x["owner"])["ops"]) == int(c("&pipe_vnode_ops")), "bytes": lambda p, x: int(p["head"]) - int(p["tail"]),
    "passed": "head", "pages": lambda p, x: sum(int(p["page"][i]) != 0 for i in range(16)), "readers": "readers", "writers": "writers",
    "reading": lambda p, x: len(waiters(p["readable"])), "writing": lambda p, x: len(waiters(p["writable"])),
    "reader": first_of("readable"), "writer": first_of("writable"),
}


def tty(number, owner):
    return c("&tty_console") if int(c("tty_console.id")) == number else None


def local_flag(bit):
    return lambda t, x: int(t["ld"]["termios"]["c_lflag"]) & bit


TTY = {
    "name": lambda t, x: "ttyS%d" % ((int(t["dev"]) & 0xff) - 64), "session": "session", "group": "pgrp", "files": "opens", "references": "refs",
    "hangups": "hangups", "readers": lambda t, x: len(waiters(t["readers"])), "writers": lambda t, x: len(waiters(t["writers"])),
    "input": lambda t, x: int(t["ld"]["head"]) - int(t["ld"]["tail"]), "lines": "ld.lines",
    "output": lambda t, x: int(t["ld"]["out_head"]) - int(t["ld"]["out_tail"]), "dropped": "ld.dropped", "rows": "winsize.rows",
    "columns": "winsize.cols", "canonical": local_flag(2), "echo": local_flag(8), "stopped": "ld.stopped", "gone": "gone",
}
