# What a client sends widens no bound: httpd ignores a header that was believed,
# takes it away, answers a method with an error, or makes the whole of a small
# range. And whose bytes they are is read from the address, each time.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

use constant { MB => 1_000_000, DAILY => 10_000_000 };

my $server = Httpd->run(modules => [qw(dav dav_fs headers deflate filter
    include), mpm() eq 'prefork' ? 'cgi' : 'cgid'],
    conf => <<'EOT');
ClamQuotaDaily 10000000
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
ClamQuotaRetryJitter 0
DavLockDB %DIR%/run/dav
SendBufferSize 16384
Header always set X-State "expr=%{CLAMQUOTA_STATE}"
AddType text/plain .txt
<Location /unset>
    RequestHeader unset Range
</Location>
<Location /deflated>
    SetOutputFilter DEFLATE
</Location>
<Location /dav>
    Dav On
</Location>
<Location /copies>
    ClamQuotaPool copies
    ClamQuotaCopies 1
</Location>
<IfModule mod_cgid.c>
    ScriptSock %DIR%/run/cgid
</IfModule>
AddHandler cgi-script .cgi
<Location /front>
    ErrorDocument 404 /front.cgi?200
</Location>
<Location /said>
    ErrorDocument 404 /front.cgi?404
</Location>
<Location /page>
    ErrorDocument 404 /8k
</Location>
<Location /redirected>
    ErrorDocument 429 http://127.0.0.1:1/refused
</Location>
<Location /included>
    ClamQuotaPool included
    ClamQuotaCopies 2
    SetOutputFilter INCLUDES
    Options +Includes
</Location>
<Directory %DIR%/htdocs>
    Options +ExecCGI
</Directory>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(unset deflated dav copies included redirected);

sub sparse {
    my ($path, $bytes) = @_;
    open my $fh, '>', "$htdocs/$path" or die "$path: $!";
    truncate $fh, $bytes or die "$path: $!";
    utime time - 60, time - 60, $fh;
}
sparse($_, 5 * MB) for qw(5m unset/5m copies/5m redirected/5m);
sparse("copies/$_", 6 * MB) for 1 .. 20;
write_file("$htdocs/8k", 'k' x 8192);
write_file("$htdocs/dav/1k", 'k' x 1024);
srand 1;
# noise of 64 letters: it deflates to three quarters
write_file("$htdocs/deflated/1m.txt", join '', map { chr 64 + rand 64 }
    1 .. 1_200_000);
write_file("$htdocs/small.inc", 'i' x 20_000);
write_file("$htdocs/included/page.txt",
    '<!--#include virtual="/small.inc" -->');

write_file("$htdocs/front.cgi", "#!/bin/sh\n"
    . "printf 'Status: %s\\nContent-Type: text/plain\\n\\n' "
    . "\"\$QUERY_STRING\"\n"
    . "exec head -c 300000 /dev/zero\n");
chmod 0755, "$htdocs/front.cgi";

my $last = 0;
sub client { return '127.0.' . (1 + int ++$last / 200) . '.'
    . (1 + $last % 200) }

