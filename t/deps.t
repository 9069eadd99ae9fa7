# mpm: once
# What `build.sh deps` installs starts no service and takes no other package
# away; what would is fetched and unpacked by t/peer/fetch.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Peer;
use Test::More;

need('dpkg-query' => 'dpkg', 'apt-get' => 'apt');
chdir "$FindBin::Bin/.." or die "chdir: $!\n";

sub slurp {
    my ($name) = @_;
    open my $file, '<', $name or return '';
    local $/ = undef;
    return scalar(<$file>) // '';
}

my $script = slurp('build.sh');
my %list = map { $_ => [ split ' ', ($script =~ /^$_='([^']+)'/m)[0] // '' ] }
    qw(build_packages run_packages test_packages peers);
cmp_ok(scalar @{ $list{$_} }, '>', 0, "$_ are named") for sort keys %list;
my @packages = map { @{ $list{$_} } } grep { /packages/ } sort keys %list;
my %seen;
is_deeply([ grep { $seen{$_}++ } @packages ], [], 'each package once');

open my $query, '-|', 'dpkg-query', '-W', '-f',
    '${Package}\t${Priority}\t${Pre-Depends}, ${Depends}\n'
    or die "dpkg-query: $!\n";
my (%depends, @required);
while (<$query>) {
    my ($name, $priority, $others) = split /\t/, $_, 3;
    $depends{$name} = $others;
    push @required, $name if $priority eq 'required';
}
close $query;

# They, and all that they depend on, as far as it is installed.
sub closure {
    my @todo = @_;
    my %closure;
    while (my $package = shift @todo) {
        next if !exists $depends{$package} || $closure{$package}++;
        push @todo, grep { /^[a-z0-9]/ } split /[\s,|]+/,
            $depends{$package} =~ s/\([^)]*\)|:\w+//gr;
    }
    return %closure;
}

# What no Debian is without is none of ours.
my %closure = closure(@packages);
my %everywhere = closure(@required);
delete @closure{ keys %everywhere };
my @services;
cmp_ok(scalar keys %closure, '>', 100, 'what they depend on is found');

# A maintainer script that starts something goes through one of these; a
# try-restart only touches what another program has started.
my $starts = qr/^[^\n#]*\b(?:deb-systemd-invoke|invoke-rc\.d|systemctl)\b
    [^\n]*[ ](?:start|restart|\$_dh_action)\b/mx;
like(q(	deb-systemd-invoke $_dh_action 'x.service' >/dev/null), $starts,
    'the pattern finds a start');
for my $package (sort keys %closure) {
    push @services, $package if grep { slurp($_) =~ $starts }
        glob "/var/lib/dpkg/info/$package\{,:*}.postinst";
}
# by apache2-dev's debhelper: a daily timer that indexes man pages
is_deeply([ grep { $_ ne 'man-db' } @services ], [],
    'none of the packages starts a service');

my $plan = `LC_ALL=C apt-get -s install --no-install-recommends @packages 2>&1`;
is_deeply([ $plan =~ /^Remv (\S+)/mg ], [], 'none takes another one away');

# ---- what is fetched ----
my $scratch = tempdir(CLEANUP => 1);
my $said = `t/peer/fetch '$scratch/a b' no-such-package 2>&1`;
is($? . ":$said", "0:no-such-package: not fetched: Unable to locate package "
    . "no-such-package\n", 'a package that is not there: said, no error');
is(slurp("$scratch/a b/no-such-package.why"),
    "Unable to locate package no-such-package\n", 'and the reason is kept');

done_testing();
