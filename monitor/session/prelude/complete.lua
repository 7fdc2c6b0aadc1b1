-- SPDX-License-Identifier: MIT
-- Completion: what could stand at the cursor, from types, without running anything but reads.
local monitor, p = ...
local sort = table.sort
local by_class, is_seq, methods = p.by_class, p.is_seq, p.methods

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

-- The quote that is open at the end of text: where it stands. Nothing of Lua is completed behind it.
local function open_quote(text)
    local at, i = nil, 1
    while i <= #text do
        local c = text:sub(i, i)
        if at and c == "\\" then
            i = i + 1
        elseif at then
            if c == text:sub(at, at) then at = nil end
        elseif c == '"' or c == "'" then
            at = i
        end
        i = i + 1
    end
    return at
end

-- What a name in quotes may be.
local named = {task = "tasks", queue = "queues", syscall = "syscalls"}

local function complete_string(before, quote)
    local typed, words, seen = before:sub(quote + 1), {}, {}
    local list = named[before:sub(1, quote - 1):match("%f[%w_]k%.(%l+)%s*%(?%s*$")]
    if list then
        for name in k[list]():each("name") do
            if name:sub(1, #typed) == typed and not seen[name] then
                words[#words + 1], seen[name] = name, true
            end
        end
    end
    sort(words)
    return quote, words
end

local function complete(line, cursor)
    local before = line:sub(1, cursor)
    local quote = open_quote(before)
    if quote then return complete_string(before, quote) end
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


p.complete = complete