# Sends requests at once from one address, each on a connection of its own that
# is read no further than its head: {status => how many}
my @held;
sub at_once {
    my ($from, $n, $request, @headers) = @_;
    my %count;
    my @connections = map { $server->connect(from => $from, buffer => 8192)
        ->send(join "\r\n", "$request HTTP/1.1", 'Host: localhost', @headers,
            '', '') } 1 .. $n;
    for my $connection (@connections) {
        1 while $connection->{data} !~ /\r\n\r\n/ && $connection->more(4096);
        $count{($connection->{data} =~ /^HTTP\/1.1 (\d+)/)[0] // 'none'}++;
    }
    push @held, @connections;
    return \%count;
}
sub let_go { $_->close for splice @held }

sub go_over {
    my ($from, $prefix, $pool) = @_;
    $server->get("$prefix/5m", '--interface', $from) for 1, 2;
    poll(5, sub { ($server->row($from, pool => $pool // 'default')
        // {state => ''})->{state} eq 'over' }) or die "$from is not over";
    return;
}

# ---- a Range that httpd ignores ----
for my $range ('bytes=1-0', 'bytes=-0', 'bytes=0-0x', 'bytes=9-1,0-0',
    'bytes=0-0,1-0', 'bytes=99999999999999999999-', 'bytes= 0-0', 'lines=0-0') {
    my $from = client();
    is_deeply(at_once($from, 6, 'GET /5m', "Range: $range"),
        {200 => 2, 429 => 4}, "Range: $range: two of six fit");
    let_go();
}
{
    my $from = client();
    is_deeply(at_once($from, 6, 'GET /copies/5m', 'Range: bytes=1-0'),
        {200 => 1, 429 => 5}, 'nor is it another copy');
    let_go();
    is_deeply(at_once(client(), 6, 'GET /unset/5m', 'Range: bytes=0-0'),
        {200 => 2, 429 => 4}, 'RequestHeader unset Range: two of six fit');
    let_go();
}

# ---- small ranges of which a filter makes the whole ----
{
    my $from = client();
    go_over($from, '');
    my $used = $server->row($from, in_flight => 0)->{used};
    is_deeply(at_once($from, 12, 'GET /deflated/1m.txt',
        'Accept-Encoding: gzip', 'Range: bytes=0-99'), {429 => 12},
        'deflated: a client over quota gets none');
    let_go();
    is($server->row($from, in_flight => 0)->{used}, $used,
        'deflated: and has used nothing more');
    is($server->get('/deflated/1m.txt', '-r', '0-99', '--interface', $from)
        ->{status}, 206, 'not deflated: it gets its hundred bytes');
    $from = client();
    my $served = at_once($from, 12, 'GET /deflated/1m.txt',
        'Accept-Encoding: gzip', 'Range: bytes=0-99');
    cmp_ok($served->{200}, '<=', 9, 'deflated: others get what fits');
    is($served->{200} + $served->{429}, 12, 'deflated: and are refused then');
    let_go();
}

# ---- methods that httpd answers with an error ----
for my $method (qw(PUT DELETE PROPFIND COPY PATCH MADEUP)) {
    my $from = client();
    my @slow = map { $server->connect(from => $from)->send("$method /5m "
        . "HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1") } 1, 2;
    # after it httpd has read the heads of both
    is($server->get('/8k', '--interface', $from)->{status}, 200,
        "$method: a file is served meanwhile");
    is(($server->row($from, hits => 1, in_flight => 0))->{in_flight}, 0,
        "$method: nothing is reserved");
    $_->close for @slow;
}
{
    my $from = client();
    go_over($from, '');
    my @over = ('--interface', $from);
    my $etag = $server->get('/5m', '-I')->{headers}{etag};
    my %answers = (
        'range behind the end' => [416, '/5m', '-r', '5000000-'],
        'If-Match that fails' => [412, '/5m', '-H', 'If-Match: "other"'],
        'If-Unmodified-Since that fails' => [412, '/5m', '-H',
            'If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT'],
        'If-None-Match' => [304, '/5m', '-H', "If-None-Match: $etag"],
        'PUT' => [405, '/5m', '-X', 'PUT'],
        'unknown method' => [501, '/5m', '-X', 'MADEUP'],
        'directory without an index' => [404, '/'],
        'small range' => [206, '/5m', '-r', '5-9'],
        'HEAD' => [200, '/5m', '-I'],
        'nothing there' => [404, '/none'],
    );
    for my $name (sort keys %answers) {
        my ($status, @arguments) = @{$answers{$name}};
        my $answer = $server->get(@arguments, @over);
        is($answer->{status}, $status, "over quota, $name: not refused");
        is($answer->{headers}{'x-state'}, 'free', "over quota, $name: free");
    }
    is($server->get('/5m', @over, '-H', 'If-Match: *')->{status}, 429,
        'over quota, If-Match that holds: refused');
    is($server->get('/dav/1k', @over, '-X', 'PROPFIND', '-H', 'Depth: 0')
        ->{status}, 429, 'over quota, PROPFIND of DAV: refused');
}
is($server->get('/dav/1k', '-X', 'PROPFIND', '-H', 'Depth: 0', '--interface',
    client())->{status}, 207, 'PROPFIND of DAV: answered');

# ---- what answers in the place of an error, and of a refusal ----
{
    my ($from, $over) = (client(), client());
    go_over($over, '');
    for (['a script that says 200', '/front/none', 200, 429, 300_000],
        ['a script that says 404', '/said/none', 404, 404, 0],
        ['a file', '/page/none', 404, 404, 8192]) {
        my ($name, $path, $status, $refused, $used) = @$_;
        my $before = ($server->row($from) // {used => 0})->{used};
        my $answer = $server->get($path, '--interface', $from);
        is($answer->{status}, $status, "ErrorDocument, $name");
        $used += $before;
        poll(5, sub { $server->row($from)->{used} >= $used });
        my $booked = $server->row($from)->{used};
        ok($used == $before ? $booked == $before : $booked > $used,
            "ErrorDocument, $name: in its column");
        $answer = $server->get($path, '--interface', $over);
        is($answer->{status}, $refused, "ErrorDocument, $name: over quota");
        cmp_ok($answer->{bytes}, '<', 8192,
            "ErrorDocument, $name: over quota, without it")
            if $name ne 'a script that says 404';
    }
    my $answer = $server->get('/redirected/5m', '--interface', $over);
    is($answer->{status}, 429, 'ErrorDocument 429 with a full URL: refused');
    is($answer->{headers}{location}, undef, 'and not redirected');
    like($answer->{body}, qr/ has used /, 'in our own words');
    $server->allow_log(qr/CQ0109: ErrorDocument 429 .* full URL/, 1);
    like(($server->config_test("ClamQuotaDaily 1M\n"
        . "ErrorDocument 429 http://x.example/\n"))[1],
        qr/CQ0109: ErrorDocument 429 \(\S*test\.conf line \d+\) is a full/,
        'httpd -t warns of it');
}

# ---- finishing files while over quota: one at a time, one Daily a day ----
{
    my $from = client();
    $server->get("/copies/$_", '--interface', $from, '-r', '0-8191')
        for 1 .. 20;
    $server->get('/copies/5m', '--interface', $from, '-r', $_)
        for '0-4999998', '4999999-';
    $server->get('/copies/20', '--interface', $from, '-r', '8192-');
    is($server->row($from, pool => 'copies', in_flight => 0)->{state}, 'over',
        'finishing: over quota');
    my $first = at_once($from, 1, 'GET /copies/1', 'Range: bytes=1-');
    is_deeply($first, {206 => 1}, 'finishing: one');
    is_deeply(at_once($from, 3, 'GET /copies/2', 'Range: bytes=1-'),
        {429 => 3}, 'finishing: no other meanwhile');
    let_go();
    $server->row($from, pool => 'copies', in_flight => 0);
    my %count;
    for (2 .. 19) {
        my $answer = $server->get("/copies/$_", '--interface', $from, '-r',
            '1-');
        $count{$answer->{status}}++;
        $server->row($from, pool => 'copies', in_flight => 0);
    }
    is_deeply(\%count, {206 => 2, 429 => 16}, 'finishing: one Daily of them');
}

# ---- Copies leaves alone what is not the file ----
{
    my $from = client();
    is_deeply([map { $server->get('/included/page.txt', '--interface', $from)
        ->{status} } 1 .. 6], [(200) x 6], 'an included file is no copy');
}

# the unknown method
$server->allow_log(qr/AH00135/, 1);
finish();
