package Peer;

# Peer - the programs that tests talk to, wherever they are.
#
# program() looks in PATH and among what t/peer/fetch unpacked;
# environment() is what a program of the latter needs to find its libraries.
# need() skips the whole file where one is missing, and says why it is;
# refusal() is why a command can't be run here, in its own words.

use strict;
use warnings;
use Cwd 'abs_path';
use Exporter 'import';
use File::Basename 'dirname';
use Test::More;

our @EXPORT = qw(program need refusal own_network);

my $fetched = $ENV{CQ_TEST_PEERS}
    // abs_path(dirname(__FILE__) . '/../..') . '/build/peers';
my $root = "$fetched/root";

# Its path; undef if it is not here.
sub program {
    my ($name) = @_;
    return (grep { -f && -x } map { "$_/$name" } split(/:/, $ENV{PATH}),
        '/usr/sbin', '/sbin', map { "$root/$_" } qw(usr/bin usr/sbin))[0];
}

# The path of a module of httpd that a package brings; undef if it is not here.
sub module {
    my ($name) = @_;
    chomp(my $installed = `apxs -q LIBEXECDIR`);
    return (grep { -f } map { "$_/mod_$name.so" }
        $installed, "$root/usr/lib/apache2/modules")[0];
}

# Where packages are unpacked
sub root { return $root }

sub environment {
    my ($program) = @_;
    return if index($program, "$root/") != 0;
    return (LD_LIBRARY_PATH => join ':',
        glob "\Q$root\E/{usr/lib,lib}/*-linux-gnu");
}

# For the shell; undef if it ends well.
sub refusal {
    my ($command) = @_;
    my $said = `{ $command; } 2>&1`;
    return if $? == 0;
    my ($line) = $said =~ /(\S.*)/;
    return "'$command' says: " . ($line // 'exit status ' . ($? >> 8));
}

# Goes on in a network namespace that ends with this process, or skips the file.
sub own_network {
    return if $ENV{CQ_TEST_NAMESPACE};
    my $refusal = $> ? 'network namespaces need root'
        : refusal('unshare -n true');
    plan skip_all => $refusal if $refusal;
    $ENV{CQ_TEST_NAMESPACE} = 1;
    exec 'unshare', '-n', $^X, $0 or die "unshare: $!\n";
}

# program => package
sub need {
    my (%package) = @_;
    for my $program (sort keys %package) {
        next if program($program);
        plan skip_all => "no $program: " . reason($package{$program});
    }
}

sub reason {
    my ($package) = @_;
    open my $file, '<', "$fetched/$package.why"
        or return "package $package is not installed (./build.sh deps)";
    chomp(my $reason = <$file> // '');
    return "package $package could not be fetched: $reason";
}

1;
