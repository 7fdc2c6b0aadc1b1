# What stands on a vt100, line by line, from the bytes that were sent to it; dies when something is written outside of it.
package Screen;
use strict;
use warnings;

sub new {
    my ($class, $rows, $cols) = @_;
    return bless {rows => $rows, cols => $cols, y => 0, x => 0, pending => '', how => '',
                  text => [map { ' ' x $cols } 1 .. $rows], hows => [map { [('') x $cols] } 1 .. $rows]}, $class;
}

sub erase {
    my ($s, $y, $from, $to) = @_;
    for my $x ($from .. $to - 1) {
        substr($s->{text}[$y], $x, 1) = ' ';
        $s->{hows}[$y][$x] = '';
    }
}

sub put {
    my ($s, $c) = @_;
    ($s->{x}, $s->{y}) = (0, $s->{y} + 1) if $s->{x} == $s->{cols};    # it wraps with the next character
    my ($y, $x) = @$s{qw(y x)};
    die "'$c' at $y, $x of $s->{rows} x $s->{cols}" if $y < 0 || $y >= $s->{rows} || $x < 0 || $x >= $s->{cols};
    substr($s->{text}[$y], $x, 1) = $c;
    $s->{hows}[$y][$x] = $s->{how};
    $s->{x}++;
}

# "b": bold, "r": reversed.
sub set_how {
    my ($s, $codes) = @_;
    for my $code (split /;/, $codes eq '' ? 0 : $codes) {
        $s->{how} = '' if $code == 0;
        $s->{how} .= 'b' if $code == 1;
        $s->{how} .= 'r' if $code == 7;
    }
}

sub take {
    my ($s, $bytes) = @_;
    my ($rows, $cols) = @$s{qw(rows cols)};
    $s->{pending} .= $bytes;
    for ($s->{pending}) {
        while (length) {
            if    (s/^\e\[(\d*);?(\d*)[Hf]//) { @$s{qw(y x)} = (($1 || 1) - 1, ($2 || 1) - 1) }
            elsif (s/^\e\[(\d*)A//)           { $s->{y} -= $1 || 1 }
            elsif (s/^\e\[(\d*)B//)           { $s->{y} += $1 || 1 }
            elsif (s/^\e\[(\d*)C//)           { $s->{x} += $1 || 1 }
            elsif (s/^\e\[(\d*)D//)           { $s->{x} -= $1 || 1 }
            elsif (s/^\e\[J//) { $s->erase($s->{y}, $s->{x}, $cols); $s->erase($_, 0, $cols) for $s->{y} + 1 .. $rows - 1 }
            elsif (s/^\e\[K//)                { $s->erase($s->{y}, $s->{x}, $cols) }
            elsif (s/^\e\[1K//)               { $s->erase($s->{y}, 0, $s->{x} + 1) }
            elsif (s/^\e\[([\d;]*)m//)        { $s->set_how($1) }
            elsif (s/^\e(\[[?\d;]*[a-zA-Z]|[()].|[=>78M])//) { }
            elsif (s/^\r//)                   { $s->{x} = 0 }
            elsif (s/^\n//)                   { $s->{y}++ if $s->{y} < $rows - 1 }
            elsif (s/^\x08//)                 { $s->{x}-- }
            elsif (s/^[\x0f\x0e\x07]//)       { }
            elsif (/^\e/)                     { return }
            else                              { $s->put(substr $_, 0, 1, '') }
        }
    }
}

sub text { return join "\n", map { s/\s+$//r } @{$_[0]{text}} }

# Of the character at the first match of the pattern's end: how it is shown.
sub how_after {
    my ($s, $pattern) = @_;
    for my $y (0 .. $s->{rows} - 1) {
        return $s->{hows}[$y][$+[0]] if $s->{text}[$y] =~ $pattern;
    }
    return;
}
1;
