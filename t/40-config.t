# What `httpd -t` says to a configuration: nothing to a good one, one sentence
# with directive, value, expected form and an example to a bad one.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

# checked only, never started; no Clients of the harness's own
my $server = Httpd->new(clients => 0);

sub good {
    my ($conf) = @_;
    my ($exit, $said) = $server->config_test("$conf\n");
    my ($name) = split /\n/, $conf;
    is($exit, 0, "good: $name");
    is($said, "Syntax OK\n", "and nothing else is reported");
}

# Its sentence must match. The last line of conf holds the bad directive.
sub bad {
    my ($conf, $want) = @_;
    my ($exit, $said) = $server->config_test("$conf\n");
    my ($name) = substr +(split /\n/, $conf)[0], 0, 60;
    is($exit, 1, "bad: $name");
    # httpd's own words around it
    $said =~ s/^AH00526: .*:\n//;
    $said =~ s/^AH00014: .*\n//m;
    like($said, $want, 'says what is wrong');
    is(scalar(my @lines = split /\n/, $said), 1, 'in one line');
    return $said;
}

# Directive, good values, bad values. Missing and surplus arguments are tried
# for each.
my @sizes_bad = ('0', '-1', '50MB', '1.5', '1e3', 'M', '5 M', '0x10', '9999T',
    '99999999999999999999', '1..5G', '+5M', '5M;');
my @durations_bad = ('-1', '6hours', '1.5h', 'h', '500ms', '400d', '1h30m',
    '99999999999999999999');
