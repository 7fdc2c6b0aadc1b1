#!/usr/bin/perl
# The timeline of a command, as a viewer of Chrome's trace format wants it: valid JSON, on each track slices that lie in one
# another or apart, nothing outside of the poll it belongs to; and on it exactly what the program did. TAP.
use strict;
use warnings;
use JSON::PP;

my $test = 0;
sub ok {
    my ($good, $name, @why) = @_;
    printf "%sok %d - %s\n", $good ? '' : 'not ', ++$test, $name;
    print map { "# $_\n" } @why unless $good;
}

my %wants = (    # what the viewer needs of each kind
    M => [qw(name pid args)],
    X => [qw(name ts dur pid tid)], i => [qw(name ts pid tid s)],
);
my ($calls, $faults) = (300, 40);

sub check {
    my ($harts) = @_;
    my $command = "printf 'calls $calls\\nfaults $faults\\nquit\\n' | traced";
    my $text = `tests/guest --smp $harts --timeout 100s run lua-scripts/timeline.lua "$command"`;
    my $all = eval { decode_json($text) };
    ok($all, "$harts harts: it is JSON", $@, substr($text, 0, 300));
    return unless $all;
    my $events = $all->{traceEvents};
    is_whole($harts, $events);
    nests($harts, $events);
    ok($all->{otherData}{lost} == 0 && $all->{otherData}{status} eq '0', "$harts harts: nothing is lost, and the command ended well");
    counts($harts, $events);
}

sub is_whole {
    my ($harts, $events) = @_;
    my @bad;
    for my $e (@$events) {
        my $wants = $wants{ $e->{ph} // '' };
        push @bad, encode_json($e) if !$wants || grep { !defined $e->{$_} } @$wants;
        push @bad, encode_json($e) if $e->{ph} eq 'X' && $e->{dur} < 0;
    }
    ok(@$events > 100 && !@bad, "$harts harts: every event has what its kind needs", @bad[0 .. ($#bad < 5 ? $#bad : 5)]);
    my @names = map { $_->{args}{name} } grep { $_->{ph} eq 'M' && $_->{name} eq 'thread_name' && $_->{pid} == 0 } @$events;
    ok("@names" eq join(' ', map { "hart $_" } 0 .. $harts - 1), "$harts harts: each has a track", "@names");
}

# In whole nanoseconds. What began is open until it ends; whatever begins meanwhile must end before it, or with it.
sub nests {
    my ($harts, $events) = @_;
    my (%tracks, @bad, %outermost);
    push @{ $tracks{"$_->{pid}/$_->{tid}"} }, $_ for grep { $_->{ph} eq 'X' } @$events;
    for my $track (values %tracks) {
        $_->{from} = int($_->{ts} * 1000 + 0.5), $_->{to} = $_->{from} + int($_->{dur} * 1000 + 0.5) for @$track;
        my @open;
        for my $x (sort { $a->{from} <=> $b->{from} || $b->{to} <=> $a->{to} } @$track) {
            pop @open while @open && $open[-1]{to} <= $x->{from};
            push @bad, "$x->{name} at $x->{ts} ends after $open[-1]{name} at $open[-1]{ts}" if @open && $x->{to} > $open[-1]{to};
            $outermost{ $x->{name} }++ if !@open && $x->{pid} == 0;
            push @open, $x;
        }
    }
    ok(!@bad, "$harts harts: what begins within a slice ends within it", @bad[0 .. ($#bad < 5 ? $#bad : 5)]);
    my @calls = grep { /^fault: |^getppid$/ } keys %outermost;
    ok($outermost{monitor} && $outermost{sh} && !@calls, "$harts harts: calls and faults lie in polls", @calls, %outermost);
}

# The program's process is that with its calls; the shells that start it make others.
sub counts {
    my ($harts, $events) = @_;
    my (%of, %there);
    for my $e (grep { $_->{ph} eq 'X' } @$events) {
        $of{ $e->{pid} }{ $e->{name} }++;
        $there{ $e->{pid} }{ $e->{tid} }++;
    }
    my ($pid) = grep { $_ && ($of{$_}{getppid} // 0) >= $calls } keys %of;
    ok($pid && $of{$pid}{getppid} == $calls, "$harts harts: each call of the program is there");
    ok($pid && 1 == keys %{ $there{$pid} }, "$harts harts: on a track of its own");
    ok(($of{0}{'fault: anon'} // 0) >= $faults, "$harts harts: and each fault", "anon: " . ($of{0}{'fault: anon'} // 0));
    ok(($of{0}{getppid} // 0) >= $calls, "$harts harts: on the harts' tracks, too");
}

# Rings that are too small: what there is stands, and the rest is told.
sub overrun {
    my $text = `tests/guest --smp 2 --timeout 100s run lua-scripts/timeline.lua "echo calls 500 | traced" 60 64`;
    my $all = eval { decode_json($text) };
    ok($all, "an overrun: it is JSON", $@, substr($text, 0, 300));
    return unless $all;
    my $told = 0;
    for my $e (@{ $all->{traceEvents} }) {
        $told += $1 if $e->{ph} eq 'i' && $e->{name} =~ /^(\d+) events are lost$/;
    }
    my $lost = $all->{otherData}{lost};
    ok($lost >= 1000 - 2 * 64, "an overrun: what is lost is counted", "lost: $lost");
    ok($told == $lost, "an overrun: and told on the harts' tracks", "told: $told, lost: $lost");
}

my $said = `tests/guest --timeout 100s run lua-scripts/timeline.lua true never 2>&1`;
ok($? >> 8 == 7 && $said =~ /^lua-scripts\/timeline\.lua:\d+: SECONDS is a number$/m, 'a time that is none is told', $said);
check($_) for 1, 2, 4;
overrun();
print "1..$test\n";
