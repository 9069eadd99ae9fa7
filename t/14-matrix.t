# The accuracy matrix: whatever the response and the protocol, what is booked
# is what the client's socket received, in the right column.
#
# The yardstick is outside the module: bytes at the client (of TLS the
# plaintext, of HTTP/2 the DATA frames), and for a client that goes away what
# the kernel took, mod_logio's %O. CQ_MATRIX=1 prints every row.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Http2;
use Httpd;
use Test::More;

# more than the kernel's buffers of both sides by far
use constant SIZE => 64 * 1024 * 1024;
use constant PIECES => 256 * 1024;      # what an abort may lose
use constant H2_PIECE => 64 * 1024;
use constant H2_BUFFER => 32 * 1024;    # H2StreamMaxMemSize

my @protocols = (['HTTP/1.1', 1], ['TLS', 1, 'http/1.1'],
    mpm() eq 'prefork' ? () : (['h2c', 2], ['h2', 2, 'h2']));
my $server = Httpd->run(tls => 1,
    modules => [qw(headers include negotiation deflate filter env proxy
        proxy_http ratelimit reqtimeout), mpm() eq 'prefork' ? 'cgi'
            : qw(cgid http2)],
    conf => <<'EOT');
ClamQuotaDaily 100G
KeepAliveTimeout 20
MaxKeepAliveRequests 0
RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500
<IfModule mod_http2.c>
    Protocols h2 h2c http/1.1
    H2StreamMaxMemSize 32768
</IfModule>
<IfModule mod_cgid.c>
    ScriptSock %DIR%/run/cgid
</IfModule>
AddOutputFilter INCLUDES .shtml
AddHandler cgi-script .cgi
AddType text/plain .txt
AddType text/html .html .shtml
Redirect /moved /300k
ErrorDocument 404 /errors/404.html
ProxyPass /proxied http://127.0.0.1:%PORT2%
<Directory %DIR%/htdocs>
    Options +ExecCGI +Includes
</Directory>
<Location /deflated>
    SetOutputFilter DEFLATE
</Location>
<Location /limited>
    SetOutputFilter RATE_LIMIT
    SetEnv rate-limit 10000
</Location>
<Location /bare>
    ErrorDocument 404 default
</Location>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    ClamQuotaEngine Off
</VirtualHost>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(errors dir deflated limited);
my $data = join '', map { pack 'N', $_ * 2_654_435_761 % 2**32 } 1 .. 750_000;
write_file("$htdocs/3m", $data);
write_file("$htdocs/limited/3m", $data);
write_file("$htdocs/300k", substr $data, 0, 300_000);
write_file("$htdocs/1k", substr $data, 0, 1000);
write_file("$htdocs/empty", '');
write_file("$htdocs/big", substr $data x 23, 0, SIZE);
write_file("$htdocs/errors/404.html", '<p>nothing here' . '.' x 700);
write_file("$htdocs/dir/index.html", 'index ' x 100);
write_file("$htdocs/deflated/page.txt", 'compressible ' x 20_000);
write_file("$htdocs/ssi.shtml", "1<!--#include virtual=\"/dir/\" -->"
    . "2<!--#include virtual=\"/errors/404.html\" -->3");
write_file("$htdocs/chunked.cgi", "#!/bin/sh\n"
    . "printf 'Content-Type: text/plain\\n\\n'\n"
    . "head -c 250000 /dev/zero\n");
write_file("$htdocs/length.cgi", "#!/bin/sh\n"
    . "printf 'Content-Length: 250000\\n\\n'\nhead -c 250000 /dev/zero\n");
write_file("$htdocs/post.cgi", "#!/bin/sh\n"
    . "printf 'Content-Type: text/plain\\n\\n'\nwc -c\n");
chmod 0755, glob "$htdocs/*.cgi";
my $etag = $server->get('/300k', '-I')->{headers}{etag};

