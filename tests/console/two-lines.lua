local a = 1
local b = nil + a -- this line
