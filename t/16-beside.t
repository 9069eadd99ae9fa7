# Beside other modules that hold back, cut short, replay or take over what is
# sent: mod_ratelimit, mod_reqtimeout, mod_cache and Upgrade.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Http2;
use Httpd;
use IO::Socket::IP;
use Test::More;

use constant PIECE => 256 * 1024;

# An origin that answers one request with Upgrade, sends 200,000 bytes and
# waits for the client to go; it ends with this test.
my $origin = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1)
    or die "no free port: $@";
my $origin_port = $origin->sockport;
my $test = $$;
defined(my $origin_pid = fork) or die "fork: $!";
if (!$origin_pid) {
    alarm 60;
    my $client = $origin->accept;
    my $request = '';
    while ($request !~ /\r\n\r\n/) {
        sysread $client, $request, 4096, length $request or last;
    }
    syswrite $client, "HTTP/1.1 101 Switching Protocols\r\n"
        . "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n" . 'w' x 200_000;
    sysread $client, $request, 1;
    POSIX::_exit(0);
}
END {
    if ($$ == $test) {
        local $?;
        kill 'KILL', $origin_pid;
        waitpid $origin_pid, 0;
    }
}

my $server = Httpd->run(
    modules => [qw(cache cache_disk env proxy proxy_http ratelimit reqtimeout),
        mpm() eq 'prefork' ? 'cgi' : qw(cgid http2)],
    conf => <<"EOT" . <<'EOT');
ProxyPass /socket http://127.0.0.1:$origin_port/ upgrade=websocket
EOT
ClamQuotaDaily 100M
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
KeepAliveTimeout 20
<IfModule mod_http2.c>
    Protocols h2c http/1.1
</IfModule>
<IfModule mod_cgid.c>
    ScriptSock %DIR%/run/cgid
</IfModule>
AddHandler cgi-script .cgi
<Directory %DIR%/htdocs>
    Options +ExecCGI
</Directory>
<Location /limited>
    SetOutputFilter RATE_LIMIT
    SetEnv rate-limit 2000
</Location>
CacheQuickHandler off
CacheRoot %DIR%/cache
CacheEnable disk /cached
CacheEnable disk /tiny
<Location /tiny>
    ClamQuotaPool tiny
    ClamQuotaDaily 50000
</Location>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    RequestReadTimeout header=1 body=1
</VirtualHost>
EOT
# mod_cache's quick handler would answer before anything is known
for (['at the top', "CacheEnable disk /\n"],
    ['in a virtual host', "CacheQuickHandler off\n<VirtualHost *:80>\n"
        . "CacheEnable disk /\nCacheQuickHandler on\n</VirtualHost>\n"]) {
    my ($where, $conf) = @$_;
    my ($exit, $output) = $server->config_test(
        "CacheRoot $server->{dir}/cache\nClamQuotaDaily 1M\n$conf");
    is($exit, 1, "quick handler $where: refused");
    like($output, qr/CQ0106: CacheEnable .* expected "CacheQuickHandler off"/,
        'with a sentence');
}
is(($server->config_test($_))[0], 0, 'where nothing is counted it may stay')
    for "CacheEnable disk /\nClamQuotaEngine Off\n", <<"EOT";
CacheRoot $server->{dir}/cache
<VirtualHost *:80>
    ClamQuotaDaily 1M
</VirtualHost>
<VirtualHost *:81>
    CacheEnable disk /
</VirtualHost>
EOT
is(($server->config_test(<<"EOT"))[0], 1, 'not beside a section that counts');
CacheRoot $server->{dir}/cache
<Location /downloads>
    ClamQuotaDaily 1M
</Location>
<VirtualHost *:81>
    CacheEnable disk /
</VirtualHost>
EOT

my $htdocs = "$server->{dir}/htdocs";
mkdir "$server->{dir}/cache";
chmod 0777, "$server->{dir}/cache";
mkdir "$htdocs/$_" for qw(limited cached tiny);
write_file("$htdocs/limited/9m", 'l' x 9_000_000);
write_file("$htdocs/file", 'f' x 30_000);
write_file("$htdocs/$_/30k", 'c' x 30_000) for qw(cached tiny);
write_file("$htdocs/tiny/60k", 'c' x 60_000);
write_file("$htdocs/post.cgi", "#!/bin/sh\n"
    . "printf 'Content-Type: text/plain\\n\\n'\nwc -c\n");
chmod 0755, "$htdocs/post.cgi";

