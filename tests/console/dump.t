#!/usr/bin/perl
# A dump says offline what the kernel said: at 1, 2 and 4 harts (HARTS). TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
my $shared = "$dir/shared";
my $snap = "$dir/snap.json";
$ENV{TIDEPOOL_LINE} = $shared;

# What does not change while nothing runs.
my @same = ('#k.harts', 'k.task("sh"):backtrace()', 'k.task("sh").space:map()', 'k.pid(1).space:map()', 'k.queue("vda.0"):ring()', 'k.pid(1).name',
    'k.task("sh").space', 'k.mode', 'k.syscalls()', 'k.devices()', ':map sh',
    'k.tasks():where{kind = "user"}:map(function(t) return t.name .. t.pid end)', 'k.tasks():sort("id", true):first().id');
my $sh = 'k.task("sh")';
my $pt = "$sh.space.pt";
# From the classes, by the prelude, from page tables; and lists.
push @same, 'help()', 'help("task.state")', 'help(k.tasks)', "help($sh.suspend)", "help($sh)", "help($sh.signals)", "k.diff($sh, k.pid(1))",
    "k.diff($sh:snap(), $sh)", 'k.snapshot{a = k.pid(1)}.a.name', "$pt:walk(0x10000).steps", "$pt:walk($sh.space.mmap_top - 1).pa",
    "$pt:walk($sh.space.mmap_top - 1).bits", "$pt:walk(0x3000).stops", "$pt:walk(0x3000)", "k.pid(1).space.pt:walk(k.pid(1).space:map():first().lo | 5).pa",
    'k.pt:walk(0xffffffc080200000)', 'k.pt:walk(0xffffffc080200004).steps', 'k.pt:walk(0xffffffc09f600123)', "$pt:leaves{}", "$pt:leaves{lo = 0x11234, hi = 0x14000}",
    "$pt:leaves{}[1]", "$sh.space:gaps()", "$sh.space:gaps()[1]", "$pt:walk(1 << 40)", "$sh.space:find(1 << 40)",
    "k.pid(1).space.pt:leaves{lo = 0x14000}", "$sh.space:find(0x10008)", "$sh.space:find(0x3000)", "$sh.space:map():first():cells()",
    "$sh.space:map():map(function(m) return m:cells(7)[1] end)", 'k.pte(0x20000cf7)', 'k.pte(0)', 'k.log:tail(2)', 'k.log:where{level = "info"}:tail(3)', '#k.log', 'k.tls("hart")', 'k.memory(true).total',
    'k.virtio.vda.q[0].name', 'k.virtio_devices()', 'k.virtio.vda.status', 'k.devices():take(12)', 'k.queues()', 'k.mounts()', 'tostring(k.mounts():first().vnodes)', "$sh:registers()", 'k.devices():first():properties()', "#$sh.signals",
    'k.pid(1) == k.tasks()[k.pid(1).id]', 'k.pid(1).space == k.spaces():first()', "$sh.signals:each(\"number\", \"name\")()";
