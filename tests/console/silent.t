#!/usr/bin/perl
# A monitor that nobody asks anything executes nothing: neither its task nor the line's clock is polled, whether no host has ever
# said HELLO or one has and is silent, for a day of virtual time. Looked at from outside, in the machine's memory: who asks the
# monitor has it run. And what a question takes among 10,000 tasks with all that is around it. At 1, 2 and 4 harts (HARTS). TAP.
use strict;
use warnings;
use IO::Socket::UNIX;
use JSON::PP;
no warnings 'portable';
use lib 'tests/lib';
use Kmon;
use Test::More;

my $DAY = 86400;
my $elf = 'build/kernel/tidepool.elf';
my $shared = "$dir/shared";
$ENV{TIDEPOOL_LINE} = $shared;
$ENV{LIMIT} = 200;

# Where a field stands in a task: sizes of arrays that are compiled with the kernel's header.
my @fields = qw(all.next name polls ticks);
my %at;
write_file("$dir/task.c", join '', "#include \"async/task.h\"\n", map { "char at_" . tr/./_/r . "[__builtin_offsetof(struct task, $_) + 1];\n" } @fields);
system("riscv64-unknown-elf-gcc --specs=picolibc.specs -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany -std=gnu11 -fms-extensions "
       . "-ftls-model=local-exec -Ikernel -Ikernel/arch/riscv/include -c $dir/task.c -o $dir/task.o") == 0 or BAIL_OUT('the offsets do not compile');
for (`riscv64-unknown-elf-nm -S $dir/task.o`) { $at{$2} = hex($1) - 1 if /^\w+ (\w+) \w at_(\w+)/ }
my ($head) = map { /^(\w+) . all_tasks$/ ? hex $1 : () } `riscv64-unknown-elf-nm $elf`;

# ---- the machine from outside

my $qmp;
sub ask {
    my ($what, %arguments) = @_;
    print $qmp encode_json({execute => $what, (%arguments ? (arguments => \%arguments) : ())}), "\n";
    while (my $line = <$qmp>) {
        my $said = decode_json($line);
        die $line if $said->{error};
        return $said if exists $said->{return};
    }
    die "QEMU has gone";
}
sub open_qmp {
    for (1 .. 3000) { last if $qmp = IO::Socket::UNIX->new("$dir/qmp"); pause(0.01) }
    $qmp->autoflush;
    <$qmp>;
    ask('qmp_capabilities');
}
sub bytes_at {
    my ($address, $n) = @_;
    ask('pmemsave', val => $address & 0x3fffffffff, size => $n, filename => "$dir/bytes");    # of the linear map
    return text_of('bytes');
}
# Polls and ticks of the monitor's tasks, once they wait.
sub tasks_now {
    my %all;
    ask('stop');    # or a task may go from under the walk
    for (my $link = unpack 'Q', bytes_at($head, 8); $link != $head;) {
        my $task = $link - $at{all_next};
        $link = unpack 'Q', bytes_at($link, 8);
        my $name = unpack 'Z*', bytes_at($task + $at{name}, 16);
        $all{$name} = join ' polls, ', map { unpack 'Q', bytes_at($task + $at{$_}, 8) } 'polls', 'ticks';
    }
    ask('cont');
    return map { "$_: " . ($all{$_} // 'none') } 'monitor', 'link-clock';
}
sub tasks {
    my @last;
    for (1 .. 100) {
        my @now = tasks_now();
        return join '; ', @now if "@now" eq "@last";
        @last = @now;
        pause(0.1);
    }
    return 'they do not rest';
}

my $rest = qr/^monitor: \d+ polls, \d+; link-clock: \d+ polls, \d+$/;
my ($machine, $serving);
END {
    my $status = $?;
    kill 'KILL', grep { $_ } $machine, $serving;    # a test that dies leaves none
    $? = $status;
}

for my $harts (split ' ', $ENV{HARTS} // '1 2 4') {
    # ---- no host, ever: the shell on the plain line
    $machine = fork // die;
    if (!$machine) {
        open STDOUT, '>', "$dir/machine";
        open STDERR, '>&STDOUT';
        exec "exec qemu-system-riscv64 -M virt -smp $harts -m 512M -display none -monitor none -nic none -kernel $elf "
            . '-global virtio-mmio.force-legacy=false -icount shift=0,sleep=off -initrd build/initrd.cpio -serial chardev:line '
            . "-chardev socket,id=line,path=$socket,server=on -qmp unix:$dir/qmp,server=on,wait=off" or die;
    }
    my ($line, $seen) = (undef, '');
    for (1 .. 3000) { last if $line = IO::Socket::UNIX->new($socket); pause(0.01) }
    my $until = sub {
        while ($seen !~ $_[0]) { sysread $line, $seen, 4096, length $seen or return 0 }
        return 1;
    };
    ok($until->(qr/~ # /), "$harts harts: a shell, and nobody says HELLO");
    syswrite $line, "sleep 60; echo re''sted\r";    # by its own clock the monitor has long come to rest, also where it was given no processor
    ok($until->(qr/^rested\r/m), 'a minute goes by');
    open_qmp();
    my $before = tasks();
    syswrite $line, "sleep $DAY; cat /proc/uptime\r";
    ok($until->(qr/^\d+\.\d+ /m) && $seen =~ /^(\d+)\.\d+ /m && $1 >= $DAY, 'a day goes by');
    my $after = tasks();
    is($after, $before, 'in which the monitor is not polled');
    like($after, $rest, 'and does not run');
    kill 'KILL', $machine;
    waitpid $machine, 0;
    $machine = 0;
    unlink $socket, "$dir/qmp";

    # ---- a host that is silent
    $serving = start("qemu --kernel $elf --smp $harts --icount --qemu -qmp --qemu unix:$dir/qmp,server=on,wait=off serve", '-serve');
    for (1 .. 3000) { last if -S $shared; pause(0.01) }
    my ($status, $said) = run_line("eval 'k.task(\"monitor\").name'");
    is($said, "monitor\n", 'a host has asked something');
    # That the session ends may be said to the kernel as late as in the first minute, and is heard before the second one.
    run_line("sh 'sleep 60'") for 1, 2;
    open_qmp();
    $before = tasks();
    ($status, $said) = run_line("sh 'sleep $DAY; cat /proc/uptime'");
    ok($said =~ /^(\d+)/ && $1 >= $DAY, 'a day goes by');
    is($after = tasks(), $before, 'in which the monitor is not polled');
    like($after, $rest, 'and does not run');

    # ---- what it asks among 10,000 tasks, with the line: on one hart that is what this does not sleep through
    if ($harts == 1) {
        run_line(q{sh 'mkfifo /tmp/go /tmp/said; crowd futex 10000 /tmp/go >/tmp/said 2>&1 </dev/null & read line </tmp/said; echo $line'});
        my $awake = sub { (run_line(q{eval 'k.ns - k.harts[0].idle_ns'}))[1] };
        my @at = map { $awake->() } 1 .. 3;
        my $page = (run_line(q{eval 'k.tasks()'}))[1];
        my $took = $awake->() - $at[2] - ($at[2] - $at[1]);
        like($page, qr/\A(Task#.*\n){200}\.\.\. and (9[89]|\d{3,})\d\d more\n\z/, 'the first page of 10,000 tasks');
        cmp_ok($took, '<=', 25e6, "there and back: $took instructions");
    }
    kill 'INT', $serving;
    waitpid $serving, 0;
    $serving = 0;
    unlink "$dir/qmp";
}
done_testing;
