-- SPDX-License-Identifier: MIT
-- Sequences: lazy, iterable, with :where{} :map() :sort() and so on; lists of kernel objects share
-- the methods.
local monitor, p = ...
local raise, sort, move, refuse = error, table.sort, table.move, p.refuse

local Seq = {}
local methods = monitor.list            -- of the lists of kernel objects, too
Seq.__index = function(_, name)
    local m = methods[name]
    if m == nil then raise("a sequence has no method '" .. tostring(name) .. "'", 2) end
    return m
end
Seq.__metatable = "Seq"
Seq.__name = "Seq"
Seq.__tostring = function() return "sequence" end

local makers = setmetatable({}, {__mode = "k"})     -- sequence -> function that begins a walk
local walks = setmetatable({}, {__mode = "k"})      -- sequence -> its loop in progress

function seq(make)
    local s = setmetatable({}, Seq)
    makers[s] = make
    return s
end

local function each(s)
    if makers[s] then return makers[s]() end
    local last
    return function() last = s(nil, last) return last end
end

Seq.__call = function(s, _, control)
    if control == nil then walks[s] = makers[s]() end
    return walks[s]()
end
Seq.__len = function(s) return s:count() end

local function is_list(v) return type(v) == "userdata" and getmetatable(v) == "List" end
local function is_seq(v) return makers[v] ~= nil or is_list(v) end

-- What died between being listed and being asked is left out.
local function alive(f, ...)
    local ok, v = pcall(f, ...)
    if ok then return true, v end
    if type(v) == "string" and v:find("stale handle", 1, true) then return false end
    local mine = type(v) == "string" and v:match("^prelude/seq%.lua:%d+: (.*)$")
    if mine then refuse("%s", mine) end
    raise(v, 0)
end

local function field(x, name) return x[name] end

local function matches(x, want)
    if type(want) == "function" then return select(2, alive(want, x)) end
    for name, v in pairs(want) do
        local ok, got = alive(field, x, name)
        if not ok then return false end
        if type(v) == "function" then
            if not v(got) then return false end
        elseif got ~= v then
            return false
        end
    end
    return true
end

-- Whether the argument is of one of these types; else raises what it is to be.
local function check(method, v, wanted, ...)
    for i = 1, select("#", ...) do if type(v) == select(i, ...) then return end end
    refuse(":%s: %s expected, got %s", method, wanted, type(v))
end

function methods.where(s, want)
    check("where", want, "{field = value, ...} or a function", "table", "function")
    return seq(function()
        local it = each(s)
        return function()
            for x in it do
                if matches(x, want) then return x end
            end
        end
    end)
end

function methods.map(s, f)
    check("map", f, "a function or the name of a field", "function", "string")
    if type(f) == "string" then
        local name = f
        f = function(x) return x[name] end
    end
    return seq(function()
        local it = each(s)
        return function()
            for x in it do
                local ok, v = alive(f, x)
                if ok and v ~= nil then return v end
            end
        end
    end)
end

local function check_number(method, n)
    if not math.type(n) or not math.tointeger(n) or n < 0 then      -- tointeger takes "3", too
        refuse(":%s: a whole number expected, got %s", method, type(n) == "number" and n or type(n))
    end
end

function methods.take(s, n)
    check_number("take", n)
    return seq(function()
        local it, left = each(s), n
        return function()
            left = left - 1
            if left >= 0 then return it() end
        end
    end)
end

-- The last n, as a list.
function methods.tail(s, n)
    check_number("tail", n)
    local out = s:list()
    return move(out, math.max(#out - n, 0) + 1, #out, 1, {})
end

function methods.list(s)
    local out = {}
    for x in each(s) do out[#out + 1] = x end
    return out
end

local function before(a, b)
    if type(a) ~= type(b) or type(a) ~= "number" and type(a) ~= "string" then
        refuse(":sort: a %s and a %s have no order; sort by a field that is a number or a string", type(a), type(b))
    end
    return a < b
end

function methods.sort(s, by, down)
    check("sort", by, "the name of a field or a function", "string", "function", "nil")
    check("sort", down, "true (descending) or false", "boolean", "nil")
    local keys = {}
    local get = type(by) == "string" and function(x) return x[by] end
        or type(by) == "function" and by or function(x) return x end
    local all = {}
    for x in each(s) do
        local ok, v = alive(get, x)
        if ok then
            all[#all + 1] = {x, v}
        end
    end
    sort(all, function(a, b)
        if down then a, b = b, a end
        if a[2] == nil or b[2] == nil then return a[2] == nil and b[2] ~= nil end
        return before(a[2], b[2])
    end)
    for i, pair in ipairs(all) do keys[i] = pair[1] end
    return seq(function()
        local i = 0
        return function() i = i + 1 return keys[i] end
    end)
end

function methods.first(s) return each(s)() end

function methods.count(s)
    if is_list(s) then return #s end
    local n = 0
    for _ in each(s) do n = n + 1 end
    return n
end


p.seq, p.each, p.is_list, p.is_seq, p.methods, p.list = seq, each, is_list, is_seq, methods, methods.list
