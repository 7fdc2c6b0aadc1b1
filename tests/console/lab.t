#!/usr/bin/perl
# kmon lab: what labs there are, their handouts, and labs/lab behind it with its exit codes. TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;

my @labs = map { m{labs/(.*)/README} } sort glob 'labs/[0-9][0-9]-*/README.md';
my @got = run_line('lab');
is("$got[0] $got[2]", '0 ', 'the labs');
is(join(' ', $got[1] =~ /^(\S+) +Lab \d\d: \w/mg), "@labs", 'are listed with their titles');
for my $lab (@labs) {
    @got = run_line('lab ' . substr $lab, 0, 2);
    open my $f, '<', "labs/$lab/README.md" or die;
    is($got[1], do { local $/; <$f> }, "the handout of $lab");
}
system("cp build/kmon $dir/kmon") == 0 or die;
like(`$dir/kmon lab 2>&1`, qr/\Akmon: there is no folder of labs beside kmon's\n\z/, 'kmon without labs');
is($? >> 8, 2, 'ends with 2');

for (['lab 99', 'there is no lab "99"'], ['lab 1', 'there is no lab "1"'], ['lab dance 01', '"dance": a lab is shown by its number'],
     ['lab start', 'lab start needs the number'], ['lab grade', 'lab grade needs the number'], ['lab start 01', 'needs the name of a student'],
     ['lab start 99 grace', 'there is no lab "99"'], ['lab grade 01 a b', 'one too many'], ['lab --json', 'lab knows no option --json'],
     ['lab start 01 ../x', 'labs: ', 1], ['lab grade 01 /no/such', 'labs: there is no file of answers /no/such', 1]) {
    my ($args, $why, $theirs) = @$_;
    @got = run_line($args);
    is("$got[0] $got[1]", '2 ', "kmon $args: exit 2, nothing on stdout");
    like($got[2], ($theirs ? qr/\A[^\n]*$why[^\n]*\n\z/ : qr/\Akmon: [^\n]*$why[^\n]*\n\z/), 'one clear line');
}

# Answers that name a student and say nothing: it is graded, and points are lost.
$ENV{LIMIT} = 300;
write_file("$dir/answers", "student: grace\n");
@got = run_line("lab grade 01 $dir/answers");
is($got[0], 1, 'fewer than all points: exit 1') or diag "@got";
like($got[1], qr/\Alab 01-first-light, answers of grace: \d harts.*^  +\d+ of \d+ points\n\z/ms, 'are told');
done_testing;
