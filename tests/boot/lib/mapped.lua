-- SPDX-License-Identifier: MIT
-- mapped(task, bytes): the first mapping of that size in the space that the task has now, or nil. A program that is run has its
-- name before its space: the old one may go while it is looked at, which is no mistake.
return function(task, bytes)
    return k.tasks():where{id = task.id}:map(function(t) return t.space:map():where{bytes = bytes}:first() end):first()
end
