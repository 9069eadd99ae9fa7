# ClamQuotaCopies: the number of times that a client may download the same version
# of a file in a day, in body bytes, with any protocol; and a client over quota
# may finish one.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use IO::Socket::INET;
use Test::More;

use constant SIZE => 10_000_000;

my $http2 = mpm() ne 'prefork';
my $server = Httpd->run(tls => 1, modules => ['headers', 'deflate', 'filter',
    'rewrite', 'negotiation', $http2 ? 'http2' : (), mpm() eq 'prefork'
        ? 'cgi' : 'cgid'],
    conf => <<'EOT');
ClamQuotaDaily 1T
ClamQuotaCopies 2
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
ClamQuotaRetryMax 1d
ClamQuotaRetryJitter 0
ClamQuotaFreeRangeDaily 100k
ClamQuotaFiles 1000
<IfModule mod_http2.c>
    Protocols h2 h2c http/1.1
</IfModule>
<IfModule mod_cgid.c>
    ScriptSock %DIR%/run/cgid
</IfModule>
AddHandler cgi-script .cgi
Header always set X-State "expr=%{CLAMQUOTA_STATE}"
<Directory %DIR%/htdocs>
    Options +ExecCGI
</Directory>
<FilesMatch "[.]cdiff$">
    ClamQuotaFree On
</FilesMatch>
<Location /off>
    ClamQuotaCopies Off
</Location>
<Location /three>
    ClamQuotaCopies 3
</Location>
<Location /logonly>
    ClamQuotaEngine LogOnly
</Location>
<Location /small>
    ClamQuotaPool small
    ClamQuotaDaily 1M
</Location>
<Location /denied>
    Require all denied
    ErrorDocument 403 /daily.cvd
</Location>
<Location /deflated>
    SetOutputFilter DEFLATE
</Location>
ClamQuotaClient 127.0.0.99 Unlimited
RewriteEngine On
RewriteRule ^/rewritten$ /main.cvd
EOT

sub put {
    my ($name, $text, $mode) = @_;
    my $path = "$server->{dir}/htdocs/$name";
    my ($folder) = $path =~ m{(.*)/};
    mkdir $folder;
    write_file($path, $text);
    chmod $mode // 0644, $path or die "$path: $!";
    return;
}
for my $name (qw(main.cvd daily.cvd off/f three/f logonly/f x.cdiff
    small/other)) {
    put($name, 'x' x SIZE);
}
# more than the kernel takes for a client that does not read
put('small/image', 'x' x (4 * SIZE));
put('script.cgi', "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n"
    . "%s' \"" . 'y' x 2000 . "\"\n", 0755);
put('deflated/text.txt', join '', map { "line $_\n" } 1 .. 20_000);

sub get { my ($n, $path, @more) = @_;
    return $server->get($path, '--interface', "127.0.0.$n", @more) }
sub status { return get(@_)->{status} }
sub statuses { my ($n, @paths) = @_; return [map { status($n, $_) } @paths] }

# ---- twice, and no more ----
is_deeply(statuses(2, ('/main.cvd') x 4), [200, 200, 429, 429],
    'two copies are served');
is_deeply(statuses(2, '/main.cvd?x=1', '/rewritten', '//main.cvd',
    '/%6dain.cvd'), [429, 429, 429, 429], 'by whatever name');
is_deeply(statuses(2, ('/daily.cvd') x 3), [200, 200, 429],
    'others are not touched');
is_deeply(statuses(3, ('/main.cvd') x 3), [200, 200, 429],
    'nor is another client');
my $refused = get(2, '/main.cvd');
is($refused->{headers}{'x-state'}, 'copies', 'the state');
is($refused->{headers}{'retry-after'}, 86_400 - $refused->{date} % 86_400,
    'until the end of the day');
is($refused->{headers}{'ratelimit-policy'},
    '"default:file";q=20000000;qu="content-bytes";w=86400', 'of the file');
is($refused->{headers}{ratelimit}, '"default:file";r=0;t='
    . $refused->{headers}{'retry-after'}, 'the fields agree');
