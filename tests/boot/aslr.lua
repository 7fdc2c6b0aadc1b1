-- Address space layout: each part uniform over its window and independent of the others, as 320 images show.
local function run(command)
    local status, out = host.sh(command, 60000)
    return status .. " " .. out
end
is(run("aslr"), "0 ", "stack, mmap area, program, heap and vDSO are random, uniform and independent")
is(run("aslr fixed"), "0 ", "ADDR_NO_RANDOMIZE: always the same places")
done()
