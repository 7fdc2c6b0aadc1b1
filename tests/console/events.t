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
print "1..$test\n";