# ---- mod_ratelimit: what it holds back has not been sent ----
my $connection = $server->connect(from => '127.0.0.2');
$connection->send("GET /limited/9m HTTP/1.1\r\nHost: localhost\r\n\r\n");
my $got = $connection->take(1_000_000);
my $row;
poll(5, sub {
    $row = $server->row('127.0.0.2');
    return $row && $row->{used} >= $got - PIECE;
});
cmp_ok($row->{used}, '>=', $got - PIECE, 'mod_ratelimit: counted as it goes');
cmp_ok($row->{used}, '<', 9_000_000, 'mod_ratelimit: not before it goes');
is($row->{used} + $row->{in_flight}, 9_000_000, 'mod_ratelimit: reserved');
$connection->close;
my ($line) = $server->access(qr/^127\.0\.0\.2 /);
my ($out) = ($line // '') =~ /^\S+ \d+ (\d+) /;
$row = $server->row('127.0.0.2', in_flight => 0, hits => 1);
is($row->{in_flight}, 0, 'mod_ratelimit, aborted: nothing in flight');
cmp_ok($row->{used}, '<=', $out // -1, 'mod_ratelimit, aborted: not more than '
    . 'the kernel took');
cmp_ok($row->{used}, '>=', ($out // 0) - PIECE,
    'mod_ratelimit, aborted: less by one piece');

# ---- mod_reqtimeout: a request that does not come ----
for (['half a header', '127.0.0.3', "GET /file HTTP/1.1\r\nHost: x\r\n"],
    ['half a body', '127.0.0.4', "POST /post.cgi HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 1000\r\n\r\nhalf"]) {
    my ($name, $from, $text) = @$_;
    $connection = $server->connect(from => $from, port => $server->{port2});
    like($connection->send($text)->drain, qr/^HTTP\/1.1 [45]\d\d /,
        "mod_reqtimeout, $name: refused by httpd");
    $row = $server->row($from, free => $connection->{bytes}, in_flight => 0)
        // { map { $_ => -1 } qw(used free hits in_flight) };
    is($row->{free}, $connection->{bytes}, "mod_reqtimeout, $name: free");
    is("$row->{used} $row->{hits} $row->{in_flight}", '0 1 0',
        "mod_reqtimeout, $name: a hit, nothing used or in flight");
}

# ---- mod_cache behind the gate (CacheQuickHandler off) ----
my $total = 0;
for my $n (1 .. 3) {
    my $answer = $server->get('/cached/30k', '--interface', '127.0.0.5');
    is(defined $answer->{headers}{age}, $n > 1,
        $n == 1 ? 'mod_cache: stored' : 'mod_cache: from the cache');
    $total += $answer->{bytes};
}
$row = $server->row('127.0.0.5', used => $total, hits => 3, in_flight => 0);
is($row->{used}, $total, 'mod_cache: to the byte');
is($row->{hits}, 3, 'mod_cache: hits');
is($row->{in_flight}, 0, 'mod_cache: nothing in flight');
my @codes = map { $server->get('/tiny/30k', '--interface',
    '127.0.0.6')->{status} } 1 .. 4;
is_deeply(\@codes, [200, 200, 429, 429],
    'mod_cache: what is cached is refused as well');
is($server->get('/tiny/30k', '--interface', '127.0.0.7')->{status}, 200,
    'mod_cache: and the refusal was not cached');
my $etag = $server->get('/cached/30k', '-I')->{headers}{etag};
for (['HEAD', 200, '127.0.0.8', '-I'],
    ['304', 304, '127.0.0.9', '-H', "If-None-Match: $etag"]) {
    my ($name, $status, $from, @arguments) = @$_;
    my $answer = $server->get('/cached/30k', '--interface', $from, @arguments);
    is($answer->{status}, $status, "mod_cache: $name");
    $row = $server->row($from, free => $answer->{bytes}, hits => 1);
    is("$row->{free} $row->{used}", "$answer->{bytes} 0",
        "mod_cache: $name is free");
}

# ---- Upgrade ----
$connection = $server->connect(from => '127.0.0.10');
$connection->send("GET /file HTTP/1.1\r\nHost: x\r\n"
    . "Connection: Upgrade, close\r\nUpgrade: nonsense/1\r\n\r\n")->drain;
$row = $server->row('127.0.0.10', used => $connection->{bytes});
is($row->{used}, $connection->{bytes}, 'Upgrade to what is not known: counted');

# a tunnel is no response: past every request filter, and not counted
$connection = $server->connect(from => '127.0.0.11');
$connection->send("GET /socket HTTP/1.1\r\nHost: x\r\n"
    . "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
1 while $connection->{data} !~ /\r\n\r\n/ && $connection->more;
like($connection->{data}, qr/^HTTP\/1.1 101 /, 'Upgrade: websocket: 101');
my $head = index($connection->{data}, "\r\n\r\n") + 4;
is($connection->take($head + 200_000), $head + 200_000,
    'Upgrade: websocket: the tunnel works');
$connection->close;
is(scalar($server->access(qr/^127\.0\.0\.11 101 /)), 1,
    'Upgrade: websocket: the request ended');
$row = $server->row('127.0.0.11') // { used => 0, in_flight => 0 };
is($row->{used}, 0, 'Upgrade: websocket: a tunnel is not counted');
is($row->{in_flight}, 0, 'Upgrade: websocket: nothing in flight');

SKIP: {
    skip 'httpd itself does no HTTP/2 under prefork (AH10034)', 7
        if mpm() eq 'prefork';
    my $answer = $server->get('/file', '--http2', '--interface',
        '127.0.0.12');
    like($answer->{head}, qr/^HTTP\/1.1 101 .*^HTTP\/2 200/ms,
        'Upgrade: h2c: done');
    is(length $answer->{body}, 30_000, 'Upgrade: h2c: the whole body');
    $row = $server->row('127.0.0.12', used => 30_000, in_flight => 0);
    is($row->{used}, 30_000, 'Upgrade: h2c: the body is counted');
    is($row->{in_flight}, 0, 'Upgrade: h2c: nothing in flight');
    is($row->{hits}, 1, 'Upgrade: h2c: one hit');

    # the request that was taken over holds nothing against its own stream;
    # without curl, which fails when 32 KiB arrive together with the 101
    $connection = $server->connect(from => '127.0.0.13')
        ->send("GET /tiny/60k HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n"
        . "Connection: Upgrade, HTTP2-Settings\r\n"
        . "HTTP2-Settings: AAMAAABk\r\n\r\n");
    is($connection->response(head => 1)->{status}, 101, 'Upgrade: h2c: taken');
    my $client = Http2->new($connection, upgraded => 1);
    my $stream = $client->{stream}{1};
    $client->finish($stream);
    is("$stream->{status} $stream->{bytes}", '200 60000',
        'Upgrade: h2c: not busy with itself');
    $connection->close;
}

is($server->json->{totals}{in_flight}, 0, 'nothing in flight in total');
# of the body that did not come
$server->allow_log(qr/AH01225|AH01270/, 1);
finish();
