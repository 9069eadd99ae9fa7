# A client over quota is refused: the answer, the requests that it may still
# make, and how an operator admits it again.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $server = Httpd->run(
    modules => [qw(headers rewrite negotiation proxy proxy_http),
        mpm() eq 'prefork' ? 'cgi' : 'cgid'],
    conf => <<'EOT');
ClamQuotaDaily 10000
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
ClamQuotaRetryMax 1h
<IfModule mod_cgid.c>
    ScriptSock %DIR%/run/cgid
</IfModule>
AddHandler cgi-script .cgi
AddType text/plain .txt
KeepAliveTimeout 20
RewriteEngine On
RewriteRule ^/server-rule$ /file [PT]
RewriteRule ^/to-cgi$ /hello.cgi [PT]
ProxyPass /proxied http://127.0.0.1:%PORT2%/
<Directory %DIR%/htdocs>
    Options +ExecCGI +MultiViews
    AllowOverride All
</Directory>
<Directory %DIR%/htdocs/fallback>
    FallbackResource /fallback/page.html
</Directory>
<Location /text>
    ErrorDocument 429 "come back later"
</Location>
<Location /local>
    ErrorDocument 429 /errors/429.html
</Location>
<Location /s403>
    ClamQuotaStatus 403
</Location>
<Location /s503>
    ClamQuotaStatus 503
</Location>
<Location /s509>
    ClamQuotaStatus 509
</Location>
<Location /exact>
    ClamQuotaRetryMax 1d
    ClamQuotaRetryJitter 0
</Location>
<Location /second>
    ClamQuotaRetryMax 1s
</Location>
<Location /spread>
    ClamQuotaRetryMax 2d
    ClamQuotaRetryJitter 1d
</Location>
<Location /pieces>
    ClamQuotaPool pieces
    ClamQuotaFreeRangeDaily 2000
</Location>
<Location /busy>
    ClamQuotaPool busy
    ClamQuotaDaily 100M
</Location>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    ClamQuotaEngine Off
</VirtualHost>
EOT
my $htdocs = "$server->{dir}/htdocs";
my @scopes = qw(text local s403 s503 s509 exact second spread dir fallback
    pieces busy);
mkdir "$htdocs/$_" for @scopes, qw(errors perdir);
write_file("$htdocs/$_/file", 'f' x 5000) for @scopes, '.';
write_file("$htdocs/20k", '2' x 20_000);
write_file("$htdocs/busy/big", 'b' x 64_000_000);
write_file("$htdocs/errors/429.html", '<p>too much' . '!' x 6000);
write_file("$htdocs/dir/index.html", 'i' x 5000);
write_file("$htdocs/fallback/page.html", 'f' x 5000);
write_file("$htdocs/many.txt", 'v' x 5000);
write_file("$htdocs/perdir/.htaccess", "RewriteEngine On\n"
    . "RewriteRule ^rule\$ /file\nRewriteRule ^cgi\$ /hello.cgi\n");
