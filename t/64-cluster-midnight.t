# mpm: once
# Two nodes whose clocks are two seconds apart pass midnight, and the 1st: what
# the one that is ahead counts is of the new period, also for the other.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cluster;
use Httpd;
use Load;
use Peer;
use Test::More;

need_memcached();
need(faketime => 'faketime');

for my $case (['Day', '2026-03-14'], ['Month', '2026-03-31']) {
    my ($period, $day) = @$case;
    my $cluster = Cluster->run(nodes => 2, memcached => 2,
        conf => "ClamQuotaPeriod $period\nClamQuotaDaily 1M\n",
        each => [map { { faketime => "$day 23:59:$_" } } 46, 48]);
    my ($behind, $ahead) = $cluster->nodes;
    my $midnight = $behind->json('limit=1')->{period}{next_day};
    my ($client, $new) = ('127.6.0.1', 0);
    my $get = sub { $_[0]->get('/small', '--interface', $client)->{bytes} };
    my $now = sub { $_[0]->json('limit=1')->{now} };

    my $old = $get->($ahead) + $get->($behind);
    is(Cluster::await($_, $client, used => $old)->{used}, $old,
        "$period: before midnight") for $behind, $ahead;
    poll(20, sub { $now->($ahead) >= $midnight });
    $new += $get->($ahead) for 1 .. 3;
    is(Cluster::client($ahead, $client)->{used}, $new,
        "$period: ahead, counters start anew");
    SKIP: {
        skip 'this machine is too slow', 1 if $now->($behind) >= $midnight;
        is(Cluster::client($behind, $client)->{used}, $old,
            "$period: behind, the old ones are in force");
    }
    poll(20, sub { $now->($behind) >= $midnight });
    $new += $get->($behind) + $get->($ahead);
    for my $node ($behind, $ahead) {
        is(Cluster::await($node, $client, used => $new)->{used}, $new,
            "$period: after midnight both have the same, to the byte");
    }
    is(Load::check_table($_), '', "$period: the table is sound")
        for $behind, $ahead;
    is(join("\n", $_->log_lines(qr/CQ0157/)), '', "$period: no difference is "
        . 'logged') for $behind, $ahead;
    $_->stop for $behind, $ahead;
}

finish();
