-- SPDX-License-Identifier: MIT
-- The way of an address through a page table, as the hardware goes it.
--
--   kmon run lua-scripts/walk.lua PID ADDRESS      PID 0: the kernel's own table
local pid, address = ...
assert(pid and address, "usage: walk.lua PID ADDRESS")
local va = assert(math.tointeger(tonumber(address)), "not an address: " .. address)
local pt = pid == "0" and k.pt or k.pid(tonumber(pid)).space.pt
local w = assert(pt:walk(va))

print(("%x = table indexes %d, %d, %d, byte %d"):format(va, va >> 30 & 511, va >> 21 & 511,
    va >> 12 & 511, va & 4095))
print(tabulate(w.steps, {"level>", "table>", "index>", "entry>", "bits"}))
if w.pa then
    print(("leads to %x"):format(w.pa))
else
    print("stops at " .. w.stops)
    local m = pid ~= "0" and k.pid(tonumber(pid)).space:find(va)
    print(m and "but it is mapped, lazily: " .. tostring(m) or "nothing is mapped there")
end
