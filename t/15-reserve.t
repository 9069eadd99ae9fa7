# Bytes in flight count before they have left: a file is reserved when it is
# admitted, and whatever is left of that goes back when the request ends.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Http2;
use Httpd;
use Test::More;

use constant BIG => 157_286_400;
use constant FITS => 64 * 1024 * 1024;

my $server = Httpd->run(tls => 1,
    modules => [qw(deflate filter proxy proxy_http), mpm() eq 'prefork'
        ? 'cgi' : qw(cgid http2)],
    conf => <<'EOT');
ClamQuotaDaily 1G
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
DirectoryIndex 150m
<IfModule mod_http2.c>
    Protocols h2 h2c http/1.1
</IfModule>
<IfModule mod_cgid.c>
    ScriptSock %DIR%/run/cgid
</IfModule>
AddHandler cgi-script .cgi
ProxyPass /proxied http://127.0.0.1:%PORT2%
<Directory %DIR%/htdocs>
    Options +ExecCGI
</Directory>
<Location /deflated>
    SetOutputFilter DEFLATE
</Location>
<Location /denied>
    Require all denied
    ErrorDocument 403 /12m
</Location>
<Location /bare>
    Require all denied
</Location>
<Location /fits>
    ClamQuotaPool fits
    ClamQuotaDaily 64M
</Location>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    ClamQuotaEngine Off
    <Location /quick>
        ClamQuotaEngine On
    </Location>
    Timeout 1
</VirtualHost>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(deflated denied bare fits quick dir);

# a file without a block on the disk
sub sparse {
    my ($path, $bytes) = @_;
    open my $fh, '>', "$htdocs/$path" or die "$path: $!";
    truncate $fh, $bytes or die "$path: $!";
    utime time - 60, time - 60, $fh;
}

sparse($_, BIG) for qw(150m denied/150m bare/150m quick/150m dir/150m);
sparse('12m', 12_000_000);
sparse('fits/file', FITS);
# noise, which does not get smaller
srand 1;
write_file("$htdocs/deflated/12m", pack 'N*', map { rand 2**32 }
    1 .. 3_000_000);
write_file("$htdocs/endless.cgi", "#!/bin/sh\n"
    . "printf 'Content-Type: text/plain\\n\\n'\nexec head -c 99999999 "
    . "/dev/zero\n");
chmod 0755, "$htdocs/endless.cgi";

# Requests a path and reads the head of the answer, no more.
sub ask {
    my ($from, $path, @headers) = @_;
    return $server->connect(from => $from, buffer => 65536)->send(join "\r\n",
        "GET $path HTTP/1.1", 'Host: localhost', 'Connection: close',
        @headers, '', '');
}

sub status {
    my ($connection) = @_;
    1 while $connection->{data} !~ /\r\n\r\n/ && $connection->more(4096);
    return ($connection->{data} =~ /^HTTP\/1.1 (\d+)/)[0] // 0;
}

# A row, when used and in flight together are this.
sub drawn_and_reserved {
    my ($from, $bytes) = @_;
    my $row;
    poll(5, sub {
        $row = $server->row($from);
        return $row && $row->{used} + $row->{in_flight} == $bytes;
    });
    return $row // { used => -1, in_flight => 0 };
}

# ---- 100 parallel downloads of 150 MB against 1 GB ----

