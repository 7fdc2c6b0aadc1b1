#!/usr/bin/perl
# What a trace point costs that is off: wherever the machine code of the kernel comes by one, a load and a branch on what was
# loaded, with nothing called and nothing else decided before. TAP.
use strict;
use warnings;
use Test::More;
no warnings 'portable';

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
my $objdump = 'riscv64-unknown-elf-objdump';
my $BETWEEN = 8;    # instructions of others, which the compiler puts behind a load

my (@code, %state);    # [instruction, operands, address it makes, function]; address -> point, and whether it is what holds
my $function = '';
for (`riscv64-unknown-elf-nm $elf`) { @state{hex $1, 8 + hex $1} = ($2, $2) if /^(\w+) \w trace_state_(\w+)$/ }
for (`$objdump -d --no-show-raw-insn $elf`) {
    if (/^\w+ <(.*)>:$/) { $function = $1 }
    elsif (/^\w+:\t(\S+)(?:\t(\S+))?(?: # (\w+))?/) { push @code, [$1, $2 // '', $3 ? hex $3 : 0, $function] }
}
my %points = map { $_ => [] } values %state;
cmp_ok(scalar keys %points, '>=', 10, 'the kernel has trace points: ' . join ' ', sort keys %points);

# A register is loaded at $i: is the next that is done with it a branch, with no call and no jump before?
sub branches {
    my ($i, $register) = @_;
    for my $next (@code[$i + 1 .. $i + $BETWEEN]) {
        my ($what, $with) = @$next;
        return 1 if $what =~ /^(beqz|bnez)$/ && $with =~ /^$register,/;
        return 0 if $what =~ /^(jalr?|call|tail|ret|ecall|b\w+)$/ || $with =~ /\b$register\b/;
    }
    return 0;
}

# Where the states are loaded: at an address that is made there, or near one that a register holds until it is used for
# something else.
sub found {
    my ($i, $register, $address) = @_;
    push @{$points{$state{$address}}}, [$i, $register] if $state{$address};
}
for my $i (0 .. $#code) {
    my ($what, $with, $address, $in) = @{$code[$i]};
    next if !$address || $with !~ /^(\w+),/;
    my $base = $1;
    found($i, $base, $address) if $what eq 'ld';
    next if $what ne 'add' && $what ne 'mv';
    for my $j ($i + 1 .. $#code) {
        my ($then, $operands) = @{$code[$j]};
        last if $code[$j][3] ne $in;
        found($j, $1, $address + $2) if $then eq 'ld' && $operands =~ /^(\w+),(-?\d+)\($base\)$/;
        last if $operands =~ /^$base,/ && $then !~ /^(s[bhwd]|b\w+)$/;
    }
}

for my $name (sort keys %points) {
    my @all = @{$points{$name}};
    my @bad = grep { !branches(@$_) } @all;
    ok(@all && !@bad, "$name: " . @all . ' times, a load and a branch');
    diag("in $code[$_->[0]][3]: @{$code[$_->[0]]}[0, 1]") for @bad;
}
done_testing;
