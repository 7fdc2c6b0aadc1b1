# SPDX-License-Identifier: MIT
"""gdb commands for Tidepool: `tasks` lists all tasks, `abt TASK` prints the async backtrace of one.

Load with `gdb-multiarch build/kernel/tidepool.elf -x kernel/gdb/tidepool.py`. An async frame is no
stack frame: a task is a chain of frames in its arena, each of which knows the await point it stands
at, so the backtrace of a blocked task is read from memory alone. See kernel/async/async.h.
"""
import gdb

ATTN = {1: "cancel", 2: "signal", 4: "stop", 8: "hold", 16: "deadline", 32: "resched", 64: "suspend", 128: "move"}
STATE = {1: "running", 2: "queued", 4: "dead"}


def bits(value, names):
    return "+".join(name for bit, name in names.items() if value & bit)


def text(value):
    return value.string(errors="replace") if int(value) else "-"


def all_tasks():
    """The tasks in the order of the global list."""
    head = gdb.parse_and_eval("&'task.c'::all_tasks")
    task = gdb.lookup_type("struct task")
    offset = next(f.bitpos // 8 for f in task.fields() if f.name == "all")
    link = head["next"]
    while int(link) != int(head):
        yield gdb.Value(int(link) - offset).cast(task.pointer())
        link = link["next"]


def frames(task):
    """The async frames of a task, leaf first, with the await point each stands at."""
    frame = task["top"]
    while int(frame):
        yield frame, frame["fn"].dereference(), frame["at"].dereference()
        frame = frame["parent"]


def waits_for(task):
    for _, fn, at in frames(task):
        return "%s in %s (%s:%d)" % (text(at["what"]), text(fn["name"]), text(fn["file"]), int(at["line"]) or int(fn["line"]))
    return "-"


def polled():
    """The task that the selected hart polls; QEMU's thread n is the hart with mhartid n - 1."""
    harts = gdb.parse_and_eval("harts")
    for i in range(int(gdb.parse_and_eval("hart_count"))):
        if int(harts[i]["id"]) == gdb.selected_thread().num - 1 and int(harts[i]["current"]):
            return harts[i]["current"]
    raise gdb.GdbError("this hart polls no task: abt TASK, see `tasks`")


def find(word):
    for task in all_tasks():
        if word == str(int(task["id"])) or word == task["name"].string():
            return task
    value = gdb.parse_and_eval(word)
    if value.type.code == gdb.TYPE_CODE_PTR:
        return value.cast(gdb.lookup_type("struct task").pointer())
    raise gdb.GdbError("no task %s: give an id, a name, or a struct task pointer" % word)


class Tasks(gdb.Command):
    """tasks: every task with its id, state, hart, attention bits and what it waits for."""

    def __init__(self):
        super().__init__("tasks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        print("%4s %-16s %-15s %4s %-10s %s" % ("id", "name", "state", "hart", "attention", "at"))
        for task in all_tasks():
            print("%4d %-16s %-15s %4d %-10s %s" % (
                task["id"], task["name"].string(), bits(int(task["state"]), STATE) or "waiting",
                task["hart"], bits(int(task["attn"]), ATTN) or "-", waits_for(task)))


class AsyncBacktrace(gdb.Command):
    """abt TASK: the async backtrace of a task (its id, its name, or an expression), leaf first.

    Without an argument: of the task that the selected hart polls."""

    def __init__(self):
        super().__init__("abt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        task = find(argument.strip()) if argument.strip() else polled()
        print("task %d %s" % (task["id"], task["name"].string()))
        for n, (frame, fn, at) in enumerate(frames(task)):
            line = int(at["line"]) or int(fn["line"])
            print("#%-2d %-24s %s:%d  %s  (struct %s_frame *)%#x" % (
                n, text(fn["name"]), text(fn["file"]), line, text(at["what"]), text(fn["name"]), int(frame)))


Tasks()
AsyncBacktrace()
