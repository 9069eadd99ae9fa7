#!/usr/bin/perl
# kill -9 at random moments under load: bytes that clients received and that
# were not booked, how long reservations of the dead stay, and whether
# anything is wrong afterwards. CQ_BENCH_ROUNDS (1000), CQ_TEST_MPM (event),
# CQ_TEST_SEED (random).
use strict;
use warnings;
use Cwd 'abs_path';
use FindBin;
use lib "$FindBin::Bin/../lib";
use Httpd;
use List::Util qw(max sum);
use Load;

my $build = abs_path($ENV{BUILD} // "$FindBin::Bin/../../build");
$ENV{CQ_TEST_MODULE} //= "$build/mod_clamquota.so";
my $count = $ENV{CQ_BENCH_ROUNDS} // 1000;
my $seed = $ENV{CQ_TEST_SEED} // int rand 2**31;
srand $seed;

my $server = Httpd->run(conf => Load::KILL_CONF());
Load::write_kill_files($server);
my (%used, @rounds, $cut);
for my $n (1 .. $count) {
    # every 20th time the whole server
    my $round = Load::kill_round($server, \%used, everything => $n % 20 == 0);
    print "round $n: $_\n" for @{$round->{wrong}};
    push @rounds, $round;
}
my $received = sum map { $_->{received} } @rounds;
my @seconds = sort { $a <=> $b } map { $_->{seconds} } @rounds;
printf "%s, %d rounds (CQ_TEST_SEED=%d): %d with something wrong\n", mpm(),
    $count, $seed, scalar grep { @{$_->{wrong}} } @rounds;
printf "%-40s %d\n", 'downloads cut', sum map { $_->{cut} // 0 } @rounds;
printf "%-40s %.0f\n", 'bytes received', $received;
printf "%-40s %.0f (%.4f %%)\n", 'of these not booked',
    sum(map { $_->{lost} } @rounds),
    100 * sum(map { $_->{lost} } @rounds) / $received;
printf "%-40s %d of %d\n", 'most of one transfer',
    max(map { $_->{most_lost} } @rounds), Load::PIECE;
printf "%-40s %.2f s, at most %.2f s\n", 'nothing in flight after (median)',
    @seconds[@seconds / 2, -1];
$server->stop;
exit((grep { @{$_->{wrong}} } @rounds) ? 1 : 0);
