# mpm: once
# The jail of nft against the kernel, with the table of conf/: every operation
# and every error, in a network namespace of its own.
use strict;
use warnings;
use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";
use Jail;
use Test::More;

my $ns = Jail::Namespace->new;
plan skip_all => $Jail::why_not if !$ns;
my ($cannot, $said) = $ns->run('nft', 'list', 'ruleset');
plan skip_all => "nft lists nothing here: $said" if $cannot;

my $spec = 'nft:inet/clamquota/jail4,jail6,deny4,deny6';
my $t = 'inet clamquota';

sub nft { return $ns->must(\(join '', map { "$_\n" } @_), 'nft', '-f', '-') }
sub load { return $ns->load('clamquota.nft', 'nft', '-f', '-') }

# The table with other sets: NAME => 'flags ...' or undef for none
sub make {
    my (%sets) = @_;
    my %type = (jail4 => 'ipv4_addr', jail6 => 'ipv6_addr',
        deny4 => 'ipv4_addr', deny6 => 'ipv6_addr');
    my %flags = (jail4 => 'flags timeout;', jail6 => 'flags timeout;',
        deny4 => 'flags interval;', deny6 => 'flags interval;', %sets);
    return nft("table $t", "delete table $t", "table $t {", (map {
        defined $flags{$_} ? "set $_ { type $type{$_}; $flags{$_} }" : () }
        sort keys %flags), '}');
}

# ---- before there is a table ----
my $jail = $ns->jail($spec);
is_deeply($jail->{parsed}, { status => 0, why => '', lines => [] }, 'spec');
my $answer = $jail->ask('open w');
is($answer->{status}, 3, 'no table');
like($answer->{why}, qr/^nft table $t: the set jail4 does not exist; load it first, nft -f clamquota\.nft/,
    'what to do');
my $nobody = $ns->jail($spec, under => [ Jail::as_nobody() ]);
$answer = $nobody->ask('open w');
is($answer->{status}, 4, 'not permitted comes before missing');
like($answer->{why}, qr/^nft table $t: the set jail4 is not permitted .* as root$/, 'and why');

# ---- the shipped table ----
load();
is($nobody->ask('open r')->{status}, 4, 'not permitted to look either');
undef $nobody;
my @three = Jail::is_usable($jail, 'v4 -1 v6 -1 shared 0 packets 0');
is_deeply($jail->ask("can-deny $_")->{lines}, ['yes'], "can deny $_")
    for '10.0.0.0/8', '2001:db8::1';
my $second = $ns->jail($spec);
$second->ask('open r');
is_deeply($second->addresses, \@three, 'another one reads the same');
is_deeply($jail->ask('changed')->{lines}, ['no'], 'no program changed it');
nft('add table inet elsewhere');
is_deeply($jail->ask('changed')->{lines}, ['yes'],
    'something of the firewall was');
is_deeply($jail->addresses, \@three, 'not this');
is_deeply($jail->ask('changed')->{lines}, ['no'], 'which is known then');

# ---- renew, with the same and with another time-out ----
my $left_of = sub { $jail->left_of(@_) };
my $fresh = sub {
    my $other = $ns->jail($spec);
    $other->ask('open r');
    return $other->left_of(@_);
};
for my $timeout ('timeout 100s', 'timeout 3600s expires 100s') {
    nft("delete element $t jail4 { 192.0.2.7 }",
        "add element $t jail4 { 192.0.2.7 $timeout }");
    cmp_ok($left_of->('192.0.2.7'), '<=', 100, "$timeout: running out");
    is($jail->ask('* 192.0.2.7', '* 2001:db8:0:7::', 'apply')->{status}, 0,
        'renews');
    cmp_ok($left_of->('192.0.2.7'), '>', 3500, 'its lease starts anew');
    cmp_ok($fresh->('192.0.2.7'), '>', 3500, 'in the kernel too');
}
is($jail->ask('* 192.0.2.99', 'apply')->{status}, 0, 'renews one that is gone');
is_deeply($jail->addresses, [ @three[0, 1], '192.0.2.99', $three[2] ],
    'so that it is back');
my $short = $ns->jail($spec, lease => 50);
$short->ask('open w');
is($short->ask('* 192.0.2.7', 'apply')->{status}, 0, 'another lease');
cmp_ok($left_of->('192.0.2.7'), '<=', 50, 'is shorter');
undef $short;

# ---- remove ----
is($jail->ask('- 192.0.2.99', '- 198.51.100.1', '- 2001:db8:9::',
    '- 192.0.2.8', '+ 192.0.2.9', 'apply')->{status}, 0,
    'removes, also one that is not there');