write_file("$htdocs/hello.cgi",
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello'\n");
chmod 0755, "$htdocs/hello.cgi";
my @over = ('--interface', '127.0.0.2');

# the request that goes over is not cut, the next one is refused
my $answer = $server->get('/20k', @over);
is(length $answer->{body}, 20_000, 'admitted: never cut');
my $used = $server->row('127.0.0.2', used => $answer->{bytes})->{used};
is($used, $answer->{bytes}, 'it is counted whole');
my $row = $server->row('127.0.0.2');
is($row->{state}, 'over', 'the client is over quota');

$answer = $server->get('/file', @over);
my $headers = $answer->{headers};
is($answer->{status}, 429, 'refused: 429');
like($headers->{'retry-after'}, qr/^[1-9]\d*$/, 'Retry-After: whole seconds');
cmp_ok($headers->{'retry-after'}, '<=', 3600, 'and at most RetryMax');
is($headers->{'cache-control'}, 'no-store', 'Cache-Control');
like($headers->{'content-type'}, qr/^text\/plain\b/, 'plain text');
cmp_ok(length $answer->{body}, '<', 400, 'under 400 bytes');
cmp_ok(length $answer->{body}, '>', 40, 'but a sentence');
like($answer->{body}, qr/19\.\d KiB|\b$used\b/, 'it says what was used');
like($answer->{body}, qr/9\.8 KiB|\b10000\b/, 'and the allowance');
is($headers->{'content-length'}, length $answer->{body}, 'Content-Length');

# the RateLimit fields agree with each other and with the page
my ($policy, $quota) = $headers->{'ratelimit-policy'} =~ /^("[^"]+");.*q=(\d+)/;
my ($name, $rest) = ($headers->{ratelimit} // '') =~ /^("[^"]+");.*r=(\d+)/;
my ($wait) = ($headers->{ratelimit} // '') =~ /;t=(\d+)/;
is($name, $policy, 'RateLimit names the policy of RateLimit-Policy');
is($quota, $row->{allowance}, 'its quota is the allowance');
is($rest, 0, 'nothing remains');
is($wait, $headers->{'retry-after'}, 'until when: as Retry-After');

# keep-alive stays
my $connection = $server->connect(from => '127.0.0.2');
$connection->send("GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
is($connection->response->{status}, 429, 'refused on a connection');
$connection->send("HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n");
is($connection->response(head => 1)->{status}, 200, 'that serves the next');
$connection->send("GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
is($connection->response->{status}, 429, 'and refuses again');
$connection->close;

# ErrorDocument
$answer = $server->get('/text/file', @over);
is("$answer->{status} $answer->{body}", '429 come back later',
    'ErrorDocument 429 with a text');
like($answer->{headers}{'retry-after'}, qr/^[1-9]\d*$/, 'and Retry-After');
$answer = $server->get('/local/file', @over);
is($answer->{status}, 429, 'ErrorDocument 429 with a file');
is($answer->{body}, read_file("$htdocs/errors/429.html"), 'its body');
like($answer->{headers}{'retry-after'}, qr/^[1-9]\d*$/, 'and Retry-After');
is($answer->{headers}{'cache-control'}, 'no-store', 'and Cache-Control');
is($server->row('127.0.0.2')->{used}, $used, 'refusals were not used');

# other states
is($server->get("/s$_/file", @over)->{status}, $_, "ClamQuotaStatus $_")
    for 403, 503, 509;

# Retry-After
sub moment {
    my ($scope) = @_;
    my $answer = $server->get("/$scope/file", @over);
    return $answer->{date} + $answer->{headers}{'retry-after'};
}
my $midnight = $server->json->{period}{end};
is(moment('exact'), $midnight, 'RetryJitter 0: to midnight, to the second');
is($server->get('/second/file', @over)->{headers}{'retry-after'}, 1,
    'RetryMax 1s');
my @moments = map { moment('spread') } 1 .. 3;
cmp_ok($moments[0], '>=', $midnight, 'RetryJitter: not before midnight');
is_deeply(\@moments, [($moments[0]) x 3],
    'the same client gets the same moment again');
is($server->get('/20k', '--interface', '127.0.0.3')->{status}, 200,
    'another client goes over');

# what a client that is over quota still gets
my $etag = $server->get('/file', '-I', @over)->{headers}{etag};
is($server->get('/file', '-I', @over)->{status}, 200, 'HEAD is served');
is($server->get('/file', '-H', "If-None-Match: $etag", @over)->{status}, 304,
    '304 is served');
is($server->get('/none', @over)->{status}, 404, '404 is served');
is($server->get('/file', '-r', '0-511', @over)->{status}, 206,
    'a small range is served');
is($server->get('/file', '-r', '0-4096', @over)->{status}, 429,
    'a larger range is refused');
is($server->get('/file', '-r', '0-', @over)->{status}, 429,
    'an open range is refused');
is($server->get('/clamquota', @over)->{status}, 200, 'the page is served');
is($server->get('/file')->{status}, 200, 'another client is served');
is($server->row('127.0.0.2')->{used}, $used, 'none of it was used');

# what is refused, whatever answers
my $n = 0;
for (['MultiViews', '/many'], ['DirectoryIndex', '/dir/'],
    ['RewriteRule, server', '/server-rule'], ['RewriteRule to CGI', '/to-cgi'],
    ['RewriteRule, per-dir', '/perdir/rule'],
    ['RewriteRule, per-dir, to CGI', '/perdir/cgi'],
    ['FallbackResource', '/fallback/nothing'],
    ['CGI', '/hello.cgi'], ['proxy', '/proxied/file']) {
    my ($what, $path) = @$_;
    is($server->get($path, '--interface', '127.0.1.' . ++$n)->{status}, 200,
        "$what: served");
    is($server->get($path, @over)->{status}, 429, "$what: refused when over");
}

# small ranges that add up: free for N bytes a day, then like any other
my @pieces = ('--interface', '127.0.0.4', '-r');
my $total = 0;
$total += $server->get('/pieces/file', @pieces, '0-511')->{bytes} for 1 .. 5;
$row = $server->row('127.0.0.4', pool => 'pieces', hits => 5);
is($row->{free} + $row->{used}, $total, 'small ranges: each byte is counted');
cmp_ok($row->{free}, '>=', 2000, 'FreeRangeDaily of them is free');
cmp_ok($row->{free}, '<', 2000 + $total / 5, 'and no response more');
is($server->get('/pieces/file', @pieces, '0-')->{status}, 206,
    'below the allowance: served') for 1 .. 2;
$server->row('127.0.0.4', pool => 'pieces', hits => 7, in_flight => 0);
is($server->get('/pieces/file', @pieces, '0-511')->{status}, 429,
    'over, a small range is refused as well');

# only what is in flight stands in the way: two downloads of 64 MB have not
# downloaded 100 MB, but will
my @slow = map { $server->connect(from => '127.0.0.5', buffer => 65536)
    ->send("GET /busy/big HTTP/1.0\r\nHost: x\r\n\r\n") } 1 .. 2;
$_->take(1) for @slow;
$row = $server->row('127.0.0.5', pool => 'busy', hits => 2);
cmp_ok($row->{used} + $row->{in_flight}, '>=', 128_000_000,
    'busy: both are reserved');
my $before = $server->json->{totals}{refused};
$answer = $server->get('/busy/file', '--interface', '127.0.0.5');
is($answer->{status}, 429, 'busy: refused');
like($answer->{headers}{'retry-after'}, qr/^(?:3\d|40)$/,
    'busy: for 30 to 40 seconds');
is($server->get('/busy/file', '-I', '--interface', '127.0.0.5')->{status}, 200,
    'busy: HEAD is served');
is($server->get('/busy/file', '--interface', '127.0.0.6')->{status}, 200,
    'busy: another client is not');
is($server->json->{totals}{refused}, $before + 1, 'busy: a refusal in total');
$row = $server->row('127.0.0.5', pool => 'busy');
is("$row->{state} $row->{refused} $row->{over_since}", 'ok 0 0',
    'busy: no offence');
$_->close for @slow;
$row = $server->row('127.0.0.5', pool => 'busy', in_flight => 0);
is($row->{in_flight}, 0, 'busy: not for longer than they last');
is($server->get('/busy/file', '--interface', '127.0.0.5')->{status}, 200,
    'busy: then served');

# a client is set free by POST from the page itself, and by nothing else
my $own = "http://127.0.0.1:$server->{port}";
my @cross = (['Origin: http://evil.example'], ['Sec-Fetch-Site: cross-site'],
    ['Origin: null'], ["Origin: http://127.0.0.1:$server->{port2}"], [],
    ["Origin: $own", 'Sec-Fetch-Site: cross-site'],
    ["Origin: $own", 'Sec-Fetch-Site: same-site'],
    ['Origin: http://evil.example', "Referer: $own/clamquota"],
    ['Referer: http://evil.example/'], ["Referer: ${own}0/"],
    ["Referer: $own.evil.example/"]);
for (@cross) {
    $answer = $server->post('action=reset&client=127.0.0.2',
        map { ('-H', $_) } @$_);
    is($answer->{status}, 403, "POST with @$_: refused");
}
for my $query ('action=reset&client=127.0.0.2', 'json&action=reset') {
    $server->get("/clamquota?$query");
    $server->get("/clamquota?$query", '-I');
}
is($server->row('127.0.0.2')->{used}, $used, 'and nothing was changed');
my $origin = "Origin: $own";
like($server->post('action=reset&client=nobody', '-H', $origin)->{status},
    qr/^4/, 'POST with nonsense');
like($server->post('action=explode&client=127.0.0.2', '-H', $origin)->{status},
    qr/^4/, 'POST with another action');
is($server->row('127.0.0.2')->{used}, $used, 'changes nothing either');
$answer = $server->post('action=reset&client=127.0.0.2', '-H', $origin,
    '-H', 'Sec-Fetch-Site: same-origin');
is($answer->{status}, 303, 'POST from the page: 303');
is($server->row('127.0.0.2', used => 0)->{used}, 0, 'the client is at zero');
is($server->get('/file', @over)->{status}, 200, 'and served');
cmp_ok($server->row('127.0.0.3')->{used}, '>=', 10_000, 'the other is not');
# what browsers send that leave out one or the other
for ([$origin], ["Referer: $own/clamquota"], ["Referer: $own"],
    ['Sec-Fetch-Site: same-origin'], ['Sec-Fetch-Site: none']) {
    $answer = $server->post('action=reset&client=127.0.0.2',
        map { ('-H', $_) } @$_);
    is($answer->{status}, 303, "POST with @$_: 303");
}

finish();