# name, status, column, path, and method, headers, body, expect
my @rows = (
    ['200', 200, 'used', '/300k'],
    ['200, 3 MB', 200, 'used', '/3m'],
    ['200, empty', 200, 'used', '/empty'],
    ['HEAD', 200, 'free', '/300k', method => 'HEAD'],
    ['304', 304, 'free', '/300k', headers => [['if-none-match', $etag]]],
    ['206, one range', 206, 'used', '/300k',
        headers => [['range', 'bytes=1000-200999']]],
    ['206, small range', 206, 'free', '/300k',
        headers => [['range', 'bytes=1000-1099']]],
    ['206, multipart', 206, 'used', '/300k',
        headers => [['range', 'bytes=0-99999,150000-250000,280000-']]],
    ['416', 416, 'free', '/300k', headers => [['range', 'bytes=400000-']]],
    ['redirect', 302, 'free', '/moved'],
    ['404', 404, 'free', '/bare'],
    ['404, ErrorDocument', 404, 'used', '/nothing'],
    ['malformed URL', 400, 'free', '/%zz'],
    ['DirectoryIndex', 200, 'used', '/dir/'],
    ['SSI, two subrequests', 200, 'used', '/ssi.shtml'],
    ['mod_deflate', 200, 'used', '/deflated/page.txt',
        headers => [['accept-encoding', 'gzip']]],
    ['CGI, chunked', 200, 'used', '/chunked.cgi'],
    ['CGI, with length', 200, 'used', '/length.cgi'],
    ['proxied, with length', 200, 'used', '/proxied/300k'],
    ['proxied, chunked', 200, 'used', '/proxied/chunked.cgi'],
    ['proxied, HEAD', 200, 'free', '/proxied/300k', method => 'HEAD'],
    ['POST', 200, 'used', '/post.cgi', method => 'POST', body => 'p' x 9000],
    ['Expect: 100-continue', 200, 'used', '/post.cgi', method => 'POST',
        body => 'p' x 9000, expect => 1],
    ['mod_ratelimit', 200, 'used', '/limited/3m'],
);

# ---- clients: each answers {status, bytes, interim}, interim being bytes of
# 1xx answers, which httpd writes past every request filter ----

