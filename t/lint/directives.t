# Every directive of the module is in the man page and in the sample
# configuration, and these two name none that the module does not have.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files slurp read_directives);
use Test::More;

sub difference {
    my ($left, $right) = @_;
    my %right = map { $_ => 1 } @{$right};
    return [ grep { !$right{$_} } @{$left} ];
}

sub unique {
    my %seen;
    return sort grep { !$seen{$_}++ } @_;
}

my @known = read_directives();
cmp_ok(scalar @known, '>=', 16, 'directives found in httpd/*.c');

my $man = slurp('mod_clamquota/mod_clamquota.5');
# Each has an item of its own in the list of directives.
my @items = unique($man =~ /^\.It Ic (ClamQuota\w+)/mg);
is_deeply(difference(\@known, \@items), [],
    'each has its item in the man page');
is_deeply(difference(\@items, \@known), [], 'no item without a directive');
my @mentioned = unique($man =~ /\b(ClamQuota[A-Z]\w*)/g);
is_deeply(difference(\@mentioned, \@known), [],
    'the man page mentions no other');

my $sample = slurp('conf/clamquota.conf');
my @shown  = unique($sample =~ /^\s*#?(?: {4})?(ClamQuota[A-Z]\w*) /mg);
is_deeply(difference(\@known, \@shown), [],
    'each is shown in conf/clamquota.conf');

my @unknown;
for my $name (files('conf/*', 'README', 'CHANGES', 't/sample/*')) {
    push @unknown, "$name: $_"
        for @{ difference([ unique(slurp($name) =~ /\b(ClamQuota[A-Z]\w*)/g) ],
            \@known) };
}
is_deeply(\@unknown, [], 'no file names a directive that is not there');

done_testing();
