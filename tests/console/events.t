#!/usr/bin/perl
# kmon events: each event is a line, as many as were asked for, and what is wrong has its exit code. TAP.
use strict;
use warnings;
use JSON::PP;

my $test = 0;
sub ok {
    my ($good, $name, @why) = @_;
    printf "%sok %d - %s\n", $good ? '' : 'not ', ++$test, $name;
    print map { "# $_\n" } @why unless $good;
}
sub kmon {
    my @lines = split /\n/, `tests/guest --smp 2 $_[0] 2>build/events.err`;
    open my $err, '<', 'build/events.err' or die;
    return ($? >> 8, join('', <$err>), @lines);
}

my ($status, $said, @lines) = kmon('events task.poll task.wake irq --max 150 --secs 60 --jsonl');
ok($status == 0, 'it ends when it has enough', "status $status", $said);
ok(@lines == 150, 'each event is a line', scalar @lines);
my (@bad, %points, %last);
for my $line (@lines) {
    my $e = eval { decode_json($line) } // {};
    push @bad, $line if grep { !defined $e->{$_} } qw(point at hart task pid);
    $points{ $e->{point} // '?' }++;
    push @bad, "back in time: $line" if ($e->{at} // 0) < ($last{ $e->{hart} // 0 } // 0);
    $last{ $e->{hart} // 0 } = $e->{at};
}
ok(!@bad, 'of JSON, in order of time on each hart, with who ran where', @bad[0 .. ($#bad < 3 ? $#bad : 3)]);
ok($points{'task.poll'} && $points{'task.wake'} && 3 >= keys %points, 'of the points that were named', %points);
ok($said =~ /^150 events, \d+ lost$/m, 'and at the end they are counted', $said);

($status, $said, @lines) = kmon(q(events task.poll --max 20 --secs 60 --where '{how = "wait", hart = 0}'));
ok($status == 0 && @lines == 20, 'a condition chooses', "status $status", $said);
@bad = grep { !/^ *\d+\.\d{6} hart 0 task\.poll task=\d+ pid=\d+ how=wait ns=\d+$/ } @lines;
ok(!@bad, 'and people can read it', @bad);

($status, $said, @lines) = kmon('events task.pol --secs 5');
ok($status == 1 && $said =~ /did you mean 'task.poll'/, 'a wrong name is an error of the script', "status $status", $said);
($status, $said) = kmon(q(events 'a"b'));
ok($status == 2 && $said =~ /no name of a trace point/, 'what can be no name is an error of usage', "status $status", $said);
($status, $said) = kmon('events irq --max many');
ok($status == 2 && $said =~ /--max/, 'and so is a number that is none', "status $status", $said);

# More than the line can carry: what is missing is told among what is there, and the sum at the end is that of what was told.
my $socket = "build/events.$$";
my $machine = fork // die;
if (!$machine) {
    open STDOUT, '>', '/dev/null';
    exec 'tests/guest', '--smp', 2, '--share', $socket, 'serve' or die;
}
for (1 .. 6000) {
    last if -S $socket;
    select undef, undef, undef, 0.01;
}
sub client { return `timeout 100 build/kmon connect unix:$socket $_[0] 2>build/events.err` }
client(q(sh 'echo calls 1000000000 | traced >/dev/null & sleep 0'));
ok($? == 0, 'a program that calls all the time runs');
@lines = split /\n/, client(q(events sys.enter sys.exit --where '{call = "getppid"}' --secs 2 --jsonl));
$status = $? >> 8;
open my $err, '<', 'build/events.err' or die;
my ($events, $lost) = join('', <$err>) =~ /^(\d+) events, (\d+) lost$/m;
my ($there, $told, $others) = (0, 0, 0);
for my $line (@lines) {
    my $e = eval { decode_json($line) } // {};
    if ($e->{lost}) { $told += $e->{lost} }
    elsif (($e->{point} // '') =~ /^sys\.(enter|exit)$/ && $e->{call} eq 'getppid') { $there++ }
    else { $others++ }
}
ok($status == 0 && $there && !$others, 'events of two points under one condition', "status $status", $there, $others);
ok($events && $there == $events, 'each of them comes', "$there there, said: $events");
ok($lost && $told == $lost, 'a loss is told among them, and nothing is lost untold', "$told told, said: $lost");
@lines = split /\n/, client(q(events sys.enter --where '{call = "getppid"}' --secs 1));
ok((grep { /^\d+ events are lost on hart [01]$/ } @lines) > 0, 'for people, too', scalar @lines);
kill 'TERM', $machine;
waitpid $machine, 0;
unlink $socket, 'build/events.err';
print "1..$test\n";
