-- The console from inside: a script drives the user's terminal while it asks the kernel.
local function output(command) return select(2, host.sh(command)) end

local status, text = host.sh("echo hi; echo there; exit 3")
is(status, 3, "host.sh brings the status")
is(text, "hi\nthere\n", "and the output")
is(output("printf 'a\\tb %s' \"it's 100%\""), "a\tb it's 100%", "whatever the command line holds")
is(output("cd /bin; pwd"), "/bin\n", "a command runs in a shell of its own")
is(#output("seq 1 5000"), 23893, "long output arrives whole")
is(output("echo " .. ("x"):rep(3000)), ("x"):rep(3000) .. "\n", "a line of 3000 bytes is typed")

host.spawn("read a; echo \"<$a>\"; read b; echo \"[$b]\"")
host.type("one\r")
is(select(2, host.expect("<(%w+)>")), "one", "a program left running is typed to")
host.type("two\r")
is(select(2, host.expect("%[(%w+)%]")), "two", "again")
is(output("echo again"), "again\n", "and the shell is back")

host.spawn("exec sleep 1000")
local function runs(name)
    return k.tasks():where{name = name}:first() ~= nil
end
-- The shell has begun the command; that it has executed the program takes a moment longer.
ok(eventually(function() return runs("sleep") end, 20), "the kernel knows the program the terminal runs")
host.type("\3")
is(output("echo alive"), "alive\n", "^C reaches it")
ok(eventually(function() return not runs("sleep") end, 20), "and ends it") -- it is listed for a moment longer

local line = k.ttys():first()
is(line.name, "ttyS0", "the first terminal is the console's line")
ok(line.session > 1 and line.group >= line.session, "the shell's session has it, its command or itself is in front")
is(k.ttys():where{name = "pts/0"}:first(), nil, "there is no pseudo terminal")
host.spawn("exec 5<>/dev/ptmx; printf 'two\\nlines\\n' >&5; echo ready; sleep 1000")
host.expect("ready")
local pty = k.ttys():where{name = "pts/0"}:first()
ok(pty and not pty.gone, "one is made")
is(pty.session, 0, "and is nobody's")
is(pty.lines, 2, "two lines are typed")
is(pty.input, 10, "of ten bytes")
is(pty.output, 12, "and echoed")
host.type("\3")
is(output("echo alive"), "alive\n", "^C ends who has it")
fails(function() return pty.lines end, "stale handle", "and it with him")

local good, why = pcall(host.expect, "never shown", 300)
ok(not good and tostring(why):find("timeout while expecting", 1, true), "what does not come is an error")
ok(not pcall(host.file, "no/such/file"), "so is a file that is not there")
ok(host.file("console.lua"):find("from inside", 1, true), "a file of the host is read")
-- The options of /dev/pts: what is none is refused whole.
local function mounts(options)
    return host.sh("mkdir -p /tmp/pts; mount -t devpts -o " .. options .. " devpts /tmp/pts 2>/dev/null && umount /tmp/pts") == 0
end
for _, options in ipairs{"gid=5,mode=620", "newinstance", "ptmxmode=666"} do ok(mounts(options), "devpts takes " .. options) end
for _, options in ipairs{"new", "gid=", "gid=5x", "mode=9", "what=1"} do ok(not mounts(options), "and not " .. options) end
done()
