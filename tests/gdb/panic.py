# SPDX-License-Identifier: MIT
"""The first hart that comes to WHERE (the environment) while a freeze is in force goes on in panic("planted")."""
import gdb
import os

gdb.execute("set pagination off")
where = os.environ["WHERE"]
HART = "((struct hart *)$tp)->index"
# The freezer serves what cannot wait while it waits for the others; so does everybody else who waits for something.
condition = "'freeze.c'::number != 0" + (f" && 'freeze.c'::freezer == {HART} + 1" if where == "ipi_serve" else "")
gdb.execute(f"break {where} if {condition}")
gdb.execute("continue")
hart = int(gdb.parse_and_eval(HART))  # the machine's order of them need not be the kernel's
gdb.execute("delete")
# In panic's own buffer for a second panic, which it has not come to.
why = int(gdb.parse_and_eval("&panic::again").cast(gdb.lookup_type("unsigned long")))
gdb.selected_inferior().write_memory(why, b"planted\0")
gdb.execute(f"set $a0 = {why}")
gdb.execute("set $pc = &panic")
print(f"panics on hart {hart}", flush=True)
gdb.execute("detach")