like($refused->{body}, qr/ bytes\) a day for\nmain\.cvd\.\n/, 'the text reports it');
cmp_ok(length $refused->{body}, '<', 400, 'briefly');
is($server->row('127.0.0.2')->{used}, do {
    my $sum = 0;
    $sum += (split)[2] for grep { /^127\.0\.0\.2 200 / }
        $server->access(qr/^127\.0\.0\.2 /, 12);
    $sum }, 'refusals are not downloaded');
is($server->row('127.0.0.2')->{state}, 'ok', 'it is not over quota');
is($server->row('127.0.0.2')->{over_since}, 0, 'nor an offender');

# ---- never refused ----
is(status(2, '/main.cvd', '-I'), 200, 'HEAD');
is(status(2, '/main.cvd', '-r', '0-511'), 206, 'a small range');
is(status(2, '/main.cvd', '-z', "$server->{dir}/htdocs/main.cvd"), 304, 'what has not changed');
is(status(2, '/none.cld'), 404, 'what is not there');
is(status(2, '/main.cvd', '-r', '0-1,5-6'), 429, 'but not two ranges');
is(status(2, '/main.cvd', '-r', '5000000-'), 429, 'nor an open one');
is(status(2, '/main.cvd', '-r', '0-511', '-H', 'If-Range: "no"'), 429,
    'nor one that may become the whole');
is_deeply(statuses(2, ('/x.cdiff') x 4), [(200) x 4], 'free is free');
is_deeply(statuses(99, ('/main.cvd') x 4), [(200) x 4], 'a client that is Unlimited, too');
is_deeply(statuses(2, ('/off/f') x 4), [(200) x 4], 'a scope without');
is_deeply(statuses(2, ('/three/f') x 4), [200, 200, 200, 429],
    'a scope with three');
is_deeply(statuses(4, ('/script.cgi') x 4), [(200) x 4],
    'a script is not its own size');

# ---- a new version ----
my $time = (stat "$server->{dir}/htdocs/main.cvd")[9];
utime $time + 60, $time + 60, "$server->{dir}/htdocs/main.cvd";
is_deeply(statuses(2, ('/main.cvd') x 3), [200, 200, 429],
    'a new time begins anew');
truncate "$server->{dir}/htdocs/main.cvd", SIZE - 1;
utime $time + 60, $time + 60, "$server->{dir}/htdocs/main.cvd";
is(status(2, '/main.cvd'), 200, 'and so does a new size');
put('main.cvd', 'x' x SIZE);

# ---- bytes count, not requests ----
is_deeply([map { status(5, '/main.cvd', '-r', $_ * 1_000_000 . '-'
    . ($_ * 1_000_000 + 999_999)) } 0 .. 9], [(206) x 10], 'ten segments');
is(status(5, '/main.cvd'), 200, 'were one copy');
is(status(5, '/main.cvd'), 429, 'this is the third');
is(status(5, '/main.cvd', '-r', '-1000'), 429, 'of which no piece is left');
is(status(6, '/main.cvd', '-r', '0-9999998'), 206, 'all but a byte');
is(status(6, '/main.cvd'), 200, 'one more');
is(status(6, '/main.cvd'), 200, 'a byte was left');
is(status(6, '/main.cvd'), 429, 'now none is');
my $text = get(7, '/deflated/text.txt', '--compressed', '-H',
    'Accept-Encoding: gzip');
is($text->{headers}{'content-encoding'}, 'gzip', 'a small body of a large file');
is(status(7, '/deflated/text.txt', '-H', 'Accept-Encoding: gzip'), 200,
    "is no copy ($_)") for 2 .. 5;

# ---- an error's document is not asked for ----
put('denied/f', 'x' x 1000);
is(status(12, '/denied/f'), 403, 'an ErrorDocument');
is_deeply(statuses(12, ('/daily.cvd') x 3), [200, 200, 429],
    'was none of two copies');
is(status(12, '/denied/f'), 403, 'nor is it refused as a third');
$server->allow_log(qr/AH01630: client denied/, 2);