sub seven_admitted {
    my ($name, $from, $refused_before, @answers) = @_;
    is(scalar(grep { $_->[0] == 200 } @answers), 7, "$name: 7 are admitted");
    my @refused = grep { $_->[0] == 429 } @answers;
    is(scalar @refused, 93, "$name: 93 are refused");
    is_deeply([grep { ($_->[1] // '') !~ /^(?:3\d|40)$/ } @refused], [],
        "$name: for 30 to 40 seconds each");
    my $row = drawn_and_reserved($from, 7 * BIG);
    is($row->{used} + $row->{in_flight}, 7 * BIG, "$name: 7 files reserved");
    is("$row->{state} $row->{refused} $row->{over_since}", 'ok 0 0',
        "$name: no offence");
    is($server->json->{totals}{refused}, $refused_before + 93,
        "$name: 93 in the totals");
}

my $refused = $server->json->{totals}{refused};
my @connections = map { ask('127.0.0.2', '/150m') } 1 .. 100;
my @answers = map { my $status = status($_);
    [$status, Client::headers($_->{data})->{'retry-after'}] } @connections;
seven_admitted('HTTP/1.1', '127.0.0.2', $refused, @answers);
$_->close for @connections;
my $row = $server->row('127.0.0.2', in_flight => 0);
is($row->{in_flight}, 0, 'HTTP/1.1: all aborted, nothing in flight');
is($row->{hits}, 7, 'HTTP/1.1: 7 hits');
cmp_ok($row->{used}, '<', BIG, 'HTTP/1.1: what had not gone was not used');
is(status(ask('127.0.0.2', '/150m')), 200, 'HTTP/1.1: the next is admitted');
is($server->row('127.0.0.2', hits => 8, in_flight => 0)->{in_flight}, 0,
    'HTTP/1.1: and its reservation went back');

for (mpm() eq 'prefork' ? () : (['h2c', 3], ['h2', 4, 'h2'])) {
    my ($name, $last, $tls) = @$_;
    my $from = "127.0.0.$last";
    $refused = $server->json->{totals}{refused};
    # 25 connections: httpd works at 6 streams of a new one at a time
    my @clients = map { Http2->new($server->connect(from => $from, $tls
        ? (tls => $tls) : ()), window => 65535) } 1 .. 25;
    my @streams = map { my $client = $_; map { { client => $client,
        stream => $client->request('/150m') } } 1 .. 4 } @clients;
    for (@streams) {
        my ($client, $stream) = @$_{qw(client stream)};
        $client->until(sub { $stream->{status} });
    }
    seven_admitted($name, $from, $refused, map { [$_->{stream}{status},
        $_->{stream}{field}{'retry-after'}] } @streams);
    my @admitted = grep { $_->{stream}{status} == 200 } @streams;
    $_->{client}->reset($_->{stream}) for @admitted;
    $row = $server->row($from, in_flight => 0);
    is($row->{in_flight}, 0, "$name: all reset, nothing in flight");
    is($row->{hits}, 7, "$name: 7 hits");
    my $stream = $clients[0]->request('/150m');
    $clients[0]->until(sub { $stream->{status} });
    is($stream->{status}, 200, "$name: the next is admitted");
    $_->{connection}->close for @clients;
    is($server->row($from, hits => 8, in_flight => 0)->{in_flight}, 0,
        "$name: and its reservation went back with the connection");
}

# ---- 100 aborts, 25 at a time ----
my $hits = 0;
for my $round (1 .. 4) {
    my $before = $hits ? $server->row('127.0.0.5')->{used} : 0;
    @connections = map { ask('127.0.0.5', '/12m') } 1 .. 25;
    is(scalar(grep { status($_) == 200 } @connections), 25,
        "round $round: 25 are admitted");
    $row = drawn_and_reserved('127.0.0.5', $before + 25 * 12_000_000);
    is($row->{used} + $row->{in_flight}, $before + 25 * 12_000_000,
        "round $round: 25 reserved");
    $_->close for @connections;
    $row = $server->row('127.0.0.5', in_flight => 0, hits => $hits += 25);
    is($row->{in_flight}, 0, "round $round: aborted, nothing in flight");
    is($row->{hits}, $hits, "round $round: hits");
}

# ---- 32 parallel segments of one file, as large as the allowance ----
my $segment = FITS / 32;
my @ranges = map { sprintf 'bytes=%d-%d', $_ * $segment,
    ($_ + 1) * $segment - 1 } 0 .. 31;
@connections = map { ask('127.0.0.6', '/fits/file', "Range: $_") } @ranges;
is(scalar(grep { status($_) == 206 } @connections), 32,
    '32 segments: all are served');
my $bytes = 0;
for (@connections) {
    1 while $_->more;
    $bytes += $_->{bytes};
}
$row = $server->row('127.0.0.6', pool => 'fits', used => $bytes, in_flight => 0,
    hits => 32);
is($row->{used}, $bytes, '32 segments: to the byte');
cmp_ok($bytes, '>', FITS, '32 segments: the whole file');
is($row->{in_flight}, 0, '32 segments: nothing in flight');
is("$row->{refused} $row->{state}", '0 over', '32 segments: then over');
is(status(ask('127.0.0.6', '/fits/file')), 429, 'and the next is refused');
is($server->row('127.0.0.6', pool => 'fits', refused => 1)->{refused}, 1,
    'which is an offence');

if (mpm() ne 'prefork') {
    my $connection = $server->connect(from => '127.0.0.7');
    my $client = Http2->new($connection);
    my @streams = map { $client->request('/fits/file',
        headers => [['range', $_]]) } @ranges;
    $client->finish(@streams);
    is(scalar(grep { $_->{status} == 206 && $_->{bytes} == $segment }
        @streams), 32, 'h2c: 32 segments are served');
    $row = $server->row('127.0.0.7', pool => 'fits', used => FITS,
        in_flight => 0);
    is($row->{used}, FITS, 'h2c: 32 segments: to the byte');
    is($row->{in_flight}, 0, 'h2c: 32 segments: nothing in flight');
    $connection->close;
}

# ---- how much is reserved: while a client does not read on, and after ----
my $last = 0;

sub reserved {
    my ($name, $status, $bytes, $path, @headers) = @_;
    my $from = '127.0.1.' . ++$last;
    my $connection = ask($from, $path, @headers);
    is(status($connection), $status, "$name: status");
    $bytes //= Client::headers($connection->{data})->{'content-length'};
    $row = drawn_and_reserved($from, $bytes);
    is($row->{used} + $row->{in_flight}, $bytes, "$name: reserved");
    cmp_ok($row->{in_flight}, '>', 0, "$name: in flight");
    $connection->close;
    $row = $server->row($from, in_flight => 0);
    is($row->{in_flight}, 0, "$name: went back");
    cmp_ok($row->{used}, '<', $bytes, "$name: and was not downloaded");
}

my $etag = $server->get('/150m', '-I')->{headers}{etag};
reserved('file', 200, BIG, '/150m');
reserved('query', 200, BIG, '/150m?x');
reserved('DirectoryIndex', 200, BIG, '/dir/');
reserved('closed range', 206, 40_000_000, '/150m',
    'Range: bytes=1000-40000999');
reserved('open range', 206, BIG - 100_000_000, '/150m',
    'Range: bytes=100000000-');
reserved('suffix range', 206, 30_000_000, '/150m', 'Range: bytes=-30000000');
reserved('range past the end', 206, BIG - 140_000_000, '/150m',
    'Range: bytes=140000000-999999999');
reserved('suffix longer than the file', 206, BIG, '/150m',
    'Range: bytes=-999999999');
reserved('malformed range', 200, BIG, '/150m', 'Range: bytes=9-1x');
reserved('two ranges', 206, undef, '/150m',
    'Range: bytes=0-19999999,50000000-69999999');
reserved('If-Range that fails', 200, BIG, '/150m',
    'Range: bytes=0-19999999', 'If-Range: "other"');
reserved('If-Range that holds', 206, 20_000_000, '/150m',
    'Range: bytes=0-19999999', "If-Range: $etag");

# a file that was reserved and is not what is sent
my $denied = ask('127.0.2.9', '/denied/150m');
is(status($denied), 403, 'ErrorDocument instead of the file: status');
$row = undef;
poll(5, sub { $row = $server->row('127.0.2.9') });
cmp_ok($row->{used} + $row->{in_flight}, '<=', 12_000_000,
    'ErrorDocument instead of the file: that one is not reserved');
$denied->take(20_000_000);
$row = $server->row('127.0.2.9', used => $denied->{bytes}, in_flight => 0);
is($row->{used}, $denied->{bytes}, 'ErrorDocument: downloaded to the byte');
is($row->{in_flight}, 0, 'ErrorDocument: nothing in flight');

# what has no length until it flows reserves nothing
sub flows {
    my ($name, $path, @headers) = @_;
    my $from = '127.0.1.' . ++$last;
    my $connection = ask($from, $path, @headers);
    is(status($connection), 200, "$name: status");
    like($connection->{data}, qr/^Transfer-Encoding: chunked/m,
        "$name: without a length");
    my $got = $connection->take(2_000_000);
    $row = undef;
    poll(5, sub {
        $row = $server->row($from);
        return $row && $row->{used} >= $got - 256 * 1024;
    });
    cmp_ok($row->{used}, '>=', $got - 256 * 1024, "$name: charged as it flows");
    $connection->close;
    my $end = $server->row($from, in_flight => 0, hits => 1);
    is($end->{in_flight}, 0, "$name: nothing in flight at the end");
    return $row->{in_flight};
}

is(flows('CGI', '/endless.cgi'), 0, 'CGI: reserves nothing');
is(flows('proxied CGI', '/proxied/endless.cgi'), 0,
    'proxied CGI: reserves nothing');
cmp_ok(flows('deflate', '/deflated/12m', 'Accept-Encoding: gzip'), '<=',
    12_000_000, 'deflate: no more than the file');

# what is answered without the file
sub nothing {
    my ($name, $status, $path, @arguments) = @_;
    my $from = '127.0.1.' . ++$last;
    my $answer = $server->get($path, '--interface', $from, @arguments);
    is($answer->{status}, $status, "$name: status");
    $row = $server->row($from, free => $answer->{bytes}, in_flight => 0);
    is($row->{in_flight}, 0, "$name: nothing in flight");
    is($row->{used}, 0, "$name: nothing downloaded");
}

nothing('HEAD', 200, '/150m', '-I');
nothing('304', 304, '/150m', '-H', "If-None-Match: $etag");
nothing('416', 416, '/150m', '-r', '999999999-');
nothing('403', 403, '/bare/150m');

# ---- other ends ----
my $stalled = ask('127.0.2.2', '/150m');
is(status($stalled), 200, 'graceful: served');
ok($server->graceful, 'graceful restart');
$row = drawn_and_reserved('127.0.2.2', BIG);     # one look: it is moving
is($row->{used} + $row->{in_flight}, BIG, 'graceful: still reserved');
$stalled->close;
is($server->row('127.0.2.2', in_flight => 0)->{in_flight}, 0,
    'graceful: went back');

$stalled = $server->connect(from => '127.0.2.1', buffer => 65536,
    port => $server->{port2})
    ->send("GET /quick/150m HTTP/1.1\r\nHost: x\r\n\r\n");
is(status($stalled), 200, 'timeout: served');
$row = $server->row('127.0.2.1', in_flight => 0);
is($row->{in_flight}, 0, 'timeout: the reservation went back');
cmp_ok($row->{used}, '<', BIG, 'timeout: and was not used');
cmp_ok($row->{used}, '>', 0, 'timeout: but what went is');

# a shutdown that waits for the download, and the client goes away meanwhile
# (SIGTERM with a client that stalls: event sometimes needs 10 s and a SIGKILL,
# with this module or without)
$stalled = ask('127.0.2.3', '/150m');
is(status($stalled), 200, 'graceful stop: served');
my $used = drawn_and_reserved('127.0.2.3', BIG)->{used};
my $mark = $server->mark;
kill 'WINCH', $server->{pid};
ok($server->wait_log(qr/SIGWINCH/, $mark), 'graceful stop: begins');
$stalled->close;
ok($server->stop('WINCH'), 'graceful stop: ends');
is($server->start, '', 'graceful stop: starts again');
$row = $server->row('127.0.2.3');
is($row->{in_flight}, 0, 'graceful stop: the reservation went back');
cmp_ok($row->{used}, '>=', $used, 'graceful stop: what had gone stays');
cmp_ok($row->{used}, '<', BIG, 'graceful stop: the file was not used');
is($server->json->{totals}{in_flight}, 0, 'nothing in flight in total');

$server->allow_log(qr/AH01630/, 2);
# 100 clients are more than the server has places for, which it says
my $full = qr/AH00161|AH00286|AH00484|AH10159/;
$server->allow_log($full, scalar(() = $server->log_lines($full)));
finish();
