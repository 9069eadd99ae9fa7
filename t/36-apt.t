# The real apt against a mirror of packages that refuses it, with the
# configuration that comes with the module: indexes stay free and fresh, a
# refused package is said to be one. The repository and its key are made here;
# of the system's apt nothing is read or written.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use File::Path 'make_path';
use Httpd;
use Mirror;
use Peer;
use POSIX ();
use Test::More;

need((map { ($_ => 'apt') } qw(apt apt-cache)), 'dpkg-deb' => 'dpkg',
    gpg => 'gnupg', gpgconf => 'gpgconf', gpgv => 'gpgv');

my $server = Httpd->run(conf => LOG . <<"EOT");
ClamQuotaPeriod Day
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    Include "$Httpd::ROOT/conf/distribution-mirror.conf"
    ClamQuotaDaily 50000
    ClamQuotaGrace 0
    ClamQuotaRetryJitter 0
</VirtualHost>
EOT
my $dir = $server->{dir};
my $url = "http://127.0.0.1:$server->{port2}/debian";
my $mirror = "$dir/htdocs/debian";
my $pool = 'pool/main/c/cq-example';
make_path("$mirror/$pool", map { "$dir/$_" } qw(apt/etc/apt.conf.d
    apt/etc/preferences.d apt/etc/trusted.gpg.d apt/etc/sources.list.d
    apt/etc/auth.conf.d apt/state/lists/partial apt/cache/archives/partial
    apt/log gnupg));
chmod 0700, "$dir/gnupg";

# ---- a repository ----
sub must {
    my ($exit, $said) = run($server, @_);
    die "$_[0]: exit $exit: $said\n" if $exit ne "0";
    return $said;
}

my @gpg = ('gpg', '--homedir', "$dir/gnupg", qw(--batch --yes --quiet
    --pinentry-mode loopback --passphrase), '');
my $architecture = must(qw(dpkg --print-architecture));
chomp $architecture;
must(@gpg, qw(--quick-gen-key repository@example.org ed25519 sign never));
must(@gpg, '--output', "$dir/apt/key.gpg", '--export');

# Adds that version of the package and makes it the one in the index.
sub publish {
    my ($version) = @_;
    my $tree = "$dir/tree-$version";
    my $index = "dists/stable/main/binary-$architecture";
    # each later than the one before, so that it is modified since
    my $date = $server->now - 1000 + 100 * $version;
    make_path("$tree/DEBIAN", "$tree/usr/share/cq", "$mirror/$index");
    my $control = "Package: cq-example\nVersion: $version\nArchitecture: all\n"
        . "Maintainer: Nobody <nobody\@example.org>\nDescription: example\n";
    write_file("$tree/DEBIAN/control", $control);
    write_file("$tree/usr/share/cq/data-$version", 'd' x 30_000);
    my $name = "$pool/cq-example_${version}_all.deb";
    must(qw(dpkg-deb -Znone --root-owner-group -b), $tree, "$mirror/$name");
    my $packages = sprintf "%sFilename: %s\nSize: %d\nSHA256: %s\n\n", $control,
        $name, -s "$mirror/$name", sha256_hex(read_file("$mirror/$name"));
    write_file("$mirror/$index/Packages", $packages);
    my $path = $index =~ s{^dists/stable/}{}r;
    write_file("$mirror/dists/stable/Release", sprintf("Origin: example\n"
        . "Suite: stable\nCodename: stable\nComponents: main\n"
        . "Architectures: %s\nDate: %s\nSHA256:\n %s %d %s/Packages\n",
        $architecture, POSIX::strftime('%a, %d %b %Y %H:%M:%S UTC', gmtime
        $date), sha256_hex($packages), length $packages, $path));
    must(@gpg, '--clearsign', '--output', "$mirror/dists/stable/InRelease",
        "$mirror/dists/stable/Release");
    utime $date, $date, map { "$mirror/$_" } $name, "$index/Packages",
        'dists/stable/InRelease';
    return $name;
}

# ---- an apt of its own ----
write_file("$dir/apt/etc/sources.list",
    "deb [signed-by=$dir/apt/key.gpg] $url stable main\n");
