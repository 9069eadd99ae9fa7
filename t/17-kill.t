# Children and servers that are killed under load: what was reserved goes
# back, what the kernel took is booked but for one piece, the table is sound.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use List::Util qw(sum);
use Load;
use Test::More;

use constant ROUNDS => 30;
use constant SERVERS => 3;

my $server = Httpd->run(conf => Load::KILL_CONF);
Load::write_kill_files($server);
my $seed = $ENV{CQ_TEST_SEED} // srand;
srand $seed;
note "CQ_TEST_SEED=$seed";

# ---- children ----
my %used;
my @rounds;
for my $n (1 .. ROUNDS) {
    my $round = Load::kill_round($server, \%used);
    is_deeply($round->{wrong}, [], "round $n: $round->{received} received, "
        . "$round->{lost} lost, settled in $round->{seconds} s")
        or diag "CQ_TEST_SEED=$seed";
    push @rounds, $round;
}
my $received = sum map { $_->{received} } @rounds;
cmp_ok(sum(map { $_->{cut} // 0 } @rounds), '>=', ROUNDS,
    'the kills cut downloads');
# that it takes a second is measured by t/bench/kill.pl: here others may be at
# work, and what came after 10 s is wrong in its round
my @seconds = sort { $a <=> $b } map { $_->{seconds} } @rounds;
note "released within $seconds[ROUNDS / 2] s, at most $seconds[-1] s";
cmp_ok($rounds[-1]{sent}, '<=', $received, 'the totals: nothing twice');
cmp_ok($rounds[-1]{sent}, '>=', sum(values %used),
    'the totals: nothing less than the rows');
ok(scalar $server->log_lines(qr/CQ0124: /), 'the log reports the children');
my $killed = qr/AH1039[23]: children are killed successively/;
$server->allow_log($killed, scalar $server->log_lines($killed));

# ---- the whole server ----
for my $n (1 .. SERVERS) {
    my $round = Load::kill_round($server, \%used, everything => 1);
    is_deeply($round->{wrong}, [], "server $n: $round->{received} received, "
        . "$round->{lost} lost") or diag "CQ_TEST_SEED=$seed";
    cmp_ok($round->{cut}, '>', 0, "server $n: downloads were cut");
}

finish();
