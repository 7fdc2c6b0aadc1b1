#!/usr/bin/perl
# A shared line to a real kernel at 1, 2 and 4 harts (HARTS): several clients, ^C to whom it belongs, clients that are killed, a
# change made once each, a reboot. TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
my $shared = "$dir/shared";
$ENV{TIDEPOOL_LINE} = $shared;
$ENV{GUEST_TIMEOUT} //= 120;

sub client {
    my ($args, $status, $out, $name) = @_;
    my @got = run_line($args);
    is($got[0], $status, "$name: exit $status") or diag $got[2];
    ref $out ? like($got[1], $out, "$name: stdout") : is($got[1], $out, "$name: stdout");
    return @got;
}

sub with_harts {
    my ($harts) = @_;
    my $serving = start("qemu --kernel $elf --smp $harts serve", '-serve');
    for (1 .. 3000) { last if -S $shared; pause(0.01) }
    client('--timeout 60 eval "#k.harts"', 0, "$harts\n", "$harts harts");

    # everybody makes one change: a request done twice, or not at all, would show in the journal
    my @pids = map { start("eval 'k.mode = [[rw]] k.task([[sh]]).nice = $_ k.sleep(3)'", "-$_") } 1 .. 8;
    my $shell = start("sh 'seq 1 2000'", '-sh');
    ends($_, 0, 'one of 8 clients at once') for @pids;
    ends($shell, 0, 'and the shell');
    is(text_of('out-sh'), join('', map { "$_\n" } 1 .. 2000), 'its output is whole');
    client('eval "#k.journal()"', 0, "8\n", 'each was done once');

    # a constructor in Lua: what is wrong with it is said once, wherever its place is
    write_file("$dir/bad.lua", 'k.mode = "rw"' . "\n" . 'k.construct("bad", function(t)' . "\n" . '    error "no"' . "\nend)\n"
               . 'for _ = 1, 3 do host.sh("sleep 0") end' . "\n" . 'print(k.tls("task"):where{name = "bad"}:first().failed >= 3)');
    client("run $dir/bad.lua", 0, qr/\A\nin the constructor bad of Task#\d+: \S*bad\.lua:3: no\ntrue\n\z/, 'a mistake is told of once');
    client(q(eval 'k.tls("task"):where{name = "bad"}:count()'), 0, "0\n", 'it has gone with its client');

    # ^C and death
    my $spin = q(eval 'print("runs") while true do end');
    my $spins = start($spin, '-spin');
    shows('out-spin', qr/^runs$/, 'a script that never ends');
    client('eval 7', 0, "7\n", 'another is answered meanwhile');
    kill 'INT', $spins;
    ends($spins, 130, '^C ends the script of its client');
    $spins = start($spin, '-spin');
    shows('out-spin', qr/^runs$/, 'another one');
    kill 'KILL', $spins;
    waitpid $spins, 0;
    client('eval "#k.journal()"', 0, "9\n", 'a client killed while its script ran');
    my $asks = start("eval 'host.sh(\"sleep 100\")'", '-ask');
    client('eval "eventually(function() return k.tasks():where{name = [[sleep]]}:first() end, 60).name"', 0, "sleep\n",
           'a script waits for its host');
    kill 'KILL', $asks;
    waitpid $asks, 0;
    client('eval "#k.journal()"', 0, "9\n", 'a client killed while the script waited for it');
    kill 'INT', $serving;
    ends($serving, 130, 'the machine is powered off');
}
with_harts($_) for split ' ', $ENV{HARTS} // '1 2 4';

# A reboot, by a machine that is not kmon's.
SKIP: {
    my $qemu = fork // die;
    if (!$qemu) {
        open STDOUT, '>', '/dev/null';
        exec qw(qemu-system-riscv64 -M virt -smp 2 -m 512M -display none -monitor none -nic none -global),
            'virtio-mmio.force-legacy=false', '-kernel', $elf, '-initrd', 'build/initrd.cpio',
            '-chardev', "socket,id=line,path=$socket,server=on,wait=off", qw(-serial chardev:line -device virtio-rng-device);
    }
    pause(0.01) until -S $socket;

    # The line is not shared: the second ^C is a RESET. What constructors there were is gone, and nobody waits for them.
    my $direct = "connect unix:$socket --timeout 60";
    client("$direct sh '(while :; do sleep 0.05; : >/tmp/born; done) </dev/null >/dev/null 2>&1 &'", 0, '', 'there are births');
    write_file("$dir/constructs.lua", 'k.mode = "rw" k.construct("sleeps", function() print("runs") k.sleep(60000) end) k.sleep(60000)');
    my $resets = start("$direct run $dir/constructs.lua", '-resets');
    shows('out-resets', qr/^runs$/m, 'a newborn waits for a constructor');
    kill 'STOP', $qemu;
    for (1 .. 2) { # the second one when the first one is not pending any more, or both were one
        kill 'INT', $resets;
        pause(0.01) while `cat /proc/$resets/status` =~ /^ShdPnd:\s*\w*[2367abef]$/m;
    }
    kill 'CONT', $qemu;
    ends($resets, 130, '^C twice resets the session');
    client("$direct sh 'rm -f /tmp/born; until [ -e /tmp/born ]; do sleep 0.01; done; echo born'", 0, "born\n", 'who waited goes on');
    client(qq($direct eval 'k.tls("task"):where{name = "sleeps"}:count()'), 0, "0\n", 'the constructor is gone');
    client(qq($direct eval 'local since = k.ns host.sh("for i in \$(seq 20); do sleep 0; done") return k.ns - since < 10e9'), 0, "true\n",
           'and those who are born later do not wait');

    my $serving = start("connect unix:$socket serve", '-serve');
    pause(0.01) until -S $shared;
    client('--timeout 60 eval "before = 1 return before"', 0, "1\n", 'a machine that was there');
    my $running = start(q(--timeout 30 eval 'print(7) k.sleep(60000)'), '-run');
    shows('out-run', qr/^7$/, 'a script that runs');
    my $reboots = start("--timeout 30 sh 'reboot -f'", '-reboot');
    ends($running, 6, 'what ran at the reboot says so');
    like(text_of('err-run'), qr/the kernel was booted anew|the line was given up/, 'in one clear line');
    ends($reboots, 6, 'so does the shell');
    client('--timeout 60 eval "tostring(rawget(_G, [[before]]))"', 0, "nil\n", 'the new kernel is another one');
    client('sh "echo again"', 0, "again\n", 'and its shell answers');
    kill 'KILL', $serving, $qemu;
    waitpid $_, 0 for $serving, $qemu;
}
done_testing;
