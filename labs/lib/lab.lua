-- SPDX-License-Identifier: MIT
-- What the graders have in common. A check has a name, which labs/NN/points knows, and is told as one TAP line; what follows
-- a lost one says where to look, not what is right.
--
-- grade.lua is called with "name=value" for everything that is known of the student (labs/machine) and for each answer.
local lab = {}
local given = {}

-- The student's machine and numbers: .student .smp .mem .number .address
function lab.begin(...)
    for _, pair in ipairs({...}) do
        local name, value = pair:match("^([%w_]+)=(.*)$")
        given[name] = value
    end
    return {
        student = given.student,
        smp = tonumber(given.smp),
        mem = tonumber(given.mem),
        number = tonumber(given.number),
        address = tonumber(given.address),
    }
end

-- As it was written, or nil.
function lab.answer(name) return given[name] end

function lab.check(name, good, why)
    ok(good, name)
    if not good then diag(why) end
    return good
end

-- What may be written in another order: the words, and the letters of each word.
function lab.sort_words(words)
    table.sort(words, function(a, b) return tostring(a) < tostring(b) end)
end

function lab.sort_letters(words)
    for i, word in ipairs(words) do
        local letters = {}
        for letter in tostring(word):gmatch(".") do letters[#letters + 1] = letter end
        table.sort(letters)
        words[i] = table.concat(letters)
    end
end

-- "0x10, RX" is {16, "rx"}.
local function words(text, sort)
    local out = {}
    for word in tostring(text):lower():gmatch("[^%s,]+") do out[#out + 1] = tonumber(word) or word end
    if sort then sort(out) end
    return out
end

local function same(a, b)
    if #a ~= #b then return false end
    for i = 1, #a do
        if a[i] ~= b[i] then return false end
    end
    return true
end

-- The answer is `truth`: numbers, words. hint: where to look. sort: what may be in another order.
function lab.value(name, truth, hint, sort)
    local answer = given[name]
    if not answer then return lab.check(name, false, "no answer") end
    return lab.check(name, same(words(answer, sort), words(truth, sort)), ('"%s" is not it: %s'):format(answer, hint))
end

local function copy(t)
    local out = {}
    for name, v in pairs(t) do out[name] = v end
    return out
end

-- What a rule can see: copies, so that it cannot change what the grader uses.
local function scope(more)
    local env = copy(more)
    env.k, env.tonumber, env.tostring, env.ipairs, env.pairs = k, tonumber, tostring, ipairs, pairs
    env.math, env.string, env.table = copy(math), copy(string), copy(table)
    return env
end

-- The answer as a function of its variables: value, or nil and why there is none.
function lab.rule(name)
    local answer = given[name]
    if not answer then return nil, "no answer" end
    local _, wrong = load("return " .. answer, "=rule", "t", {})
    if wrong then return nil, "it is no Lua expression: " .. wrong:gsub("^rule:1: ", "") end
    return function(variables)
        local good, v = pcall(load("return " .. answer, "=rule", "t", scope(variables or {})))
        if good then return v end
        return nil, "it fails: " .. tostring(v):gsub("^rule:1: ", "")
    end
end

-- A rule is tried in situations, as long as it is right: each is a text, the variables, and a function that gives the truth. What
-- is true may change while the rule is asked: it must hold between two equal looks.
function lab.try(rule, situation, variables, truth)
    local before, got, why
    for _ = 1, 20 do
        before = truth()
        got, why = rule(variables)
        if truth() == before then break end
    end
    if got == before then return true end
    return false, situation .. " " .. (why or ("it says %s: look again"):format(got))
end

return lab
