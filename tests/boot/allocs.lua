-- SPDX-License-Identifier: MIT
-- A system call allocates nothing, neither one that is served at once nor one that waits: many calls of each kind make
-- hardly more allocations than few.
-- harts: 1 4
local FEW, MANY = 100, 20100

local function allocations(command)
    local before, after = 0, 0
    for class in k.heap do before = before + class.allocs end
    local frames = k.memory().allocs
    is(host.sh(command), 0, command)
    for class in k.heap do after = after + class.allocs end
    return after - before, k.memory().allocs - frames
end

local function allocates_little(what, command)
    allocations(command:format(FEW)) -- what is cached from here on is no call's
    local heap, frames = allocations(command:format(FEW))
    local more_heap, more_frames = allocations(command:format(MANY))
    local calls = MANY - FEW
    ok(more_heap - heap < calls / 20, ("%s: %d more heap objects for %d more rounds"):format(what, more_heap - heap, calls))
    ok(more_frames - frames < calls / 20, ("%s: %d more frames"):format(what, more_frames - frames))
end

allocates_little("read and write", "dd if=/dev/zero of=/dev/null bs=1 count=%d 2>/dev/null")
allocates_little("pipes, which wait", "dd if=/dev/zero bs=1 count=%d 2>/dev/null | dd of=/dev/null bs=1 2>/dev/null")
done()
