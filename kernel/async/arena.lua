-- SPDX-License-Identifier: MIT
-- arena.lua KERNEL.elf [-v]: the worst case of every async call graph, from the table of await points
-- in the linked kernel. Run by the build after linking; fails when a graph is recursive, for then no
-- arena is large enough. -v lists every system call's bytes.
--
-- Layouts are those of struct async_fn, await_point, async_impl and syscall_entry (async.h, syscall.h).
local path, verbose = arg[1], arg[2] == "-v"
local file = assert(io.open(path, "rb"))
local elf = file:read("a")
file:close()
assert(elf:sub(1, 4) == "\127ELF", path .. " is not an ELF file")

local shoff = string.unpack("<I8", elf, 0x28 + 1)
local shentsize, shnum = string.unpack("<I2I2", elf, 0x3a + 1)
local sections, symbols = {}, {}
for i = 0, shnum - 1 do
    local _, kind, _, addr, offset, size, link = string.unpack("<I4I4I8I8I8I8I4", elf, shoff + i * shentsize + 1)
    sections[i] = { kind = kind, addr = addr, offset = offset, size = size, link = link }
end
for _, s in pairs(sections) do
    if s.kind == 2 then -- SHT_SYMTAB
        local names = sections[s.link].offset
        for at = s.offset, s.offset + s.size - 24, 24 do
            local name, _, _, _, value = string.unpack("<I4BBI2I8", elf, at + 1)
            symbols[string.unpack("z", elf, names + name + 1)] = value
        end
    end
end

-- File offset of a linked address; sections without contents (kind 8) do not count.
local function offset_of(addr)
    for _, s in pairs(sections) do
        if s.addr ~= 0 and s.kind ~= 8 and math.ult(addr - s.addr, s.size) then
            return s.offset + addr - s.addr
        end
    end
    error(("no contents at 0x%x"):format(addr))
end
local function word(addr) return (string.unpack("<I8", elf, offset_of(addr) + 1)) end
local function text(addr) return (string.unpack("z", elf, offset_of(addr) + 1)) end

local function items(set, size)
    local from, to = symbols["__start_set_" .. set], symbols["__stop_set_" .. set]
    assert(from and to, "no linker set " .. set)
    assert((to - from) % size == 0, "items of " .. set .. " are not " .. size .. " bytes")
    local at = from - size
    return function()
        at = at + size
        if at ~= to then return at end
    end
end

local calls, points = {}, 0 -- function -> what it awaits
for p in items("await_points", 48) do
    local self, callee, iface = word(p), word(p + 16), word(p + 24)
    points = points + 1
    if self ~= 0 then
        local list = calls[word(self)] or {}
        calls[word(self)] = list
        list[#list + 1] = { callee = callee, iface = iface }
    end
end
local implementations = {}
for p in items("async_impls", 16) do
    local iface = word(p)
    implementations[iface] = implementations[iface] or {}
    table.insert(implementations[iface], word(p + 8))
end

local function name(fn) return text(word(fn)) end
local function own(fn) return (string.unpack("<I4", elf, offset_of(fn) + 29)) end

local depth, trail = {}, {}
local function worst(fn)
    if depth[fn] then return depth[fn] end
    for i, f in ipairs(trail) do
        if f == fn then
            local cycle = {}
            for k = i, #trail do cycle[#cycle + 1] = name(trail[k]) end
            io.stderr:write(path, ": async recursion: ", table.concat(cycle, " -> "), " -> ", name(fn), "\n")
            os.exit(1)
        end
    end
    trail[#trail + 1] = fn
    local deepest = 0
    for _, call in ipairs(calls[fn] or {}) do
        if call.callee ~= 0 then deepest = math.max(deepest, worst(call.callee)) end
        for _, impl in ipairs(implementations[call.iface] or {}) do deepest = math.max(deepest, worst(impl)) end
    end
    trail[#trail] = nil
    depth[fn] = deepest + own(fn)
    return depth[fn]
end

local most, who, count = 0, "", 0
for fn in pairs(calls) do
    count = count + 1
    if worst(fn) > most then most, who = worst(fn), name(fn) end
end
if verbose then
    local rows = {}
    for e in items("syscalls", 40) do
        if word(e + 24) ~= 0 then rows[#rows + 1] = ("%6d %s"):format(worst(word(e + 24)), text(word(e + 8))) end
    end
    table.sort(rows)
    print(table.concat(rows, "\n"))
end
print(("  ARENA %d await points in %d functions; deepest %s, %d bytes"):format(points, count, who, most))
