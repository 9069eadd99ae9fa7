# Copies under attack: odd requests give no client more downloads of a version,
# and no client is refused for a file that it did not download.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

use constant SIZE => 1_000_000;

my $http2 = mpm() ne 'prefork';
my $server = Httpd->run(tls => 1, modules => ['headers', 'deflate', 'filter', 'include',
    'rewrite', 'negotiation', $http2 ? 'http2' : ()], conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
ClamQuotaRetryMax 1d
ClamQuotaRetryJitter 0
ClamQuotaFreeRangeDaily 100k
ClamQuotaFiles 1000
<IfModule mod_http2.c>
    Protocols h2 h2c http/1.1
</IfModule>
MergeSlashes Off
Header always set X-State "expr=%{CLAMQUOTA_STATE}"
# no scope that counts has Copies by itself: they meet in the request
<FilesMatch "[.](cvd|sql|html|large)$">
    ClamQuotaCopies 2
</FilesMatch>
<Location /over>
    ClamQuotaPool over
    ClamQuotaDaily 1000
</Location>
<Location /info>
    AcceptPathInfo On
</Location>
<Location /deflated>
    SetOutputFilter DEFLATE
</Location>
<Location /once>
    SetOutputFilter DEFLATE
    ClamQuotaCopies 1
</Location>
<Location /forbidden>
    Require all denied
    ErrorDocument 403 /denied.html
</Location>
<Directory %DIR%/htdocs>
    ClamQuotaDaily 1T
    Options +MultiViews +Includes +FollowSymLinks
    XBitHack On
    DirectoryIndex index.large
</Directory>
Alias /alias %DIR%/htdocs
EOT

sub put {
    my ($name, $text) = @_;
    my $path = "$server->{dir}/htdocs/$name";
    my ($folder) = $path =~ m{(.*)/};
    mkdir $folder;
    write_file($path, $text);
    return;
}
put($_, 'x' x SIZE) for qw(main.cvd over/main.cvd info/main.cvd forbidden/main.cvd
    folder/index.large);
put($_, join '', map { "line $_ of a dump\n" } 1 .. 50_000)
    for 'deflated/dump.sql', 'once/dump.sql';
put('denied.html', 'You may not.');
put('page.html', '<!--#echo var="DATE_LOCAL" -->' . 'y' x 20_000);
chmod 0755, "$server->{dir}/htdocs/page.html";
put('small.cvd', 'x' x 20_000);
put('text.html', 'x' x SIZE);
put('image.large', 'x' x (20 * SIZE));

sub get { my ($n, $path, @more) = @_;
    return $server->get($path, '--path-as-is', '--interface', "127.0.0.$n",
        @more) }
sub status { return get(@_)->{status} }

# One client: twice, however asked for; the third is refused in any case.
sub is_counted {
    my ($n, $name, $path, $plain, @more) = @_;
    is_deeply([map { int(status($n, $path, @more) / 100) } 1 .. 2], [2, 2],
        "$name: twice");
    is(status($n, $path, @more), 429, "$name: a third time");
    is(status($n, $plain), 429, "$name: the same version") if $plain ne $path;
    return;
}

# ---- one file, asked for in many ways ----
my $n = 1;
is_counted(++$n, 'GET', ('/main.cvd') x 2);
is_counted(++$n, 'POST', '/main.cvd', '/main.cvd', '-d', 'x=1');
is_counted(++$n, 'path info', '/info/main.cvd/x', '/info/main.cvd');
is_counted(++$n, 'slashes', '//main.cvd', '/main.cvd');
is_counted(++$n, 'an alias', '/alias/./main.cvd', '/main.cvd');
is_counted(++$n, 'MultiViews', '/text', '/text.html');
is_counted(++$n, 'an index', '/folder/', '/folder/index.large');
is_counted(++$n, 'HTTP/1.0', '/main.cvd', '/main.cvd', '-0');
is_counted(++$n, 'h2c', '/main.cvd', '/main.cvd', '--http2-prior-knowledge')
    if $http2;
# (what curl's buffer takes beside the 101)
is_counted(++$n, 'Upgrade', '/small.cvd', '/small.cvd', '--http2') if $http2;
is_counted(++$n, 'many ranges', '/main.cvd', '/main.cvd', '-H', 'Range: bytes='
    . join ',', ('0-') x 19);

$n++;
for my $turn (1 .. 2) {
    my $connection = $server->connect(from => "127.0.0.$n");
    is(length $connection->send("GET /main.cvd\r\n")->drain, SIZE,
        "HTTP/0.9: $turn");
}
unlike($server->connect(from => "127.0.0.$n")->send("GET /main.cvd\r\n")
    ->drain, qr/xxx/, 'HTTP/0.9: no third time');
is(status($n, '/main.cvd'), 429, 'HTTP/0.9: the same version');

# ---- what looked small and then was the whole ----
$n++;
my @small = ('-H', 'Accept-Encoding: gzip', '-r', '0-1');
my $size = get($n, '/deflated/dump.sql', @small)->{bytes};
cmp_ok($size, '>', 50_000, 'a range that a filter made the whole of');
my $last;
for (1 .. 60) {
    $last = get($n, '/deflated/dump.sql', @small);
    last if $last->{status} != 200;
}
is($last->{status}, 429, 'is not for ever');
is($last->{headers}{'x-state'}, 'copies', 'by its copies');

# (an included page is not the file, and no copy of it: t/19-bounds.t)

# ---- the whole instead of the rest, many at once ----
$n++;
my @open = map { $server->connect(from => "127.0.0.$n", buffer => 4096)
    ->send("GET /image.large HTTP/1.0\r\nRange: bytes=19999999-\r\n"
        . "If-Range: \"other\"\r\n\r\n") } 1 .. 8;
my %served;
for my $connection (@open) {
    $connection->more(12);
    $served{(split ' ', $connection->{data})[1]}++;
}
is_deeply(\%served, {200 => 2, 429 => 6}, 'eight at once with an If-Range');
$_->close for @open;
$server->row("127.0.0.$n", in_flight => 0);

# ---- a client that is not to be refused ----
$server->allow_log(qr/AH01630: client denied/);
$n++;
is_deeply([map { status($n, '/denied.html') } 1 .. 3], [200, 200, 429],
    'what an error says, downloaded twice');
is(status($n, '/forbidden/main.cvd'), 403, 'still says it');
is(status($n, '/none.cvd'), 404, 'what is not there is not');

# what was reserved and not sent goes back with the last byte
$n++;
is_deeply(get($n, $server->tls_url('/once/dump.sql?[1-4]'),
    $http2 ? '--http2' : '--http1.1', '-H', 'Accept-Encoding: gzip')->{codes},
    [(200) x 4], 'deflated, one after the other on one connection');

$n++;
my @mine = ('/main.cvd');
is_deeply([map { status($n, @mine) } 1 .. 3], [200, 200, 429],
    'a client that has had its copies');
my $ranges = 0;
while ($ranges < 100 && status($n, @mine, '-r', '0-4095') == 206) {
    $ranges++;
}
cmp_ok($ranges, '<', 30, 'and all of what is free of small ranges');
my $tag = get($n, @mine, '-I')->{headers}{etag};
is(status($n, @mine, '-H', "If-None-Match: $tag"), 304,
    'learns that nothing has changed');
is(status($n, @mine, '-H', "If-None-Match: $tag", '-r', '0-4095'), 304,
    'also of a range');
is(status($n, '/over/main.cvd'), 200, 'a client over quota, too');
$tag = get($n, '/over/main.cvd', '-I')->{headers}{etag};
is(status($n, '/over/main.cvd', '-r', '0-4095'), 206, 'has its own') for 1 .. 20;
while ($ranges < 200 && status($n, '/over/main.cvd', '-r', '0-4095') == 206) {
    $ranges++;
}
is(status($n, '/over/main.cvd', '-H', "If-None-Match: $tag"), 304,
    'and learns that nothing has changed');

$n++;
my $held = $server->connect(from => "127.0.0.$n", buffer => 4096)
    ->send("GET /image.large HTTP/1.0\r\nRange: bytes=1-\r\n\r\n");
my $other = $server->connect(from => "127.0.0.$n", buffer => 4096)
    ->send("GET /image.large HTTP/1.0\r\nRange: bytes=0-\r\n\r\n");
$_->more(12) for $held, $other;
# two bytes are left of two copies; then only what is under way is in the way
is(status($n, '/image.large', '-r', '5-6000'), 206, 'what was left');
my $busy = get($n, '/image.large', '-r', '5-6000');
is($busy->{status}, 429, 'while others are under way');
is($busy->{headers}{'x-state'}, 'busy', 'it learns that they are');
cmp_ok($busy->{headers}{'retry-after'}, '<=', 40, 'and to come back soon');
cmp_ok($busy->{headers}{'retry-after'}, '>=', 30, 'but not at once');
is($busy->{headers}{ratelimit}, '"default:file";r=0;t='
    . $busy->{headers}{'retry-after'}, 'the fields agree');
is($busy->{headers}{'ratelimit-policy'},
    '"default:file";q=40000000;qu="content-bytes";w=86400', 'of the file');
cmp_ok(length $busy->{body}, '<', 400, 'briefly');
$_->close for $held, $other;
$server->row("127.0.0.$n", in_flight => 0);
is(status($n, '/image.large', '-r', '0-5000000'), 206, 'and it may, then');

finish();
