# mpm: once
# The jail of nft against the kernel, with the table of conf/: every operation
# and every error, in a network namespace of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Jail;
use Test::More;

my $ns = Jail::Namespace->new;
plan skip_all => $Jail::why_not if !$ns;
my ($cannot, $said) = $ns->run('nft', 'list', 'ruleset');
plan skip_all => "nft lists nothing here: $said" if $cannot;

my $spec = 'nft:inet/clamquota/jail4,jail6';
my $t = 'inet clamquota';

sub nft { return $ns->must(\(join '', map { "$_\n" } @_), 'nft', '-f', '-') }

# ---- before there is a table ----
my $jail = $ns->jail($spec);
is_deeply($jail->{parsed}, { status => 0, why => '', lines => [] }, 'spec');
my $answer = $jail->ask('open w');
is($answer->{status}, 3, 'no table');
like($answer->{why}, qr/^nft table $t does not exist.*nft -f/, 'what to do');
my $nobody = $ns->jail($spec, under => [ Jail::as_nobody() ]);
$answer = $nobody->ask('open w');
is($answer->{status}, 4, 'not permitted comes before missing');
like($answer->{why}, qr/^nft table $t: not permitted.* as root$/, 'and why');

# ---- the shipped table ----
$ns->load('clamquota.nft', 'nft', '-f', '-');
is($nobody->ask('open r')->{status}, 4, 'not permitted to look either');
undef $nobody;
is($jail->ask('open r')->{status}, 0, 'opens, to look');
is($jail->ask('open w')->{status}, 0, 'and to write');
is_deeply($jail->addresses, [], 'empty');
is_deeply($jail->ask('figures')->{lines}[0],
    'v4 -1 v6 -1 shared 0 packets 0 bytes 0', 'figures');
is_deeply($jail->ask("can $_")->{lines}, ['yes'], "can $_")
    for '192.0.2.1', '10.0.0.0/8', '2001:db8::1', '2001:db8::/64';

$answer = $jail->ask('+ 192.0.2.7', '+ ::ffff:192.0.2.8', '+ 10.0.0.0/8',
    '+ 2001:db8:0:7::/64', '+ 2001:db8:1::1', 'apply 3600');
is_deeply($answer, { status => 0, why => '', lines => [] }, 'adds');
my @five = ('10.0.0.0/8', '192.0.2.7/32', '192.0.2.8/32',
    '2001:db8:0:7::/64', '2001:db8:1::1/128');
