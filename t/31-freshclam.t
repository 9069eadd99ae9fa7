# The real freshclam against a mirror that refuses it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my ($freshclam) = grep { -x } map { "$_/freshclam" } split /:/, $ENV{PATH};
plan skip_all => 'freshclam is not here (./build.sh deps)' if !$freshclam;

my $server = Httpd->run(conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaDaily 20000
ClamQuotaRetryJitter 0
ClamQuotaRetryMax 2h
<FilesMatch "\.(cdiff|sign)$">
    ClamQuotaFree On
</FilesMatch>
EOT
my $dir = $server->{dir};
# A header by hand is enough to come past freshclam's probe.
for my $name (qw(daily main bytecode)) {
    my $header = join ':', 'ClamAV-VDB', '20 Nov 2026 10-00 +0000', 62, 100,
        90, 'X' x 32, 'Y' x 80, 'builder', 1_795_168_800;
    write_file("$dir/htdocs/$name.cvd", sprintf('%-512s', $header)
        . 'z' x 40_000);
}
mkdir "$dir/db";
write_file("$dir/freshclam.conf", <<"EOT");
DatabaseDirectory $dir/db
DatabaseOwner @{[scalar getpwuid $<]}
DatabaseMirror http://127.0.0.1:$server->{port}
MaxAttempts 3
Foreground yes
EOT

# Runs it; (exit status, what it said, its requests as "status path").
# The page and the filler are the test's own.
my ($seen, $read) = (0, 0);
my $request = qr{^127\.0\.0\.1 (\d+) \d+ "GET (?!/clamquota|/filler)(\S+)};
sub freshclam {
    my $output = "$dir/logs/freshclam";
    waitpid $server->spawn($output, $freshclam, '--no-dns', '--stdout',
        "--config-file=$dir/freshclam.conf"), 0;
    my $exit = $? >> 8;
    $server->get('/fence-' . ++$seen, '--interface', '127.0.0.9');
    $server->access(qr/fence-$seen /, 1);
    my @lines = $server->access(qr/./, 1);
    my ($end) = grep { $lines[$_] =~ /fence-$seen / } 0 .. $#lines;
    my @new = @lines[$read .. $end - 1];
    $read = $end + 1;
    return ($exit, read_file($output), map { $_ =~ $request ? "$1 $2" : () }
        @new);
}

my $filler = 'f' x 21_000;
write_file("$dir/htdocs/filler", $filler);
my $answer = $server->get('/filler');
is($server->row('127.0.0.1', used => $answer->{bytes})->{state}, 'over',
    'the client is over');

my ($exit, $said, @requests) = freshclam();
is($exit, 0, 'freshclam: exit 0') or diag $said;
# sorted: children log in any order
is_deeply([sort grep { !m{^404 } } @requests], [sort map { ("206 /$_.cvd",
    "429 /$_.cvd") } qw(daily main bytecode)],
    'each probe is served, each file refused once');
like($said, qr/cool-down/, 'it cools down');
like($said, qr/429/, 'by our 429');
my $row = $server->row('127.0.0.1', refused => 3);
is($row->{refused}, 3, 'three refusals');
is($row->{used}, $answer->{bytes}, 'and nothing used');
cmp_ok($row->{free}, '>=', 3 * 512, 'the probes are free');

($exit, $said, @requests) = freshclam();
is($exit, 0, 'again: exit 0');
is_deeply(\@requests, [], 'again: not one request');
like($said, qr/cool-down/, 'because of the cool-down');

finish();
