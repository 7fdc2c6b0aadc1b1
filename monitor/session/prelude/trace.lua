-- SPDX-License-Identifier: MIT
-- What k.trace has counted, as text: a table, or with quantize a histogram for each key.
local monitor, p = ...
local concat = table.concat

local BAR = 40

local function head(row, columns)
    local out = {}
    for _, name in ipairs(columns) do
        name = name:gsub(">$", "")
        local v = row[name]
        if v ~= nil then out[#out + 1] = name .. "=" .. tostring(v) end
    end
    if row.other then table.insert(out, 1, "(other keys)") end
    return concat(out, " ")
end

local function bars(hist)
    local most, lines = 0, {}
    for _, b in ipairs(hist) do most = math.max(most, b.count) end
    for i, b in ipairs(hist) do
        local from = b.lo == math.mininteger and "below 0" or ("%d"):format(b.lo)
        lines[i] = ("  %20s |%-" .. BAR .. "s %d"):format(from, ("#"):rep(math.ceil(b.count * BAR / most)), b.count)
    end
    return concat(lines, "\n")
end

local NOTHING = "(nothing was counted)"

local function histograms(rows, columns)
    local lines = {}
    for _, row in ipairs(rows) do
        lines[#lines + 1] = head(row, columns)
        lines[#lines + 1] = bars(row.hist)
    end
    return #lines > 0 and concat(lines, "\n") or NOTHING
end

-- Gives the rows their metatable: columns like those of other lists of records.
function p.counted(rows, columns)
    local meta = {__columns = columns}
    if rows[1] and rows[1].hist then
        meta.__tostring = function() return histograms(rows, columns) end
    end
    return setmetatable(rows, meta)
end

-- The same for a list of buckets alone.
local drawn = {__columns = {"lo>", "hi>", "count>"}, __tostring = function(hist) return hist[1] and bars(hist) or NOTHING end}
function p.histogram(hist) return setmetatable(hist, drawn) end
