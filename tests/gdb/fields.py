# SPDX-License-Identifier: MIT
"""What stands for each field of each class in C: CLASSES = {class: (find, {field: entry}, moved)}.

find(id, owner) gives the structure behind an object as a gdb.Value, or None. An entry is a member ("sched.nice"), or a function of the
structure and of {"id", "owner", "ns": (before, after the copy), "said": {field: value}}. Moves: only compared if the object has not
moved since, which moved(structure, said) tells. Grows: C may have more by now. Holds: a function that is also given the value."""
import of_kernel as k
import of_files as f
import of_sys as s
import of_waits as w
from inferior import at, c, never, once

CLASSES = {
    "Task": (k.task, k.TASK, k.task_moved),
    "Hart": (lambda i, owner: c("harts")[i], k.HART, k.hart_moved),
    "Device": (k.nth_device, k.DEVICE, never),
    "Irq": (lambda i, owner: c("'kernel/dev/irq.c'::sources")[i], k.IRQ, never),
    "Timer": (lambda address, owner: at(address, "struct timer"), k.TIMER, k.may_have_fired),
    "Tls": (k.constructor, k.TLS, never),
    "VirtQueue": (k.queue, k.QUEUE, never),
    "HeapClass": (lambda i, owner: c("'kernel/page/heap.c'::classes")[i], k.HEAP, never),
    "Epochs": (once("'kernel/async/epoch.c'::queue"), k.EPOCHS, never),
    "Sched": (once("run_queues"), k.SCHED, never),
    "Flusher": (once("phys_totals"), k.FLUSHER, never),
    "Memory": (once("phys_totals"), k.MEMORY, never),
    "Symbol": (lambda address, owner: c("0"), k.SYMBOL, never),
    "Point": (lambda i, owner: k.set_begin("trace_points", "struct trace_point") + i, k.POINT, never),
    "Trace": (k.trace, k.TRACE, never),
    "Space": (f.space, f.SPACE, never),
    "PageTable": (f.page_table, f.PAGE_TABLE, never),
    "Walk": (f.walked, f.WALK, never),
    "Mapping": (f.mapping, f.MAPPING, never),
    "Phys": (f.phys, f.PHYS, never),
    "Frame": (f.frame, f.FRAME, never),
    "Futex": (w.futex, w.FUTEX, never),
    "Vnode": (f.vnode, f.VNODE, never),
    "Mount": (f.mount, f.MOUNT, never),
    "File": (f.file, f.FILE, never),
    "Pipe": (f.pipe, f.PIPE, never),
    "Tty": (f.tty, f.TTY, never),
    "Signal": (w.signal, w.SIGNAL, never),
    "Syscall": (s.call, s.SYSCALL, s.called_since),
    "LogLine": (s.line, s.LINE, never),
    "VirtioDevice": (s.device, s.VIRTIO, never),
    "Lock": (w.lock, w.LOCK, never),
    "Channel": (w.channel, w.CHANNEL, never),
}
