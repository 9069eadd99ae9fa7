# HTTP/2: the body to the byte, and of the header fields what httpd shows.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

plan skip_all => 'httpd itself does no HTTP/2 under prefork (AH10034)'
    if mpm() eq 'prefork';

my $server = Httpd->run(tls => 1, modules => ['http2'], conf => <<'EOT');
ClamQuotaDaily 100M
Protocols h2 h2c http/1.1
H2Direct on
<Location /tiny>
    ClamQuotaDaily 1
    ClamQuotaPool tiny
</Location>
EOT
mkdir "$server->{dir}/htdocs/tiny";
write_file("$server->{dir}/htdocs/$_->[0]", 'h' x $_->[1])
    for ['10k', 10_000], ['5m', 5_000_000], ['tiny/f', 4000];

# Header fields are counted as far as httpd shows them: between the body alone
# and the body with the header block as curl prints it.
sub between {
    my ($name, $from, $answer, $body, $responses) = @_;
    my $row;
    poll(5, sub {
        $row = $server->row($from);
        return $row && $row->{hits} == $responses && !$row->{in_flight}
            && $row->{used} >= $body;
    });
    cmp_ok($row->{used}, '>=', $body, "$name: the whole body");
    cmp_ok($row->{used}, '<=', $answer->{bytes}, "$name: and at most headers");
    is($row->{hits}, $responses, "$name: hits");
    is($row->{in_flight}, 0, "$name: nothing in flight");
}

my $tiny = "/tiny/f";

# Once over, refused, whatever the framing.
sub refused_then {
    my ($name, $from, $url, @arguments) = @_;
    push @arguments, '--interface', $from;
    my $answer = $server->get($url, @arguments);
    is($answer->{status}, 200, "$name: first is admitted");
    my $row = $server->row($from, pool => 'tiny', hits => 1, in_flight => 0);
    cmp_ok($row->{used}, '>=', 4000, "$name: and booked");
    $answer = $server->get($url, @arguments);
    is($answer->{status}, 429, "$name: then refused");
    like($answer->{headers}{'retry-after'}, qr/^[1-9]\d*$/,
        "$name: Retry-After");
    is($server->row($from, pool => 'tiny', refused => 1)->{used}, $row->{used},
        "$name: which is not used");
}

# ---- h2c; curl 7.88 can't use such a connection again, h2load can ----
my @h2c = '--http2-prior-knowledge';
my $answer = $server->get('/5m', @h2c, '--interface', '127.0.0.2');
like($answer->{head}, qr/^HTTP\/2 200/, 'h2c: it is HTTP/2');
between('h2c, 5 MB', '127.0.0.2', $answer, 5_000_000, 1);

my ($h2load) = grep { -x } map { "$_/h2load" } split /:/, $ENV{PATH};
SKIP: {
    skip 'h2load is not here (./build.sh deps)', 5 if !$h2load;
    open my $fh, '-|', $h2load, qw(-n 20 -c 1 -m 20), $server->url('/10k')
        or die "h2load: $!";
    my $said = join '', <$fh>;
    close $fh;
    like($said, qr/status codes: 20 2xx/, 'h2c: 20 streams');
    my ($bytes) = $said =~ /^traffic: .*?\((\d+)\) total/m;
    # header fields travel compressed: as text they are not more than this
    between('h2c, 20 streams', '127.0.0.1', { bytes => $bytes + 20 * 400 },
        200_000, 20);
}
$answer = $server->get('/10k', @h2c, '-I', '--interface', '127.0.0.3');
is($answer->{status}, 200, 'h2c: HEAD');
is($server->row('127.0.0.3', hits => 1)->{used}, 0, 'h2c: HEAD is free');
refused_then('h2c', '127.0.0.4', $server->url($tiny), @h2c);

# ---- TLS ----
$answer = $server->get($server->tls_url('/5m'), '--http2', '--interface',
    '127.0.1.2');
like($answer->{head}, qr/^HTTP\/2 200/, 'h2: it is HTTP/2');
between('h2, 5 MB', '127.0.1.2', $answer, 5_000_000, 1);

$answer = $server->get($server->tls_url('/10k?[1-20]'), '--http2', '-Z',
    '--no-progress-meter', '--parallel-max', 20, '--interface', '127.0.1.3');
is(scalar(grep { $_ == 200 } @{$answer->{codes}}), 20, 'h2: 20 streams');
cmp_ok($answer->{connects}, '<', 20, 'h2: that share connections');
between('h2, 20 streams', '127.0.1.3', $answer, 200_000, 20);

$answer = $server->get($server->tls_url('/10k'), '--http2', '-I',
    '--interface', '127.0.1.4');
is($answer->{status}, 200, 'h2: HEAD');
is($server->row('127.0.1.4', hits => 1)->{used}, 0, 'h2: HEAD is free');
refused_then('h2', '127.0.1.5', $server->tls_url($tiny), '--http2');
$answer = $server->get($server->tls_url("$tiny?[1-3]"), '--http2',
    '--interface', '127.0.1.5');
is_deeply($answer->{codes}, [429, 429, 429], 'h2: and again');
is($answer->{connects}, 1, 'h2: on a connection that stays');

# ---- a client that goes away: what was framed for it, not the file ----
write_file("$server->{dir}/htdocs/big", 'b' x 64_000_000);
open my $fh, '-|', qw(curl -q -s -k --noproxy * --http2 --interface 127.0.1.6),
    $server->tls_url('/big') or die "curl: $!";
my $got = read $fh, my $part, 2_000_000;
close $fh;      # its next write fails
is($got, 2_000_000, 'h2: a client gives up');
my $row = $server->row('127.0.1.6', in_flight => 0, hits => 1);
cmp_ok($row->{used}, '>=', $got, 'h2: what it received is counted');
cmp_ok($row->{used}, '<', 64_000_000, 'h2: the file is not');
is($row->{in_flight}, 0, 'h2: the reservation went back');

finish();