my @table = (
    ['Engine', ['On', 'off', 'LogOnly'], ['Yes', '1', 'DryRun']],
    ['Daily', ['50M', '1.5G', '400k', '52428800', '4T'], \@sizes_bad],
    ['Pool', ['a', 'a.b-c_9'], ['a b', 'x' x 64, 'a/b', "\xc3\xa4"]],
    ['Period', ['Month', 'week', 'Day'], ['Year', '30', 'monthly']],
    ['Timezone', ['Local', 'utc'], ['GMT', 'Europe/Berlin', '+1']],
    ['Grace', ['0', '300M'], [grep { $_ } @sizes_bad]],
    ['FreeRange', ['4k', 'Off'], [@sizes_bad, 'On']],
    ['FreeRangeDaily', ['10M'], \@sizes_bad],
    ['Client', ['10.0.0.0/8 1G', '192.0.2.7 Unlimited', '2001:db8::/32 5M',
        '::ffff:10.0.0.0/104 5M'],
        ['10.0.0.0/8 0', '10.0.0.0/8 Off', '10.0.0.1/8 1G', '10.0.0.0/33 1G',
        '10.0.0 1G', 'example.org 1G', '2001:db8::/129 1G', '2001:db8::1/32 1G',
        '10.0.0.0/ 1G', '10.0.0.0/-1 1G', '010.0.0.0/8 1G', '1.2.3.4% 1G']],
    ['Prefix', ['24 48', '32 64', '32 128'], ['33 64', '32 129', '-1 64',
        'x 64', '24.0 48', '0x18 48']],
    ['Status', [429, 403, 503, 509], [200, 404, 418, 430, 'x', '429.0', -429]],
    ['RetryMax', ['90', '90s', '15m', '6h', '1d'], [@durations_bad, '0']],
    ['RetryJitter', ['0', '10m'], \@durations_bad],
    ['Variables', ['On', 'Off'], ['Yes', '1']],
    ['Table', ['/tmp/x.table', 'state/x.table'], ['/tmp/']],
    ['DropAfter', ['200', '1', 'Off', 'off'], ['0', '-1', 'On', '1.5', '10k',
        '200s', '1000001', '99999999999999999999']],
    ['Memcached', ['"--SERVER=10.0.0.1:11211 --SERVER=[2001:db8::1]"',
            '"--server=b --NAMESPACE=clamav"'],
        ['--SERVER', '--SERVER=', '10.0.0.1', '--SERVER=a:0', '--SERVER=a:x',
        '--SERVER=a:99999', '--SERVER=::1', '--SERVER=a --SERVER=a',
        '--SERVER=a --DISTRIBUTION=consistent', '--SERVER=a --HASH=MD5',
        '--SERVER=a --NUMBER-OF-REPLICAS=2', '--SERVER=a --USE-UDP',
        '--SERVER=a --NOREPLY', '--SERVER=a --BUFFER-REQUESTS',
        '--SERVER=a --NAMESPACE=']],
    ['Sync', ['500ms', '50ms', '1', '1m'], ['0', '49ms', '61s', '-1', '1.5s',
        'x', '500 ms']],
    ['Node', ['mirror-1.example_org', 'x' x 47], ['a b', 'x' x 48, 'a/b',
        "\xc3\xa4"]],
    ['Clients', ['1', '262144'], ['0', '-5', '10k', '1.5', 'many',
        '99999999999999999999']],
);
for (@table) {
    my ($name, $good, $bad) = @$_;
    my $directive = "ClamQuota$name";
    my $two = $name =~ /^(?:Client|Prefix)$/;
    my $server_only = $name =~
        /^(?:Period|Timezone|Client|Prefix|Table|Clients|DropAfter|Memcached
        |Sync|Node)$/x;
    # an Engine that is on keeps cross-checks from warning
    good("ClamQuotaDaily 1M\n$directive $_") for grep { $name ne 'Engine'
        || !/logonly/i } @$good;
    my @wrong = ($directive, "$directive \"\"",
        "$directive $good->[0] $good->[-1]", "$directive a b c");
    push @wrong, "$directive " . (split ' ', $good->[0])[0] if $two;
    push @wrong, map { "$directive " . ($two || !/ / ? $_ : "\"$_\"") } @$bad;
    for my $line (@wrong) {
        my ($value) = $line =~ /^\S+ "?(.*?)"?$/;
        my $said = bad($line, qr/\b$directive\b/);
        like($said, qr/expected|takes|requires/i, 'what was expected');
        like($said, qr/such as|for example|e\.g\./, 'with an example');
        like($said, qr/\Q$value\E/, 'and the value') if length($value // '')
            && $value !~ /[^ -~]/ && length $value < 60;
    }
    my $section = "<Location /x>\n$directive $good->[0]\n</Location>";
    if ($server_only) {
        bad($section, qr/\b$directive\b/);
        bad("<VirtualHost *>\n$directive $good->[0]\n</VirtualHost>",
            qr/\b$directive\b/);
    }
    else {
        good($name eq 'Daily' ? $section : "ClamQuotaDaily 1M\n$section");
        good("<Directory /x>\nClamQuotaDaily 1M\n$directive $good->[0]\n"
            . '</Directory>') if $name ne 'Daily';
        good("<VirtualHost *:1>\nClamQuotaDaily 1M\n$directive $good->[0]\n"
            . '</VirtualHost>') if $name ne 'Daily';
    }
}
good("<FilesMatch \"\\.cdiff\$\">\nClamQuotaFree On\n</FilesMatch>");
bad('ClamQuotaFree On', qr/ClamQuotaFree .*such as <FilesMatch/);
good("<Location /x>\nClamQuotaChanges On\n</Location>");
bad($_, qr/ClamQuotaChanges .*such as <Location/) for 'ClamQuotaChanges On',
    "<VirtualHost *:1>\nClamQuotaChanges On\n</VirtualHost>";
bad("<Location /x>\nClamQuotaChanges Maybe\n</Location>",
    qr/ClamQuotaChanges "Maybe".*expected.*such as ClamQuotaChanges On/);
bad("<Location /x>\nClamQuotaFree Maybe\n</Location>",
    qr/ClamQuotaFree "Maybe".*expected.*such as ClamQuotaFree On/);

# ---- what can only be judged as a whole ----
sub warns {
    my ($conf, $count, $want) = @_;
    my ($exit, $said) = $server->config_test($conf);
    my $name = substr +(grep { /Quota/ } split /\n/, $conf)[0], 0, 60;
    is($exit, 0, "accepted: $name");
    my @warnings = grep { /clamquota/ } split /\n/, $said;
    is(scalar @warnings, $count, "warnings: $count") or diag $said;
    like($warnings[0] // '', $want, 'that says why') if $count;
}
warns(<<'EOT', 1, qr/CQ0\d+: ClamQuotaDaily 10M and ClamQuotaDaily 20M /);
ClamQuotaDaily 10M
<Location /a>
ClamQuotaDaily 20M
</Location>
<Location /b>
ClamQuotaDaily 30M
</Location>
EOT
warns(<<'EOT', 1, qr/CQ0\d+: .*ClamQuotaGrace/);
ClamQuotaDaily 10M
<Location /a>
ClamQuotaGrace 20M
</Location>
EOT
warns(<<'EOT', 0);
ClamQuotaDaily 10M
<Location /a>
ClamQuotaDaily 20M
ClamQuotaPool a
</Location>
<Location /b>
ClamQuotaDaily 10M
</Location>
EOT
# a virtual host that an Off elsewhere leaves without its quota
my $daily = "<VirtualHost *:%d>\nServerName v%d.example\n%s\n</VirtualHost>\n";
my $unmetered = qr{CQ0143:\ ClamQuotaDaily\ in\ the\ virtual\ host\ v[23]\.example
    \ \(\S+\ line\ \d+\).*ClamQuotaEngine\ is\ Off\ .*ClamQuotaEngine\ On}x;
sub vhosts { my $n = 0; return join '', map { $n++; sprintf $daily, $n, $n, $_ }
    @_ }
warns("ClamQuotaEngine Off\n" . vhosts("ClamQuotaEngine On\nClamQuotaDaily 1M",
    'ClamQuotaDaily 1M'), 1, $unmetered);
warns("ClamQuotaEngine Off\n" . vhosts("ClamQuotaEngine On\nClamQuotaDaily 1M",
    "<Location /a>\nClamQuotaDaily 1M\n</Location>"), 1, $unmetered);
warns("ClamQuotaEngine Off\n" . vhosts('', 'ClamQuotaDaily 1M',
    'ClamQuotaDaily 1M'), 2, $unmetered);
warns("ClamQuotaEngine Off\n" . vhosts("ClamQuotaEngine On\nClamQuotaDaily 1M",
    $_), 0) for "ClamQuotaDaily 1M\nClamQuotaEngine Off",
    "ClamQuotaDaily 1M\n<Location /a>\nClamQuotaEngine On\n</Location>";
warns(vhosts('ClamQuotaDaily 1M', 'ClamQuotaDaily 1M'), 0);
warns("ClamQuotaEngine Off\n<Location /x>\nClamQuotaEngine On\nClamQuotaDaily 1M\n"
    . "</Location>\n" . vhosts('', 'ClamQuotaDaily 1M'), 0);
my $idle_pool = qr/CQ0105: ClamQuotaPool images .*nothing is counted there/;
warns("ClamQuotaPool images\n", 1, $idle_pool);
warns("ClamQuotaEngine Off\n" . vhosts("ClamQuotaEngine On\nClamQuotaDaily 1M",
    'ClamQuotaPool images'), 1, $idle_pool);
warns("ClamQuotaEngine Off\n" . vhosts("ClamQuotaEngine On\nClamQuotaDaily 1M\n"
    . 'ClamQuotaPool images', 'ClamQuotaPool images'), 0);

# a table that a start could not make
for my $path ('/nonexistent/x', "$server->{dir}/test.conf/x", '/tmp', 'state') {
    bad("ClamQuotaDaily 1M\nClamQuotaTable $path",
        qr{^CQ0144: ClamQuotaTable "\S*\Q$path\E": expected .* such as /var/lib});
}
good('ClamQuotaTable /nonexistent/x');  # and no quota: no table

# megabytes that are bytes
warns("$_->[0] $_->[1]\nClamQuotaEngine On\nClamQuotaDaily 1M\n", 1,
    qr/CQ0145: $_->[0] $_->[1] \(\S+ line \d+\) .* such as $_->[2]M$/)
    for ['ClamQuotaGrace', 300, 300], ['ClamQuotaFreeRangeDaily', 10, 10],
    ['ClamQuotaClient', '10.0.0.0/8 200', 200];
warns("ClamQuotaDaily 50\n", 1, qr/CQ0145: ClamQuotaDaily 50 .* such as 50M$/);
warns("ClamQuotaDaily 1048575\n", 1, qr/CQ0145/);
warns("ClamQuotaDaily $_\n", 0) for '1048576', '100k', '1M';

warns("ClamQuotaEngine LogOnly\n", 1, qr/CQ0\d+: .*without ClamQuotaDaily/);
my $said = bad("ClamQuotaDaily 1M\nClamQuotaPrefix 24 48\n"
    . 'ClamQuotaClient 192.0.2.0/28 1M', qr/CQ0\d+: ClamQuotaClient/);
like($said, qr{192\.0\.2\.0/28.*ClamQuotaPrefix.*/24}, 'a /28 of /24 clients');
bad("ClamQuotaDaily 1M\nClamQuotaClient 2001:db8::1 1M",
    qr{ClamQuotaClient .*ClamQuotaPrefix.*/64});
bad("ClamQuotaClient 192.0.2.0/24 1M\nClamQuotaClient 192.0.2.0/24 2M",
    qr/ClamQuotaClient "192\.0\.2\.0\/24 2M".*already/);
bad("ClamQuotaDaily 1M\nClamQuotaClient $_ 1M",
    qr{ClamQuotaClient "$_ 1M".*NAT64.*64:ff9b::192\.0\.2\.0/120})
    for '64:ff9b::/64', '64:ff9b::/48', '64:ff9b:0:0:0:1::/96';
good("ClamQuotaDaily 1M\nClamQuotaClient 64:ff9b::/96 1M\n"
    . 'ClamQuotaClient 64:ff9b:1::/48 1M');
good("ClamQuotaDaily 1M\nClamQuotaPrefix 24 48\nClamQuotaClient 192.0.2.0/24 1M"
    . "\nClamQuotaClient 192.0.0.0/16 2M");
bad("ClamQuotaNonsense On", qr/ClamQuotaNonsense/);

# ---- a file that is larger than what a new client may download ----
my $htdocs = "$server->{dir}/htdocs";
sub file_of {
    my ($path, $bytes) = @_;
    write_file($path, '');
    truncate $path, $bytes or die "$path: $!";
}
mkdir "$htdocs/$_" for 'deep', 'deep/er', 'isos';
file_of("$htdocs/daily.cvd", 61_579_733);
file_of("$htdocs/deep/er/main.cvd", 170_479_789);
file_of("$htdocs/isos/dvd.iso", 4_000_000_000);
symlink $htdocs, "$htdocs/deep/loop";
symlink 'nowhere', "$htdocs/deep/broken";
my $main = join '', "CQ0108: ClamQuotaDaily 50M \\+ ClamQuotaGrace (?:0|10M) ",
    "is less than \Q$htdocs\E/deep/er/main\\.cvd \\(162\\.6 MiB\\): on the ",
    'first day of the period .*; raise one of them, such as to ClamQuotaGrace ',
    '113M$';
$main = qr/$main/;
my $isos = "<Location /isos>\nClamQuotaFree On\n</Location>\n";
warns("ClamQuotaDaily 50M\n", 1,
    qr/CQ0108: .* is less than \S+dvd\.iso \(3\.7 GiB\): .* 3765M$/);
warns("ClamQuotaDaily 50M\n$isos", 1, $main);
warns("ClamQuotaDaily 50M\nClamQuotaGrace 10M\n$isos", 1, $main);
warns("ClamQuotaEngine LogOnly\nClamQuotaDaily 50M\n$isos", 1, $main);
# what is enough is enough
warns("ClamQuotaDaily 50M\nClamQuotaGrace 113M\n$isos", 0);
warns("ClamQuotaDaily 170479789\n$isos", 0);
warns("ClamQuotaDaily 170479788\n$isos", 1,
    qr/main\.cvd .*such as to ClamQuotaGrace 1$/);
# each scope its own files, by Directory, Files and Location
warns(<<"EOT", 2, $main);
ClamQuotaDaily 50M
<Directory $htdocs/isos>
ClamQuotaPool isos
ClamQuotaDaily 3G
</Directory>
EOT
warns(<<"EOT", 1, qr/ClamQuotaDaily 10M .* \S+daily\.cvd \(58\.7 MiB\)/);
ClamQuotaDaily 4G
<Files daily.cvd>
ClamQuotaPool daily
ClamQuotaDaily 10M
</Files>
EOT
warns("ClamQuotaDaily 10M\n$_", 0) for
    "<FilesMatch \"[.](cvd|iso)\$\">\nClamQuotaFree On\n</FilesMatch>\n",
    "<LocationMatch \"^/\">\nClamQuotaFree On\n</LocationMatch>\n",
    "<Directory $htdocs>\nClamQuotaEngine Off\n</Directory>\n",
    "<Directory $htdocs>\n<Files *>\nClamQuotaFree On\n</Files>\n"
    . "</Directory>\n",
    "<Directory \"$server->{dir}/ht*\">\nClamQuotaFree On\n</Directory>\n",
    "<DirectoryMatch \"/htdocs/\">\nClamQuotaFree On\n</DirectoryMatch>\n";
# the deeper Directory counts, wherever it stands
warns(<<"EOT", 1, $main);
<Directory $htdocs/deep>
ClamQuotaPool deep
ClamQuotaDaily 50M
</Directory>
<Directory $htdocs/>
ClamQuotaDaily 4G
</Directory>
EOT
# elsewhere, and in a virtual host; the same twice is reported once
warns(<<"EOT", 1, $main);
DocumentRoot $server->{dir}/run
<Directory $htdocs/deep>
ClamQuotaDaily 50M
</Directory>
<VirtualHost *:81>
</VirtualHost>
EOT
my $vhost = "<VirtualHost *:%d>\nDocumentRoot $htdocs/deep\nClamQuotaDaily 50M"
    . "\n</VirtualHost>\n";
warns(sprintf($vhost . $vhost, 81, 82), 1, $main);

# a check touches no table
is(join(' ', glob "$server->{dir}/state/*"), '', 'no table was made');

# never at a start: this one's log stays clean
$server->{conf} = "ClamQuotaDaily 50M\n";
is($server->start, '', 'a start looks at no file');

finish();
