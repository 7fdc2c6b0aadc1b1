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
refused(q(eval 'k.task("sh"):suspend()'), 1, qr/\Ak:1: Task has no field 'suspend' in the dump\n/);
refused(q(eval '1 +'), 1, qr/\Ak:1: /);
refused(q(eval 'assert(false)'), 7, qr/assertion failed/);
refused('eval --json 1', 2, qr/\Akmon: [^\n]*no option of eval goes with --dump\n\z/);
refused('sh ls', 2, qr/\Akmon: sh needs a kernel[^\n]*\n\z/);
write_file("$dir/s.lua", 'for t in k.tasks() do print(t.name, ...) break end');
my @got = run_line("--dump $snap run $dir/s.lua word");
like($got[1], qr/\A[^\t]+\tword\n\z/, 'a script runs on it');
open my $f, '<', $snap or die;
my @lines = <$f>;
write_file("$dir/cut", join '', @lines[0 .. $#lines - 1]);
write_file("$dir/none", '');
write_file("$dir/text", "text\n");
write_file("$dir/other", "{\"key\":\"a\"}\n{\"end\":true}\n");
write_file("$dir/fields", "{\"class\":\"a\",\"fields\":[1]}\n{\"end\":true}\n");
write_file("$dir/deep", '[' x 100000 . "\n");
$snap = $_ and refused('eval 1', 2, qr/\Akmon: [^\n]*(no dump|cannot read)[^\n]*\n\z/)
    for "$dir/cut", "$dir/none", "$dir/text", "$dir/other", "$dir/fields", "$dir/deep", "$dir/absent", $dir;
done_testing;
