-- kmon: --initrd build/tests.cpio
-- One address space that several threads change and use at once, against a model, from several seeds. On few harts
-- there are enough steps for a translation that is kept too long to be met; on many each change waits for all of them.
local steps = #k.harts > 2 and 100 or 600
for seed = 1, 2 do
    local status, out = host.sh(("/tests/abi/mem_threads %d %d"):format(seed, steps), 60000)
    is(out, "everything was done: yes\nspaces and copies: right\n", ("seed %d, %d steps"):format(seed, steps))
end
done()
