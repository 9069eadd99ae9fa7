# Restarts, stops and turnover in the middle of downloads: nothing is lost and
# nothing counted twice, and the new generation sees what is in flight.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Load;
use Test::More;

use constant SIZE => 8_000_000;
use constant PIECE => Load::PIECE;

# small buffers: what is accepted and not yet received is little
my $conf = "ClamQuotaDaily 1G\nSendBufferSize 65536\nMaxKeepAliveRequests 0\n";
my $server = Httpd->run(conf => $conf);
write_file("$server->{dir}/htdocs/big", 'r' x SIZE);
write_file("$server->{dir}/htdocs/small", 's' x 20_000);

# A download that has received a part, and goes no further until it is read.
my $last = 1;
sub download {
    my ($bytes) = @_;
    my $from = '127.0.5.' . $last++;
    my $connection = $server->connect(from => $from, buffer => 65_536);
    $connection->send("GET /big HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n");
    $connection->take($bytes // 1_000_000);
    poll(5, sub { row($from)->{used} >= $connection->{bytes} - PIECE });
    return ($from, $connection);
}

sub row { return $server->row(@_) // { used => 0, in_flight => 0, hits => 0 } }

# It arrives whole and is booked to the byte, once.
sub completes {
    my ($name, $from, $connection, $hits) = @_;
    $connection->drain;
    my $row = row($from, used => $connection->{bytes}, in_flight => 0);
    cmp_ok($connection->{bytes}, '>', SIZE, "$name: the download completes");
    is($row->{used}, $connection->{bytes}, "$name: booked to the byte");
    is($row->{in_flight}, 0, "$name: nothing in flight");
    is($row->{hits}, $hits // 1, "$name: hits");
    is(Load::check_quiet_table($server), '', "$name: the table is sound");
}

# It was cut: what arrived is booked but for a piece.
sub is_cut {
    my ($name, $from, $connection) = @_;
    $connection->drain;
    my $row = row($from, in_flight => 0);
    cmp_ok($connection->{bytes}, '<', SIZE, "$name: the download is cut");
    cmp_ok($row->{used}, '<=', $connection->{bytes},
        "$name: not more than what was sent is booked");
    cmp_ok($row->{used}, '>=', $connection->{bytes} - PIECE,
        "$name: less by a piece at most");
    is($row->{in_flight}, 0, "$name: nothing in flight");
    is(Load::check_quiet_table($server), '', "$name: the table is sound");
    return $row->{used};
}

# The bytes in flight are the rest of the file.
sub is_in_flight {
    my ($name, $from, $other) = @_;
    my $row = row($from);
    $row->{used} -= $other // 0;
    cmp_ok($row->{in_flight}, '>', SIZE / 2, "$name: the rest is in flight");
    cmp_ok($row->{used} + $row->{in_flight}, '>=', SIZE, "$name: all of it");
    cmp_ok($row->{used} + $row->{in_flight}, '<', SIZE + 1000,
        "$name: and no more");
}

# ---- graceful, in the middle of a download ----
my ($from, $connection) = download();
my @before = $server->children;
ok($server->graceful, 'graceful');
is_in_flight('graceful', $from);
my $answer = $server->get('/small', '--interface', $from);
is($answer->{status}, 200, 'graceful: the new generation serves it');
is(row($from)->{hits}, 2, 'graceful: in the same row');
ok($server->graceful, 'graceful again');
is_in_flight('a second graceful', $from, $answer->{bytes});
$connection->{bytes} += $answer->{bytes};
completes('graceful', $from, $connection, 2);
ok(poll(10, sub {
    my %now = map { $_ => 1 } $server->children;
    return !grep { $now{$_} } @before;
}), 'graceful: the old children went');

# ---- a child that dies while it drains after a graceful ----
($from, $connection) = download();
@before = $server->children;
ok($server->graceful, 'graceful');
kill 'KILL', @before;
is_cut('killed while draining', $from, $connection);

# ---- an abort(), as the kernel or libc does it ----
($from, $connection) = download();
my $mark = $server->mark;
kill 'ABRT', $server->children;
is_cut('SIGABRT', $from, $connection);
my $signal = qr/AH0005[12]: child pid \d+ exit signal Abort/;
ok($server->wait_log($signal, $mark), 'SIGABRT: httpd reports it');
$server->allow_log($signal, scalar $server->log_lines($signal));

# ---- a changed configuration at a graceful ----
($from, $connection) = download();
$server->{conf} = "ClamQuotaDaily 1\nSendBufferSize 65536\n";
ok($server->graceful, 'graceful, with a Daily of 1');
is_in_flight('Daily 1', $from);
is($server->get('/small', '--interface', $from)->{status}, 429,
    'Daily 1: it is in force for the new');
is($server->json->{pools}[0]{daily}, 1, 'Daily 1: and shown');
completes('Daily 1', $from, $connection);
is(row($from)->{refused}, 1, 'Daily 1: one refusal');

($from, $connection) = download(500_000);
$server->{conf} = "ClamQuotaEngine Off\nSendBufferSize 65536\n"
    . "<Location /small>\nClamQuotaDaily 1G\nClamQuotaPool other\n"
    . "ClamQuotaEngine On\n</Location>\n";
ok($server->graceful, 'graceful, counting elsewhere');
is_in_flight('elsewhere', $from);
$answer = $server->get('/small', '--interface', $from);
is(row($from, pool => 'other', used => $answer->{bytes})->{used},
    $answer->{bytes}, 'elsewhere: a new pool counts');
is($server->get('/big', '--interface', '127.0.5.200')->{status}, 200,
    'elsewhere: what is Off is served');
completes('elsewhere', $from, $connection);
ok(!$server->row('127.0.5.200'), 'elsewhere: and not counted');
$server->{conf} = $conf;
ok($server->graceful, 'graceful, as before');
is(row($from)->{used}, $connection->{bytes}, 'as before: nothing was lost');

# ---- a restart that cuts ----
($from, $connection) = download();
ok($server->restart, 'restart');
is_cut('restart', $from, $connection);

# ---- graceful-stop waits for downloads ----
($from, $connection) = download();
kill 'WINCH', $server->{pid};
$connection->drain;
cmp_ok($connection->{bytes}, '>', SIZE, 'graceful-stop: it completes');
ok(poll(20, sub { $server->gone }), 'graceful-stop: then httpd ends');
is(Load::check_table($server), '', 'graceful-stop: the table is sound');
is($server->start, '', 'graceful-stop: start');
is(row($from)->{used}, $connection->{bytes}, 'graceful-stop: nothing lost');
is($server->json->{totals}{in_flight}, 0, 'graceful-stop: nothing in flight');

# ---- graceful-stop with a timeout cuts ----
$server->{conf} = "$conf\nGracefulShutdownTimeout 1\n";
ok($server->graceful, 'graceful, with a GracefulShutdownTimeout');
($from, $connection) = download();
kill 'WINCH', $server->{pid};
ok(poll(25, sub { $server->gone }), 'timeout: httpd ends');
$connection->drain;
is(Load::check_table($server), '', 'timeout: the table is sound');
is($server->start, '', 'timeout: start');
is($server->json->{totals}{in_flight}, 0, 'timeout: nothing in flight');
my $used = is_cut('timeout', $from, $connection);
ok($server->stop, 'stop');
is($server->start, '', 'start');
is(row($from)->{used}, $used, 'a stop and a start change nothing');

# ---- children that serve few connections ----
$server->{conf} = "$conf\nMaxConnectionsPerChild 5\n";
ok($server->graceful, 'graceful, with MaxConnectionsPerChild 5');
my $sent = $server->json->{totals}{sent};
($from, $connection) = download();
my %children;
my $load = Load->new($server);
for my $n (1 .. 60) {
    $load->add(from => '127.0.6.' . $n % 10, path => '/small',
        times => 1 + $n % 3);
    1 while $load->open_transfers > 3 && $load->step;
    $children{$_} = 1 for $server->children;
}
1 while $load->step;
my %received;
$received{$_->{from}} += $_->{bytes} for @{$load->{transfers}};
# a child that goes closes connections after a response
is(scalar(grep { $_->{complete} } @{$load->{transfers}}), 60,
    'turnover: all were served');
cmp_ok(scalar keys %children, '>=', 5, 'turnover: by many children');
is_in_flight('turnover', $from);
is(row($_, used => $received{$_})->{used}, $received{$_},
    "turnover: $_ to the byte") for sort keys %received;
completes('turnover', $from, $connection);
is($server->json->{totals}{sent} - $sent,
    $load->{bytes} + $connection->{bytes}, 'turnover: the totals too');

# the kills above, and clients with an open download at the end of the time
for my $meant (qr/AH1039[23]: /, qr/AH0004[56]: child process/) {
    $server->allow_log($meant, scalar $server->log_lines($meant));
}
finish();
