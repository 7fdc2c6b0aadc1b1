-- SPDX-License-Identifier: MIT
-- What every fresh state begins with: printing, sequences, help, completion, checks, the host.
-- Called with the table `monitor` (class/reflect.c, session/*.c); returns what session/eval.c calls.
local monitor = ...
local concat, insert, sort = table.concat, table.insert, table.sort

-- ---- printing -------------------------------------------------------------------------------

function print(...)
    local out = table.pack(...)
    for i = 1, out.n do out[i] = tostring(out[i]) end
    monitor.write(concat(out, "\t") .. "\n")
end

local raise = error
function assert(v, ...)
    if v then return v, ... end
    local message = select("#", ...) > 0 and (...) or "assertion failed!"
    monitor.asserted(message)
    raise(message, type(message) == "string" and 2 or 0)
end

-- rows: list of tables. columns: list of names, each perhaps "name>" for right alignment.
local function tabulate(rows, columns)
    local width, right, lines = {}, {}, {}
    for c, name in ipairs(columns) do
        local plain = name:gsub(">$", "")
        right[c] = plain ~= name
        width[c] = utf8.len(plain) or #plain
    end
    local cells = {}
    for r, row in ipairs(rows) do
        cells[r] = {}
        for c, name in ipairs(columns) do
            local v = row[(name:gsub(">$", ""))]
            local text = v == nil and "-" or tostring(v)
            cells[r][c] = text
            width[c] = math.max(width[c], utf8.len(text) or #text)
        end
    end
    local function line(cell)
        local out = {}
        for c = 1, #columns do
            local text = cell[c]
            local pad = (" "):rep(width[c] - (utf8.len(text) or #text))
            out[c] = right[c] and pad .. text or text .. pad
        end
        return (concat(out, "  "):gsub("%s+$", ""))
    end
    local head = {}
    for c, name in ipairs(columns) do head[c] = (name:gsub(">$", "")) end
    lines[1] = line(head)
    for r = 1, #rows do lines[r + 1] = line(cells[r]) end
    return concat(lines, "\n")
end

-- ---- sequences ------------------------------------------------------------------------------

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

local function seq(make)
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

local function is_seq(v)
    return makers[v] ~= nil or (type(v) == "userdata" and getmetatable(v) == "List")
end

-- What died between being listed and being asked is left out.
local function alive(f, ...)
    local ok, v = pcall(f, ...)
    if ok then return true, v end
    if type(v) == "string" and v:find("stale handle", 1, true) then return false end
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

function methods.where(s, want)
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

function methods.take(s, n)
    return seq(function()
        local it, left = each(s), n
        return function()
            left = left - 1
            if left >= 0 then return it() end
        end
    end)
end

function methods.list(s)
    local out = {}
    for x in each(s) do out[#out + 1] = x end
    return out
end

function methods.sort(s, by, down)
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
        return a[2] < b[2]
    end)
    for i, pair in ipairs(all) do keys[i] = pair[1] end
    return seq(function()
        local i = 0
        return function() i = i + 1 return keys[i] end
    end)
end

function methods.first(s) return each(s)() end

function methods.count(s)
    local n = 0
    for _ in each(s) do n = n + 1 end
    return n
end

-- ---- showing values at the prompt ------------------------------------------------------------

local SHOWN, DEPTH = 200, 4

local function quote(s)
    return (("%q"):format(s):gsub("\\\n", "\\n"))
end

local show_nested

local function by_class()
    local map = {}
    for _, c in ipairs(monitor.classes()) do map[c.name] = c end
    return map
end

-- A value as a field of its object: addresses in hexadecimal.
local function field_text(f, v)
    if v == nil then return "nil" end
    if f.type == "address" then return ("0x%x"):format(v) end
    if f.type == "nanoseconds" then return ("%.6f s"):format(v / 1e9) end
    return show_nested(v, 2, {})
end

local function show_object(v)
    local copy, lines = monitor.copy(v), {tostring(v)}
    if copy then
        for _, f in ipairs(by_class()[monitor.class(v)].fields) do
            lines[#lines + 1] = ("  %-14s %s"):format(f.name, field_text(f, copy[f.name]))
        end
    end
    return concat(lines, "\n")
end

local function is_row(v)
    if type(v) ~= "table" then return false end
    for key, x in pairs(v) do
        if type(key) ~= "string" or type(x) == "table" or type(x) == "function" then return false end
    end
    return next(v) ~= nil
end

-- A list of plain records is shown as a table; its columns are those of the metatable, or sorted.
local function show_rows(t)
    local meta = getmetatable(t)
    local columns = type(meta) == "table" and meta.__columns
    if not columns then
        local seen = {}
        columns = {}
        for _, row in ipairs(t) do
            for name in pairs(row) do
                if not seen[name] then
                    seen[name] = true
                    columns[#columns + 1] = name
                end
            end
        end
        sort(columns)
    end
    return tabulate(t, columns)
end

local function show_table(t, depth, seen)
    if seen[t] then return "<cycle>" end
    if depth >= DEPTH then return "{...}" end
    seen[t] = true
    local parts, n, all = {}, #t, 0
    local function add(text)
        all = all + 1
        if all <= SHOWN then parts[#parts + 1] = text end
    end
    for i = 1, n do add(show_nested(t[i], depth + 1, seen)) end
    local names = {}
    for key in pairs(t) do
        if math.type(key) ~= "integer" or key < 1 or key > n then names[#names + 1] = key end
    end
    sort(names, function(a, b)
        if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
        return type(a) < type(b)
    end)
    for _, key in ipairs(names) do
        local name = type(key) == "string" and key:match("^[%a_][%w_]*$") or
            "[" .. show_nested(key, depth + 1, seen) .. "]"
        add(name .. " = " .. show_nested(t[key], depth + 1, seen))
    end
    seen[t] = nil
    if all > SHOWN then parts[#parts + 1] = ("... and %d more"):format(all - SHOWN) end
    local one = "{" .. concat(parts, ", ") .. "}"
    if #one <= 90 then return one end
    local pad = ("  "):rep(depth + 1)
    return "{\n" .. pad .. concat(parts, ",\n" .. pad) .. "\n" .. ("  "):rep(depth) .. "}"
end

function show_nested(v, depth, seen)
    if type(v) == "string" then return quote(v) end
    if is_seq(v) then return tostring(v) end
    if type(v) == "table" and not (getmetatable(v) and type(getmetatable(v)) == "table"
            and getmetatable(v).__tostring) then
        return show_table(v, depth, seen)
    end
    return tostring(v)
end

local function show_seq(s)
    local lines, n = {}, 0
    for x in each(s) do
        n = n + 1
        if n <= SHOWN then lines[n] = show_nested(x, 1, {}) end
    end
    if n > SHOWN then lines[#lines + 1] = ("... and %d more"):format(n - SHOWN) end
    return n == 0 and "(none)" or concat(lines, "\n")
end

local function show(v)
    if type(v) == "string" then return v end
    if is_seq(v) then return show_seq(v) end
    if monitor.class(v) then return show_object(v) end
    if type(v) == "table" and #v > 0 then
        local rows, handles = true, true
        for _, x in ipairs(v) do
            rows = rows and is_row(x)
            handles = handles and monitor.class(x) ~= nil
        end
        if rows then return show_rows(v) end
        if handles then return show_seq(seq(function()
            local i = 0
            return function() i = i + 1 return v[i] end
        end)) end
    end
    return show_nested(v, 0, {})
end

local function show_all(...)
    local out, lines = table.pack(...), false
    for i = 1, out.n do
        out[i] = show(out[i])
        lines = lines or out[i]:find("\n", 1, true)
    end
    return concat(out, lines and "\n" or "\t")
end

-- ---- help -----------------------------------------------------------------------------------

local function overview()
    local out = {"k has:"}
    local api = monitor.api()
    sort(api, function(a, b) return a.name < b.name end)
    for _, a in ipairs(api) do
        out[#out + 1] = ("  %-44s %s"):format(a.signature or "k." .. a.name, a.doc)
    end
    out[#out + 1] = "classes:"
    for _, c in ipairs(monitor.classes()) do
        out[#out + 1] = ("  %-12s %s"):format(c.name, c.doc)
    end
    out[#out + 1] = "help(k.tasks), help(\"Task\"), help(x) say more."
    return concat(out, "\n")
end

local function help_method(m, owner)
    local out = {m.signature or owner .. "." .. m.name, "  " .. m.doc}
    if m.example then out[#out + 1] = "  for example: " .. m.example end
    return concat(out, "\n")
end

local function help_field(c, f)
    return ("%s.%s: %s%s\n  %s\n  of %s"):format(c.name, f.name, f.type,
        f.writable and ", writable" or ", read-only", f.doc, c.place or c.name)
end

local function help_class(c)
    local out = {c.name .. ": " .. c.doc, "  behind it: " .. (c.place or "?")}
    for _, f in ipairs(c.fields) do
        out[#out + 1] = ("  .%-15s %-14s %s%s"):format(f.name, f.type, f.doc,
            f.writable and " (writable)" or "")
    end
    for _, m in ipairs(c.methods) do
        out[#out + 1] = ("  %-31s %s"):format(m.signature, m.doc)
    end
    return concat(out, "\n")
end

local function help_name(text)
    local owner, name = text:match("^([%w_]+)[.:]([%w_]+)$")
    for _, a in ipairs(monitor.api()) do
        if a.name == text or (owner == "k" and a.name == name) then return help_method(a, "k") end
    end
    for _, c in ipairs(monitor.classes()) do
        if c.name:lower() == text:lower() then return help_class(c) end
        if owner and c.name:lower() == owner:lower() then
            for _, f in ipairs(c.fields) do if f.name == name then return help_field(c, f) end end
            for _, m in ipairs(c.methods) do if m.name == name then return help_method(m) end end
        end
    end
end

local function help_function(f)
    for _, a in ipairs(monitor.api()) do if a.fn == f then return help_method(a, "k") end end
    for _, c in ipairs(monitor.classes()) do
        for _, m in ipairs(c.methods) do if m.fn == f then return help_method(m) end end
    end
end

-- help() lists everything; help("name"), help(function), help(object).
function help(x)
    if x == nil or x == k then return overview() end
    local text
    if type(x) == "string" then text = help_name(x)
    elseif type(x) == "function" then text = help_function(x)
    elseif monitor.class(x) then text = help_class(by_class()[monitor.class(x)])
    elseif is_seq(x) then
        text = help_name(tostring(x):match("list of (%w+)") or "") or
            "a sequence: iterate it, or use :where{} :map(f) :sort(field) :take(n) :list() :first() :count()"
    end
    return text or ("nothing is known of %s; help() lists what there is"):format(tostring(x))
end

-- For `x?` in the console: a name, or an expression.
local function help_request(text)
    text = text:match("^%s*(.-)%s*$")
    if text == "" then return overview() end
    local known = help_name(text)
    if known then return known end
    local f = load("return " .. text, "=help")
    local ok, v = pcall(f or raise)
    return help(ok and v ~= nil and v or text)
end

-- ---- completion -----------------------------------------------------------------------------

-- A place in an expression: {value = v}, {class = name}, {list = class}, {k = true}, {fn = type}
local function of_type(text)
    if not text then return nil end
    local list = text:match("^list of (%w+)")
    if list then return {list = list} end
    return {class = text:match("^%w+")}
end

local function returns(signature) return of_type(signature and signature:match("%->%s*(.+)$")) end

local function place_of(v)
    if v == k then return {k = true} end
    local class = monitor.class(v)
    if class then return {class = class} end
    if is_seq(v) then return {list = tostring(v):match("list of (%w+)") or ""} end
    return {value = v}
end

local function find(list, name)
    for _, x in ipairs(list) do if x.name == name then return x end end
end

local function step_name(at, name, classes)
    if at.k then
        local a = find(monitor.api(), name)
        if not a then return nil end
        if a.signature then return {fn = returns(a.signature)} end
        return place_of(k[name])
    elseif at.class then
        local c = classes[at.class]
        local f = c and find(c.fields, name)
        if f then return of_type(f.type) end
        local m = c and find(c.methods, name)
        return m and {fn = returns(m.signature)}
    elseif at.list ~= nil then
        local keeps = name == "where" or name == "sort" or name == "take" or name == "list"
        return keeps and {fn = {list = at.list}} or name == "first" and {fn = {class = at.list}} or nil
    elseif type(at.value) == "table" then
        return place_of(rawget(at.value, name))
    end
end

local function resolve(expression)
    local classes = by_class()
    local name, rest = expression:match("^([%a_][%w_]*)(.*)$")
    if not name then return nil end
    local at = place_of(rawget(_G, name))
    while at and rest ~= "" do
        local n, after = rest:match("^[.:]([%a_][%w_]*)(.*)$")
        if n then
            at, rest = step_name(at, n, classes), after
        elseif rest:match("^%b()") then
            at, rest = at.fn, rest:gsub("^%b()", "", 1)
        elseif rest:match("^%b{}") then
            at, rest = at.fn, rest:gsub("^%b{}", "", 1)
        elseif rest:match("^%b[]") then
            at, rest = at.list and {class = at.list} or nil, rest:gsub("^%b[]", "", 1)
        else
            return nil
        end
    end
    return at
end

-- The expression that ends at the end of text, as far as it is a chain of names, calls, indexes.
local function chain(text)
    local at = #text
    while at > 0 do
        local c = text:sub(at, at)
        if c:match("[%w_.:]") then
            at = at - 1
        elseif c == ")" or c == "]" or c == "}" then
            local open = ({[")"] = "(", ["]"] = "[", ["}"] = "{"})[c]
            local depth, i = 0, at
            repeat
                local d = text:sub(i, i)
                depth = depth + (d == c and 1 or d == open and -1 or 0)
                i = i - 1
            until depth == 0 or i == 0
            if depth ~= 0 then break end
            at = i
        else
            break
        end
    end
    return text:sub(at + 1)
end

local function members(at, sep)
    local out = {}
    if not at then return out end
    if at.k then
        for _, a in ipairs(monitor.api()) do out[#out + 1] = a.name end
    elseif at.class then
        local c = by_class()[at.class]
        for _, f in ipairs(c and sep == "." and c.fields or {}) do out[#out + 1] = f.name end
        for _, m in ipairs(c and sep == ":" and c.methods or {}) do out[#out + 1] = m.name end
    elseif at.list ~= nil then
        for name in pairs(methods) do out[#out + 1] = name end
    elseif type(at.value) == "table" then
        for name in pairs(at.value) do if type(name) == "string" then out[#out + 1] = name end end
    elseif type(at.value) == "string" then
        for name in pairs(string) do out[#out + 1] = name end
    end
    return out
end

local keywords = {"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto",
    "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"}

local function complete(line, cursor)
    local before = line:sub(1, cursor)
    local prefix = before:match("[%a_][%w_]*$") or ""
    local head = before:sub(1, #before - #prefix)
    local sep = head:match("[.:]$")
    local names
    if sep then
        names = members(resolve(chain(head:sub(1, -2))), sep)
    else
        names = {table.unpack(keywords)}
        for name in pairs(_G) do if type(name) == "string" then names[#names + 1] = name end end
    end
    local words = {}
    for _, name in ipairs(names) do
        if name:sub(1, #prefix) == prefix and name:sub(1, 2) ~= "__" then words[#words + 1] = name end
    end
    sort(words)
    return #head, words
end

-- ---- editor stubs ---------------------------------------------------------------------------

local scalar = {address = "integer", nanoseconds = "integer", integer = "integer", string = "string",
    boolean = "boolean"}

local function stub_type(text)
    if not text then return "any" end
    local list = text:match("^list of (%w+)")
    if list then return "fun():" .. list .. "|" .. list .. "[]" end
    return scalar[text] or text:match("^%u%w*$") or "any"
end

-- LuaCATS annotations of everything that `k` and the classes have.
function stubs()
    local out = {"---@meta"}
    local function add(...) out[#out + 1] = (...):format(select(2, ...)) end
    for _, c in ipairs(monitor.classes()) do
        add("\n---%s\n---@class %s", c.doc, c.name)
        for _, f in ipairs(c.fields) do add("---@field %s %s %s", f.name, stub_type(f.type), f.doc) end
        add("local %s = {}", c.name)
        for _, m in ipairs(c.methods) do
            add("---%s\n---`%s`\nfunction %s:%s(...) end", m.doc, m.signature, c.name, m.name)
        end
    end
    add("\nk = {}")
    for _, a in ipairs(monitor.api()) do
        if a.signature then add("---%s\n---`%s`\nfunction k.%s(...) end", a.doc, a.signature, a.name)
        else add("---%s\nk.%s = nil", a.doc, a.name) end
    end
    return concat(out, "\n")
end

-- ---- the host -------------------------------------------------------------------------------

-- host.sh("ls") and the like: see the calls in monitor/wire/rpc.h.
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

local loaded = {}
function require(name)
    if loaded[name] ~= nil then return loaded[name] end
    local r = monitor.call("file", {name = name, kind = "module"})
    local f, message = load(r.data, "@" .. r.path)
    if not f then raise(message, 0) end
    local v = f(name, r.path)
    loaded[name] = v == nil and true or v
    return loaded[name]
end

-- ---- checks (TAP 13) --------------------------------------------------------------------------

local tap = {tests = 0, failed = 0}

local function where()
    for level = 3, 8 do
        local at = debug.traceback("", level):match("\n%s+([^\n]-:%d+): in")
        if at and not at:find("^prelude") then return at end
    end
end

local function result(good, name, ...)
    tap.tests = tap.tests + 1
    if not good then tap.failed = tap.failed + 1 end
    print(("%sok %d%s"):format(good and "" or "not ", tap.tests, name and " - " .. tostring(name) or ""))
    if not good then
        diag("failed at " .. (where() or "?"))
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

-- ---- what scripts may use by name ----------------------------------------------------------------

_G.tabulate = tabulate
_G.seq = seq

return {show = show_all, list = methods.list, is_seq = is_seq, complete = complete,
    help = help_request, tap_begin = tap_begin, tap_end = tap_end}
