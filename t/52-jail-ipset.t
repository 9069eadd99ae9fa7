# mpm: once
# The jail of ipset against the kernel, with the sets of conf/: every operation
# and every error, in a network namespace of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Jail;
use Test::More;

my $ns = Jail::Namespace->new;
plan skip_all => $Jail::why_not if !$ns;
my ($cannot, $said) = $ns->run('ipset', 'create', 'probe', 'hash:ip');
plan skip_all => "ipset makes no set here: $said" if $cannot;
$ns->must(qw(ipset destroy probe));

my $spec = 'ipset:clamquota4,clamquota6';
sub ipset { return $ns->must(\(join '', map { "$_\n" } @_), qw(ipset restore)) }

# ---- before there are sets ----
my $jail = $ns->jail($spec);
is_deeply($jail->{parsed}, { status => 0, why => '', lines => [] }, 'spec');
my $answer = $jail->ask('open w');
is($answer->{status}, 3, 'no sets');
like($answer->{why}, qr/^ipset: the set clamquota4 does not exist;.*restore/,
    'what to do');
my $nobody = $ns->jail($spec, under => [ Jail::as_nobody() ]);
$answer = $nobody->ask('open w');
is($answer->{status}, 4, 'not permitted comes before missing');
like($answer->{why}, qr/^ipset: the set clamquota4 is not permitted .* as root$/, 'and why');

# ---- the shipped sets, and rules that need them ----
$ns->load('clamquota.ipset', qw(ipset restore -exist));
is($jail->ask('open r')->{status}, 0, 'opens');
is_deeply($jail->ask('figures')->{lines}[0],
    'v4 131072 v6 131072 shared 0 packets -1', 'figures');
$ns->load('clamquota-ipset.iptables', qw(iptables-restore -n));
$ns->load('clamquota-ipset.ip6tables', qw(ip6tables-restore -n));
like($ns->must("ip${_}tables-save"), qr/--match-set clamquota\Q${\($_ || 4)}\E /,
    "a rule with the set for IPv" . ($_ || 4)) for '', 6;
is($nobody->ask('open r')->{status}, 4, 'not permitted to look either');
undef $nobody;
my @three = Jail::is_usable($jail,
    'v4 131072 v6 131072 shared 0 packets -1');
Jail::cannot_deny($jail);
$ns->load('clamquota.ipset', qw(ipset restore -exist));
is_deeply($jail->addresses, \@three, 'the sets again: the clients inside stay');

my $left_of = sub { $jail->left_of(@_) };
ipset('del clamquota4 192.0.2.7', 'add clamquota4 192.0.2.7 timeout 100');
cmp_ok($left_of->('192.0.2.7'), '<=', 100, 'a lease is running out');
is($jail->ask('* 192.0.2.7', '* 192.0.2.99', 'apply')->{status}, 0, 'renews');
cmp_ok($left_of->('192.0.2.7'), '>', 3500, 'its lease starts anew');
cmp_ok($left_of->('192.0.2.99'), '>', 3500, 'one that was gone is back');
is($jail->ask('- 192.0.2.8', '- 198.51.100.1', '- 2001:db8:9::',
    '- 192.0.2.99', '+ 192.0.2.9', 'apply')->{status}, 0,
    'removes, also one that is not there');
ipset('add clamquota4 203.0.113.5 timeout 0',
    'add clamquota4 203.0.113.6 timeout 7300');
is_deeply($jail->addresses, [ '192.0.2.7', '192.0.2.9', '203.0.113.5',
    '203.0.113.6', $three[2] ],
    "another program's are listed");
