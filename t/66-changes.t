# Changes from the operator's page: a page of its own asks first, the POST acts
# and leads back to where the operator was; exempted, reset, released. And one
# line in the log for each change of a client's state.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $server = Httpd->run(conf => <<'EOT');
LogLevel clamquota:notice
ClamQuotaPeriod Day
ClamQuotaDaily 10000
<Location /read-only>
    SetHandler clamquota-status
</Location>
EOT
write_file("$server->{dir}/htdocs/file", 'f' x 12_000);
my $origin = "Origin: http://127.0.0.1:$server->{port}";

sub ask { return $server->get('/file', '--interface', $_[0])->{status} }
sub post {
    my ($form, $query) = @_;
    return $server->get('/clamquota' . ($query // ''), '--data', $form, '-H',
        $origin);
}
sub used { return $server->row($_[0])->{used} }
sub location { return $_[0]->{headers}{location} }

# ---- asked on a page of its own ----
is(ask('127.0.3.1'), 200, 'served');
is(ask('127.0.3.1'), 429, 'over quota');
my $page = $server->get('/clamquota?sort=hits');
my ($link) = $page->{body} =~ m{href="([^"]*action=reset[^"]*on=127\.0\.3\.1)"};
ok($link, 'the row has a link to reset it') or BAIL_OUT($page->{body});
$link =~ s/&amp;/&/g;
$page = $server->get($link);
is($page->{status}, 200, 'which asks');
like($page->{body}, qr/<h1>Reset 127\.0\.3\.1\?/, 'of which clients');
cmp_ok(used('127.0.3.1'), '>', 0, 'and changes nothing');
my ($action) = $page->{body} =~ /<form method="post" action="([^"]*)"/;
my %field = $page->{body} =~ /name="(\w+)" value="([^"]*)"/g;
is_deeply(\%field, { action => 'reset', client => '127.0.3.1' }, 'its fields');
$action =~ s/&amp;/&/g;
my $answer = $server->get($action, '-H', $origin,
    map { ('--data', "$_=$field{$_}") } sort keys %field);
is($answer->{status}, 303, 'the form acts');
is(location($answer), '/clamquota?sort=hits&done=reset&on=127.0.3.1',
    'and leads back to the same query');
like($server->get(location($answer))->{body},
    qr/The used bytes of 127\.0\.3\.1 are set to zero/, 'which says what was done');
is(used('127.0.3.1'), 0, 'done');

# ---- networks ----
ask("127.0.4.$_") for 1 .. 3;
$answer = post('action=reset&client=127.0.4.0/24', '?state=over&limit=5&client=127.0.0.0/8');
is(location($answer), '/clamquota?state=over&limit=5&client=127.0.0.0/8'
    . '&done=reset&on=127.0.4.0/24', 'a network; the query stays');
is(join(' ', map { used("127.0.4.$_") } 1 .. 3), '0 0 0', 'all of it');
is(post('action=reset&client=127.0.9.0/24')->{status}, 404, 'one without rows');
$page = $server->get('/clamquota?client=127.0.0.0/8&action=reset&on=127.0.4.1');
like($page->{body}, qr/<h1>Reset 127\.0\.4\.1\?/, 'on= of a page of a network');
like($page->{body}, qr/action="[^"]*\?client=127\.0\.0\.0\/8"/, 'and back to it');

# ---- exempt ----
ask('127.0.5.1') for 1 .. 2;
$page = $server->get('/clamquota?action=exempt&client=127.0.5.0/24&for=2h');
like($page->{body}, qr/name="for"[^>]*value="2h"/, 'asks for how long');
is(location(post('action=exempt&client=127.0.5.0/24&for=2h')),
    '/clamquota?done=exempt&on=127.0.5.0/24', 'exempt');
is(ask('127.0.5.1'), 200, 'served');
my $until = $server->json->{exemptions};
is(scalar @$until, 1, 'one exemption');
is($until->[0]{net}, '127.0.5.0/24', 'of this network');
ok(abs($until->[0]{until} - $server->now - 7200) < 60, 'for two hours');
is(post('action=unexempt&client=127.0.5.0/24')->{status}, 303, 'ended');
is(ask('127.0.5.1'), 429, 'refused at once');
is(post('action=unexempt&client=127.0.5.0/24')->{status}, 404, 'once');
is_deeply($server->json->{exemptions}, [], 'none is left');

# ---- what is no change ----
for (['', 'action'], ['action=', 'action'], ['action=drop&client=1.2.3.4', 'action'],
    ['action=reset', 'client'], ['action=reset&client=mirror', 'client'],
    ['action=reset&client=10.0.0.1/8', 'client'],
    ['action=exempt&client=192.0.2.7&for=0', 'for'],
    ['action=exempt&client=192.0.2.7&for=53w', 'for'],
    ['action=exempt&client=192.0.2.7&for=1y', 'for']) {
    my ($form, $what) = @$_;
    $answer = post($form);
    is($answer->{status}, 400, "400: $form");
    like($answer->{body}, qr/^$what: .*(expected|style)/, "$form: why");
}
$page = $server->get('/clamquota?action=exempt&client=192.0.2.7&for=%22%3E%3Cb%3E');
is($page->{status}, 400, 'nor asked for');
$page = $server->get('/clamquota?%22%3E%3Cb%3E&action=exempt&client=192.0.2.7');
unlike($page->{body}, qr/<b>/, 'a hostile query stays text');
unlike($server->get('/clamquota?done=reset&on=%3Cb%3E')->{body}, qr/class="done"/,
    'what was done is one of three, of an address');
is($server->get('/clamquota?action=reset&client=127.0.3.1', '-X', 'HEAD', '-I')
    ->{status}, 200, 'HEAD');

# ---- where it may not ----
for ('?action=reset&client=127.0.5.1', '?action=exempt&client=127.0.5.1') {
    $page = $server->get("/read-only$_");
    is($page->{status}, 403, "403: $_");
    like($page->{body}, qr/ClamQuotaChanges On/, 'says how to allow it');
}
$page = $server->get('/read-only?done=reset&on=127.0.3.1');
unlike($page->{body}, qr/action=|class="done"/, 'no button there');

# ---- in the log: the parent looks every ten seconds ----
like($server->wait_log(qr/CQ0216/), qr/127\.0\.5\.0\/24 is no longer exempt/,
    'the last change');
my %count;
my $log = $server->log_since(0);
$count{$1}++ while $log =~ /(CQ021\d)/g;
is_deeply(\%count, { CQ0210 => 6, CQ0211 => 1, CQ0215 => 1, CQ0216 => 1,
    CQ0217 => 2 }, 'each change is one line');
like(($server->log_lines(qr/CQ0210.*127\.0\.3\.1/))[0],
    qr/127\.0\.3\.1 is over quota: used \d{5} of 10000 bytes in pool default \(ClamQuotaDaily\)/,
    'with rule, used and allowance');
like(($server->log_lines(qr/CQ0215/))[0],
    qr/127\.0\.5\.0\/24 is exempt until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/, 'until when');
like(($server->log_lines(qr/CQ0217.*127\.0\.4/))[0],
    qr/127\.0\.4\.0\/24 is reset: it had used \d{5} bytes/, 'what a network had used');
is(scalar(my @refusals = $server->log_lines(qr/CQ0201/)), 0,
    'without the refusals, which are info');
my $mark = $server->mark;
ask('127.0.6.1');
$server->stop;
$server->start;
like($server->wait_log(qr/CQ0210.*127\.0\.6\.1/, $mark), qr/over quota/,
    'what happened before a restart is logged after it');
finish();
