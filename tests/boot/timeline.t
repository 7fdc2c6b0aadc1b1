#!/usr/bin/perl
# The timeline of a command, as a viewer of Chrome's trace format wants it: valid JSON, on each track every begin with its own
# end, in order of time, nothing outside of the poll it belongs to; and on it exactly what the program did. TAP.
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
    M => [qw(name pid args)], B => [qw(name ts pid tid)], E => [qw(ts pid tid)],
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

# As they stand in the file, which for one track is the order of time.
sub nests {
    my ($harts, $events) = @_;
    my (%stack, %last, @bad, $deepest);
    $deepest = 0;
    for my $e (grep { $_->{ph} eq 'B' || $_->{ph} eq 'E' } @$events) {
        my $track = "$e->{pid}/$e->{tid}";
        my $stack = $stack{$track} //= [];
        push @bad, "back in time: " . encode_json($e) if $e->{ts} < ($last{$track} // 0);
        $last{$track} = $e->{ts};
        if ($e->{ph} eq 'B') {
            push @$stack, $e->{name};
            $deepest = @$stack if @$stack > $deepest;
        } else {
            my $began = pop @$stack;
            push @bad, "an end of " . ($began // 'nothing') . ": " . encode_json($e) if ($began // '') ne $e->{name};
        }
    }
    push @bad, map { "$_ still has " . join ' ', @{ $stack{$_} } } grep { @{ $stack{$_} } } keys %stack;
    ok(!@bad, "$harts harts: on each track every begin has its end, in order of time", @bad[0 .. ($#bad < 5 ? $#bad : 5)]);
    ok($deepest == 2, "$harts harts: calls lie in polls", "depth $deepest");
}

sub counts {
    my ($harts, $events) = @_;
    my (%calls, %faults, %traced);
    for my $e (@$events) {
        $traced{ $e->{pid} } = 1 if $e->{ph} eq 'X' && $e->{name} eq 'getppid';
    }
    for my $e (@$events) {
        $calls{ $e->{name} }++ if $e->{ph} eq 'X' && $traced{ $e->{pid} };
        $faults{ $e->{name} }++ if $e->{ph} eq 'B' && $e->{pid} == 0;
    }
    ok(($calls{getppid} // 0) == $calls, "$harts harts: each call of the program is there", "getppid: " . ($calls{getppid} // 0));
    ok(($faults{'fault: anon'} // 0) >= $faults, "$harts harts: and each fault", "anon: " . ($faults{'fault: anon'} // 0));
    ok(($faults{getppid} // 0) >= $calls, "$harts harts: on the harts' tracks, too");
}

check($_) for 1, 2, 4;
print "1..$test\n";
