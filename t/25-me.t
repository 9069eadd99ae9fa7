# A client's own figures: never refused, its own and no other client's, and the
# same as the operator sees. The refusal's text leads there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;
use JSON::PP ();

my $server = Httpd->run(ipv6 => 1, modules => [qw(rewrite remoteip)],
    conf => <<'EOT');
ServerAdmin "<b>&root@example.org"
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
ClamQuotaDaily 10000
ClamQuotaRetryMax 1h
ClamQuotaRetryJitter 0
ClamQuotaClient 127.0.3.0/24 Unlimited
RewriteEngine On
RewriteRule ^/quota$ /me [PT]
ErrorDocument 404 /me
<Location /me>
    SetHandler clamquota-me
</Location>
<Location /expr>
    SetHandler "clamquota-%{tolower:ME}"
</Location>
<Location /off>
    ClamQuotaEngine Off
    SetHandler clamquota-me
</Location>
<Location /logonly>
    ClamQuotaEngine LogOnly
    SetHandler clamquota-me
</Location>
<Location /isos>
    ClamQuotaPool isos
    ClamQuotaDaily 1M
</Location>
<Location /isos/me>
    SetHandler clamquota-me
    ClamQuotaRetryMax 2m
</Location>
<Location /document>
    ErrorDocument 429 /me?json
</Location>
<Directory %DIR%/htdocs/rewritten>
    AllowOverride All
</Directory>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    RemoteIPHeader X-Forwarded-For
    RemoteIPInternalProxy 127.0.0.1
</VirtualHost>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(isos document rewritten);
write_file("$htdocs/$_", 'f' x 20_000) for qw(file isos/file document/file me);
write_file("$htdocs/rewritten/.htaccess",
    "RewriteEngine On\nRewriteRule ^quota\$ /me\n");
my @over = ('--interface', '127.0.0.2');
sub mine {
    my ($path, @arguments) = @_;
    return JSON::PP::decode_json($server->get($path, @arguments)->{body});
}

$server->get("/$_", @over) for 'file', 'isos/file';
$server->get('/file', '--interface', '127.0.3.1');
my $before = $server->row('127.0.0.2', hits => 1, in_flight => 0);
my $refusal = $server->get('/file', @over);
is($refusal->{status}, 429, 'the client is over quota');
$before = $server->row('127.0.0.2', refused => 1);

# ---- never refused, booked apart; HTTP/1.0 has no chunks, which curl does not
# count ----
my $page = $server->get('/clamquota?json', '-0');
my $booked = JSON::PP::decode_json($page->{body})->{totals}{handler_bytes}
    + $page->{bytes};
for (['/me'], ['/me?json'], ['/me', '-I'], ['/expr'], ['/off'], ['/logonly'],
    ['/quota'], ['/rewritten/quota'], ['/isos/me'],
    ['/me', '-H', 'Range: bytes=0-9']) {
    my ($path, @arguments) = @$_;
    my $answer = $server->get($path, '-0', @over, @arguments);
    # short enough for httpd to know its length and cut a range out of it
    is($answer->{status}, "@arguments" =~ /Range/ ? 206 : 200, "@$_: served");
    cmp_ok($answer->{bytes}, '<', 5500, "@$_: little, for two pools");
    $booked += $answer->{bytes};
}
my $answer = $server->get('/nothing/here', '-0', @over);
is($answer->{status}, 404, 'as ErrorDocument: the status stays');
like($answer->{body}, qr/127\.0\.0\.2/, 'and the figures are there');
$booked += $answer->{bytes};
# a byte arrives a moment before it is booked
poll(5, sub {
    $page = $server->get('/clamquota?json', '-0');
    my $now = JSON::PP::decode_json($page->{body})->{totals}{handler_bytes};
    return 1 if $now == $booked;
    $booked += $page->{bytes};
    return 0;
});
my $after = JSON::PP::decode_json($page->{body});
is($after->{totals}{handler_bytes}, $booked, 'each byte is a handler byte');
my $row = $server->row('127.0.0.2');
is_deeply([@$row{qw(used free hits refused)}],
    [@$before{qw(used free hits refused)}], 'and none is the client\'s');

# ---- the same as the operator sees ----
my $me = mine('/me?json', @over);
is_deeply([sort keys %$me], [qw(client now period pools prefix version)],
    'json: members');
