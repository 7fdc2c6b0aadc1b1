-- SPDX-License-Identifier: MIT
-- What scripts ask of the host: host.sh and the like (the calls of monitor/wire/rpc.h), require.
local monitor, p = ...
local raise = error

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

-- A script that is run again gets its modules as they are now.
local loaded = {}
function p.script_begin() loaded = {} end

function require(name)
    if loaded[name] ~= nil then return loaded[name] end
    local r = monitor.call("file", {name = name, kind = "module"})
    local f, message = load(r.data, "@" .. r.path)
    if not f then raise(message, 0) end
    local v = f(name, r.path)
    loaded[name] = v == nil and true or v
    return loaded[name]
end
