-- SPDX-License-Identifier: MIT
-- Checks that speak TAP: ok, is, like, fails, eventually. Global in `kmon check` only, but for
-- eventually and diag.
local monitor, p = ...
local show_nested = p.show_nested

local tap = {tests = 0, failed = 0}

local function result(good, name, ...)
    tap.tests = tap.tests + 1
    if not good then tap.failed = tap.failed + 1 end
    print(("%sok %d%s"):format(good and "" or "not ", tap.tests, name and " - " .. tostring(name) or ""))
    if not good then
        diag("failed at " .. (p.where() or "?"))
        for _, line in ipairs({...}) do diag(line) end
    end
    return good and true or false
end

local checks = {}
function checks.diag(text)
    for line in tostring(text):gmatch("[^\n]+") do print("# " .. line) end
end
diag = checks.diag
function checks.ok(good, name) return result(good, name) end
function checks.is(got, want, name)
    return result(got == want, name, "got:      " .. show_nested(got, 0, {}),
        "expected: " .. show_nested(want, 0, {}))
end
function checks.isnt(got, bad, name)
    return result(got ~= bad, name, "got: " .. show_nested(got, 0, {}))
end
function checks.like(got, pattern, name)
    return result(type(got) == "string" and got:find(pattern) ~= nil, name,
        "got:     " .. show_nested(got, 0, {}), "pattern: " .. pattern)
end
-- fn must raise an error that contains text (plain).
function checks.fails(fn, text, name)
    local good, message = pcall(fn)
    return result(not good and tostring(message):find(text or "", 1, true) ~= nil, name,
        "got: " .. (good and "no error" or tostring(message)))
end
function checks.plan(n)
    tap.plan = n
    print("1.." .. n)
end
function checks.skip(name, why)
    tap.tests = tap.tests + 1
    print(("ok %d - %s # SKIP %s"):format(tap.tests, name, why or ""))
end
-- Waits until fn() is true, at most `seconds` (10): lets the kernel run in between. The last value.
function eventually(fn, seconds, name)
    local till, pause, v = k.ns + math.floor((seconds or 10) * 1e9), 1
    repeat
        v = fn()
        if v then break end
        k.sleep(pause)
        pause = pause < 16 and pause * 2 or 20
    until k.ns > till
    if name then result(v, name) end
    return v
end
function checks.done()
    if not tap.plan then checks.plan(tap.tests) end
end

-- What the prompt, help and the host make of classes, for the test of them.
checks.reflect = {classes = monitor.classes, api = monitor.api, class = monitor.class, copy = monitor.copy,
    plain = monitor.plain, complete = p.complete, show = p.show}

local function tap_begin()
    tap = {tests = 0, failed = 0}
    for name, f in pairs(checks) do _G[name] = f end
end

local function tap_end()
    if not tap.plan then
        checks.plan(tap.tests)
    elseif tap.plan ~= tap.tests then
        diag(("planned %d tests, ran %d"):format(tap.plan, tap.tests))
        tap.failed = tap.failed + 1
    end
    return tap.tests, tap.failed
end


p.tap_begin, p.tap_end = tap_begin, tap_end
