# The module counts the bytes that the client received, to the byte, and survives
# whatever happens to the server.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $server = Httpd->run(tls => 1, ipv6 => 1, conf => <<'EOT');
ClamQuotaDaily 1G
KeepAliveTimeout 20
MaxKeepAliveRequests 0
EOT
write_file("$server->{dir}/htdocs/10k", 'x' x 10_000);
write_file("$server->{dir}/htdocs/3m", 'y' x 3_000_000);
my $request = "GET /10k HTTP/1.1\r\nHost: localhost\r\n";

is($server->row('127.0.0.2'), undef, 'no row before the first request');
my $answer = $server->get('/3m', '--interface', '127.0.0.2');
is($answer->{status}, 200, 'a file is served');
is($answer->{bytes}, 3_000_000 + length $answer->{head}, 'curl reports bytes');
my $row = $server->row('127.0.0.2', used => $answer->{bytes}, hits => 1);
is($row->{used}, $answer->{bytes}, 'used: headers and body');
is($row->{today}, $answer->{bytes}, 'today: the same on the first day');
is($row->{hits}, 1, 'one hit');
is($row->{free}, 0, 'nothing free');
is($row->{in_flight}, 0, 'nothing in flight');

# 100 requests, one connection
my $connection = $server->connect(from => '127.0.0.3');
for (1 .. 99) {
    $connection->send("$request\r\n");
    $connection->response->{status} == 200 or die 'keep-alive broke';
}
$connection->send("${request}Connection: close\r\n\r\n")->drain;
$row = $server->row('127.0.0.3', used => $connection->{bytes}, hits => 100);
is($row->{used}, $connection->{bytes}, 'keep-alive: 100 requests');
is($row->{hits}, 100, 'keep-alive: 100 hits');

# 50 requests in one packet
$connection = $server->connect(from => '127.0.0.4');
$connection->send("$request\r\n" x 49 . "${request}Connection: close\r\n\r\n");
$connection->drain;
$row = $server->row('127.0.0.4', used => $connection->{bytes}, hits => 50);
is($row->{used}, $connection->{bytes}, 'pipelined: 50 requests');
is($row->{hits}, 50, 'pipelined: 50 hits');

# TLS: what goes into it is counted
$answer = $server->get($server->tls_url('/3m'), '--http1.1', '--interface',
    '127.0.0.5');
is($answer->{status}, 200, 'TLS: served');
$row = $server->row('127.0.0.5', used => $answer->{bytes});
is($row->{used}, $answer->{bytes}, 'TLS: the plaintext is counted');

# IPv6 is another client than IPv4, cut to its /64
$answer = $server->get("http://[::1]:$server->{port}/10k");
is($answer->{status}, 200, 'IPv6: served');
$row = $server->row('::', used => $answer->{bytes});
is($row->{used}, $answer->{bytes}, 'IPv6: counted');
is($row->{prefix}, 64, 'IPv6: a client is a /64');
my $v4 = $server->get('/10k');
is($server->row('127.0.0.1', used => $v4->{bytes})->{used}, $v4->{bytes},
    '127.0.0.1 has its own row');
is($server->row('127.0.0.1')->{prefix}, 32, 'IPv4: the whole address');

# the sum
my $before = $server->json;
my $sum = 0;
$sum += $_->{used} for @{$before->{clients}};
is(scalar @{$before->{clients}}, 6, 'six clients');
is($before->{totals}{sent}, $sum, 'the total is the sum of the rows');
is($before->{pools}[0]{sent}, $sum, 'so is the pool');
is($before->{totals}{hits}, 154, 'hits of all');
is($before->{totals}{in_flight}, 0, 'nothing in flight in total');

# what survives
sub figures {
    return { map { ($_->{client} => [@$_{qw(used today free hits)}]) }
        @{$server->json->{clients}} };
}
my $figures = figures();
ok($server->graceful, 'graceful');
is_deeply(figures(), $figures, 'graceful: every row as before');
ok($server->restart, 'restart');
is_deeply(figures(), $figures, 'restart: every row as before');
ok($server->stop, 'stop');
is($server->start, '', 'start');
is_deeply(figures(), $figures, 'stop and start: every row as before');
$server->kill9_all;
is($server->start, '', 'start after kill -9 of all');
is_deeply(figures(), $figures, 'kill -9 of all: every row as before');
is($server->json->{totals}{sent}, $sum, 'totals too');

# and goes on from there
$answer = $server->get('/10k', '--interface', '127.0.0.2');
my $want = $figures->{'127.0.0.2'}[0] + $answer->{bytes};
is($server->row('127.0.0.2', used => $want)->{used}, $want, 'counting goes on');

# a graceful restart in the middle of a download loses nothing of it
$connection = $server->connect(from => '127.0.0.8', buffer => 65536);
$connection->send("GET /3m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
$connection->take(100_000);
ok($server->graceful, 'graceful in the middle of a download');
$connection->drain;
$row = $server->row('127.0.0.8', used => $connection->{bytes}, in_flight => 0);
is($row->{used}, $connection->{bytes}, 'the old child goes on counting');
is($row->{in_flight}, 0, 'and settles');

finish();