for my $harts (split ' ', $ENV{HARTS} // '1 2 4') {
    my $serving = start("qemu --kernel $elf --smp $harts serve", '-serve');
    for (1 .. 3000) { last if -S $shared; pause(0.01) }
    my @got = run_line("sh true");
    is($got[0], 0, "$harts harts") or diag $got[2];
    @got = run_line("dump -o $snap");
    is($got[0], 0, 'a dump') or diag $got[2];
    for (@same) {
        my @live = run_line("eval '$_'");
        my @kept = run_line("--dump $snap eval '$_'");
        is("$kept[0] $kept[1]", "0 $live[1]", "$_ is what it was");
        isnt($kept[1], '', 'and not nothing');
    }
    cmp_ok(-s $snap, '<', 200_000, 'it is small');
    my ($from, $to) = (run_line("--dump $snap eval 'print(k)'"))[1] =~ /^k: a dump of the kernel, made from ([\d.]+) s to ([\d.]+) s$/m;
    ok(defined $to && $from < $to, 'it says when it was made');
    my ($at) = (run_line("--dump $snap eval 'print(k.task(\"sh\"):snap())'"))[1] =~ /as it was at ([\d.]+) s/;
    ok(defined $at && $from <= $at && $at <= $to, 'and each object of which moment it is');
    if ($harts == 1) {
        run_line("sh 'mkfifo /tmp/fifo; cat /tmp/fifo & sleep 0.1'");
        run_line("dump -o $dir/later.json");
        @got = run_line("--dump $snap eval 'k.diff(k, dump(\"$dir/later.json\"))'");
        like($got[1], qr/^Task#\d+ +- +Task#\d+ as it was/m, 'a task that is new in another dump');
        like($got[1], qr/^Space#\d+\.faults +\d+ +\d+$/m, 'a field that changed');
        unlike($got[1], qr/\.parent /, 'and none that did not');
        @got = run_line("--dump $snap eval 'k.diff(k, dump(\"$snap\"))'");
        is($got[1], "{}\n", 'nothing differs from itself');
    }
    kill 'INT', $serving;
    waitpid $serving, 0;
}

sub refused {
    my ($args, $status, $err) = @_;
    my @got = run_line("--dump $snap $args");
    is($got[0], $status, "$args: exit $status");
    like($got[2], $err, "$args: what is wrong");
}
refused(q(eval 'k.task("sh").priority = 1'), 1, qr/\Ak:1: a dump is read-only\n/);
refused(q(eval 'k.mode = "rw"'), 1, qr/\Ak:1: a dump is read-only\n/);
refused(q(eval 'k.frob'), 1, qr/\Ak:1: k has no member 'frob' in the dump\n/);
refused(q(eval 'k.task("sh").nme'), 1, qr/\Ak:1: Task has no field 'nme' in the dump\n/);
refused(q(eval 'k.task("sh"):suspend()'), 1, qr/\ATask:suspend changes the kernel: a dump is read-only\n/);
refused(q(eval 'k.task("sh").space.pt:set(0x10000, "v")'), 1, qr/\APageTable:set changes the kernel: a dump is read-only\n/);
refused(qq(eval '$_->[1]'), 1, qr/\A\Q$_->[0]\E cannot be told from a dump, which is read-only and of one moment: ask a running kernel\n/)
    for ['Memory:frame', 'k.phys:frame(0x80200000)'], ['k.sym', 'k.sym("space_fault")'], ['k.peek', 'k.peek(1)'], ['k.undo', 'k.undo()'],
    ['k.lint', 'k.lint{leaks = true}'], ['inject', 'k.fault.inject("a")'], ['Space:gaps', 'k.pid(1).space:gaps(1)'];
refused(q(eval 'k.mounts():first().vnodes:first()'), 1, qr/\Athe dump does not keep these \d+: ask a running kernel\n/);
refused(q(eval 'k.pt:leaves{}'), 1, qr/\Aonly the tables of spaces list their leaves\n/);
refused(q(eval 'k.pt:walk("x")'), 1, qr/bad argument #1: number expected, got string\n/);
refused(q(eval 'k.task("nobody")'), 1, qr/\Athere is no task nobody in the dump\n/);
refused(q(eval 'dump("none.json")'), 1, qr/\Acannot read none.json: /);
refused(q(eval '1 +'), 1, qr/\Ak:1: /);
refused(q(eval 'assert(false)'), 7, qr/assertion failed/);
refused('eval --json 1', 2, qr/\Akmon: [^\n]*no option of eval goes with --dump\n\z/);
refused('sh ls', 2, qr/\Akmon: sh needs a kernel[^\n]*\n\z/);
my $endless = start(qq(--dump $snap eval 'print("runs") io.flush() while true do end'));
shows('out', qr/^runs$/, 'a script that never ends');
kill 'INT', $endless;
ends($endless, 130, '^C ends it');
is(text_of('err'), "kmon: interrupted while the script ran\n", 'and it says so');
write_file("$dir/s.lua", 'for t in k.tasks() do print(t.name, ...) break end');
my @got = run_line("--dump $snap run $dir/s.lua word");
like($got[1], qr/\A[^\t]+\tword\n\z/, 'a script runs on it');
@got = run_line("--dump $snap run - word <$dir/s.lua");
like($got[1], qr/\A[^\t]+\tword\n\z/, 'also one from stdin');
open my $f, '<', $snap or die;
my @lines = <$f>;
write_file("$dir/less", join '', grep { !/^\{"key":"Space#/ && !/^\{"table":/ } @lines);
my $all = $snap;
$snap = "$dir/less";
refused(q(eval 'k.task("sh").space.pt'), 1, qr/\Ak:1: Space#\d+ is not in the dump: it had gone, or there were too many objects; ask a running kernel\n/);
refused(q(eval 'k.pt:walk(0)'), 1, qr/\Athe dump does not keep the page table at 0x\w+: ask a running kernel\n/);
$snap = $all;
write_file("$dir/cut", join '', @lines[0 .. $#lines - 1]);
write_file("$dir/none", '');
write_file("$dir/text", "text\n");
write_file("$dir/other", "{\"key\":\"a\"}\n{\"end\":true}\n");
write_file("$dir/fields", "{\"class\":\"a\",\"fields\":[1]}\n{\"end\":true}\n");
write_file("$dir/deep", '[' x 100000 . "\n");
$snap = $_ and refused('eval 1', 2, qr/\Akmon: [^\n]*(no dump|cannot read)[^\n]*\n\z/)
    for "$dir/cut", "$dir/none", "$dir/text", "$dir/other", "$dir/fields", "$dir/deep", "$dir/absent", $dir;
done_testing;
