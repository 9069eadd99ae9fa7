# The man pages are mdoc without a complaint from mandoc; texts for people keep
# to 80 columns of ASCII; README names the packages that a build needs; CHANGES
# begins with the version that the module has.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files slurp top);
use Test::More;

chdir top() or die "cannot change directory: $!\n";

for my $page (files('mod_clamquota/*.[1-8]', 'tools/*/*.[1-8]')) {
    my $found = `mandoc -Tlint -W style '$page' 2>&1`;
    # Whether the pages that ours refers to are installed is no matter of ours.
    $found =~ s/^.*(?:referenced manual not found|outdated mandoc\.db).*\n//mg;
    is($found, '', "$page: mandoc finds nothing");
    my $text = `mandoc -Tutf8 -O width=78 '$page'`;
    cmp_ok(length $text, '>', 1000, "$page: renders");
}

for my $name (files('README', 'CHANGES', 'conf/*', 't/sample/*')) {
    my $line = 0;
    my @odd;
    for my $text (split /\n/, slurp($name)) {
        $line++;
        # iptables-restore wants a rule on one line
        next if $name =~ /\.ip6?tables$/ && $text =~ /^-I /;
        push @odd, $line
            if length $text > 80 || $text =~ /[^\x20-\x7e]/ || $text =~ / $/;
    }
    is_deeply(\@odd, [], "$name: ASCII, 80 columns, no trailing blanks");
}

# README's quick start installs what build.sh builds with, and a server.
my ($packages) = slurp('build.sh') =~ /^build_packages='([^']+)'/m;
my ($quick) = slurp('README') =~ /sudo apt install (apache2 (?:\\\n|[^\n])+)\n/;
is_deeply([ sort split /[\s\\]+/, $quick // '' ],
    [ sort 'apache2', split ' ', $packages // '' ],
    'README: the quick start names the packages that a build needs');

my ($version) =
    slurp('mod_clamquota/core/version.h') =~ /^#define CQ_VERSION "(\S+)"$/m;
ok(defined $version, 'the module has a version');
like(slurp('CHANGES'), qr/\AChanges with mod_clamquota \Q$version\E\n/,
    'and CHANGES begins with it');

done_testing();
