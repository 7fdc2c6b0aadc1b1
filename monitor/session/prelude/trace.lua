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

local function histogram(rows, columns)
    local lines = {}
    for _, row in ipairs(rows) do
        local most = 0
        for _, b in ipairs(row.hist) do most = math.max(most, b.count) end
        lines[#lines + 1] = head(row, columns)
        for _, b in ipairs(row.hist) do
            local from = b.lo == math.mininteger and "below 0" or ("%d"):format(b.lo)
            lines[#lines + 1] = ("  %20s |%-" .. BAR .. "s %d"):format(from,
                ("#"):rep(math.ceil(b.count * BAR / most)), b.count)
        end
    end
    return #lines > 0 and concat(lines, "\n") or "(nothing was counted)"
end

-- Gives the rows their metatable: columns like those of other lists of records.
function p.counted(rows, columns)
    local meta = {__columns = columns}
    if rows[1] and rows[1].hist then
        meta.__tostring = function() return histogram(rows, columns) end
    end
    return setmetatable(rows, meta)
end