# ---- over TLS and HTTP/2 the same sums ----
my $client = 20;
for my $way (['TLS', '--http1.1', $server->tls_url('/main.cvd')],
    $http2 ? (['h2', '--http2', $server->tls_url('/main.cvd')],
        ['h2c', '--http2-prior-knowledge', $server->url('/main.cvd')]) : ()) {
    my ($name, @arguments) = @{$way};
    my $url = pop @arguments;
    my $n = $client++;
    is(status($n, $url, @arguments, '-r', '0-9999998'), 206, "$name: part");
    is(status($n, $url, @arguments), 200, "$name: a copy");
    # exactly one byte is left: a header that was counted, or a body that was
    # not, would show here
    is(status($n, $url, @arguments, '-r', '1000000-1004096'), 206,
        "$name: a byte is left");
    is(status($n, $url, @arguments), 429, "$name: none is");
}

# ---- eight at once ----
sub open_get {
    my ($n, $path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort =>
        $server->{port}, LocalAddr => "127.0.0.$n") or die "connect: $!";
    print {$socket} "GET $path HTTP/1.0\r\n\r\n";
    $socket->flush;
    return $socket;
}
my @open = map { open_get(8, '/daily.cvd') } 1 .. 8;
my %served;
for my $socket (@open) {
    sysread $socket, my $head, 12;
    $served{substr $head, 9, 3}++;
}
is_deeply(\%served, {200 => 2, 429 => 6}, 'of eight at once two are served');
close $_ for @open;
$server->row('127.0.0.8', in_flight => 0);
is(status(8, '/daily.cvd', '-r', '0-1000000'), 206,
    'aborted ones release what did not leave');

# ---- LogOnly ----
is_deeply(statuses(9, ('/logonly/f') x 3), [(200) x 3], 'LogOnly serves');
is(scalar $server->log_lines(qr/CQ0202: would refuse.*127\.0\.0\.9 .*logonly/),
    1, 'and says which');
is(get(9, '/logonly/f')->{headers}{'x-state'}, 'logonly', 'in its state');

# ---- a client over quota may finish what it was admitted to ----
sub part {      # begins a download and hangs up
    my ($n, $path, $bytes) = @_;
    my $socket = open_get($n, $path);
    my $got = 0;
    while ($got < $bytes) {
        my $read = sysread($socket, my $data, 65_536) or last;
        $got += $read;
    }
    close $socket;
    $server->row("127.0.0.$n", pool => 'small', in_flight => 0);
    return;
}
part(10, '/small/image', 2_000_000);
is($server->row('127.0.0.10', pool => 'small')->{state}, 'over', 'it is over quota');
is(status(10, '/small/other'), 429, 'nothing else');
is(status(10, '/small/image'), 429, 'nor from the beginning');
is(status(10, '/small/image', '-r', '0-'), 429, 'however it is called');
is(status(10, '/small/image', '-r', '1900000-5000000'), 429,
    'a piece is not the rest');
is(status(10, '/small/image', '-r', '1900000-', '-H', 'If-Range: "other"'),
    429, 'the rest of another version would be the whole');
is(status(10, '/small/other', '-r', '1000-'), 429,
    'the rest of what it was not admitted to');
my $etag = get(10, '/small/image', '-I')->{headers}{etag};
is(get(10, '/small/image', '-r', '1900000-', '-H', "If-Range: $etag")->{bytes}
    > 38_100_000, 1, 'the rest is served');
is(status(10, '/small/image', '-r', '1900000-'), 429, 'once');
part(11, '/small/image', 2_000_000);
my @rests = map { open_get(11, "/small/image HTTP/1.0\r\nRange: bytes=1-\r\n"
    . 'X: ') } 1 .. 4;
%served = ();
for my $socket (@rests) {
    sysread $socket, my $head, 12;
    $served{substr $head, 9, 3}++;
}
is_deeply(\%served, {206 => 1, 429 => 3}, 'nor four times at once');
close $_ for @rests;
$server->row('127.0.0.11', pool => 'small', in_flight => 0);

# ---- what the table says ----
finish();
