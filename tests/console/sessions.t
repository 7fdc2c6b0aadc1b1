#!/usr/bin/perl
# Up to four sessions of the monitor, one for each client of a shared line: its own globals, mode, limits, probes and jobs; nobody
# waits for another's script, ^C and death end only their own, and what a session had is given back. At 1, 2 and 4 harts (HARTS). TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use POSIX ();
use Test::More;
use Time::HiRes 'time';

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
my $shared = "$dir/shared";
$ENV{TIDEPOOL_LINE} = $shared;
$ENV{GUEST_TIMEOUT} //= 120;

# What is an answer "at once" beside scripts that take ten minutes. A busy machine gives QEMU a twentieth of a processor.
my $AT_ONCE = 60; # of kmon, too
$ENV{LIMIT} = $AT_ONCE + 10;

my $serving;
END {
    my $status = $?;
    kill 'KILL', $serving if $serving;
    $? = $status;
}

sub client {
    my ($args, $status, $out, $name) = @_;
    my $since = time;
    my @got = run_line($args);
    is($got[0], $status, "$name: exit $status") or diag $got[2];
    ref $out ? like($got[1], $out, "$name: stdout") : is($got[1], $out, "$name: stdout");
    cmp_ok(time - $since, '<', $AT_ONCE, "$name: at once");
    return @got;
}
# A script that says that it runs.
sub begin {
    my ($script, $name) = @_;
    my $pid = start("eval --timeout none '$script'", $name);
    shows("out$name", qr/^runs$/m, "$name runs");
    return $pid;
}
sub runs_on { is(waitpid($_[0], POSIX::WNOHANG()), 0, $_[1]) }
sub stop {
    my ($name, @pids) = @_;
    kill 'INT', @pids;
    ends($_, 130, $name) for @pids;
}
# What there is of all that could leak, as a client that is alone sees it.
sub account { return join ',', sort split /[{},\n]/, (run_line('eval --json "k.account()"'))[1] }
sub settles {
    my ($before, $name) = @_;
    my $now;
    for (1 .. 50) {
        last if ($now = account()) eq $before;
        pause(0.1);
    }
    is($now, $before, $name);
}

my $LOOP = 'print("runs") while true do end';
my $SLEEP = 'print("runs") k.sleep(600000)';

sub own_state {
    # two at the prompt, entry by entry
    for my $who ([1, 'rw'], [2, 'unsafe'], [3, 'ro']) {
        my ($i, $mode) = @$who;
        write_file("$dir/entered-$i", join '', "k> x = $i\n", "k> k.mode = '$mode'\n", "k> k.session = {heap = 50000$i}\n",
                   "k> (host.sh('exit $i'))\n$i\n", "k> k.sleep(700)\n", "k> x, k.mode, k.session.heap\n$i\t$mode\t50000$i\n",
                   "k> for i = 1, 3 do print(x, i) k.sleep(20) end\n$i\t1\n$i\t2\n$i\t3\n");
    }
    my @pids = map { start("transcript $dir/entered-$_", "-$_") } 1 .. 3;
    client('eval "x, k.mode, k.session.number"', 0, qr/^nil\tro\t[1-4]\n$/, 'a fourth beside three at the prompt');
    ends($pids[$_ - 1], 0, "the prompt of $_ has its own globals, mode, limits, output and calls") or diag text_of("out-$_") for 1 .. 3;

    # a dry run, a probe and a job of one are none of the other's
    my $has = begin('k.on("task.spawn", function() print("probe of mine") end) k.every(0.05, function() n = (n or 0) + 1 end) '
                    . 'k.dry(function() print("runs") k.sleep(600000) end)', '-has');
    client('eval "k.mode = [[rw]] k.task([[sh]]).nice = 1 return #k.jobs(), #k.journal()"', 0, "0\t1\n", 'a change while another is in a dry run');
    client('eval "k.mode = [[rw]] k.task([[sh]]).nice = 2 return k.journal()[2].session == k.session.number"', 0, "true\n",
           'the journal says which session made it');
    client('eval "k.mode = [[rw]] return k.undo()"', 1, '', "k.undo() takes back nobody else's change");
    client('eval "k.mode = [[rw]] return k.undo(2)"', 0, qr/nice/, 'k.undo(n) does');
    client('eval "#k.traces(), k.traces()[1].session == k.session.number"', 0, "1\tfalse\n", 'the trace of another is seen');
    client('eval "k.off() return #k.traces()"', 0, "1\n", 'and not ended by k.off()');
    client('eval "k.off(k.traces()[1])"', 1, '', 'nor by name');
    my $mine = begin('k.on("task.spawn", function() print("probe of another") end) print("runs") k.sleep(600000)', '-mine');
    client('sh "(true)"', 0, '', 'something for the probes');
    shows('out-mine', qr/probe of another/, 'a probe calls back its own session');
    shows('out-has', qr/probe of mine/, 'and the other its own');
    unlike(text_of("out-$_->[0]"), qr/$_->[1]/, 'and no other') for ['mine', 'of mine'], ['has', 'of another'];
    stop('they are ended', $has, $mine);
    client('eval "#k.traces()"', 0, "0\n", 'with them their traces');
}

