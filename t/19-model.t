# The life of a row, as t/model/row.pml has it, checked by spin: with two
# processes every order of steps and kills, with three a part of them (all with
# CQ_TEST_ALL, which takes much memory). And a model with a fault fails.
# mpm: once

use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $model = "$FindBin::Bin/model/row.pml";
plan skip_all => 'spin is not installed: ./build.sh deps'
    if system('command -v spin >/dev/null 2>&1') != 0;

# How many errors, and how many states were looked at.
sub check {
    my ($defines, $how, $bits) = @_;
    my $dir = tempdir(CLEANUP => 1);
    my $said = `cd '$dir' && spin $defines -a '$model' 2>&1 && \
        gcc -O2 -w -DSAFETY $how -o pan pan.c 2>&1 && \
        ./pan -m20000 -w$bits 2>&1`;
    my ($errors) = $said =~ /errors: (\d+)/ or diag $said;
    my ($states) = $said =~ /(\d+) states, stored/;
    ok($said !~ /max search depth too small/, 'deep enough') or diag $said;
    return ($errors, $states // 0);
}

for my $second (0, 1) {
    for my $full ('', '-DFULL') {
        my $defines = "-DPROCS=2 -DKILLS=2 -DSECOND=$second $full";
        my ($errors, $states) = check($defines, '-DCOLLAPSE', 22);
        is($errors, 0, "$defines: no error in $states states");
        cmp_ok($states, '>', 10_000, 'and these are many');
    }
}
my $three = '-DPROCS=3 -DKILLS=1 -DSECOND=0';
my ($errors, $states) = $ENV{CQ_TEST_ALL}
    ? check($three, '-DCOLLAPSE', 28) : check($three, '-DBITSTATE', 20);
is($errors, 0, "$three: no error in $states states");

($errors) = check('-DPROCS=2 -DKILLS=0 -DSECOND=1 -DFULL'
    . ' -DWITHOUT_SECOND_LOOK', '-DCOLLAPSE', 22);
is($errors, 1, 'a reclaimer that does not look again is found out');

done_testing();
