# The shell scripts are POSIX sh and shellcheck finds nothing.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files slurp top);
use Test::More;

my @scripts = ('build.sh', '.ci/run',
    grep { slurp($_) =~ m{\A#!/bin/sh\b} } files('t/sample/*', 't/peer/*'));
cmp_ok(scalar @scripts, '>=', 3, 'scripts found');

chdir top() or die "cannot change directory: $!\n";
for my $script (@scripts) {
    like(slurp($script), qr{\A#!/bin/sh\n}, "$script is for sh");
    ok(-x $script, "$script is executable");
    my $found = `shellcheck -x -s sh '$script' 2>&1`;
    is($? . ":$found", '0:', "$script: shellcheck finds nothing");
}
for my $sourced ('conf/install.sh', 't/sanitizers.sh') {
    my $found = `shellcheck -s sh '$sourced' 2>&1`;
    is($? . ":$found", '0:', "$sourced: shellcheck finds nothing");
}

done_testing();