is($left_of->('203.0.113.5'), "-1 operator's", 'one that stays for ever');
like($left_of->('203.0.113.6'), qr/^\d+ operator's$/, 'one that stays long');
is($jail->ask('flush')->{status}, 0, 'flush');
is_deeply($jail->addresses, [ '203.0.113.5', '203.0.113.6' ],
    "spares the operator's");
my $long = $ns->jail($spec, lease => 99_999_999_999);
$long->ask('open w');
is($long->ask('+ 192.0.2.7', 'apply')->{status}, 0,
    'a lease longer than ipset has');
cmp_ok($left_of->('192.0.2.7') =~ s/ .*//r, '>', 2_147_000, 'is the longest');
undef $long;
$ns->must(qw(ipset flush clamquota4));
is_deeply($jail->addresses, [], "flushed behind jail's back");

# ---- many ----
my @many = map { '10.0.' . ($_ >> 8) . '.' . ($_ & 255) } 1 .. 10_000;
my @sixes = map { sprintf '2001:db8:%x::', $_ } 1 .. 1000;
is($jail->ask((map { "+ $_" } @many, @sixes), 'apply')->{status}, 0,
    '11,000 addresses');
is_deeply($jail->addresses, [ @many, @sixes ], 'are there');
is($jail->ask((map { "* $_" } @many, @sixes), 'apply')->{status}, 0,
    'renewed');
is($jail->ask((map { "- $_" } @many, @sixes), 'apply')->{status}, 0,
    'and removed');
is_deeply($jail->addresses, [], 'so none is left');

# ---- the sets go, and come back as something else ----
$ns->must("ip${_}tables", qw(-t raw -F)) for '', 6;
$ns->must(qw(ipset destroy clamquota4));
$answer = $jail->ask('+ 192.0.2.1', '- 192.0.2.2', 'apply');
is($answer->{status}, 3, 'a set is gone: apply');
is_deeply($answer->{lines}, [ 'failed +192.0.2.1', 'failed -192.0.2.2' ],
    'and which changes were not done');
is($jail->ask('list')->{status}, 3, 'to be opened again');
is($jail->ask('open w')->{status}, 3, 'which fails');
$ns->must(qw(ipset destroy clamquota6));
my %refused = ('hash:ip' => qr/has no timeout/,
    'hash:net timeout 60' => qr/is not hash:ip of that family/,
    'hash:ip family inet6 timeout 60' => qr/is not hash:ip of that family/,
    'bitmap:port range 0-99 timeout 60' => qr/is not hash:ip/,
    'list:set timeout 60' => qr/is not hash:ip/);
for my $type (sort keys %refused) {
    ipset("create odd $type");
    $answer = $ns->jail('ipset:odd')->ask('open w');
    is($answer->{status}, 3, "$type is no set for clients");
    like($answer->{why}, qr/^ipset: the set odd $refused{$type}.*; create it as/,
        'and why');
    $ns->must(qw(ipset destroy odd));
}
ipset('create clamquota4 hash:ip maxelem 5 timeout 60',
    'create clamquota6 hash:ip family inet6 netmask 48 timeout 600');
is($jail->ask('open w')->{status}, 0, 'back, with other figures');
is_deeply($jail->ask('figures')->{lines}[0],
    'v4 5 v6 65536 shared 0 packets -1', 'figures');
Jail::can_hold($jail, '2001:db8::/48' => 'yes',
    '2001:db8::/64' => $Jail::differ);

$jail->ask('+ 192.0.2.1', 'apply');
$answer = $jail->ask((map { "+ 198.51.100.$_" } 1 .. 100),
    '- 203.0.113.77', '+ 2001:db8:8::', '* 192.0.2.1', 'apply');
is($answer->{status}, 1, 'more than the set has places');
is(scalar @{ $answer->{lines} }, 96, 'as many fail');
is((grep { !/^failed \+198\.51\.100\.\d+$/ } @{ $answer->{lines} }), 0,
    'of those that were added');
like($answer->{why}, qr/^ipset: the set clamquota4 is full; .*maxelem/,
    'and why');
is(scalar(grep { /^198\.51\.100\./ } @{ $jail->addresses }), 4,
    'four have a place');
is_deeply([ grep { !/^198\.51\.100\./ } @{ $jail->addresses } ],
    [ '192.0.2.1', '2001:db8:8::' ], 'none was pushed out');
is($jail->ask('- 192.0.2.1', '+ 192.0.2.50', 'apply')->{status}, 0,
    'a removal makes a place');
is($jail->ask('- 2001:db8:8::', 'apply')->{status}, 0,
    'a network of a netmask goes');
is((grep { /:/ } @{ $jail->addresses }), 0, 'is gone');

# a set that is replaced under an open jail
ipset('create other hash:ip timeout 60', 'add other 203.0.113.9',
    'swap clamquota4 other');
is_deeply($jail->addresses, ['203.0.113.9'], 'swapped: the other is listed');
$ns->must(qw(ipset destroy clamquota4));
ipset('create clamquota4 hash:net timeout 60');
$answer = $jail->ask('list');
is($answer->{status}, 3, 'made anew as hash:net: list');
undef $jail;

# ---- names ----
Jail::judges_names($ns, 'ipset', [ '', ',', 'a,', ',a', 'a,a', 'a,b,c', 'a b', '-a', 'a/b', 'a;b',
    'a"', 'x' x 32, 'a,' . 'x' x 32, "\xc3\xa4" ],
    [ 'a-b.c:d_9', 'x' x 31 ]);
like($ns->jail('ipset:a b')->{parsed}{why},
    qr{^--jail "ipset:a b": .*expected ipset:SET4\[,SET6\], e\.g\. },
    'a sentence');

# ---- without the program it works all the same ----
ipset('create plain hash:ip timeout 60');
my @without = (qw(unshare --mount --propagation private sh -ec), <<'EOT', 'sh');
for file in /usr/sbin/ipset /sbin/ipset /usr/local/sbin/ipset /usr/bin/ipset
do
    if [ -e "$file" ]; then mount --bind /proc/version "$file" || true; fi
done
exec "$@"
EOT
$jail = $ns->jail('ipset:plain', under => \@without);
is($jail->ask('open w')->{status}, 0, 'without the program: opens');
is($jail->ask('+ 192.0.2.1', 'apply')->{status}, 0, 'adds');
undef $jail;
like($ns->must(qw(ipset list plain)), qr/^192\.0\.2\.1 timeout/m, 'it is in');

$ns->remove;
done_testing();
