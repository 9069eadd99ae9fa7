# The check of truth: a real httpd under a quota, whose own log, replayed with
# the same quota, gives the same refusals client by client.
#
# The log cannot know these, which are left out here: the order within a second
# (it has that in which responses ended: here one after the other), bytes in
# flight, If-Range, whether a small 206 was of an open range, which requests of
# a client over quota were refused before they would have been a 401 or 403.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename 'dirname';
use Httpd;
use JSON::PP;
use Test::More;

my $build = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x");
my $server = Httpd->run(ipv6 => 1, conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaDaily 60k
ClamQuotaGrace 10k
<FilesMatch "\.(cdiff|sign)$">
    ClamQuotaFree On
</FilesMatch>
LogFormat "%h %l %u %t \"%r\" %>s %B \"%{Referer}i\" \"%{User-Agent}i\" %O" both
CustomLog "%DIR%/logs/both.log" both
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" sent
CustomLog "%DIR%/logs/sent.log" sent
CustomLog "%DIR%/logs/status.log" "%h %>s"
EOT
my %size = ('a.cvd' => 30_000, 'b.cvd' => 7000, 'c.cdiff' => 5000);
write_file("$server->{dir}/htdocs/$_", 'x' x $size{$_}) for keys %size;

# A random client of a mirror; each request over before the next begins.
srand 77;
for (1 .. 150) {
    my $address = rand() < 0.1 && -e '/proc/net/if_inet6' ? undef
        : '127.0.0.' . (2 + int 8 * rand() ** 2);
    my $file = (sort keys %size)[rand 3];
    my $what = ([], [], [], ['-I'], ['-r', '0-511'], ['-r', '0-4095'],
        ['-r', '0-4999'], ['-r', '100-'], ['-r', '99999-'],
        ['-H', 'If-None-Match: *'])[rand 10];
    $file = 'missing' if rand() < 0.05;
    $server->get(($address ? '' : "http://[::1]:$server->{port}") . "/$file?$_",
        $address ? ('--interface', $address) : (), @$what,
        '-A', ('ClamAV/1.4.6', 'curl/8')[rand 2]);
}
Httpd::poll(5, sub { 150 <= (() = Httpd::read_file(
    "$server->{dir}/logs/status.log") =~ /\n/g) });

my %truth;
for (split /\n/, Httpd::read_file("$server->{dir}/logs/status.log")) {
    my ($client, $status) = split;
    $client = '::' if $client eq '::1';     # its /64
    $truth{$client}++ if $status == 429;
}
cmp_ok(scalar keys %truth, '>=', 3, 'clients are refused');

sub refusals {
    my ($log, @format) = @_;
    my $json = `TZ=UTC '$build/clamquota' replay --json --daily 60k --period day \\
        --grace 10k --free '\\.(cdiff|sign)\$' @format \\
        '$server->{dir}/logs/$log'`;
    is($?, 0, "$log is read");
    my $answer = decode_json($json);
    return { map { $_->{client} => $_->{requests_refused} }
        @{ $answer->{quotas}[0]{most_refused} } };
}

is_deeply(refusals('both.log', '--format',
    q('%h %l %u %t "%r" %>s %B "%{Referer}i" "%{User-Agent}i" %O')), \%truth,
    'its log, replayed, gives the same refusals, client by client');
is_deeply(refusals('sent.log'), \%truth,
    'and so does a log without body bytes, whose format is detected');

finish();
