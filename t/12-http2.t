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

my $plain = $server->url('/5m');
my $tls = $server->tls_url('/5m');
my $n = 1;
for (['h2c', $plain, '--http2-prior-knowledge'], ['h2', $tls, '--http2']) {
    my ($name, $url, $option) = @$_;
    my @from = map { '127.0.0.' . ++$n } 1 .. 4;
    my $answer = $server->get($url, $option, '--interface', $from[0]);
    like($answer->{head}, qr/^HTTP\/2 200/, "$name: it is HTTP/2");
    between("$name, 5 MB", $from[0], $answer, 5_000_000, 1);

    (my $ten = $url) =~ s/5m$/10k/;
    $answer = $server->get("$ten?[1-20]", $option, '-Z', '--parallel-max', 20,
        '--interface', $from[1]);
    is(scalar(grep { $_ == 200 } @{$answer->{codes}}), 20, "$name: 20 streams");
    cmp_ok($answer->{connects}, '<', 20, "$name: that share a connection");
    between("$name, 20 streams", $from[1], $answer, 200_000, 20);

    $answer = $server->get($ten, $option, '-I', '--interface', $from[2]);
    my $row = $server->row($from[2], hits => 1);
    is($row->{used}, 0, "$name: HEAD is free");

    (my $tiny = $url) =~ s{5m$}{tiny/f};
    $answer = $server->get($tiny, $option, '--interface', $from[3]);
    is($answer->{status}, 200, "$name: first is admitted");
    poll(5, sub { my $row = $server->row($from[3], pool => 'tiny');
        $row && $row->{used} >= 4000 && !$row->{in_flight} });
    $answer = $server->get("$tiny?[1-3]", $option, '--interface', $from[3]);
    is_deeply($answer->{codes}, [429, 429, 429], "$name: then refused");
    is($answer->{connects}, 1, "$name: on a connection that stays");
    like($answer->{headers}{'retry-after'}, qr/^[1-9]\d*$/,
        "$name: Retry-After");
}

finish();
