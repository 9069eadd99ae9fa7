# gcc -fanalyzer and cppcheck find nothing in the product's sources but what is
# listed here with its reason; what they no longer find leaves the list. Without
# CQ_TEST_ALL gcc looks at the tools only.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(top files);
use Test::More;

my %no_fault = (    # "FILE ID" => why there is none
    # gcc 12 does not follow stores into an array whose index is a loop's
    'mod_clamquota/table/history.c -Wanalyzer-use-of-uninitialized-value' =>
        'a loop fills count[]',
    'mod_clamquota/cluster/item.c -Wanalyzer-use-of-uninitialized-value' =>
        'a loop fills hash[]',
    'mod_clamquota/cluster/memcached.c -Wanalyzer-malloc-leak' =>
        'a link is returned and freed as its first member',
    # cppcheck
    'mod_clamquota/httpd/change.c uninitvar' =>
        'forget() and exempt() set why whenever they fail',
    'mod_clamquota/render/collect.c uninitvar' => 'begin_networks() fills it',
);

chdir top() or die "cannot change directory: $!\n";
my @rooms = files($ENV{CQ_TEST_ALL} ? 'mod_clamquota/*/*.c' : (),
    'tools/*/*.c');
chomp(my $libraries = `pkg-config --cflags libmnl zlib libmemcached`);
chomp(my $apr = `apr-1-config --cppflags`);
chomp(my @include = (`apxs -q INCLUDEDIR`, `apr-1-config --includedir`));

my %found;
sub note_found {
    my ($file, $id, $line) = @_;
    push @{ $found{"$file $id"} }, $line;
    return;
}

sub analyze {
    my (@sources) = @_;
    for my $source (@sources) {
        my $said = `gcc -std=c11 -D_GNU_SOURCE $apr -O1 -fanalyzer \\
            -isystem $include[0] -isystem $include[1] $libraries \\
            -I mod_clamquota -I tools -DCQ_HAVE_MEMCACHED \\
            '-DCQ_STATE_DIR="/"' -c '$source' -o /dev/null 2>&1`;
        is($?, 0, "$source: compiles") or diag($said);
        for (split /\n/, $said) {
            note_found($1, $2, $_)
                if /^([^:\s]+):\d+:.*warning:.*\[(-Wanalyzer-[\w-]+)\]$/;
        }
    }
    return;
}
analyze(@rooms);

for (split /\n/, `cppcheck -q --std=c11 --enable=warning,performance,portability \\
    -D_GNU_SOURCE -DCQ_HAVE_MEMCACHED -I mod_clamquota -I tools \\
    --template='{file}:{line}: {id}: {message}' mod_clamquota tools 2>&1`) {
    /^([^:]+):\d+: (\w+): / ? note_found($1, $2, $_) : fail($_);
}

for my $what (sort keys %found) {
    ok($no_fault{$what}, "known: $what")
        or diag(join "\n", @{ $found{$what} });
}
ok($found{$_}, "still found, or it leaves the list: $_")
    for grep { $ENV{CQ_TEST_ALL} || !/ -W/ } sort keys %no_fault;

# They can find something.
my $planted = <<'EOT';
#include <stdlib.h>
int f(int n);
int f(int n) { char *p = malloc(8); if (p == NULL) { return n; } return n + 1; }
EOT
open my $gcc, '|-', 'gcc -fanalyzer -Werror -xc -c - -o /dev/null 2>/dev/null'
    or die "gcc: $!\n";
print {$gcc} $planted or die "gcc: $!\n";
ok(!close $gcc, 'gcc -fanalyzer sees a leak');

done_testing();
