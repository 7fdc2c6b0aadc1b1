# SPDX-License-Identifier: MIT
"""Compares what the monitor printed (objects.lua) with the C structures of the stopped machine, by the table in fields.py.

A class has a function that finds the object's structure, and for each field what stands for it in C. Prints a line of TAP for each
class. A field without an entry fails, and so does one that was never compared: of a task that has run since, or of a hart that is
not asleep, only what grows is (Moves, Grows)."""
import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__) if "__file__" in globals() else "tests/gdb")
sys.dont_write_bytecode = True
import fields  # noqa: E402
from inferior import Grows, Holds, Moves, plain, value  # noqa: E402


def read(path):
    classes, objects = {}, []
    for line in open(path, errors="replace"):
        word = line.rstrip("\n").split(" ", 1)
        if word[0] == "class":
            name, *names = word[1].split(" ")
            classes[name] = names
        elif word[0] == "object":
            key, before, after = word[1].split(" ")
            objects.append((key, {"": (int(before), int(after))}))
        elif word[0] == "field":
            name, letter, value = (word[1] + "  ").split(" ", 2)
            objects[-1][1][name] = {"n": lambda v: None, "b": lambda v: v == "true", "i": lambda v: int(v) & (1 << 64) - 1,
                                    "l": int}.get(letter, str)(value[:-2] if letter not in "n" else "")
    return classes, objects


def same(c, said):
    if isinstance(said, bool):
        return bool(c) == said
    if isinstance(said, int) and isinstance(c, (int, gdb.Value)):
        return int(c) & (1 << 64) - 1 == said
    return plain(c) == said


class Tally:
    def __init__(self, names):
        self.wrong, self.compared, self.objects = [], {name: 0 for name in names}, 0

    def field(self, key, o, name, entry, said, context):
        if isinstance(entry, Moves):
            if context["moved"]:
                return
            entry = entry.fn
        self.compared[name] += 1
        if isinstance(entry, Grows):
            c = value(entry.fn, o, context)
            good = said[name] <= int(c)
        elif isinstance(entry, Holds):
            c = "?"
            good = entry.fn(o, context, said[name])
        else:
            c = value(entry, o, context)
            good = same(c, said[name])
        if not good:
            self.wrong.append("%s.%s: the monitor says %r, C %r" % (key, name, said[name], plain(c)))


def compare(key, said, tally):
    name, rest = key.split("#")
    number, owner = (int(x) for x in rest.split("@"))
    find, table, moved = fields.CLASSES[name]
    o = find(number & (1 << 64) - 1, owner & (1 << 64) - 1)
    if o is None:
        tally.wrong.append("%s: nothing of C is it" % key)
        return
    context = {"id": number & (1 << 64) - 1, "owner": owner, "ns": said[""], "said": said, "moved": moved(o, said)}
    tally.objects += 1
    for field in tally.compared:
        try:
            if field in table:
                tally.field(key, o, field, table[field], said, context)
        except (gdb.error, KeyError, ValueError, TypeError, AttributeError) as e:
            tally.wrong.append("%s.%s: %s: %s" % (key, field, type(e).__name__, e))


def main():
    classes, objects = read(os.environ["OBJECTS"])
    total = 0
    tallies = {name: Tally(names) for name, names in classes.items()}
    for key, said in objects:
        if key.split("#")[0] in fields.CLASSES:
            compare(key, said, tallies[key.split("#")[0]])
    for name, tally in tallies.items():
        table = fields.CLASSES.get(name, (None, {}))[1]
        wrong = ["%s.%s has no entry in tests/gdb/fields.py" % (name, f) for f in tally.compared if f not in table]
        wrong += ["%s.%s is no field" % (name, f) for f in table if f not in tally.compared]
        wrong += ["%s.%s was never compared" % (name, f) for f, n in tally.compared.items() if f in table and not n]
        wrong += tally.wrong
        total += sum(tally.compared.values())
        print("%s %s: %d objects" % ("not ok" if wrong else "ok", name, tally.objects))
        for line in wrong[:12]:
            print("  " + line)
    print("compared %d values" % total)


main()