sub nobody_waits {
    my $sleeps = begin($SLEEP, '-sleeps');
    my $loops = begin($LOOP, '-loops');
    my $asks = begin('print("runs") host.expect("it goes on", 600000)', '-asks');
    client('eval 1+1', 0, "2\n", 'beside one that sleeps, one that loops, one that waits for the host');
    client('eval --json "#k.harts"', 0, qr/^\d+\n$/, 'and again');
    kill 'INT', $loops;
    ends($loops, 130, '^C ends the loop');
    is(text_of('err-loops') =~ /interrupted/ ? 1 : 0, 1, 'which says so');
    runs_on($sleeps, 'not who sleeps');
    runs_on($asks, 'nor who waits for the host');
    client('sh "echo it goes on"', 0, "it goes on\n", 'until it comes');
    ends($asks, 0, 'then the call is answered');

    # a freeze is one session's; the others go on when it is over
    my $freezes = begin('print("runs") while true do pcall(k.freeze, function() while true do end end, {ms = 30}) k.sleep(1) end', '-freezes');
    client('eval 1+1', 0, "2\n", 'beside one that freezes the system again and again');
    client('eval "k.freeze(function() return k.task([[sh]]).pid end)"', 0, qr/^\d+\n$/, 'and can be frozen by another');
    stop('ended', $sleeps, $freezes);
}

# A rule's harts and what a session is pinned to may be the same: taking the rule away moves no session.
sub rules {
    client('eval "k.mode = [[rw]] k.policy = {{task = k.task([[sh]]), harts = 1}}"', 0, '', 'a rule for a hart');
    my @pids = map { begin($SLEEP, "-later$_") } 1 .. 2;
    client('eval "k.mode = [[rw]] k.policy = {} return #k.policy"', 0, "0\n", 'is taken away when sessions have begun since');
    client('eval 1+1', 0, "2\n", 'which go on');
    stop('and end', @pids);
}

# A job that sleeps holds a command up, but takes it from nobody.
sub job_sleeps {
    write_file("$dir/entered", "k> k.every(0.001, function() k.sleep(200) end) > 0\ntrue\n" . "k> 1+1\n2\n" x 5
               . "k> (host.sh('exit 3'))\n3\nk> k.stop()\nk> 1+1\n2\n");
    client("transcript $dir/entered", 0, qr/^ok 9 /m, 'commands beside a job that sleeps');
}

sub five {
    my @pids = map { begin($_ % 2 ? $SLEEP : $LOOP, "-four$_") } 1 .. 4;
    my $since = time;
    my @got = run_line('eval 1+1');
    is($got[0], 6, 'a fifth is refused: exit 6');
    is($got[1], '', 'with no answer');
    like($got[2], qr/^all sessions of the monitor are in use: end one of kmon(?: \d+){4}$/m, 'but one line that says what to do');
    my ($named) = $got[2] =~ /kmon ([\d ]+)/;
    is(join(' ', sort split ' ', $named // ''), join(' ', sort @pids), 'and names them');
    runs_on($_, 'which harms nobody') for @pids;
    my $patient = start('eval 1+1', '-patient');
    pause(0.5);
    kill 'INT', $pids[2];
    ends($patient, 0, 'one that comes when another goes has its answer');
    ends(splice(@pids, 2, 1), 130, 'who went');
    stop('the others', @pids);
}

sub death {
    my ($before, $last) = (account(), '');
    for (1 .. 50) { # until what went before is cleared away, and what a look itself needs is there
        last if $before eq $last;
        pause(0.1);
        ($last, $before) = ($before, account());
    }
    for my $script ($SLEEP, $LOOP, 'k.on("sys.enter", function() end, {pause = true}) k.every(0.01, function() end) k.events("irq") print("runs") '
                    . 't = {} while true do t[#t + 1] = ("x"):rep(100) if #t > 2000 then t = {} end end') {
        my $stays = begin($SLEEP, '-stays');
        my @dies = map { begin($script, "-dies$_") } 1 .. 3;
        kill 'KILL', @dies;
        waitpid $_, 0 for @dies;
        client('eval "#k.harts > 0"', 0, "true\n", 'three are killed while their scripts run');
        runs_on($stays, 'and one is not');
        kill 'KILL', $stays;
        waitpid $stays, 0;
        settles($before, 'then all is given back');
    }
    client('sh "echo alive"', 0, "alive\n", 'and what a probe held goes on');
}

for my $harts (split ' ', $ENV{HARTS} // '1 2 4') {
    $serving = start("qemu --kernel $elf --smp $harts serve", '-serve');
    for (1 .. 3000) { last if -S $shared; pause(0.01) }
    is((run_line('--timeout 60 eval "#k.harts"'))[1], "$harts\n", "$harts harts");
    own_state();
    nobody_waits();
    rules();
    job_sleeps();
    five();
    death();
    kill 'INT', $serving;
    ends($serving, 130, 'the machine is powered off');
    $serving = 0;
}
done_testing;