write_file("$dir/apt/status", '');
write_file("$dir/apt.conf", <<"EOT");
Dir "$dir/apt";
Dir::Etc "etc";
Dir::State "state";
Dir::State::status "$dir/apt/status";
Dir::Cache "cache";
Dir::Log "log";
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "root";
Acquire::http::Proxy "DIRECT";
Acquire::Languages "none";
Acquire::By-Hash "no";
EOT

# (exit status, what it said)
sub apt {
    my ($program, @arguments) = @_;
    local $server->{env} = {%{$server->{env}}, APT_CONFIG => "$dir/apt.conf"};
    return run($server, program($program), @arguments);
}

# What it stores of a package is what the mirror has.
sub is_stored {
    my ($name, $what) = @_;
    is(sha256_hex(read_file("$dir/apt/cache/archives/"
        . ($name =~ s{.*/}{}r))), sha256_hex(read_file("$mirror/$name")),
        $what);
}

my @indexes = ('200 dists/stable/InRelease',
    "200 dists/stable/main/binary-$architecture/Packages");

# ---- below its quota ----
my $first = publish(1);
my ($exit, $said) = apt(qw(apt update));
is($exit, 0, 'apt update: exit 0') or diag $said;
my $request = requests($server, '/debian', 2);
is_deeply($request->{seen}, \@indexes, 'it reads the indexes');
my $free = $request->{bytes}{200};
($exit, $said) = apt(qw(apt install -d -y cq-example));
is($exit, 0, 'apt install: exit 0') or diag $said;
$request = requests($server, '/debian', 1);
is_deeply($request->{seen}, ["200 $first"], 'one package');
my $used = $request->{bytes}{200};
is_stored($first, 'that arrives');
my $row = $server->row('127.0.0.1', pool => 'mirror', used => $used,
    free => $free);
is("$row->{used} $row->{free} $row->{state}", "$used $free over",
    'packages are used, indexes are free; with that package it is over quota');

# ---- over: it still sees what is new ----
my $second = publish(2);
($exit, $said) = apt(qw(apt update));
is($exit, 0, 'over: apt update: exit 0') or diag $said;
unlike($said, qr/^[EW]: /m, 'over: without a complaint');
$request = requests($server, '/debian', 2);
is_deeply($request->{seen}, \@indexes, 'over: it reads the new indexes');
$free += $request->{bytes}{200};
like((apt(qw(apt-cache policy cq-example)))[1], qr/Candidate: 2$/m,
    'over: and knows the new version');
($exit, $said) = apt(qw(apt update));
is($exit, 0, 'over: apt update again: exit 0');
$request = requests($server, '/debian', 1);
is_deeply($request->{seen}, ['304 dists/stable/InRelease'],
    'over: not modified');
$free += $request->{bytes}{304};

# ---- over: a package is refused, and apt reports it ----
($exit, $said) = apt(qw(apt install -d -y cq-example));
is($exit, 100, 'over: apt install: exit 100') or diag $said;
like($said, qr/^E: Failed to fetch \Q$url\/$second\E  429  Too Many Requests/m,
    'over: it says which and why');
unlike($said, qr/Hash Sum mismatch|corrupt/i, 'over: and nothing misleading');
# apt 2.6 takes 429 for something that passes: Acquire::Retries is 3
$request = requests($server, '/debian', 4);
is_deeply($request->{seen}, [("429 $second") x 4],
    'over: it asks four times in all');
$row = $server->row('127.0.0.1', pool => 'mirror', refused => 4);
is("$row->{used} $row->{free} $row->{refused}", "$used $free 4",
    'over: which cost it nothing');

# ---- set free by the operator ----
is($server->post('action=reset&client=127.0.0.1', '-H', 'Origin: '
    . $server->url('/') =~ s{/$}{}r)->{status}, 303, 'set free');
($exit, $said) = apt(qw(apt install -d -y cq-example));
is($exit, 0, 'free: apt install: exit 0') or diag $said;
is_deeply(requests($server, '/debian', 1)->{seen}, ["200 $second"],
    'free: one request');
is_stored($second, 'free: it arrives');

run($server, 'gpgconf', '--homedir', "$dir/gnupg", qw(--kill all));
finish();
