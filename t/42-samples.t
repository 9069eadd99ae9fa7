# The sample configurations load without a word, and do what they promise: a
# new installation gets its whole set of databases on the 1st of a month.
# mpm: once

use strict;
use warnings;
use File::Basename 'basename';
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

my $samples = "$Httpd::ROOT/conf";

# A sample of a virtual host, as its own comment says to use it.
sub vhost {
    my ($name, @more) = @_;
    return join "\n", '<VirtualHost *:%PORT%>', "Include $samples/$name",
        @more, "</VirtualHost>\n";
}

# ---- each one loads ----
my @quotas = grep { read_file($_) =~ /^\s*#?ClamQuota/m } glob "$samples/*.conf";
cmp_ok(scalar @quotas, '>=', 3, 'samples found');
my $any = Httpd->new(clients => 0);
for my $name (map { basename($_) } @quotas) {
    my ($exit, $said) = $any->config_test($name eq 'clamquota.conf'
        ? "Include $samples/$name\n" : vhost($name));
    is("$exit $said", "0 Syntax OK\n", "$name: httpd -t says nothing else");
}

# ---- so does what the guide shows ----
my $guide = Httpd->new(clients => 0, modules => ['remoteip', 'env']);
my $text = read_file("$Httpd::ROOT/mod_clamquota/clamquota.7");
my @shown = grep { /^(?:ClamQuota|RemoteIP|<)/ } (
    $text =~ /^\.Bd -literal.*\n((?s:.*?))^\.Ed$/mg, $text =~ /^\.Dl (.*)/mg);
cmp_ok(scalar @shown, '>=', 8, 'configuration in the guide');
for my $conf (@shown) {
    my ($name) = split /\n/, $conf;
    $conf =~ s/\\\(dq/"/g;
    $conf =~ s{/run/clamquota/}{$guide->{dir}/state/};
    my ($exit, $said) = $guide->config_test("ClamQuotaDaily 1M\n$conf");
    is("$exit $said", "0 Syntax OK\n", "the guide: $name");
}

# ---- the ClamAV mirror, on the 1st ----
my $server = Httpd->run(faketime => '2026-12-01 09:00:00',
    modules => ['remoteip'], conf => <<'EOT' . vhost('clamav-mirror.conf'));
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
EOT
my $docs = "$server->{dir}/htdocs";
# Bytes as in 2025, the largest so far; holes, so that they cost no disk.
my @set = (['daily', 64_550_338], ['main', 170_479_789], ['bytecode', 284_179]);
for (@set) {
    write_file("$docs/$_->[0].cvd", '');
    truncate "$docs/$_->[0].cvd", $_->[1] or die "truncate: $!";
    write_file("$docs/$_->[0]-62.cdiff", 'd' x 5000);
}

# Status and length of what this client gets for a path.
sub fetch {
    my ($client, $path, @arguments) = @_;
    open my $fh, '-|', 'curl', qw(-q -s -m 100 --noproxy * --interface),
        $client, '-o', '/dev/null', '-w', '%{http_code} %{size_download}',
        @arguments, $server->url($path) or die "curl: $!";
    return scalar <$fh>;
}

sub full_set {
    my ($client) = @_;
    return map { (split ' ', fetch($client, "/$_->[0].cvd"))[0] } @set;
}

is_deeply([map { fetch('127.0.0.2', "/$_->[0].cvd") } @set],
    [map { "200 $_->[1]" } @set], 'a new installation: the whole set');
is_deeply([full_set('127.0.0.2')], [200, 200, 200], 'a second time');
is_deeply([full_set('127.0.0.2')], [429, 429, 429], 'a third time: none');
is_deeply([full_set('127.0.0.3')], [200, 200, 200], 'others get theirs');
my $row = $server->row('127.0.0.2', pool => 'clamav');
is($row->{state}, 'ok', 'by copies, it is not over quota');
is($row->{allowance}, 500 << 20, 'of 50M + 450M');

is(fetch('127.0.0.2', '/daily-62.cdiff'), '200 5000', 'cdiffs are free');
is(fetch('127.0.0.2', '/daily.cvd', qw(-r 0-511)), '206 512', 'so are probes');
like(fetch('127.0.0.2', '/main.cld'), qr/^404 /, 'what is not there stays so');
cmp_ok($server->get('/main.cvd', '--interface', '127.0.0.2')
    ->{headers}{'retry-after'}, '<=', 6 * 3600, 'six hours at most');

is($server->get('/clamquota?auto')->{status}, 200, 'the page: for localhost');
is($server->get('/clamquota?auto', '-H', 'X-Forwarded-For: 192.0.2.9')
    ->{status}, 403, 'and no other client');
$server->allow_log(qr/AH01630: client denied/);
is(fetch('127.0.0.2', '/clamquota-me?json') =~ s/ .*//r, 200,
    'its own figures: for every client, also when it is over quota');

# ---- the distribution mirror, with a quota that is soon reached ----
ok($server->stop, 'stop');
$server = Httpd->run(conf => vhost('distribution-mirror.conf',
    'ClamQuotaDaily 1', 'ClamQuotaGrace 0'));
$docs = "$server->{dir}/htdocs";
my $stable = 'debian/dists/stable';
for my $dir ('debian', 'debian/dists', $stable, "$stable/main",
    "$stable/main/installer-amd64", 'debian/pool', 'fedora', 'fedora/repodata',
    'arch', 'alpine') {
    mkdir "$docs/$dir" or die "$dir: $!";
}
my %wanted = (
    "/$stable/InRelease"                        => 200,
    "/$stable/main/Packages.xz"                 => 200,
    "/$stable/main/installer-amd64/netboot.iso" => 429,
    '/debian/pool/a.deb'                        => 429,
    '/fedora/repodata/repomd.xml'               => 200,
    '/fedora/a.rpm'                             => 429,
    '/arch/core.db'                             => 200,
    '/arch/core.db.sig'                         => 200,
    '/arch/core.files'                          => 200,
    '/arch/a.pkg.tar.zst'                       => 429,
    '/alpine/APKINDEX.tar.gz'                   => 200,
    '/alpine/a.apk'                             => 429,
    '/clamquota-me'                             => 200,
);
write_file("$docs$_", 'f' x 3000) for grep { !/clamquota/ } keys %wanted;
is($server->get('/debian/pool/a.deb')->{status}, 200, 'a package');
ok(poll(5, sub { ($server->row('127.0.0.1', pool => 'mirror') // {})
    ->{state} eq 'over' }), 'is more than one byte a day');
my %seen = map { ($_ => $server->get($_)->{status}) } keys %wanted;
is_deeply(\%seen, \%wanted, 'over: indexes yes, packages and images no');

finish();