is_deeply($jail->addresses, \@five, 'lists');
my @left = map { s/.* //r } @{ $jail->ask('list')->{lines} };
is((grep { $_ > 3500 && $_ <= 3600 } @left), 5, 'with a lease');
my $second = $ns->jail($spec);
$second->ask('open r');
is_deeply($second->addresses, \@five, 'another one reads the same');

# Loading the table again keeps who is inside, and doubles no rule.
$ns->load('clamquota.nft', 'nft', '-f', '-');
is_deeply($jail->addresses, \@five, 'the table again');
my $rules = $ns->must('nft', 'list', 'table', split / /, $t);
is(scalar(() = $rules =~ /counter/g), 2, 'two rules with counters');

# ---- renew, with the same and with another timeout ----
nft("delete element $t jail4 { 192.0.2.7 }",
    "add element $t jail4 { 192.0.2.7 timeout 100s }");
my $left_of = sub {
    my ($address) = @_;
    my ($line) = grep { /^\Q$address\E / } @{ $jail->ask('list')->{lines} };
    return defined $line ? $line =~ s/.* //r : 'gone';
};
cmp_ok($left_of->('192.0.2.7/32'), '<=', 100, 'a lease is running out');
is($jail->ask('* 192.0.2.7', '* 10.0.0.0/8', '* 2001:db8:1::1',
    'apply 3600')->{status}, 0, 'renews');
cmp_ok($left_of->('192.0.2.7/32'), '>', 3500, 'its lease begins anew');
# the set's own timeout, half over: adding it once more would change nothing
nft("delete element $t jail4 { 192.0.2.7 }",
    "add element $t jail4 { 192.0.2.7 timeout 3600s expires 100s }");
cmp_ok($left_of->('192.0.2.7/32'), '<=', 100, 'the same lease, running out');
is($jail->ask('* 192.0.2.7', 'apply 3600')->{status}, 0, 'renews');
cmp_ok($left_of->('192.0.2.7/32'), '>', 3500, 'it begins anew');
undef $second;
$second = $ns->jail($spec);
$second->ask('open w');
cmp_ok((grep { /^192\.0\.2\.7/ } @{ $second->ask('list')->{lines} })[0]
        =~ s/.* //r, '>', 3500, 'in the kernel');
is($jail->ask('* 192.0.2.7', 'apply 50')->{status}, 0, 'to another lease');
cmp_ok($left_of->('192.0.2.7/32'), '<=', 50, 'is shorter');
undef $second;
$second = $ns->jail($spec);
$second->ask('open w');
is($second->ask('* 192.0.2.7', 'apply 50')->{status}, 0,
    'the same lease again');
$answer = $second->ask('list');
like("@{$answer->{lines}}", qr{192\.0\.2\.7/32 (?:49|50)\b}, 'begins anew');
is($jail->ask('* 192.0.2.99', 'apply 60')->{status}, 0,
    'renews who has gone meanwhile');
is_deeply($jail->addresses, [ @five[0 .. 2], '192.0.2.99/32', @five[3, 4] ],
    'so that he is back');

# ---- remove ----
is($jail->ask('- 192.0.2.99', '- 198.51.100.1', '- 2001:db8:9::/64',
    '- 192.0.2.8', '+ 192.0.2.9', 'apply 3600')->{status}, 0,
    'removes, also who is not there');
is_deeply($jail->addresses, [ '10.0.0.0/8', '192.0.2.7/32', '192.0.2.9/32',
    @five[3, 4] ], 'nobody else');

# ---- what somebody else does ----
nft("add element $t jail4 { 203.0.113.5 }",
    "add element $t jail6 { ::ffff:1.2.3.4 }",
    "add element $t jail4 { 198.51.100.1-198.51.100.6 }");
is_deeply($jail->addresses, [ '10.0.0.0/8', '192.0.2.7/32', '192.0.2.9/32',
    '198.51.100.1/32', '198.51.100.2/31', '198.51.100.4/31',
    '198.51.100.6/32', '203.0.113.5/32', @five[3, 4] ],
    "somebody else's are listed, a range as networks");
nft("flush set $t jail4");
is_deeply($jail->addresses, [ @five[3, 4] ], 'flushed behind our back');
nft("add element $t jail4 { 0.0.0.0/0 }");
is_deeply($jail->addresses, [ '0.0.0.0/0', @five[3, 4] ], 'everybody');
nft("flush set $t jail4", "add element $t jail4 { 0.0.0.0-255.255.255.254 }");
is(scalar @{ $jail->addresses }, 32 + 2, 'everybody but one');
is($jail->ask('flush')->{status}, 0, 'flush');
is_deeply($jail->addresses, [], 'whoever put them in');

# ---- one bad element ----
nft("add element $t jail4 { 10.1.2.3, 172.16.0.0/12 }");
$answer = $jail->ask((map { "+ 192.0.2.$_" } 1 .. 50), '+ 10.0.0.0/8',
    '+ 172.16.1.1', '+ 198.51.100.0/24', '+ 198.51.100.7',
    (map { "+ 203.0.113.$_" } 1 .. 50), '- 10.99.99.99', 'apply 3600');
is($answer->{status}, 1, 'one overlaps with what is there');
is_deeply($answer->{lines}, ['failed +10.0.0.0/8'],
    'it fails, and nothing else; what is inside a network is in the jail');
like($answer->{why}, qr{^nft table $t: 10\.0\.0\.0/8 overlaps with what is in}, 'and why');
is_deeply([ sort @{ $jail->addresses } ], [ sort '10.1.2.3/32',
    '172.16.0.0/12', '198.51.100.0/24',
    map { ("192.0.2.$_/32", "203.0.113.$_/32") } 1 .. 50 ],
    'all the others are done');
for my $pair ([ '10.8.0.0/16', '10.8.0.0/24' ], [ '10.8.0.0/16',
    '10.8.255.0/24' ], [ '10.8.0.0/16', '10.8.7.0/24' ], [ '2001:db8::/48',
    '2001:db8:0:1::/64' ], [ '128.0.0.0/1', '255.255.255.255/32' ]) {
    my ($net, $part) = @{$pair};
    $jail->ask('flush');
    $answer = $jail->ask("+ $net", "+ 1.2.3.4", 'apply 60');
    $answer = $jail->ask("+ $part", '+ 1.2.3.5', 'apply 60');
    is($answer->{status}, 0, "$part is in the jail with $net");
    is_deeply($jail->addresses, [ sort { ($a =~ /:/) <=> ($b =~ /:/) }
        '1.2.3.4/32', '1.2.3.5/32', $net ], 'and not put in');
    is($jail->ask("- $part", 'apply 60')->{status}, 0, 'nor taken out');
    $jail->ask("- $net", "+ $part", 'apply 60');
    $answer = $jail->ask("+ $net", '- 1.2.3.5', 'apply 60');
    is_deeply($answer->{lines}, ["failed +$net"], "$net over $part fails");
    is_deeply($jail->addresses, [ sort { ($a =~ /:/) <=> ($b =~ /:/) }
        '1.2.3.4/32', $part ], 'the rest is done');
}
is($jail->ask('flush', '+ 10.1.2.3', 'apply 60')->{status}, 0, 'flush');
is($jail->answer->{status}, 0, 'and add');
is($jail->ask('- 10.1.2.3', '+ 10.0.0.0/8', 'apply 60')->{status}, 0,
    'an address goes and its network comes in one step');
is($jail->ask('flush')->{status}, 0, 'flush');

# ---- many ----
my @many = map { '10.0.' . ($_ >> 8) . '.' . ($_ & 255) } 1 .. 10_000;
my @sixes = map { sprintf '2001:db8:%x::/64', $_ } 1 .. 1000;
is($jail->ask((map { "+ $_" } @many, @sixes), 'apply 3600')->{status}, 0,
    '10,000 addresses and 1,000 networks');
is(scalar @{ $jail->addresses }, 11_000, 'are there');
$second->ask('open r');
is_deeply($second->addresses, $jail->addresses, 'also for another one');
is($jail->ask((map { "* $_" } @many, @sixes), 'apply 1800')->{status}, 0,
    'renewed');
is($jail->ask((map { "- $_" } @many, @sixes), 'apply 3600')->{status}, 0,
    'and removed');
$second->ask('open r');
is_deeply($second->addresses, [], 'so none is left');

# ---- the table goes, and comes back ----
$ns->must('nft', 'delete', 'table', split / /, $t);
is($jail->ask('list')->{status}, 3, 'the table is gone: list');
$answer = $jail->ask('+ 192.0.2.1', '- 192.0.2.2', 'apply 60');
is($answer->{status}, 3, 'apply');
is_deeply($answer->{lines}, [ 'failed +192.0.2.1/32',
    'failed -192.0.2.2/32' ], 'nothing was done');
is($jail->ask('flush')->{status}, 3, 'flush');
is($jail->ask('figures')->{status}, 3, 'figures');
nft("table $t { set jail4 { type ipv4_addr; size 5; }",
    'set jail6 { type ipv6_addr; flags timeout; }',
    'chain x { ip saddr @jail4 drop;',
    'ip saddr @jail4 counter packets 5 bytes 500 accept;',
    'ip saddr != @jail4 counter packets 7 bytes 700 drop;',
    'ip saddr @jail4 counter packets 3 bytes 300 drop;',
    'ip6 saddr @jail6 counter packets 2 bytes 200 reject', '}', '}');
is($jail->ask('open w')->{status}, 0, 'back, with other flags');

# ---- sets that can do less ----
is_deeply($jail->ask('figures')->{lines}[0],
    'v4 5 v6 -1 shared 0 packets 5 bytes 500',
    'only rules that drop who is inside count');
like($jail->ask("can $_")->{lines}[0], qr/single addresses.*"flags interval"/,
    "can't $_") for '10.0.0.0/8', '2001:db8::/64';
$answer = $jail->ask('+ 10.0.0.0/8', '+ 192.0.2.1', '+ 2001:db8::1',
    'apply 60');
is($answer->{status}, 1, 'a network into a set without intervals');
is_deeply($answer->{lines}, ['failed +10.0.0.0/8'], 'nothing else fails');
is_deeply($jail->ask('list')->{lines}[0], '192.0.2.1/32 -1',
    'no timeouts: no lease');
like($jail->ask('list')->{lines}[1], qr{^2001:db8::1/128 (?:59|60)$},
    'timeouts without a default: a lease');
is($jail->ask('* 192.0.2.1', '* 2001:db8::1', 'apply 60')->{status}, 0,
    'renew');
is($jail->ask('- 192.0.2.1', '- 192.0.2.9', '- 2001:db8::1',
    'apply 60')->{status}, 0, 'remove');
is_deeply($jail->addresses, [], 'empty again');

nft("add element $t jail4 { 203.0.113.5 }");
$answer = $jail->ask('+ 2001:db8::1', (map { "+ 192.0.2.$_" } 1 .. 100),
    '- 203.0.113.77', '+ 2001:db8::2', 'apply 60');
is($answer->{status}, 1, 'more than the set has places');
is_deeply($answer->{lines}, [ map { "failed +192.0.2.$_/32" } 5 .. 100 ],
    'the first ones have them, the other set takes all');
like($answer->{why}, qr/: the set jail4 is full; raise its size/, 'and why');
is_deeply($jail->addresses, [ (map { "192.0.2.$_/32" } 1 .. 4),
    '203.0.113.5/32', '2001:db8::1/128', '2001:db8::2/128' ],
    "somebody else's stays");
is($jail->ask('* 192.0.2.1', '* 2001:db8::1', 'apply 60')->{status}, 0,
    'a full set can be renewed');
is($jail->ask('- 192.0.2.1', '+ 192.0.2.50', 'apply 60')->{status}, 0,
    'who goes makes place');

# ---- sets that are not there or hold something else ----
my $v4 = $ns->jail('nft:inet/clamquota/jail4');
is($v4->ask('open w')->{status}, 0, 'without SET6');
like($v4->ask('can 2001:db8::1')->{lines}[0], qr/^holds IPv6 only in a second/,
    'it holds no IPv6');
is_deeply($v4->addresses, [ (map { "192.0.2.$_/32" } 2 .. 4, 50),
    '203.0.113.5/32' ], 'and lists none');
$answer = $ns->jail('nft:inet/clamquota/jail4,nope')->ask('open w');
is($answer->{status}, 3, 'no such set');
like($answer->{why}, qr/^nft table $t has no set nope;/, 'which');
$answer = $ns->jail('nft:inet/clamquota/jail6,jail4')->ask('open w');
is($answer->{status}, 3, 'sets mixed up');
like($answer->{why}, qr/set jail6 is of type ipv6_addr, expected ipv4_addr/,
    'said');
nft("table $t { set ports { type inet_service; }",
    'set typed { typeof ip6 saddr; flags interval; }',
    'map sixes { type ipv6_addr : verdict; }', '}');
$answer = $ns->jail('nft:inet/clamquota/jail4,ports')->ask('open w');
is($answer->{status}, 3, 'a set of ports');
like($answer->{why}, qr/set ports is of type number 13, expected ipv6_addr/,
    'said');
$answer = $ns->jail('nft:inet/clamquota/jail4,sixes')->ask('open w');
is($answer->{status}, 3, 'a map');
like($answer->{why}, qr/^nft table $t has no set sixes;/, 'is no set');
$answer = $ns->jail('nft:inet/clamquota/jail4,typed');
is($answer->ask('open w')->{status}, 0, 'a set of typeof');
is_deeply($answer->ask('can 2001:db8::/64')->{lines}, ['yes'], 'of networks');
is($ns->jail('nft:ip/clamquota/jail4')->ask('open w')->{status}, 3,
    'another family');

# ---- names ----
my @bad = ('', 'inet', 'inet/t', 'inet/t/', 'inet//s', '/t/s', 'arp/t/s',
    'INET/t/s', 'inet/t/s,', 'inet/t/s,s', 'inet/t/s,r,q', 'inet/t/s/r',
    'inet/t/s;flush ruleset', 'inet/t }/s', "inet/t/'s'", 'inet/t/s$x',
    'inet/t/-s', 'inet/t/s{}', 'inet/t/@s', 'inet/t/' . 's' x 256,
    'inet/t/s,' . 's' x 256, "inet/t/\xc3\xa4");
for my $name (@bad) {
    (my $shown = $name) =~ s/[^\x20-\x7e]/?/g;
    is($ns->jail("nft:$name")->{parsed}{status}, 2,
        'refused: ' . substr $shown, 0, 30);
}
like($ns->jail('nft:t/s')->{parsed}{why}, 
    qr{^--jail "nft:t/s": FAMILY is .*expected nft:FAMILY/TABLE/SET4\[,SET6\], e\.g\. }, 'a sentence');
is($ns->jail("nft:$_")->{parsed}{status}, 0, "accepted: $_")
    for 'ip/a-b.c_d/S9', 'ip6/t/s,r', 'bridge/t/s', 'netdev/t/s';

undef $_ for $jail, $second, $v4;
$ns->remove;
done_testing();
