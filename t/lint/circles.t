# Files of a room call one another downwards: no file of mod_clamquota/ needs,
# by way of others of its room, one that needs it. nm says which object defines
# and which one needs a name. The module's record and the site that every hook
# starts from, both data of mod_clamquota.c, are nobody's call.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(top);
use Test::More;

my $module = $ENV{CQ_TEST_MODULE} or plan skip_all => 'CQ_TEST_MODULE is unset';
my $objects = $module =~ s{[^/]*$}{obj}r;
my %data = map { $_ => 1 } qw(clamquota_module cq_site);

# file => { file that it calls => a name that it needs of it }
sub calls {
    my ($room) = @_;
    my (%defined_in, %needs, %calls);
    for my $object (glob "$objects/$room/*.o") {
        my ($file) = $object =~ m{([^/]+)\.o$};
        for (`nm \Q$object\E`) {
            /^[0-9a-f]+ [A-Z] (\w+)$/ and $defined_in{$1} = $file;
            /^ +U (\w+)$/             and $needs{$file}{$1} = 1;
        }
    }
    for my $file (keys %needs) {
        for my $name (grep { !$data{$_} } sort keys %{ $needs{$file} }) {
            my $other = $defined_in{$name} // next;
            $calls{$file}{$other} //= $name if $other ne $file;
        }
    }
    return \%calls;
}

# A way from the file back to itself, as text; undef: there is none
sub circle {
    my ($calls, $start) = @_;
    my %way = ($start => $start);
    my @queue = ($start);
    while (defined(my $file = shift @queue)) {
        for my $other (sort keys %{ $calls->{$file} // {} }) {
            my $step = "$way{$file} -> $other ($calls->{$file}{$other})";
            return $step if $other eq $start;
            next if exists $way{$other};
            $way{$other} = $step;
            push @queue, $other;
        }
    }
    return undef;
}

is(circle({ a => { b => 'x' }, b => { c => 'y' }, c => { b => 'z' } }, 'b'),
    'b -> c (y) -> b (z)', 'a circle is found');
is(circle({ a => { b => 'x', c => 'y' }, b => { c => 'z' } }, 'a'), undef,
    'two ways to one file are none');

for my $room (qw(core table cluster host render httpd)) {
    my $calls = calls($room);
    my @circles = grep { defined } map { circle($calls, $_) } sort keys %{$calls};
    is(join("\n", @circles), '', "$room: calls run downwards");
    next if $room =~ /^(?:core|host)$/;
    cmp_ok(scalar keys %{$calls}, '>', 3, "$room: calls were found");
}

done_testing();
