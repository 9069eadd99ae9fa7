# What no client may do, whatever it sends: random requests, against
# a client far from its allowance, close to it and over it, alone and 20 at
# once. CQ_TEST_SEED replays a run, CQ_TEST_REQUESTS makes it longer.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Draw;
use Http2;
use Httpd;
use Test::More;

use constant { ALLOWANCE => 150_000, PIECE => 256 * 1024, HEAD => 1000 };

my $seed = $ENV{CQ_TEST_SEED} // 20_261_128;
my $requests = $ENV{CQ_TEST_REQUESTS} // 1500;
my $http2 = mpm() ne 'prefork';
my $server = Httpd->run(tls => 1, modules => [qw(dav dav_fs headers include
    negotiation rewrite deflate filter proxy proxy_http), $http2
        ? qw(cgid http2) : 'cgi'], conf => 'ClamQuotaDaily ' . ALLOWANCE
    . "\n" . <<'EOT');
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
ClamQuotaClient 127.9.0.0/16 Unlimited
KeepAliveTimeout 20
MaxKeepAliveRequests 0
DavLockDB %DIR%/htdocs/locks/dav
<IfModule mod_http2.c>
    Protocols h2 h2c http/1.1
</IfModule>
<IfModule mod_cgid.c>
    ScriptSock %DIR%/run/cgid
</IfModule>
AddHandler cgi-script .cgi
AddType text/html .shtml .html
AddType text/plain .txt
AddOutputFilter INCLUDES .shtml
RewriteEngine On
RewriteRule ^/rewritten$ /plain
ProxyPass /proxied http://127.0.0.1:%PORT2%
<Directory %DIR%/htdocs>
    Options +ExecCGI +Includes +MultiViews
</Directory>
<Location /deflated>
    SetOutputFilter DEFLATE
</Location>
<Location /file>
    ErrorDocument 404 /plain
</Location>
<Location /coded>
    ErrorDocument 404 /script.cgi
</Location>
<Location /url>
    ErrorDocument 404 http://localhost/
</Location>
<Location /dav>
    Dav On
</Location>
<Location /unset>
    RequestHeader unset Range
</Location>
<Location /copies>
    ClamQuotaCopies 2
</Location>
<Location /denied>
    Require all denied
</Location>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    ClamQuotaEngine Off
</VirtualHost>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(deflated dav unset copies denied dir locks);
chmod 0777, "$htdocs/dav", "$htdocs/locks";     # httpd writes there
my $noise = Draw->new(1);
my $data = join '', map { chr 32 + $noise->below(64) } 1 .. Draw::SIZE;
write_file("$htdocs/$_", $data) for qw(plain variant.html deflated/text.txt
    dav/plain unset/plain copies/plain denied/plain);
write_file("$htdocs/empty", '');
write_file("$htdocs/page.shtml", '<!--#include virtual="/plain" -->' x 2);
# (it reads what it is sent: httpd resets an h2 stream sooner or later, else)
write_file("$htdocs/script.cgi", "#!/bin/sh\ncat >/dev/null\n"
    . "printf 'Content-Type: text/plain\\n\\n'\nhead -c 20000 /dev/zero\n");
chmod 0755, "$htdocs/script.cgi";
write_file("$htdocs/large", 'l' x 3_000_000);
my %etag = map { ($_ => $server->get($_, '-I', '--interface', '127.9.0.1')
    ->{headers}{etag}) } qw(/plain /dav/plain /copies/plain /unset/plain
    /deflated/text.txt /variant);

my $draw = Draw->new($seed);
my $last = 0;
my %seen;