is_deeply($jail->addresses, [ '192.0.2.7', '192.0.2.9', $three[2] ],
    'no other');

# ---- what is the operator's ----
nft("add element $t jail4 { 203.0.113.5, 203.0.113.6 timeout 7200s,"
    . ' 203.0.113.7 timeout 7201s, 203.0.113.8 timeout 1s }',
    "add element $t jail6 { ::ffff:1.2.3.4 }");
is($left_of->('203.0.113.5'), "-1 operator's", 'without a time-out');
like($left_of->('203.0.113.6'), qr/^\d+$/, 'twice the lease: not');
like($left_of->('203.0.113.7'), qr/^\d+ operator's$/, 'longer: is');
is($left_of->('::ffff:1.2.3.4'), 'gone', 'of no packet: not listed');
my $gone = 0;
for (1 .. 100) {
    last if $gone = $left_of->('203.0.113.8') eq 'gone';
    select undef, undef, undef, 0.05;
}
ok($gone, 'one that has expired is gone, though nothing was changed');
is($jail->ask('flush')->{status}, 0, 'flush');
is_deeply($jail->addresses, [ '203.0.113.5', '203.0.113.7' ],
    "spares the operator's");
nft("flush set $t jail4");
is_deeply($jail->addresses, [], "flushed behind jail's back");

# ---- networks ----
sub networks { return $jail->ask('networks')->{lines} }
is_deeply(networks(), [], 'no networks');
my @nets = ('10.0.0.0/8', '192.0.2.0/25', '192.0.2.128/25',
    '255.255.255.255/32', '2001:db8::/32', '2001:db9::1/128', 'ffff::/16');
is($jail->ask("deny @nets")->{status}, 0, 'networks');
is_deeply(networks(), \@nets, 'listed as they were given, to the last address');
is($jail->ask("deny @nets[0, 5]")->{status}, 0, 'others');
is_deeply(networks(), [ @nets[0, 5] ], 'replace them as a whole');
nft("add element $t deny4 { 198.51.100.1-198.51.100.6 }");
is_deeply(networks(), [ '10.0.0.0/8', '0.0.0.0/0', $nets[5] ],
    "another program's range, which is no network");
is($jail->ask('deny 0.0.0.0/1')->{status}, 0, 'half of all');
is_deeply(networks(), ['0.0.0.0/1'], 'listed');
my @many_nets = map { sprintf '10.%d.%d.0/24', $_ >> 8, $_ & 255 } 0 .. 19_999;
is($jail->ask("deny @many_nets")->{status}, 0, '20,000');
is_deeply(networks(), \@many_nets, 'listed');
is($jail->ask('deny')->{status}, 0, 'none');
is_deeply(networks(), [], 'listed');

# ---- many ----
my @many = map { '10.0.' . ($_ >> 8) . '.' . ($_ & 255) } 1 .. 10_000;
my @sixes = map { sprintf '2001:db8:%x::', $_ } 1 .. 1000;
my @all = (@many, @sixes);
is($jail->ask((map { "+ $_" } @all), 'apply')->{status}, 0, '11,000 addresses');
is_deeply($jail->addresses, \@all, 'are there');
is($jail->ask((map { "* $_" } reverse @all), 'apply')->{status}, 0, 'renewed');
is_deeply($jail->addresses, \@all, 'each once');
is($jail->ask((map { "- $_" } @all[1 .. $#all]), 'apply')->{status}, 0,
    'and removed, all but one');
is_deeply($jail->addresses, [ $all[0] ], 'it is left');
$second->ask('open r');
is_deeply($second->addresses, [ $all[0] ], 'in the kernel too');
$jail->ask('flush');

# ---- other sets under an open jail: each is refused, nothing is sent ----
my %refused = (
    jail4 => [ 'flags interval, timeout;' => qr/has the flag interval/,
        '' => qr/has no flag timeout/, 'flags interval;' => qr/has the flag interval/ ],
    jail6 => [ 'flags interval, timeout;' => qr/has the flag interval/ ],
    deny4 => [ 'flags timeout;' => qr/has no flag interval/,
        'flags interval, timeout;' => qr/has the flag timeout/ ],
    deny6 => [ '' => qr/has no flag interval/ ],
);
for my $set (sort keys %refused) {
    my @cases = @{ $refused{$set} };
    while (my ($flags, $like) = splice @cases, 0, 2) {
        is($jail->ask('open w')->{status}, 0, 'open');
        is_deeply($jail->addresses, [], 'empty');
        make($set => $flags);
        $answer = $jail->ask('+ 192.0.2.1', '+ 2001:db8::', 'apply');
        is($answer->{status}, 3, "$set becomes \"$flags\": apply");
        like($answer->{why}, qr/^nft table $t: the set $set $like.*make it with/,
            'and why');
        is_deeply($answer->{lines}, [ 'failed +192.0.2.1',
            'failed +2001:db8::' ], 'nothing was done');
        unlike($ns->must('nft', 'list', 'table', split / /, $t),
            qr/elements/, 'in the kernel neither');
        is($jail->ask('list')->{status}, 3, 'to be opened again');
        is($jail->ask('open w')->{status}, 3, 'which fails as long as it is');
        make();
    }
}

# ---- and a change between the last question and the transaction ----
make();
my $trace = File::Temp->new;
my $slow = $ns->jail($spec, under => [ 'strace', '-f', '-o', "$trace", '-e',
    'trace=sendto', '-e', 'inject=sendto:signal=STOP:when=12' ]);
SKIP: {
    # the 12th call is the one that asks for the generation; it stops behind it
    my $opened = eval { $slow->ask('open w') };
    skip 'no strace here', 5 if !$opened;
    is($opened->{status}, 0, 'open');
    my $to = $slow->{to};
    print {$to} "+ 192.0.2.1\napply\n";
    $to->flush;
    my ($pid, $calls, $is_stopped);
    for (1 .. 2000) {
        open my $file, '<', "$trace" or die "trace: $!";
        my $text = do { local $/; <$file> } // '';
        ($pid) = $text =~ /^(\d+) /;
        $calls = () = $text =~ /sendto\(/g;
        $is_stopped = $text =~ / stopped by SIGSTOP/ and last;
        select undef, undef, undef, 0.01;
    }
    ok($is_stopped, 'it is stopped');
    is($calls, 12, 'it has asked, and not sent');
    make(jail4 => 'flags interval, timeout;');
    kill 'CONT', $pid;
    is($slow->answer->{status}, 3, 'the set became one of intervals meanwhile');
    unlike($ns->must('nft', 'list', 'table', split / /, $t), qr/elements/,
        'nothing is added');
}
undef $slow;
make();

# ---- the table goes, and comes back ----
is($jail->ask('open w')->{status}, 0, 'open');
$ns->must('nft', 'delete', 'table', split / /, $t);
$answer = $jail->ask('+ 192.0.2.1', '- 192.0.2.2', 'apply');
is($answer->{status}, 3, 'the table is gone: apply');
is_deeply($answer->{lines}, [ 'failed +192.0.2.1', 'failed -192.0.2.2' ],
    'nothing was done');
is($jail->ask($_)->{status}, 3, $_) for 'list', 'networks', 'figures',
    'deny 10.0.0.0/8', 'open w';
is_deeply($jail->ask('changed')->{lines}, ['yes'], 'changed');

# ---- rules: masks, counters ----
nft("table $t { set jail4 { type ipv4_addr; flags timeout; size 5; }",
    'set jail6 { type ipv6_addr; flags timeout; }',
    'set deny4 { type ipv4_addr; flags interval; }',
    'set deny6 { type ipv6_addr; flags interval; }',
    'chain x { ip saddr & 255.255.255.0 @jail4 drop;',
    'ip saddr @jail4 counter packets 5 bytes 500 accept;',
    'ip saddr != @jail4 counter packets 7 bytes 700 drop;',
    'ip saddr & 255.255.255.0 @jail4 counter packets 3 bytes 300 drop;',
    'ip saddr @deny4 counter packets 11 bytes 1 drop;',
    'ip6 saddr & ffff:ffff:ffff:: @jail6 counter packets 2 bytes 200 reject',
    '}', '}');
is($jail->ask('open w')->{status}, 0, 'back, with other rules');
is_deeply($jail->ask('figures')->{lines}[0],
    'v4 5 v6 -1 shared 0 packets 16',
    'only rules that drop the clients inside count');
Jail::can_hold($jail, '192.0.2.1' => $Jail::differ, '192.0.2.0/24' => 'yes',
    '2001:db8::/48' => 'yes', '2001:db8::/64' => $Jail::differ);
nft("flush chain $t x");
is_deeply($jail->ask('figures')->{lines}[0],
    'v4 5 v6 -1 shared 0 packets -1', 'no rule');

# ---- a full set ----
nft("add element $t jail4 { 203.0.113.5 }");
$answer = $jail->ask('+ 2001:db8::', (map { "+ 192.0.2.$_" } 1 .. 100),
    '- 203.0.113.77', '+ 2001:db8:1::', 'apply');
is($answer->{status}, 1, 'more than the set has places');
is_deeply($answer->{lines}, [ map { "failed +192.0.2.$_" } 5 .. 100 ],
    'the first ones have them, the other set takes all');
like($answer->{why}, qr/: the set jail4 is full; raise its size/, 'and why');
is_deeply($jail->addresses, [ (map { "192.0.2.$_" } 1 .. 4),
    '203.0.113.5', '2001:db8::', '2001:db8:1::' ], "the operator's stays");
is($jail->ask('* 192.0.2.1', '* 2001:db8::', 'apply')->{status}, 0,
    'a full set can be renewed');
is($jail->ask('- 192.0.2.1', '+ 192.0.2.50', 'apply')->{status}, 0,
    'a removal makes a place');

# ---- sets that are not there or hold something else ----
my $v4 = $ns->jail('nft:inet/clamquota/jail4');
is($v4->ask('open w')->{status}, 0, 'without SET6');
like($v4->ask('can 2001:db8::/64')->{lines}[0], qr/^holds no IPv6: /,
    'it holds no IPv6');
Jail::cannot_deny($v4);
is_deeply($v4->addresses, [ (map { "192.0.2.$_" } 2 .. 4, 50),
    '203.0.113.5' ], 'lists no IPv6');
nft("table $t { set ports { type inet_service; flags timeout; }",
    'set typed { typeof ip6 saddr; flags timeout; }',
    'map sixes { type ipv6_addr : verdict; flags timeout; }', '}');
my %other = (nope => qr/the set nope does not exist/,
    jail6 => qr/the set jail6 is not of that type.*type ipv4_addr/);
for my $set (sort keys %other) {
    $answer = $ns->jail("nft:inet/clamquota/$set")->ask('open w');
    is($answer->{status}, 3, "SET4 is $set");
    like($answer->{why}, $other{$set}, 'and why');
}
for my $set (qw(ports sixes)) {
    $answer = $ns->jail("nft:inet/clamquota/jail4,$set")->ask('open w');
    is($answer->{status}, 3, "SET6 is $set");
    like($answer->{why}, qr/the set $set (?:is not of that type|does not)/,
        'and why');
}
is($ns->jail('nft:inet/clamquota/jail4,typed')->ask('open w')->{status}, 0,
    'a set of typeof');
is($ns->jail('nft:ip/clamquota/jail4')->ask('open w')->{status}, 3,
    'another family');

# ---- a user namespace: its socket takes less at once, so it is sent in parts
my $inside = $ns->jail($spec, under => [ qw(unshare --user --map-root-user
    --net --), 'sh', '-ec', 'nft -f "$0" && exec "$@"',
    "$Jail::top/conf/clamquota.nft" ]);
SKIP: {
    $answer = eval { $inside->ask('open w') };
    skip 'no user namespace here', 5 if !$answer;
    is($answer->{status}, 0, 'in a user namespace: opens');
    my @six = map { sprintf '2001:db8:%x:%x::', $_ >> 8, $_ } 1 .. 12_000;
    is($inside->ask((map { "+ $_" } @six), 'apply')->{status}, 0,
        '12,000 IPv6 addresses');
    is(scalar @{ $inside->addresses }, 12_000, 'are there');
    is($inside->ask("deny @many_nets")->{status}, 0, '20,000 networks');
    is(scalar @{ $inside->ask('networks')->{lines} }, 20_000, 'are there');
}
undef $inside;

# ---- names ----
Jail::judges_names($ns, 'nft', [ '', 'inet', 'inet/t', 'inet/t/', 'inet//s', '/t/s', 'arp/t/s',
    'INET/t/s', 'inet/t/s,', 'inet/t/s,s', 'inet/t/s,r,q', 'inet/t/s,r,q,r',
    'inet/t/s,r,q,p,o', 'inet/t/s/r', 'inet/t/s;flush ruleset', 'inet/t }/s',
    "inet/t/'s'", 'inet/t/s$x', 'inet/t/-s', 'inet/t/s{}', 'inet/t/@s',
    'inet/t/' . 's' x 256, 'inet/t/s,' . 's' x 256, "inet/t/\xc3\xa4" ],
    [ 'ip/a-b.c_d/S9', 'ip6/t/s,r', 'bridge/t/s', 'netdev/t/s,r,q,p' ]);
like($ns->jail('nft:t/s')->{parsed}{why}, qr{^--jail\ "nft:t/s":\ FAMILY\ is\ .*
    expected\ nft:FAMILY/TABLE/SET4\[,SET6\[,DENY4,DENY6\]\],\ e\.g\.\ }x,
    'a sentence');

undef $_ for $jail, $second, $v4;
$ns->remove;
done_testing();
