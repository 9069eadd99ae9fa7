#!/usr/bin/perl
# How far a client gets past its allowance that asks all of three nodes, over
# two memcached, by the interval; and what a hung memcached costs a request.
# The bound, when all are asked within two intervals, is (N - 1) x the allowance
# and the response of each node that crosses it.
# Bytes depend on how fast a client downloads against the interval, so they are
# shown for the speed of loopback and for a client of 4 MB/s.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cluster;
use HTTP::Tiny;
use Httpd;
use List::Util qw(sum);
use Peer;
use POSIX ();
use Time::HiRes qw(sleep time);

use constant { NODES => 3, ALLOWANCE => 10 * 1024 * 1024, MB => 1024 * 1024 };
use constant { ROUNDS => 9, REQUESTS => 2000, CLIENTS => 1000 };
my %files = (short => 100_000, long => 4_000_000);

sub cluster {
    my ($interval, $daily) = @_;
    my $cluster = Cluster->run(nodes => NODES, memcached => 2,
        sync => $interval, conf => "ClamQuotaDaily $daily\n"
        . "ClamQuotaPeriod Day\nClamQuotaRetryJitter 0\n");
    for my $node ($cluster->nodes) {
        write_file("$node->{dir}/htdocs/$_", 'b' x $files{$_}) for keys %files;
    }
    return $cluster;
}

# Bytes of one download; 0 when it is refused. At most N a second.
sub download {
    my ($node, $client, $path, $bytes_per_s) = @_;
    my $connection = $node->connect(from => $client);
    my $began = time;
    $connection->send("GET /$path HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n");
    my $refused;
    while ($connection->more) {
        $refused //= $connection->{data} =~ m{^HTTP/1.1 429 };
        $connection->{data} = '';
        my $wait = $bytes_per_s
            ? $connection->{bytes} / $bytes_per_s - (time - $began) : 0;
        sleep $wait if $wait > 0;
    }
    return $refused ? 0 : $connection->{bytes};
}

# One after the other, until a node refuses three times running.
sub in_turn {
    my ($cluster, $client, $path, $speed) = @_;
    my ($sum, $refused, $n) = (0, 0, 0);
    while ($refused < NODES) {
        my $bytes = download($cluster->node($n++ % NODES), $client, $path,
            $speed);
        $refused = $bytes ? 0 : $refused + 1;
        $sum += $bytes;
    }
    return $sum;
}

# Every node at once, until each refuses.
sub at_once {
    my ($cluster, $client, $path, $speed) = @_;
    my @pipes;
    for my $node ($cluster->nodes) {
        my $pid = open(my $pipe, '-|') // die "fork: $!";
        push @pipes, $pipe;
        next if $pid;
        my ($sum, $bytes) = (0);
        $sum += $bytes while $bytes = download($node, $client, $path,
            $speed && $speed / NODES);
        syswrite STDOUT, "$sum\n";
        POSIX::_exit(0);
    }
    return sum map { scalar <$_> } @pipes;
}

# 1,000 clients, each time a random one asks a random node, until three of its
# requests in a row were refused: how far each got, sorted.
sub at_random {
    my ($cluster) = @_;
    my (%sum, %refused);
    my @clients = map { '127.4.' . int($_ / 250) . '.' . (1 + $_ % 250) }
        0 .. CLIENTS - 1;
    srand 1;
    while (@clients) {
        my $i = int rand @clients;
        my $client = $clients[$i];
        my $bytes = download($cluster->node(int rand NODES), $client, 'short');
        $sum{$client} += $bytes;
        $refused{$client} = $bytes ? 0 : 1 + ($refused{$client} // 0);
        splice @clients, $i, 1 if $refused{$client} == 3;
    }
    return sort { $a <=> $b } values %sum;
}

sub p99 {
    my ($node) = @_;
    my $http = HTTP::Tiny->new;
    my @took;
    for (1 .. REQUESTS) {
        my $began = time;
        $http->get("http://127.0.0.1:$node->{port}/small")->{success}
            or die 'a request failed';
        push @took, time - $began;
    }
    return (sort { $a <=> $b } @took)[REQUESTS * 0.99];
}

sub median { return (sort { $a <=> $b } @_)[$#_ / 2] }

if (!program('memcached')) {
    print 'skipped: no memcached: ' . Peer::reason('memcached') . "\n";
    exit 0;
}
my $last = 0;
print 'past an allowance of ', ALLOWANCE / MB, ' MiB; the bound is ',
    (NODES - 1) * ALLOWANCE / MB, ' MiB and ', NODES, " responses:\n";
for my $interval ('500ms', '100ms') {
    my $cluster = cluster($interval, ALLOWANCE);
    for my $case (['in turn', \&in_turn], ['at once', \&at_once]) {
        for my $path ('short', 'long') {
            my @past = map {
                my $client = '127.3.0.' . ++$last;
                sprintf '%5.1f MiB', ($case->[1]->($cluster, $client, $path,
                    $_) - ALLOWANCE) / MB
            } 0, 4_000_000;
            printf "  %s, %s, downloads of %d KB: %s; at 4 MB/s %s\n",
                $interval, $case->[0], $files{$path} / 1000, @past;
        }
    }
    $_->stop for $cluster->nodes;
}

for my $interval ('500ms', '100ms') {
    my $cluster = cluster($interval, '1M');
    my @past = map { ($_ - MB) / 1024 } at_random($cluster);
    printf "  %s, %d clients at random with 1 MiB each, downloads of %d KB: "
        . "median %.0f KiB, most %.0f KiB past it\n", $interval, CLIENTS,
        $files{short} / 1000, $past[CLIENTS / 2], $past[-1];
    $_->stop for $cluster->nodes;
}

my $cluster = cluster('100ms', '1G');
my ($node) = $cluster->nodes;
my ($memcached) = $cluster->memcached;
p99($node);
# Until the node sees all servers up, or one down.
sub await_up {
    my ($all) = @_;
    return poll(10, sub {
        my $down = grep { !$_->{up} } @{Cluster::cluster($node)->{servers}};
        return $all ? !$down : $down;
    });
}
# well, hung and well again in each round: how far the two that are the same
# differ is what this machine does by itself
my (@ratios, @same);
for (1 .. ROUNDS) {
    my $before = p99($node);
    $memcached->freeze;
    await_up(0) or die 'the server is not seen as down';
    my $hung = p99($node);
    $memcached->thaw;
    await_up(1) or die 'the server is not seen as up';
    my $after = p99($node);
    push @ratios, 2 * $hung / ($before + $after);
    push @same, $after / $before;
}
printf "p99 of a request with a memcached that hangs, to without: %.2f "
    . "(same again: %.2f)\n", median(@ratios), median(@same);
exit median(@ratios) <= 1.2 ? 0 : 1;