sub drawn {
    my $request = $draw->request;
    my $tag = $etag{$request->{path} =~ s/\?.*//r} // $etag{'/plain'};
    s/%ETAG%/$tag/ for map { $_->[1] } @{$request->{headers}};
    return $request;
}

sub show {
    my ($request) = @_;
    return join ' ', $request->{method}, $request->{path},
        (map { "$_->[0]: " . substr $_->[1], 0, 60 } @{$request->{headers}});
}

# ---- ways to ask: each returns [request, answer] pairs ----

sub apart {
    my ($from, $tls, @requests) = @_;
    my @open = map { $server->connect(from => $from, $tls ? (tls => 'http/1.1')
        : ())->send(Draw::text($_, 'Connection: close')) } @requests;
    my @pairs;
    for my $i (0 .. $#requests) {
        my ($answers, $rest) = Draw::answers($open[$i]->drain, $requests[$i]);
        $open[$i]->close;
        die "$rest bytes left of " . show($requests[$i]) if $rest;
        push @pairs, map { [$requests[$i], $_] } @$answers;
    }
    return @pairs;
}

sub one_by_one {
    my ($from, $tls, @requests) = @_;
    return map { apart($from, $tls, $_) } @requests;
}

sub pipelined {
    my ($from, $tls, @requests) = @_;
    my $end = { kind => 'none', method => 'GET', path => '/none',
        headers => [] };
    my $connection = $server->connect(from => $from)->send(join '',
        (map { Draw::text($_) } @requests),
        Draw::text($end, 'Connection: close'));
    my ($answers, $rest) = Draw::answers($connection->drain, @requests, $end);
    die "$rest bytes left" if $rest;
    my @asked = (@requests, $end);
    return map { [$asked[$_], $answers->[$_]] } 0 .. $#$answers;
}

sub streams {
    my ($from, $tls, @requests) = @_;
    my $connection = $server->connect(from => $from);
    my $client = Http2->new($connection);
    for (@requests) {
        @{$_->{headers}} = grep { $_->[0] ne 'expect' && length $_->[1] < 120 }
            @{$_->{headers}};
    }
    my @streams = map { $client->request($_->{path}, method => $_->{method},
        headers => $_->{headers},
        defined $_->{body} ? (body => $_->{body}) : ()) } @requests;
    $client->finish(@streams);
    $connection->close;
    return map { my $s = $streams[$_]; [$requests[$_], { status => $s->{status},
        headers => $s->{field}, body => $s->{bytes}, bytes => $s->{bytes} }] }
        0 .. $#requests;
}

# ---- what must hold of an act ----

# A refused request of a client that is never refused: what httpd would have
# said. Where that is free the refusal broke the contract.
# Whether a range lies behind the end of what DEFLATE makes of a file (416) is
# not known before it is made.
my $asked = 0;
sub wrongly_refused {
    my ($request) = @_;
    return if !$Draw::PREDICTABLE{$request->{kind}}
        || $request->{kind} eq 'deflate'
        && grep { $_->[0] eq 'range' } @{$request->{headers}};
    my ($pair) = apart('127.9.' . int(++$asked / 250) . '.'
        . ($asked % 250 + 1), 0, $request);
    return Draw::column(@$pair) eq 'free';
}

sub act {
    my ($name, $from, $before, @pairs) = @_;
    my %sum = (used => 0, free => 0, refused => 0);
    my ($hits, $largest, $unknown, $finished, @wrong) = (0, 0, 0, 0);
    for (@pairs) {
        my ($request, $answer) = @$_;
        my $column = Draw::column($request, $answer);
        $seen{$column}++;
        $seen{$answer->{status}}++;
        $sum{$column} += $answer->{bytes};
        push @wrong, "$answer->{status} of " . show($request)
            if $answer->{status} >= 500 && $answer->{status} != 501;
        push @wrong, 'refused: ' . show($request)
            if $column eq 'refused' && wrongly_refused($request);
        next if $column eq 'refused';
        $hits++;
        next if $column eq 'free';
        $largest = $answer->{bytes} if $answer->{bytes} > $largest;
        $unknown += $answer->{bytes} if $Draw::UNKNOWN{$request->{kind}};
        $finished += $answer->{bytes} if $request->{kind} eq 'copies';
        push @wrong, "over quota and served: $answer->{status} of "
            . show($request) if $before->{state} eq 'over'
            && $answer->{body} > 0 && $request->{kind} ne 'copies';
    }
    my $row = $server->row($from, used => $before->{used} + $sum{used},
        free => $before->{free} + $sum{free}, in_flight => 0,
        hits => $before->{hits} + $hits) // $before;
    my %got = map { ($_ => $row->{$_} - $before->{$_}) } qw(used free hits);
    is("$got{used} $got{free} $got{hits} $row->{in_flight}",
        "$sum{used} $sum{free} $hits 0", "$name: used, free, hits")
        or diag(map { my ($q, $a) = @$_; "$a->{status} $a->{bytes} "
            . Draw::column($q, $a) . ' ' . show($q) . "\n" } @pairs);
    is_deeply(\@wrong, [], "$name: nothing is refused or served wrongly");
    my $bound = ($before->{used} > ALLOWANCE ? $before->{used} : ALLOWANCE)
        + $largest + $unknown + @pairs * HEAD;
    $bound += 2 * ALLOWANCE if $finished && $before->{state} eq 'over';
    cmp_ok($row->{used}, '<=', $bound, "$name: not past its allowance");
}

# Downloads N bytes of the large file beforehand
sub approach {
    my ($from, $bytes) = @_;
    my $none = { used => 0, free => 0, hits => 0, in_flight => 0,
        state => 'ok' };
    return $none if !$bytes;
    my $answer = $server->get('/large', '--interface', $from, '-r',
        '0-' . ($bytes - 1));
    return $server->row($from, used => $answer->{bytes}, in_flight => 0);
}

my @ways = (['one by one', \&one_by_one, 0, 12], ['20 at once', \&apart, 0, 20],
    ['pipelined', \&pipelined, 0, 20], ['TLS', \&apart, 1, 4],
    $http2 ? ['h2', \&streams, 0, 20] : ());
my @standing = (['far', 0], ['close', ALLOWANCE - 21_000],
    ['closer', ALLOWANCE - 1500], ['over', ALLOWANCE + 1]);
my ($n, $act) = (0, 0);
while ($n < $requests) {
    my ($way, $code, $tls, $count) = @{$ways[$act % @ways]};
    my ($where, $bytes) = @{$standing[int($act / @ways) % @standing]};
    my $from = '127.' . (20 + int(++$act / 62_500)) . '.' . int($act / 250)
        . '.' . ($act % 250 + 1);
    my $before = approach($from, $bytes);
    my @requests = map { drawn() } 1 .. $count;
    act("act $act of seed $seed, $way, $where", $from, $before,
        $code->($from, $tls, @requests));
    $n += $count;
}

# ---- clients that go away: within one piece ----
for my $i (1 .. 10) {
    my $from = "127.10.0.$i";
    my $connection = $server->connect(from => $from, buffer => 8192)
        ->send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $got = $connection->take(10_000 + $draw->below(1_000_000));
    $connection->close;
    my ($line) = $server->access(qr/^\Q$from\E /);
    my ($out) = ($line // '') =~ /^\S+ \d+ (\d+) /;
    my $row = $server->row($from, hits => 1, in_flight => 0);
    cmp_ok($row->{used}, '>=', $got - PIECE, "abort $i: enough");
    cmp_ok($row->{used}, '<=', $out // 0, "abort $i: not more than left");
}

# over h2 a piece is 64 KiB; beside what the client has, as much as its window
# of 64 KiB and the stream's buffer hold may have left
for my $i ($http2 ? 1 .. 10 : ()) {
    my $from = "127.10.1.$i";
    my $connection = $server->connect(from => $from);
    my $client = Http2->new($connection);
    my $stream = $client->request('/large');
    my $wanted = 10_000 + $draw->below(1_000_000);
    $client->until(sub { $stream->{bytes} >= $wanted });
    $client->reset($stream) if $i % 2;
    $client->ping if $i % 2;
    $connection->close;
    my $row = $server->row($from, hits => 1, in_flight => 0);
    cmp_ok($row->{used}, '>=', $stream->{bytes} - 65_536,
        "h2, abort $i: enough");
    cmp_ok($row->{used}, '<=', $stream->{bytes} + 3 * 65_536 + HEAD,
        "h2, abort $i: not more than left");
}

is($server->json->{totals}{in_flight}, 0, 'nothing in flight at the end');
cmp_ok($seen{$_} // 0, '>', 0, "drawn: $_") for qw(used free refused 200 206
    304 405 412 416);
# of denied requests, by the number of times that each was made
my $denied = qr/AH01630/;
$server->allow_log($denied, scalar(() = $server->log_lines($denied)));
finish();