my $operator = $server->json;
is_deeply($me->{period}, $operator->{period}, 'json: the period');
is($me->{version}, $operator->{version}, 'json: the version');
is_deeply([@$me{qw(client prefix)}], ['127.0.0.2', 32], 'json: the client');
my @rows = map { $server->row('127.0.0.2', pool => $_) } qw(default isos);
for (@rows, @{$me->{pools}}) {
    cmp_ok(delete $_->{retry_after}, '<=', 3600, "$_->{pool}: RetryMax")
        if $_ == $me->{pools}[0];
    delete $_->{retry_after};
}
is_deeply($me->{pools}, \@rows, 'json: its rows');
is($me->{pools}[0]{state}, 'over', 'over in one');
is($me->{pools}[1]{state}, 'ok', 'ok in the other');
($me) = mine('/me?json', @over)->{pools}[0];
cmp_ok(abs($me->{retry_after} - $refusal->{headers}{'retry-after'}), '<=', 30,
    'retry_after as the refusal reports it');
my $pools = mine('/isos/me?json', @over)->{pools};
is(join(' ', map { $_->{pool} } @$pools), 'isos default',
    'the pool of the place comes first');
cmp_ok($pools->[1]{retry_after}, '<=', 120, 'RetryMax of the place');
$me = mine('/me?json', '--interface', '127.0.3.1')->{pools}[0];
is_deeply([@$me{qw(state daily allowance rule)}],
    ['exempt', undef, undef, 'ClamQuotaClient 127.0.3.0/24'], 'Unlimited');

# ---- no other client's ----
my @new = ('--interface', '127.0.0.9');
for my $query ('json&client=127.0.0.2', 'client=127.0.0.2&json',
    'json&limit=10000', 'json=127.0.0.2', 'json&client=0.0.0.0/0',
    'json&pool=isos&state=over') {
    my $other = mine("/me?$query", @new, '-H', 'X-Forwarded-For: 127.0.0.2',
        '-H', 'Forwarded: for=127.0.0.2');
    is($other->{client}, '127.0.0.9', "?$query: himself");
    is_deeply([map { @$_{qw(client pool used hits state allowance)} }
        @{$other->{pools}}], ['127.0.0.9', 'default', 0, 0, 'ok', 10_000],
        'with nothing downloaded');
}
unlike($server->get('/me?client=127.0.0.2', @new)->{body}, qr/127\.0\.0\.2/,
    'html: the query is not looked at');
is($server->row('127.0.0.9'), undef, 'looking makes no row');

# ---- the client ----
is(mine("http://127.0.0.1:$server->{port2}/me?json", '-H',
    'X-Forwarded-For: 127.0.0.2')->{pools}[0]{used}, $before->{used},
    'behind mod_remoteip: the client that it finds');
$me = mine("http://[::1]:$server->{port}/me?json");
is_deeply([@$me{qw(client prefix)}], ['::', 64], 'IPv6: a /64');
like($server->get("http://[::1]:$server->{port}/me")->{body}, qr{<b>::/64</b>},
    'html: with its length');

# ---- the form ----
$answer = $server->get('/me', @over);
like($answer->{headers}{'content-type'}, qr{^text/html; ?charset=utf-8$},
    'html: type');
like($answer->{body}, qr/^<!DOCTYPE html>.*<\/html>\n\z/s, 'html: complete');
unlike($answer->{body}, qr/<script|<form|<b>&root/, 'html: no script, no form');
like($answer->{body}, qr/exception: &lt;b&gt;&amp;root\@example\.org\.</,
    'ServerAdmin is escaped');
is($server->get('/me?json')->{headers}{'content-type'}, 'application/json',
    'json: type');
