# An exempt client: never refused, whatever refuses others; its state; counted
# all the same. Over restarts, to the second.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use POSIX qw(strftime);
use Test::More;

my $server = Httpd->run(modules => ['headers'], ipv6 => 1,
    faketime => '2026-03-10 12:00:00',
    conf => <<'EOT');
ClamQuotaTimezone UTC
ClamQuotaDaily 1000
ClamQuotaDropAfter 3
ClamQuotaVariables On
Header always set X-State "expr=%{CLAMQUOTA_STATE}"
Header always set X-Used "expr=%{CLAMQUOTA_USED}"
<Location /copies>
    ClamQuotaPool copies
    ClamQuotaDaily 1M
    ClamQuotaCopies 1
</Location>
<Location /free>
    ClamQuotaFree On
</Location>
<Location /me>
    SetHandler clamquota-me
</Location>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(copies free);
write_file("$htdocs/$_", 'f' x 20_000) for qw(file copies/file free/file);
my $origin = "Origin: http://127.0.0.1:$server->{port}";

sub ask { return $server->get($_[1] // '/file', '--interface', $_[0]) }
sub status { return ask(@_)->{status} }
sub state_of { return ask(@_)->{headers}{'x-state'} }
sub change {
    my $answer = $server->get('/clamquota', '--data', $_[0], '-H', $origin);
    is($answer->{status}, 303, $_[0]);
}
sub of {
    my ($client, $pool) = @_;
    my ($row) = grep { $_->{client} eq $client && $_->{pool} eq ($pool // 'default') }
        @{$server->json->{clients}};
    return $row;
}

# ---- refused, exempt, refused ----
is(status('127.0.2.1'), 200, 'served');
is(status('127.0.2.1'), 429, 'refused');
change('action=exempt&client=127.0.2.0/24&for=1h');
my $before = of('127.0.2.1')->{used};
for my $n (1 .. 3) {
    my $answer = ask('127.0.2.1');
    is($answer->{status}, 200, "exempt: served $n");
    is($answer->{headers}{'x-state'}, 'exempt', 'with this state');
}
my $row = of('127.0.2.1');
cmp_ok($row->{used}, '>', $before + 60_000, 'and counted as used');
is($row->{state}, 'exempt', 'on the page');
is($row->{exempt_until}, $server->json->{exemptions}[0]{until}, 'until when');
is($row->{spared}, 'exempt', 'not jailable');
is($row->{allowance}, 10_000, 'the rule stays what it is');
is($row->{in_flight}, 0, 'nothing stays reserved');
is(state_of('127.0.2.9', '/free/file'), 'free', 'a free scope stays free');
is(status('127.0.3.1') . status('127.0.3.1'), '200429', 'others are refused');
like(ask('127.0.2.1', '/me')->{body}, qr/No quota refuses you until/,
    'it sees it');

# ---- copies; a connection that was there before ----
is(status('127.0.2.2', '/copies/file'), 200, 'a file');
is(status('127.0.2.2', '/copies/file'), 200, 'and the same once more');
is(status('127.0.3.2', '/copies/file') . status('127.0.3.2', '/copies/file'),
    '200429', 'others only once');
my $request = "GET /file HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $kept = $server->connect(from => '127.0.4.1');
is($kept->send($request)->response->{status}, 200, 'keep-alive: served');
is($kept->send($request)->response->{status}, 429, 'keep-alive: refused');
change('action=exempt&client=127.0.4.1');
is($kept->send($request)->response->{status}, 200, 'keep-alive: exempt at once');
change('action=unexempt&client=127.0.4.1');
is($kept->send($request)->response->{status}, 429, 'keep-alive: refused at once');
$kept->close;

# ---- never dropped ----
$server->set_time('2026-03-10 12:10:00');
status('127.0.5.1') for 1 .. 6;
$server->set_time('2026-03-10 12:12:00');
isnt(status('127.0.5.1'), 200, 'an offender');
is(of('127.0.5.1')->{state}, 'over', 'which is over quota');
change('action=exempt&client=127.0.0.0/8&for=10m');
is(status('127.0.5.1'), 200, 'is let in, by a pause for all');
change('action=unexempt&client=127.0.0.0/8');
isnt(status('127.0.5.1'), 200, 'no longer');

# ---- an address inside of a client ----
SKIP: {
    skip 'no IPv6 here', 3 if !$server->{ipv6};
    my $ask6 = sub { $server->get("http://[::1]:$server->{port}/file")->{status} };
    is($ask6->(), 200, '::/64: served');
    change('action=exempt&client=::9');
    is($ask6->(), 200, '::9 is one address of the client: it is exempt');
}

# ---- restarts, and the end ----
$server->stop;
$server->start;
is(status('127.0.2.1'), 200, 'after a restart');
ok($server->graceful, 'graceful');
is(status('127.0.2.1'), 200, 'and a graceful one');
my ($until) = map { $_->{until} } grep { $_->{net} eq '127.0.2.0/24' }
    @{$server->json->{exemptions}};
# an hour after 12:00:00 and the seconds that it took up to there
cmp_ok(abs($until - 1_773_147_600), '<', 300, 'for an hour');
sub at { return strftime('%Y-%m-%d %H:%M:%S', gmtime $_[0]) }
$server->set_time(at($until - 10));
is(status('127.0.2.1'), 200, 'ten seconds before');
$server->set_time(at($until));
is(status('127.0.2.1'), 429, 'refused after it, with all that it had used');
like($server->wait_log(qr/CQ0216.*127\.0\.2\.0/), qr/no longer exempt/,
    'which is logged');
finish();
