# The operator's page to other programs: valid HTML, JSON by its contract,
# OpenMetrics that Prometheus and its alert rules take; files whose copies are
# used up, pages, networks, history; and names that try to break out.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use JSON::PP ();
use Peer ();
use Test::More;

my $server = Httpd->run(conf => <<'EOT');
ClamQuotaPeriod Month
ClamQuotaTimezone UTC
ClamQuotaDaily 1M
ClamQuotaCopies 2
ClamQuotaFiles 1000
ClamQuotaClient 127.0.3.0/24 Unlimited
<Location /me>
    SetHandler clamquota-me
</Location>
EOT
my $htdocs = "$server->{dir}/htdocs";
my $hostile = qq{<script>alert(1)</script>"'&\x01.cvd};
mkdir "$htdocs/<script>alert(1)<";
write_file("$htdocs/$_", 'f' x 5000) for 'main.cvd', $hostile;
sub encoded { return $_[0] =~ s{([^/])}{sprintf '%%%02x', ord $1}ger }
sub page { return JSON::PP::decode_json(
    $server->get("/clamquota?json&$_[0]")->{body}) }

# a file taken twice is used up, another one is not
$server->get('/main.cvd?[1-3]', '--interface', '127.0.2.1');
$server->get('/' . encoded($hostile) . '?[1-2]', '--interface', '127.0.2.2',
    '-A', '"><script>alert(3)');
is($server->get('/clamquota', '-H', 'Host: <script>alert(2)</script>',
    '--interface', '127.0.3.1')->{status}, 400, 'a hostile Host is httpd\'s');
$server->get('/main.cvd', '--interface', "127.0.4.$_") for 1 .. 5;
$server->get('/main.cvd', '--interface', '127.0.3.1');
$server->row('127.0.2.1', hits => 2, in_flight => 0);
$server->row('127.0.3.1', hits => 1, in_flight => 0);
$server->row('127.0.2.2', hits => 2, in_flight => 0);
$server->row("127.0.4.$_", hits => 1, in_flight => 0) for 1 .. 5;

# ---- copies ----
my $row = $server->row('127.0.2.1', refused => 1);
my $mtime = (stat "$htdocs/main.cvd")[9];
is_deeply($row->{copies}, [{ path => '/main.cvd', size => 5000,
    mtime => $mtime, used => 10000, allowance => 10000 }],
    'copies: which file, how much');
is_deeply($server->row('127.0.4.1')->{copies}, [], 'copies: one of two');
is($row->{state}, 'ok', 'copies: the client itself is not over quota');
is($row->{$_}, 0, "$_: none") for qw(would_refuse exempt_until refused_today);
my $me = JSON::PP::decode_json($server->get('/me?json', '--interface',
    '127.0.2.1')->{body});
is_deeply($me->{pools}[0]{copies}, $row->{copies}, 'me: the same');
like($server->get('/me', '--interface', '127.0.2.1')->{body},
    qr{files are refused until.*>/main\.cvd<}s, 'me: in words');
unlike($server->get('/me', '--interface', '127.0.4.1')->{body},
    qr/files are refused/, 'me: not for others');
my $part = $server->get('/clamquota?client=127.0.2.1')->{body};
like($part, qr{>/main\.cvd</th>}, 'its own page names the file');
like($part, qr{<dd>day \d+ &times; .*?1\.0 MiB.*? = <b>}, 'and gives the sum');

# ---- pages, states, networks, history ----
my $all = page('');
is($all->{clients_matched}, 8, 'eight clients');
my @paged = map { @{page("limit=3&offset=$_")->{clients}} } 0, 3, 6, 9;
is_deeply([map { $_->{client} } @paged],
    [map { $_->{client} } @{$all->{clients}}], 'pages make the whole');
is(page("state=$_->[0]")->{clients_matched}, $_->[1], "state=$_->[0]")
    for ['ok', 7], ['exempt', 1], ['over', 0], ['near', 0], ['jailed', 0],
        ['refused', 0];
my %network = map { ($_->{network} => $_) }
    @{page('net=24,48')->{networks}};
is_deeply([sort keys %network],
    ['127.0.2.0/24', '127.0.3.0/24', '127.0.4.0/24'], 'networks');
is($network{'127.0.4.0/24'}{clients}, 5, 'networks: clients');
my $sum = 0;
$sum += $_->{used} for grep { $_->{client} =~ /^127\.0\.4\./ }
    @{$all->{clients}};
is($network{'127.0.4.0/24'}{used}, $sum, 'networks: used');
is(page('net=8,8')->{networks}[0]{clients}, 8, 'networks of another size');
for my $query ('', 'hours=24', 'days=31') {
    my $history = page($query)->{history};
    my $sent = 0;
    $sent += $_->{sent} for @$history;
    is($sent, $all->{totals}{sent}, "history $query: all that was sent");
}
cmp_ok($all->{forecast}{sent_by_period_end}, '>=', $all->{totals}{sent},
    'the forecast is no less than what was sent');
is_deeply([@{$all->{shares}}[0, 10]], [7, 0], 'shares of the allowance');
is($server->get("/clamquota?$_")->{status}, 400, "$_: 400")
    for 'offset=10001', 'net=24', 'state=busy', 'hours=0', 'days=1000';

# ---- markup ----
my $answer = $server->get('/clamquota');
my ($nonce) = $answer->{body} =~ /<style nonce="([0-9a-f]{32})">/;
like($answer->{headers}{'content-security-policy'},
    qr/^default-src 'none'; style-src 'nonce-$nonce'; /, 'style by nonce');
isnt($nonce, ($server->get('/clamquota')->{body} =~ /nonce="(\w+)"/)[0],
    'another one each time');
SKIP: {
    skip 'no tidy here: apt-get install tidy', 1
        unless grep { -x "$_/tidy" } split /:/, $ENV{PATH};
    for my $query ('', '?client=127.0.2.2', '?net=24,48', '?state=over',
        '?limit=2&offset=2', '?<script>=<script>',
        '?client=127.0.2.2&refresh=9') {
        (my $url = "/clamquota$query") =~ s/([<>])/encoded($1)/ge;
        my $body = $server->get($url)->{body};
        unlike($body, qr/<script/, "$query: no script");
        # what tidy of 2017 does not know: data elements, groups in a dl; and
        # ARIA 1.1, CSP, a meter that has attributes only
        write_file("$server->{dir}/page.html", $body
            =~ s{<(/?)data\b}{<$1span}gr
            =~ s{<span value="\d+"}{<span}gr
            =~ s{<div>(?=<dt>)}{}gr =~ s{(?<=</dd>)</div>}{}gr);
        my @said = grep { /Warning|Error/ && !/empty <meter>/
            && !/proprietary attribute "(?:nonce|aria-current)"/ }
            `tidy -q -e '$server->{dir}/page.html' 2>&1`;
        is("@said", '', "$query: valid HTML");
    }
}
like($server->get('/clamquota?client=127.0.2.2')->{body},
    qr{&lt;script&gt;alert\(1\)&lt;/script&gt;&quot;&\#39;&amp;\xef\xbf\xbd},
    'a hostile file name is text');

# ---- ?json: each member that is written is in the manual ----
my $writer = read_file("$Httpd::ROOT/mod_clamquota/render/json.c");
my ($manual) = read_file("$Httpd::ROOT/mod_clamquota/mod_clamquota.5")
    =~ /^\.Sh THE PAGE\n(.*?)^\.Ss Changes/ms;
my %documented = map { $_ => 1 } map { split /[ ,]+/ }
    $manual =~ /\bLi ([\w ,]+)/g;
my @members = ($writer =~ /\bmember(?:_\w+)?\(w, "(\w+)"/g,
    $writer =~ /\\"(\w+)\\":/g);
cmp_ok(scalar @members, '>', 90, 'members of ?json');
is_deeply([grep { !$documented{$_} } sort @members], [],
    'are in mod_clamquota(5)');

# ---- metrics ----
my $metrics = $server->get('/clamquota?openmetrics')->{body};
my %seen;
for (split /\n/, $metrics) {
    $seen{$1}{$2} = $3 if /^# (TYPE|UNIT|HELP) (\S+) (.+)$/;
}
my %sampled = map { s/(?:_total|_info)$//r => 1 }
    $metrics =~ /^([a-z]\w*)/mg;
is_deeply([sort keys %{$seen{TYPE}}], [sort keys %sampled], 'all have a type');
is_deeply([sort keys %{$seen{HELP}}], [sort keys %sampled], 'and a meaning');
is_deeply([sort keys %{$seen{UNIT}}],
    [sort grep { /_(?:bytes|seconds|ratio|packets)$/ } keys %sampled],
    'and a unit where there is one');
unlike($metrics, qr/127\.0\./, 'no address');
SKIP: {
    # Debian's, whatever other one comes first in PATH
    skip 'no python3-prometheus-client here', 1
        if system('/usr/bin/python3 -c "import prometheus_client" 2>/dev/null');
    write_file("$server->{dir}/metrics", $metrics);
    is(`/usr/bin/python3 -c 'if True:
        from prometheus_client.openmetrics.parser import *
        import sys
        for f in text_fd_to_metric_families(open(sys.argv[1])): print(f.name)
        ' '$server->{dir}/metrics' 2>&1`, join('', map { "$_\n" }
        $metrics =~ /^# TYPE (\S+)/mg), 'Prometheus\' own parser takes it');
}
my $rules = "$Httpd::ROOT/conf/clamquota-alerts.yml";
my $rules_text = read_file($rules);
SKIP: {
    my $promtool = Peer::program('promtool');
    skip 'no promtool here: t/peer/fetch build/peers prometheus', 3
        if !$promtool;
    like(`'$promtool' check rules '$rules' 2>&1`, qr/SUCCESS: 8 rules found/,
        'the alert rules are rules');
    # what this server says, for an hour: nothing to warn of; then it ceases to
    # count, and its month comes to 3 TB
    my $series = sub {
        my (%other) = @_;
        return join '', map { /^(\w+)(\{.*\})? (\S+)$/
            ? "      - series: '$1" . ($2 // '') . "'\n        values: '"
                . ($other{$1} // $3) . "x500'\n" : () }
            grep { !/^#/ } split /\n/, $metrics;
    };
    my @alerts = $rules_text =~ /alert: (\w+)/g;
    for (['all is well', {}], ['two alerts', { clamquota_up => 0,
        clamquota_forecast_bytes => 3e12 }]) {
        my ($what, $other) = @$_;
        my %fires = map { ($_ => 1) }
            %$other ? qw(ClamquotaNotCounting ClamquotaForecast) : ();
        write_file("$server->{dir}/rules.yml", "rule_files: [ '$rules' ]\n"
            . "tests:\n  - interval: 1m\n    input_series:\n"
            . $series->(%$other) . "    promql_expr_test:\n"
            . join '', map { "      - expr: 'count(ALERTS{alertname=\"$_\","
                . "alertstate=\"firing\"}) or vector(0)'\n"
                . "        eval_time: 8h\n        exp_samples:\n"
                . "          - value: " . ($fires{$_} // 0) . "\n" } @alerts);
        my $said = `'$promtool' test rules '$server->{dir}/rules.yml' 2>&1`;
        is($?, 0, "alerts: $what") or diag($said);
    }
}
# what the rules ask for is there, or belongs to a cluster or a jail
my %asked = map { s/_total$//r => 1 } $rules_text =~ /\b(clamquota_\w+)/g;
my $source = read_file("$Httpd::ROOT/mod_clamquota/render/openmetrics.c");
is_deeply([grep { !$seen{TYPE}{$_} && $source !~ /"$_"/ } sort keys %asked],
    [], 'alert rules ask for metrics that there are');
finish();
