#!/usr/bin/perl
# The operator's page over a table of four million clients: its first byte, and
# the p99 of other requests while a process reloads it each two seconds, as a
# ratio to the same without, in rounds, with the same again beside it.
use strict;
use warnings;
use Cwd 'abs_path';
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use Httpd;
use Time::HiRes 'time';

use constant { REQUESTS => 4000, ROUNDS => 7, LOADS => 9 };

my $build = abs_path($ENV{BUILD} // "$FindBin::Bin/../../build");
$ENV{CQ_TEST_MODULE} //= "$build/mod_clamquota.so";

# no pretended time: its library costs more than what is measured
my $server = Httpd->new(faketime => 0, clients => 4_000_000,
    conf => "ClamQuotaPeriod Month\nClamQuotaDaily 1M\n"
        . "ClamQuotaTimezone UTC\nClamQuotaClient 127.0.0.0/8 Unlimited\n");
my $table = "$server->{dir}/state/clamquota.table";
system("$build/bench/page", $table) == 0 or die "no table\n";

chown((stat "$server->{dir}/state")[4, 5], $table);
write_file("$server->{dir}/htdocs/small", 's' x 1000);
my $failure = $server->start;
die $failure if $failure;
my $used = $server->json('limit=1')->{table}{used};
$used >= 4_000_000 or die "the table has $used clients\n";

sub median { return (sort { $a <=> $b } @_)[$#_ / 2] }

# Seconds to the first byte, each a pass of its own
sub first_byte_s {
    my ($path) = @_;
    select undef, undef, undef, 2.1;    # what is kept has gone
    my $url = $server->url($path);
    my $said = `curl -q -s --noproxy '*' -o /dev/null -w '%{time_starttransfer} %{http_code}' '$url'`;
    $said =~ /^([\d.]+) 200$/ or die "$path: $said\n";
    return $1;
}

sub p99 {
    my $http = HTTP::Tiny->new;
    my $url = $server->url('/small');
    my @took;
    for (1 .. REQUESTS) {
        my $began = time;
        $http->get($url)->{success} or die 'a request failed';
        push @took, time - $began;
    }
    return (sort { $a <=> $b } @took)[REQUESTS * 0.99];
}

# while an operator reloads the page
sub p99_beside {
    my $operator = fork // die "fork: $!";
    if (!$operator) {
        my $http = HTTP::Tiny->new;
        while (1) {
            $http->get($server->url('/clamquota'));
            select undef, undef, undef, 2;
        }
    }
    my $p99 = p99();
    kill KILL => $operator;
    waitpid $operator, 0;
    return $p99;
}

for my $path ('/clamquota', '/clamquota?json') {
    my @took = map { first_byte_s($path) } 1 .. LOADS;
    printf "first byte of %s with 4,000,000 clients: %.2f s (%.2f to %.2f)\n",
        $path, median(@took), (sort { $a <=> $b } @took)[0, -1];
}
p99();
my (@ratios, @same);
for (1 .. ROUNDS) {
    my $before = p99();
    my $beside = p99_beside();
    my $after = p99();
    push @ratios, 2 * $beside / ($before + $after);
    push @same, $after / $before;
}
printf "p99 of a request beside a page that is reloaded, to without: %.2f "
    . "(same again: %.2f)\n", median(@ratios), median(@same);