sub http1_text {
    my ($row, @more) = @_;
    my (undef, undef, undef, $path, %option) = @$row;
    my @headers = @{$option{headers} // []};
    push @headers, ['content-length', length $option{body}] if $option{body};
    push @headers, ['expect', '100-continue'] if $option{expect};
    return join "\r\n", ($option{method} // 'GET') . " $path HTTP/1.1",
        'Host: localhost', (map { "$_->[0]: $_->[1]" } @headers), @more, '',
        $option{expect} ? '' : $option{body} // '';
}

sub http1 {
    my ($connection, $row) = @_;
    my (undef, undef, undef, undef, %option) = @$row;
    my $interim = 0;
    $connection->send(http1_text($row, 'Connection: close'));
    if ($option{expect}) {
        1 while $connection->{data} !~ /\r\n\r\n/ && $connection->more;
        $connection->{data} =~ s/^HTTP\/1.1 100 .*?\r\n\r\n//s
            and $interim = length $&;
        $connection->send($option{body});
    }
    my ($status) = $connection->drain =~ /^HTTP\/1.1 (\d+)/;
    return { status => $status // 0, bytes => $connection->{bytes} - $interim,
        interim => $interim };
}

sub http2 {
    my ($connection, $row) = @_;
    my (undef, undef, undef, $path, %option) = @$row;
    my $expect = delete $option{expect};
    my $body = $option{body};
    push @{$option{headers} = [@{$option{headers} // []}]},
        ['expect', '100-continue'] if $expect;
    $option{body} = undef if $expect;
    my $client = Http2->new($connection);
    my $stream = $client->request($path, %option);
    if ($expect) {
        $client->until(sub { $stream->{interim} || $stream->{done} });
        $client->body($stream, $body);
    }
    $client->finish($stream);
    return { status => $stream->{status}, bytes => $stream->{bytes},
        interim => 0 };
}

# ---- a line of the matrix ----

sub show {
    my ($kind, $protocol, $client, $booked) = @_;
    diag(sprintf '%-8s %-28s %10d %10d %+9d', $protocol, $kind, $client,
        $booked, $booked - $client) if $ENV{CQ_MATRIX};
}

# Compares all that was booked for a client: exactly this, in this column.
sub booked {
    my ($kind, $protocol, $from, $column, $bytes, $hits) = @_;
    my $name = "$protocol: $kind";
    my $other = $column eq 'used' ? 'free' : 'used';
    my $row = $server->row($from, $column => $bytes, hits => $hits,
        in_flight => 0) // { map { $_ => -1 } qw(used free hits in_flight) };
    show($kind, $protocol, $bytes, $row->{$column});
    is($row->{$column}, $bytes, "$name: bytes $column");
    is($row->{$other}, 0, "$name: nothing $other");
    is($row->{hits}, $hits, "$name: hits");
    is($row->{in_flight}, 0, "$name: nothing in flight");
}

my $last = 0;

sub open_client {
    my ($protocol, %option) = @_;
    my (undef, $version, $tls) = @$protocol;
    my $from = '127.0.' . (1 + int ++$last / 200) . '.' . (1 + $last % 200);
    return ($from, $server->connect(from => $from, %option,
        $tls ? (tls => $tls) : ()));
}

diag(sprintf '%-8s %-28s %10s %10s %9s', 'protocol', 'response', 'client',
    'booked', 'differ') if $ENV{CQ_MATRIX};
my $interim = 0;
for my $protocol (@protocols) {
    my ($name, $version) = @$protocol;
    for my $row (@rows) {
        my ($kind, $status, $column) = @$row;
        my ($from, $connection) = open_client($protocol);
        my $answer = $version == 1 ? http1($connection, $row)
            : http2($connection, $row);
        is($answer->{status}, $status, "$name: $kind: status");
        booked($kind, $name, $from, $column, $answer->{bytes}, 1);
        $interim += $answer->{interim};
    }
}
is($interim, 2 * length "HTTP/1.1 100 Continue\r\n\r\n",
    'HTTP/1.1 and TLS: 100 Continue was sent');

# ---- HTTP/1.x: connections with many requests, and bad ones ----
for my $protocol (grep { $_->[1] == 1 } @protocols) {
    my ($name) = @$protocol;
    my ($from, $connection) = open_client($protocol);
    for (1 .. 99) {
        my $path = (qw(/1k /300k /empty))[$_ % 3];
        $connection->send("GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n")
            ->response->{status} == 200 or die 'keep-alive broke';
    }
    $connection->send("GET /1k HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n")->drain;
    booked('100 requests, keep-alive', $name, $from, 'used',
        $connection->{bytes}, 100);

    ($from, $connection) = open_client($protocol);
    my @requests = map { "GET $_ HTTP/1.1\r\nHost: localhost\r\n" }
        (qw(/1k /empty /1k /300k /1k)) x 10;
    $connection->send(join("\r\n", @requests)
        . "Connection: close\r\n\r\n");
    my $got = $connection->take(1e9);
    booked('50 requests, pipelined', $name, $from, 'used', $got, 50);

    my %bad = ('no Host' => "GET / HTTP/1.1\r\n\r\n",
        'no request' => "nonsense\r\n\r\n",
        'bad header' => "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        'long URL' => 'GET /' . 'u' x 9000 . " HTTP/1.1\r\nHost: x\r\n\r\n");
    for my $kind (sort keys %bad) {
        ($from, $connection) = open_client($protocol);
        $connection->send($bad{$kind});
        like($connection->drain, qr/^HTTP\/1.1 4\d\d /, "$name: $kind: 4xx");
        booked($kind, $name, $from, 'free', $connection->{bytes}, 1);
    }

    ($from, $connection) = open_client($protocol);
    $connection->send("GET /300k HTTP/1.0\r\n\r\n")->drain;
    booked('HTTP/1.0', $name, $from, 'used', $connection->{bytes}, 1);
}

# ---- HTTP/2: connections with many streams ----
for my $protocol (grep { $_->[1] == 2 } @protocols) {
    my ($name) = @$protocol;
    my ($from, $connection) = open_client($protocol);
    my $client = Http2->new($connection);
    my @streams = map { $client->request('/300k') } 1 .. 20;
    $client->finish(@streams);
    my $bytes = 0;
    $bytes += $_->{bytes} for @streams;
    is($bytes, 6_000_000, "$name: 20 streams");
    booked('20 parallel streams', $name, $from, 'used', $bytes, 20);

    ($from, $connection) = open_client($protocol);
    $client = Http2->new($connection);
    $bytes = 0;
    for (1 .. 50) {
        @streams = map { $client->request('/1k') } 1 .. 20;
        $client->finish(@streams);
        $bytes += $_->{bytes} for @streams;
    }
    is($bytes, 1_000_000, "$name: 1,000 streams");
    booked('1,000 small streams', $name, $from, 'used', $bytes, 1000);
}

# ---- a slow reader's count moves while it downloads ----
for my $protocol (@protocols) {
    my ($name, $version) = @$protocol;
    my ($from, $connection) = open_client($protocol, buffer => 65536);
    my ($client, $stream, $row);
    if ($version == 1) {
        $connection->send("GET /big HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\n\r\n");
    }
    else {
        $client = Http2->new($connection, window => 0);
        $stream = $client->request('/big');
    }
    my ($step, @seen) = (SIZE / 4);
    for my $n (1 .. 3) {
        my $got = $step * $n;
        if ($version == 1) {
            $connection->take($got);
        }
        else {
            $client->grant($stream, $step);
            $client->until(sub { $stream->{bytes} == $got });
        }
        my $least = $got - ($version == 1 ? PIECES : H2_PIECE);
        poll(5, sub {
            $row = $server->row($from);
            return $row && $row->{used} >= $least;
        });
        cmp_ok($row->{used}, '>=', $least, "$name: slow reader, $got: counted");
        cmp_ok($row->{used}, '<=', $version == 1 ? SIZE - 1
            : $got + H2_PIECE + H2_BUFFER, "$name: and not what is to come");
        is($row->{used} + $row->{in_flight}, SIZE,
            "$name: used and in flight are the file");
        push @seen, $row->{used};
    }
    cmp_ok($seen[2], '>', $seen[0], "$name: it moves");
    if ($version == 1) {
        $connection->take(1e9);
        booked('slow reader', $name, $from, 'used', $connection->{bytes}, 1);
    }
    else {
        $client->grant($stream, SIZE);
        $client->finish($stream);
        is($stream->{bytes}, SIZE, "$name: slow reader: all");
        booked('slow reader', $name, $from, 'used', $stream->{bytes}, 1);
    }
}

# ---- a client that goes away ----
for my $protocol (@protocols) {
    my ($name, $version, $tls) = @$protocol;
    my @ways = $version == 1 ? ('closed') : ('stream reset', 'closed');
    for my $way (@ways) {
        my ($from, $connection) = open_client($protocol, buffer => 65536);
        my ($low, $high, $yardstick);
        if ($version == 1) {
            $connection->send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
            my $got = $connection->take(2_000_000);
            $connection->close;
            my ($line) = $server->access(qr/^\Q$from\E /);
            ($yardstick) = ($line // '') =~ /^\S+ \d+ (\d+) /;
            $yardstick //= -1;
            cmp_ok($yardstick, '>=', $got, "$name: aborted: yardstick");
            cmp_ok($yardstick, '<', SIZE, "$name: aborted: before the end");
            # %O has TLS's own bytes too: a handshake, and of each record of
            # 16 KiB a header and a tag
            ($low, $high) = ($yardstick - PIECES
                - ($tls ? 4096 + $yardstick / 200 : 0), $yardstick);
        }
        else {
            my $client = Http2->new($connection, window => 2_000_000);
            my $stream = $client->request('/big');
            $client->until(sub { $stream->{bytes} == 2_000_000 });
            $yardstick = $stream->{bytes};
            $client->reset($stream) if $way ne 'closed';
            $connection->close if $way eq 'closed';
            ($low, $high) = ($yardstick - H2_PIECE,
                $yardstick + H2_PIECE + H2_BUFFER);
        }
        my $row = $server->row($from, in_flight => 0, hits => 1);
        show("aborted, $way", $name, $yardstick, $row->{used});
        cmp_ok($row->{used}, '>=', $low, "$name: aborted, $way: enough");
        cmp_ok($row->{used}, '<=', $high, "$name: aborted, $way: not more");
        is($row->{free}, 0, "$name: aborted, $way: nothing free");
        is($row->{hits}, 1, "$name: aborted, $way: a hit");
        is($row->{in_flight}, 0, "$name: aborted, $way: nothing in flight");
    }
}

# nothing was lost between the rows and the totals
my $page = $server->json('limit=10000');
for (['used', 'sent'], ['free', 'free'], ['hits', 'hits']) {
    my ($column, $total) = @$_;
    my $sum = 0;
    $sum += $_->{$column} for @{$page->{clients}};
    is($page->{totals}{$total}, $sum, "the total $total is the sum of rows");
}
is($page->{totals}{in_flight}, 0, 'nothing in flight in total');

# of the malformed URLs
$server->allow_log(qr/AH10244/, scalar @protocols);
finish();
