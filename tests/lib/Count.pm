# The harness prove runs: TAP::Harness, and one last line that counts what passed and failed.
# A test file that dies, prints no plan or runs fewer tests than it planned counts as failed as well, and so does one that
# does not end: it is ended with what it started, and named.
package Count;
use strict;
use warnings;
use parent 'TAP::Harness';

my $limit = 1200; # seconds

sub new {
    my ($class, $args) = @_;
    return $class->SUPER::new({%$args, exec => ['timeout', '-k', 10, $limit]});
}

sub summary {
    my ($self, $all) = @_;
    $self->SUPER::summary($all);
    my ($passed, $failed) = (0, 0);
    for my $name ($all->descriptions) {
        my ($test) = $all->parsers($name);
        print "$name did not end in $limit s\n" if ($test->exit // 0) == 124;
        my $bad = $test->failed + 0;
        my $missing = ($test->tests_planned // 0) - $test->tests_run;
        $bad += $missing if $missing > 0;
        $bad ||= 1 if $test->has_problems;
        $passed += $test->passed;
        $failed += $bad;
    }
    print "$passed passed, $failed failed\n";
}

1;
