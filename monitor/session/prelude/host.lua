-- SPDX-License-Identifier: MIT
-- What scripts ask of the host: host.sh and the like (the calls of monitor/wire/rpc.h), require.
local monitor, p = ...
local raise, next = error, next       -- a script may have a `next` of its own

host = {}
function host.sh(command, ms)
    local r = monitor.call("sh", {command = command, ms = ms})
    return r.status, r.output
end
function host.spawn(command) monitor.call("spawn", {command = command}) end
function host.type(text) monitor.call("type", {text = text}) end
function host.expect(pattern, ms)
    local r = monitor.call("expect", {pattern = pattern, ms = ms})
    return r.text, table.unpack(r.captures or {})
end
function host.file(name) return monitor.call("file", {name = name, kind = "file"}).data end
function host.args() return monitor.call("args", {}).args end

-- A script that is run again gets its modules as they are now: the host reads them anew, and sends what the kernel has not.
local loaded, loading = {}, {}
function p.script_begin() loaded = {} end

-- Nothing is being loaded when a request begins: no __close runs while what was interrupted is unwound to a pcall.
function p.request_begin() if next(loading) then loading = {} end end

local function module_text(name)
    local r = monitor.call("file", {name = name, kind = "module", have = monitor.texts()})
    local text = r.data or monitor.text(r.hash)
    if not text then    -- others' modules took its place meanwhile
        r = monitor.call("file", {name = name, kind = "module"})
        text = r.data
    end
    if r.data then monitor.keep(text) end
    return text, r.path
end

-- loading: the names of the modules that run now, each required by the one before it.
local function refuse_cycle(name)
    for i, x in ipairs(loading) do
        if x == name then
            p.refuse("require: a cycle: %s -> %s", table.concat(loading, " -> ", i), name)
        end
    end
end

function require(name)
    if type(name) ~= "string" then p.refuse("require: the name of a module expected, got %s", type(name)) end
    if loaded[name] ~= nil then return loaded[name] end
    refuse_cycle(name)
    local text, path = module_text(name)
    local f, message = load(text, "@" .. path)
    if not f then raise(message, 0) end
    local names, depth = loading, #loading
    local _ <close> = setmetatable({}, {__close = function() names[depth + 1] = nil end})
    names[depth + 1] = name
    local v = f(name, path)
    loaded[name] = v == nil and true or v
    return loaded[name]
end