for my $form ('/me', '/me?json') {
    my $headers = $server->get($form)->{headers};
    is($headers->{'cache-control'}, 'no-store', "$form: not to be stored");
    is($headers->{'x-content-type-options'}, 'nosniff', "$form: nosniff");
    like($headers->{'content-security-policy'}, qr/^default-src 'none';/,
        "$form: CSP");
}
for (['--data', 'action=reset&client=127.0.0.2'], ['-X', 'DELETE'],
    ['-X', 'PUT']) {
    $answer = $server->get('/me', @over, @$_);
    is("$answer->{status} $answer->{headers}{allow}", '405 GET, HEAD',
        "@$_: 405");
}
is($server->row('127.0.0.2')->{used}, $before->{used}, 'and nothing changed');
my $connection = $server->connect(from => '127.0.0.2');
$connection->send("HEAD /me HTTP/1.1\r\nHost: x\r\n\r\n");
is($connection->response(head => 1)->{status}, 200, 'HEAD: 200');
$connection->send("GET /me?json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    . "\r\n");
like($connection->drain, qr/^HTTP.*\r\n\r\n\{.*\}\n/s, 'and no body');
$connection->close;

# ---- in the place of the refusal's text ----
$answer = $server->get('/document/file', @over);
is($answer->{status}, 429, 'ErrorDocument 429: the status stays');
is(JSON::PP::decode_json($answer->{body})->{client}, '127.0.0.2',
    'with the figures in the body');
is($server->row('127.0.0.2', refused => 2)->{refused}, 2, 'it is a refusal');

# ---- the refusal's text leads there ----
my $link = "http://127.0.0.1:$server->{port}/me";
$answer = $server->get('/file', @over);
like($answer->{body}, qr/\nYour figures: \Q$link\E\n\z/, 'the text has a link');
like($server->get($answer->{body} =~ /(http:\S+)/, @over)->{body},
    qr/You are over quota/, 'that works');
for (['mirror.example.org', 'http://mirror.example.org/me'],
    ['[::1]:8080', 'http://[::1]:8080/me'], ['a' x 200, '/me']) {
    my ($host, $want) = @$_;
    $connection = $server->connect(from => '127.0.0.2');
    $connection->send("GET /file HTTP/1.1\r\nHost: $host\r\n\r\n");
    $answer = $connection->response;
    like($answer->{body}, qr/\nYour figures: \Q$want\E\n\z/,
        'Host: ' . substr $host, 0, 20);
    cmp_ok(length $answer->{body}, '<', 400, 'under 400 bytes');
    $connection->close;
}

# Each host has its own; what is no plain path is none.
my $hosts = Httpd->run(conf => <<'EOT');
ClamQuotaDaily 1
ClamQuotaPeriod Month
ClamQuotaTimezone UTC
ClamQuotaPrefix 32 127
<Location "/base me>">
    SetHandler clamquota-me
</Location>
<LocationMatch "^/match$">
    SetHandler clamquota-me
</LocationMatch>
<Location ~ "^/regex$">
    SetHandler clamquota-me
</Location>
<Location "/wild/*">
    SetHandler clamquota-me
</Location>
<Files me>
    SetHandler clamquota-me
</Files>
<VirtualHost *>
    ServerName inherits
</VirtualHost>
<VirtualHost *>
    ServerName own
    <IfModule clamquota_module>
        <Location /own>
            Require all granted
            SetHandler ClamQuota-Me
        </Location>
    </IfModule>
</VirtualHost>
<VirtualHost *>
    ServerName none
    <Location "/base me>">
        SetHandler default-handler
    </Location>
</VirtualHost>
<VirtualHost *>
    ServerName canonical:81
    UseCanonicalName On
</VirtualHost>
EOT
write_file("$hosts->{dir}/htdocs/file", 'f' x 5000);
sub refusal_of {
    return $hosts->get('/file', '-H', "Host: $_[0]")->{body} }
is(length refusal_of('inherits'), 5000, 'the client is over quota');
$hosts->row('127.0.0.1', hits => 1, in_flight => 0);
for (['inherits', 'http://inherits/base%20me%3e'], ['own', 'http://own/own'],
    ['none', undef], ['canonical', 'http://canonical:81/base%20me%3e']) {
    my ($host, $want) = @$_;
    my ($found) = refusal_of($host) =~ /\nYour figures: (\S+)\n\z/;
    is($found, $want, "host $host: " . ($want // 'no link'));
}
my $midnight = (refusal_of('none') =~ /\nRefused until (\S+) 00:00 UTC; /)[0];
my ($y, $mo) = (gmtime)[5, 4];
is($midnight, sprintf('%d-%02d-01', $mo == 11 ? ($y + 1901, 1)
    : ($y + 1900, $mo + 2)), 'until when: also beyond RetryMax');

# ---- where nothing is counted ----
my $idle = Httpd->run(conf => <<'EOT');
<Location /me>
    SetHandler clamquota-me
</Location>
EOT
like($idle->get('/me')->{body}, qr/Nothing is counted on this server/,
    'no table: reports it');
$answer = JSON::PP::decode_json($idle->get('/me?json')->{body});
is_deeply([@$answer{qw(client prefix pools)}], ['127.0.0.1', 32, []],
    'json: no pools');
is($answer->{period}{kind}, 'month', 'json: a period');

finish();
