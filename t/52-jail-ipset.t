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
my ($cannot, $said) = $ns->run('ipset', 'create', 'probe', 'hash:net');
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
like($answer->{why}, qr/^ipset: not permitted.* as root$/, 'and why');

# ---- the shipped sets, and rules that need them ----
$ns->load('clamquota.ipset', qw(ipset restore -exist));
$ns->load('clamquota-ipset.iptables', qw(iptables-restore -n));
$ns->load('clamquota-ipset.ip6tables', qw(ip6tables-restore -n));
like($ns->must("ip${_}tables-save"), qr/--match-set clamquota\Q${\($_ || 4)}\E /,
    "a rule with the set for IPv" . ($_ || 4)) for '', 6;
is($nobody->ask('open r')->{status}, 4, 'not permitted to look either');
undef $nobody;
is($jail->ask('open r')->{status}, 0, 'opens, to look');
is($jail->ask('open w')->{status}, 0, 'and to write');
is_deeply($jail->addresses, [], 'empty');
is_deeply($jail->ask('figures')->{lines}[0],
    'v4 131072 v6 131072 shared 0 packets -1 bytes -1', 'figures');
is_deeply($jail->ask("can $_")->{lines}, ['yes'], "can $_")
    for '192.0.2.1', '10.0.0.0/8', '2001:db8::1', '2001:db8::/64';
is_deeply($jail->ask("can $_")->{lines}, ['holds no network of prefix 0'],
    "can't $_") for '0.0.0.0/0', '::/0';

$answer = $jail->ask('+ 192.0.2.7', '+ ::ffff:192.0.2.8', '+ 10.0.0.0/8',
    '+ 10.1.2.3', '+ 2001:db8:0:7::/64', '+ 2001:db8:1::1', 'apply 3600');
is_deeply($answer, { status => 0, why => '', lines => [] }, 'adds');
my @six = ('10.0.0.0/8', '10.1.2.3/32', '192.0.2.7/32', '192.0.2.8/32',
    '2001:db8:0:7::/64', '2001:db8:1::1/128');
