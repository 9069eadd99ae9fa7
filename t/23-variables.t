# The variables in log lines and expressions.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $variables = join ' ', map { "%{CLAMQUOTA_$_}e" }
    qw(STATE CLIENT POOL USED ALLOWANCE SENT RETRY);
(my $notes = $variables) =~ s/\}e/}n/g;
my $server = Httpd->run(modules => ['headers'], conf => <<"EOT");
ClamQuotaPeriod Day
ClamQuotaDaily 8000
ClamQuotaClient 127.0.3.0/24 Unlimited
LogFormat "%a e $variables O=%O" e
LogFormat "%a n $notes O=%O" n
CustomLog logs/access.log e
CustomLog logs/access.log n
ClamQuotaVariables On
Header always set X-State "expr=%{CLAMQUOTA_STATE}"
Header always set X-Client "expr=%{CLAMQUOTA_CLIENT}"
Header always set X-Numbers "expr=%{CLAMQUOTA_USED} %{CLAMQUOTA_ALLOWANCE}"
<Location /without>
    ClamQuotaVariables Off
</Location>
<If "%{CLAMQUOTA_CLIENT} == '127.0.4.1'">
    Header always set X-If "matched"
</If>
<Location /logonly>
    ClamQuotaEngine LogOnly
    ClamQuotaPool logonly
    ClamQuotaDaily 1000
</Location>
<Location /off>
    ClamQuotaEngine Off
</Location>
<FilesMatch "\\.cdiff\$">
    ClamQuotaFree On
</FilesMatch>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(without logonly off);
write_file("$htdocs/$_", 'f' x 5000)
    for qw(file without/file logonly/file off/file x.cdiff);

# {STATE, CLIENT ...} as the last request of that client was logged
sub logged {
    my ($from, $kind, $count) = @_;
    my $line = ($server->access(qr/^\Q$from\E $kind /, $count // 1))[-1] // '';
    my %value;
    @value{qw(a k STATE CLIENT POOL USED ALLOWANCE SENT RETRY O)} =
        split ' ', $line;
    $value{O} =~ s/^O=//;
    return \%value;
}

my $answer = $server->get('/file', '--interface', '127.0.2.1');
my $bytes = $answer->{bytes};
for my $kind ('e', 'n') {
    my $logged = logged('127.0.2.1', $kind);
    is($logged->{SENT}, $bytes, "$kind: SENT is final when it is logged");
    is($logged->{O}, $bytes, "$kind: as mod_logio has it");
    is($logged->{STATE}, 'ok', "$kind: STATE ok");
    is($logged->{CLIENT}, '127.0.2.1', "$kind: CLIENT");
    is($logged->{POOL}, 'default', "$kind: POOL");
    is($logged->{ALLOWANCE}, 8000, "$kind: ALLOWANCE");
}
is($answer->{headers}{'x-state'}, 'ok', 'expression: STATE');
is($answer->{headers}{'x-client'}, '127.0.2.1', 'expression: CLIENT');
like($answer->{headers}{'x-numbers'}, qr/^\d+ 8000$/, 'expression: numbers');

$server->row('127.0.2.1', used => $bytes);
$server->get('/file', '--interface', '127.0.2.1');
$server->row('127.0.2.1', used => 2 * $bytes);
$answer = $server->get('/file', '--interface', '127.0.2.1');
is($answer->{status}, 429, 'over');
my $logged = logged('127.0.2.1', 'e', 3);
is($logged->{STATE}, 'over', 'STATE over');
is($logged->{RETRY}, $answer->{headers}{'retry-after'}, 'RETRY is Retry-After');
is($logged->{SENT}, $answer->{bytes}, 'SENT of a refusal');
is($answer->{headers}{'x-state'}, 'over', 'expression on a refusal');

for (['/x.cdiff', '127.0.2.2', 'free'], ['/file', '127.0.3.1', 'exempt']) {
    my ($path, $from, $state) = @$_;
    $answer = $server->get($path, '--interface', $from);
    is(logged($from, 'e')->{STATE}, $state, "STATE $state");
    is(logged($from, 'e')->{SENT}, $answer->{bytes}, "SENT, $state");
    is($answer->{headers}{'x-state'}, $state, "expression: $state");
}
$answer = $server->get('/logonly/file', '--interface', '127.0.2.3');
$server->row('127.0.2.3', pool => 'logonly', used => $answer->{bytes});
$answer = $server->get('/logonly/file', '--interface', '127.0.2.3');
is($answer->{status}, 200, 'LogOnly');
is(logged('127.0.2.3', 'e', 2)->{STATE}, 'logonly', 'STATE logonly');

# A response that cannot be refused is free, also where its status is known only
# in the end, and for a client over quota, and in LogOnly.
for (['/nope', '127.0.2.6', 1], ['/nope', '127.0.2.1', 4],
    ['/logonly/nope', '127.0.2.3', 3]) {
    my ($path, $from, $count) = @$_;
    $answer = $server->get($path, '--interface', $from);
    is($answer->{status}, 404, "$from: 404");
    is($answer->{headers}{'x-state'}, 'free', "expression: $from");
    is(logged($from, $_, $count)->{STATE}, 'free', "$_: STATE, $from")
        for 'e', 'n';
}

# off: no environment, but expressions still
$answer = $server->get('/without/file', '--interface', '127.0.2.4');
is(logged('127.0.2.4', 'e')->{STATE}, '-', 'Variables Off: none in the log');
is(logged('127.0.2.4', 'n')->{SENT}, '-', 'nor as notes');
is($answer->{headers}{'x-state'}, 'ok', 'but in expressions');
$answer = $server->get('/off/file', '--interface', '127.0.2.5');
is($answer->{status}, 200, 'Engine Off');
is(logged('127.0.2.5', 'e')->{STATE}, '-', 'Engine Off: none');
is($answer->{headers}{'x-if'}, undef, '<If> of another client');
is($server->get('/file', '--interface', '127.0.4.1')->{headers}{'x-if'},
    'matched', '<If>');

# 50 requests on one connection: each logs its own
my $connection = $server->connect(from => '127.0.3.9');
for (1 .. 50) {
    $connection->send("GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
    $connection->response;
}
my @sent = map { /(\d+) \S+ O=(\d+)$/ ? [$1, $2] : [0, 1] }
    $server->access(qr/^127\.0\.3\.9 e /, 50);
my $sum = 0;
$sum += $_->[0] for @sent;
is(scalar @sent, 50, '50 lines');
is($sum, $connection->{bytes}, 'their SENT adds up to what was received');
is(scalar(grep { $_->[0] != $_->[1] } @sent), 0, 'and is mod_logio\'s %O');

finish();
