-- SPDX-License-Identifier: MIT
-- help(x), and annotations for editors: both from the class tables.
local monitor, p = ...
local concat, sort = table.concat, table.sort
local by_class, is_seq = p.by_class, p.is_seq

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
    out[#out + 1] = "stubs() gives annotations of all this for editors."
    out[#out + 1] = "help(k.tasks), help(\"Task\"), help(x) say more."
    return concat(out, "\n")
end

local function changes(m) return m.changes and " (changes the kernel)" or "" end

local function help_method(m, owner)
    local out = {m.signature or owner .. "." .. m.name, "  " .. m.doc .. changes(m)}
    if m.example then out[#out + 1] = "  for example: " .. m.example end
    return concat(out, "\n")
end

local function help_field(c, f)
    local out = {("%s.%s: %s%s"):format(c.name, f.name, f.type, f.writable and ", writable" or ", read-only"),
        "  " .. f.doc, "  of " .. (c.place or c.name)}
    if c.example then out[#out + 1] = ("  for example: %s.%s"):format(c.example, f.name) end
    return concat(out, "\n")
end

local function help_class(c)
    local out = {c.name .. ": " .. c.doc, "  behind it: " .. (c.place or "?")}
    if c.example then out[#out + 1] = "  for example: " .. c.example end
    for _, f in ipairs(c.fields) do
        out[#out + 1] = ("  .%-15s %-14s %s%s"):format(f.name, f.type, f.doc,
            f.writable and " (writable)" or "")
    end
    for _, m in ipairs(c.methods) do
        out[#out + 1] = ("  %-31s %s%s"):format(m.signature, m.doc, changes(m))
    end
    return concat(out, "\n")
end

local own = {
    stubs = "stubs() -> string\n  LuaCATS annotations of k and the classes, for the completion of editors\n" ..
        "  for example: kmon eval 'stubs()' >tidepool.lua",
    help = "help([x])\n  of a name, a function, an object, or of all",
}

local function help_name(text)
    if own[text] then return own[text] end
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
    for name, text in pairs(own) do if _G[name] == f then return text end end
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
            "a sequence: iterate it, or use :where{} :map(f) :sort(field) :take(n) :tail(n) :list() :first() :count(); " ..
            "of kernel objects also :each(\"id\", \"name\"), an iterator over these fields"
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
    local ok, v = pcall(f or error)
    return help(ok and v ~= nil and v or text)
end


p.help = help_request

-- What help knows, as tables, and the function that says class, id and owner of an object: kmon dump takes them along.
function schema() return monitor.classes(), monitor.api(), monitor.class end

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