is_deeply($jail->addresses, \@six, 'lists; networks may overlap');
my @left = map { s/.* //r } @{ $jail->ask('list')->{lines} };
is((grep { $_ > 3500 && $_ <= 3600 } @left), 6, 'with a lease');

$ns->load('clamquota.ipset', qw(ipset restore -exist));
is_deeply($jail->addresses, \@six, 'the sets again: who is inside stays');

my $left_of = sub {
    my ($address) = @_;
    my ($line) = grep { /^\Q$address\E / } @{ $jail->ask('list')->{lines} };
    return defined $line ? $line =~ s/.* //r : 'gone';
};
ipset('del clamquota4 192.0.2.7', 'add clamquota4 192.0.2.7 timeout 100');
cmp_ok($left_of->('192.0.2.7/32'), '<=', 100, 'a lease is running out');
is($jail->ask('* 192.0.2.7', '* 10.0.0.0/8', 'apply 3600')->{status}, 0,
    'renews');
cmp_ok($left_of->('192.0.2.7/32'), '>', 3500, 'its lease begins anew');
is($jail->ask('* 192.0.2.7', 'apply 99999999999')->{status}, 0,
    'a lease longer than ipset has');
cmp_ok($left_of->('192.0.2.7/32'), '>', 2_147_000, 'is the longest');
is($jail->ask('- 192.0.2.8', '- 198.51.100.1', '- 2001:db8:9::/64',
    '- 10.1.2.3', '+ 192.0.2.9', 'apply 3600')->{status}, 0,
    'removes, also who is not there');
ipset('add clamquota4 203.0.113.5 timeout 0',
    'add clamquota4 203.0.113.6 nomatch',
    'add clamquota6 ::ffff:1.2.3.4');
is_deeply($jail->addresses, [ '10.0.0.0/8', '192.0.2.7/32', '192.0.2.9/32',
    '203.0.113.5/32', @six[4, 5] ],
    "somebody else's are listed, but what drops nobody");
is($left_of->('203.0.113.5/32'), -1, 'one that stays for ever');
$ns->must(qw(ipset flush clamquota4));
is_deeply($jail->addresses, [ @six[4, 5] ], 'flushed behind our back');
is($jail->ask('+ 192.0.2.1', 'apply 60')->{status}, 0, 'added again');
is($jail->ask('flush')->{status}, 0, 'flush');
is_deeply($jail->addresses, [], 'whoever put them in');

# ---- many ----
my @many = map { '10.0.' . ($_ >> 8) . '.' . ($_ & 255) } 1 .. 10_000;
my @sixes = map { sprintf '2001:db8:%x::/64', $_ } 1 .. 1000;
is($jail->ask((map { "+ $_" } @many, @sixes), 'apply 3600')->{status}, 0,
    '10,000 addresses and 1,000 networks');
is(scalar @{ $jail->addresses }, 11_000, 'are there');
is($jail->ask((map { "* $_" } @many, @sixes), 'apply 1800')->{status}, 0,
    'renewed');
is($jail->ask((map { "- $_" } @many, @sixes), 'apply 3600')->{status}, 0,
    'and removed');
is_deeply($jail->addresses, [], 'so none is left');

# ---- the sets go, and others come ----
$ns->must('iptables', '-F');
$ns->must('ip6tables', '-F');
$ns->must(qw(ipset destroy clamquota4));
is($jail->ask('list')->{status}, 3, 'a set is gone: list');
$answer = $jail->ask('+ 192.0.2.1', '- 192.0.2.2', 'apply 60');
is($answer->{status}, 3, 'apply');
is_deeply($answer->{lines}, [ 'failed +192.0.2.1/32',
    'failed -192.0.2.2/32' ], 'nothing was done');
is($jail->ask('flush')->{status}, 3, 'flush');
is($jail->ask('open w')->{status}, 3, 'open');
$ns->must(qw(ipset destroy clamquota6));
ipset('create clamquota4 hash:ip maxelem 5',
    'create clamquota6 hash:ip family inet6 netmask 64 timeout 600',
    'create family hash:net maxelem 7 timeout 60');
is($jail->ask('open w')->{status}, 0, 'back, of another type');
is_deeply($jail->ask('figures')->{lines}[0],
    'v4 5 v6 65536 shared 0 packets -1 bytes -1', 'other figures');
like($jail->ask('can 10.0.0.0/8')->{lines}[0], qr/single addresses.*hash:ip/,
    'hash:ip holds no networks');
is_deeply($jail->ask('can 2001:db8::/64')->{lines}, ['yes'],
    'with a netmask those of its netmask');
is_deeply($jail->ask("can $_")->{lines},
    [q(holds networks of its set's netmask only)], "and not $_")
    for '2001:db8::1', '2001:db8::/48';
$answer = $jail->ask('+ 10.0.0.0/8', '+ 192.0.2.1', '+ 2001:db8:0:7::/64',
    'apply 60');
is($answer->{status}, 1, 'a network into hash:ip');
is_deeply($answer->{lines}, ['failed +10.0.0.0/8'], 'nothing else fails');
like("@{$jail->ask('list')->{lines}}",
    qr{^192\.0\.2\.1/32 -1 2001:db8:0:7::/64 (?:59|60)$},
    'a lease where the set has timeouts');
is($jail->ask('* 192.0.2.1', '* 2001:db8:0:7::/64', 'apply 60')->{status}, 0,
    'renew');

$answer = $jail->ask((map { "+ 198.51.100.$_" } 1 .. 100),
    '- 203.0.113.77', '+ 2001:db8:0:8::/64', '* 192.0.2.1', 'apply 60');
is($answer->{status}, 1, 'more than the set has places');
is_deeply($answer->{lines}, [ map { "failed +198.51.100.$_/32" } 5 .. 100 ],
    'the first ones have them, what comes behind is done');
like($answer->{why}, qr/^ipset: a set is full; .*maxelem/, 'and why');
is_deeply($jail->addresses, [ '192.0.2.1/32',
    (map { "198.51.100.$_/32" } 1 .. 4), '2001:db8:0:7::/64',
    '2001:db8:0:8::/64' ], 'nobody was pushed out');
is($jail->ask('- 192.0.2.1', '+ 192.0.2.50', 'apply 60')->{status}, 0,
    'who goes makes place');
is($jail->ask('- 2001:db8:0:7::/64', 'apply 60')->{status}, 0,
    'a network of a netmask goes');
is_deeply($jail->addresses, [ '192.0.2.50/32',
    (map { "198.51.100.$_/32" } 1 .. 4), '2001:db8:0:8::/64' ], 'is gone');
undef $jail;

# ---- sets that hold something else ----
my $v4 = $ns->jail('ipset:family');
is($v4->ask('open w')->{status}, 0, 'without SET6, of an odd name');
is_deeply($v4->ask('figures')->{lines}[0],
    'v4 7 v6 0 shared 0 packets -1 bytes -1', 'its figures');
is($v4->ask('+ 10.0.0.0/8', 'apply 60')->{status}, 0, 'its additions');
is_deeply($v4->addresses, ['10.0.0.0/8'], 'its listing');
like($v4->ask('can 2001:db8::1')->{lines}[0], qr/^holds IPv6 only in a second/,
    'it holds no IPv6');
undef $v4;
ipset('create ports bitmap:port range 0-99', 'create all list:set');
for my $set (qw(ports all clamquota6)) {
    $answer = $ns->jail("ipset:$set")->ask('open w');
    is($answer->{status}, 3, "$set is no set for IPv4");
    like($answer->{why}, qr/^ipset: the set $set is neither hash:net nor/,
        'said');
}
is($ns->jail('ipset:clamquota4,nope')->ask('open w')->{status}, 3,
    'the second set is missing');

# ---- names ----
my @bad = ('', ',', 'a,', ',a', 'a,a', 'a,b,c', 'a b', '-a', 'a/b', 'a;b',
    'a"', 'x' x 32, 'a,' . 'x' x 32, "\xc3\xa4");
for my $name (@bad) {
    (my $shown = $name) =~ s/[^\x20-\x7e]/?/g;
    is($ns->jail("ipset:$name")->{parsed}{status}, 2, "refused: $shown");
}
like($ns->jail('ipset:a b')->{parsed}{why},
    qr{^--jail "ipset:a b": .*expected ipset:SET4\[,SET6\], e\.g\. },
    'a sentence');
is($ns->jail("ipset:$_")->{parsed}{status}, 0, "accepted: $_")
    for 'a-b.c:d_9', 'x' x 31;

# ---- without the program ----
my @without = (qw(unshare --mount --propagation private sh -ec), <<'EOT', 'sh');
for file in /usr/sbin/ipset /sbin/ipset /usr/local/sbin/ipset /usr/bin/ipset
do
    if [ -e "$file" ]; then mount --bind /proc/version "$file" || true; fi
done
exec "$@"
EOT
$answer = $ns->jail($spec, under => \@without)->ask('open w');
is($answer->{status}, 3, 'the program is not there');
like($answer->{why}, qr/^ipset is not installed, .*install the package/,
    'what to do');

$ns->remove;
done_testing();
