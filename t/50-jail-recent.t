# mpm: once
# The jail of xt_recent against the kernel, with the rules of conf/: every
# operation and every error, in a network namespace of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Jail;
use Test::More;

my $ns = Jail::Namespace->new;
plan skip_all => $Jail::why_not if !$ns;

my $other = Jail::Namespace->new;
my $rule = "*filter\n-I INPUT -m recent --rcheck --name x -j DROP\nCOMMIT\n";
my ($cannot, $said) = $other->run(\$rule, 'iptables-restore', '-n');
plan skip_all => "iptables makes no list of xt_recent here: $said" if $cannot;
$other->remove;

my ($a, $b) = ('DenyAccessClamAV', 'DenyAccessClamAV6');
my $path = "/proc/net/xt_recent";

# ---- before there is a rule ----
my $jail = $ns->jail("recent:$a");
is_deeply($jail->{parsed}, { status => 0, why => '', lines => [] }, 'spec');
my $answer = $jail->ask('open w');
is($answer->{status}, 3, 'no rule names the list');
like($answer->{why}, qr{^\Q$path/$a\E does not exist: .*iptables-restore},
    'and what to do');
is($ns->jail("recent:$a", under => [ Jail::as_nobody() ])
        ->ask('open w')->{status}, 4, 'not permitted comes before missing');
is($ns->jail("recent:$a", under => [ Jail::read_only_proc() ])
        ->ask('open w')->{status}, 5, 'a read-only /proc too');

sub restore {
    my ($how) = @_;
    $ns->load('clamquota.iptables', "iptables$how-restore", '-n');
    $ns->load('clamquota.ip6tables', "ip6tables$how-restore", '-n');
    return;
}

sub drop_rules {
    my ($how) = @_;
    $ns->must("$_$how", '-F') for 'iptables', 'ip6tables';
    return;
}

sub command {
    my ($list, $command) = @_;
    $ns->must('sh', '-c', "printf %s '$command' >$path/$list");
    return;
}

sub file { return scalar(split /\n/, $ns->must('cat', "$path/$_[0]")) }

# without /sys the tool, too, goes by the kernel's default
my $parameter = '/sys/module/xt_recent/parameters/ip_list_tot';
my $places = -e $parameter ? `cat $parameter` + 0 : 100;

# ---- both families of rules, as they are shipped ----
for my $how ('-legacy', '-nft') {
    restore($how);
    is($jail->ask('open w')->{status}, 0, "$how: opens, missing before");
    is($jail->ask('open r')->{status}, 0, 'to look at as well');
    is($jail->ask('open w')->{status}, 0, 'and anew');
    is_deeply($jail->addresses, [], 'and is empty');

    $answer = $jail->ask('+ 192.0.2.7', '+ 192.0.2.8', '+ 2001:db8::7',
        '+ ::ffff:192.0.2.9', 'apply 3600');
    is_deeply($answer, { status => 0, why => '', lines => [] }, 'adds');
    is_deeply($jail->ask('list')->{lines},
        [ map { "$_ -1" } '192.0.2.7/32', '192.0.2.8/32', '192.0.2.9/32',
            '2001:db8::7/128' ], 'lists, a mapped address as IPv4');
    is(file($a), 4, 'and so it stands in the kernel');
    $ns->must(qw(grep -q -x), 'src=192.0.2.9 .*', "$path/$a");

    $answer = $jail->ask('- 192.0.2.8', '- 198.51.100.1', 'apply 3600');
    is($answer->{status}, 0, 'removes, also who is not there');
    command($a, '+203.0.113.5');
    is_deeply($jail->addresses, [ '192.0.2.7/32', '192.0.2.9/32',
        '203.0.113.5/32', '2001:db8::7/128' ], "somebody else's is listed");

    # ring of one stamp: a renewed entry shows another one
    my $stamp = sub {
        my ($line) = grep { /^src=192\.0\.2\.7 / }
            split /\n/, $ns->must('cat', "$path/$a");
        return $line =~ /last_seen: (\d+)/ ? $1 : die "no stamp: $line";
    };
    my $before = $stamp->();
    my $tries = 0;
    until ($stamp->() > $before || $tries++ > 10_000) {
        $answer = $jail->ask('* 192.0.2.7', 'apply 3600');
        last if $answer->{status} != 0;
    }
    is($answer->{status}, 0, 'renews');
    cmp_ok($stamp->(), '>', $before, 'so that its time begins anew');
    is(file($a), 4, 'in its place');

    is($jail->ask('flush')->{status}, 0, 'flush');
    is(file($a), 0, 'takes everybody out');
    drop_rules($how);
}

# ---- a list that goes, and comes back under an open descriptor ----
restore('');
is($jail->ask('open w')->{status}, 0, 'open');
is($jail->ask('+ 192.0.2.1', 'apply 60')->{status}, 0, 'one inside');
drop_rules('');
$answer = $jail->ask('list');
is($answer->{status}, 3, 'the rules are gone: list');
like($answer->{why}, qr{^\Q$path/$a\E does not exist: }, 'says it');
$answer = $jail->ask('+ 192.0.2.1', '- 192.0.2.2', 'apply 60');
is($answer->{status}, 3, 'apply too');
is_deeply($answer->{lines}, [ 'failed +192.0.2.1/32',
    'failed -192.0.2.2/32' ], 'and which changes were not done');
is($jail->ask('flush')->{status}, 3, 'flush too');
restore('');
is_deeply($jail->addresses, [], 'back, empty: listed without a new open');
drop_rules('');
restore('');
is($jail->ask('+ 192.0.2.1', '+ 192.0.2.2', 'apply 60')->{status}, 0,
    'another one of that name under an open descriptor: adds');
is_deeply($jail->addresses, [ '192.0.2.1/32', '192.0.2.2/32' ], 'into it');
drop_rules('');
restore('');
is($jail->ask('flush')->{status}, 0, 'and flushes');
undef $jail;

# ---- networks ----
$jail = $ns->jail("recent:$a,$b");
is($jail->ask('open w')->{status}, 0, 'two lists');
is_deeply($jail->ask("can $_->[0]")->{lines}, [ $_->[1] ], "can $_->[0]")
    for [ '192.0.2.1', 'yes' ], [ '2001:db8::1', 'yes' ],
    [ '2001:db8::/64', 'yes' ],
    [ '2001:db8::/48', 'holds IPv6 networks of 64 bits only' ],
    [ '192.0.2.0/24', 'holds single IPv4 addresses, no networks' ];
$answer = $jail->ask('+ 2001:db8:0:7::/64', '+ 2001:db8::1', '+ 192.0.2.1',
    '+ 192.0.2.0/24', '+ 2001:db8::/48', 'apply 60');
is($answer->{status}, 1, 'what it cannot hold');
is_deeply($answer->{lines}, [ 'failed +192.0.2.0/24',
    'failed +2001:db8::/48' ], 'fails, nothing else does');
is($answer->{why}, 'an xt_recent list holds single IPv4 addresses, no '
    . 'networks', 'with a reason');
like($ns->must('cat', "$path/$b"),
    qr/\Asrc=2001:0db8:0000:0007:0000:0000:0000:0000 ttl.*\n\z/,
    'a /64 is its network address in the second list');
command($b, '+2001:db8:0:8::9');
command($b, '+192.0.2.99');
command($b, '+2001:db8:0:9::');
command($a, '+::ffff:192.0.2.77');
is_deeply($jail->addresses, [ '192.0.2.1/32', '2001:db8::1/128',
    '2001:db8:0:7::/64', '2001:db8:0:9::/64' ],
    'what could never match is not listed');
is($jail->ask('- 2001:db8:0:7::/64', 'apply 60')->{status}, 0, 'out again');
is_deeply($jail->addresses, [ '192.0.2.1/32', '2001:db8::1/128',
    '2001:db8:0:9::/64' ], 'the network');
is_deeply($jail->ask('figures')->{lines}[0], "v4 $places v6 $places shared 0 "
    . 'packets -1 bytes -1', 'figures');
is($jail->ask('flush')->{status}, 0, 'flush');
is(file($a) + file($b), 0, 'empties both');

my $single = $ns->jail("recent:$a");
$single->ask('open w');
like($single->ask('can 2001:db8::/64')->{lines}[0],
    qr/^holds IPv6 networks only in a second list/, 'without NAME6');
is_deeply($single->ask('figures')->{lines}[0],
    "v4 $places v6 $places shared 1 packets -1 bytes -1",
    'one list is shared');
my $narrow = $ns->jail("recent:$a,$b/56");
$narrow->ask('open w');
is_deeply($narrow->ask('can 2001:db8::/56')->{lines}, ['yes'], 'BITS');
is_deeply($narrow->ask('can 2001:db8::/64')->{lines},
    [ 'holds IPv6 networks of 56 bits only' ], 'and no other');
undef $narrow;

$ns->must('ip6tables', '-D', 'INPUT', 1);
$answer = $jail->ask('open w');
is($answer->{status}, 3, 'only the second list is missing');
like($answer->{why}, qr{^\Q$path/$b\E does not exist: .*ip6tables-restore},
    'and said to be');
undef $jail;

# ---- a full list ----
command($a, '+203.0.113.5');
my @many = map { '10.0.' . ($_ >> 8) . '.' . ($_ & 255) } 1 .. 10_000;
$answer = $single->ask((map { "+ $_" } @many), 'apply 60');
is($answer->{status}, 1, '10,000 addresses into a list of its size');
is(scalar @{ $answer->{lines} }, 10_000 - ($places - 1),
    'what has no place fails');
like($answer->{why}, qr{^\Q$path/$a\E is full: it holds $places .*raise ip_list_tot}, 'with a reason');
is(file($a), $places, 'the list is full');
my $inside = $single->addresses;
is(scalar @{$inside}, $places, 'and is listed whole, over several reads');
is((grep { $_ eq '203.0.113.5/32' } @{$inside}), 1,
    "somebody else's was not pushed out");
is_deeply([ @{$answer->{lines}}[0, -1] ], [ "failed +$many[$places - 1]/32",
    "failed +$many[-1]/32" ], 'the first ones have a place');
is($single->ask('* 10.0.0.1', 'apply 60')->{status}, 0, 'renewing needs none');
is($single->ask('- 10.0.0.1', '+ 198.51.100.1', '+ 198.51.100.2',
    'apply 60')->{lines}[0], 'failed +198.51.100.2/32',
    'a place that was made is used, and no more');
command($a, '-10.0.0.2');
is($single->ask('+ 198.51.100.2', 'apply 60')->{status}, 0,
    'also one that somebody else made');
is((grep { $_ eq '203.0.113.5/32' } @{ $single->addresses }), 1,
    'the foreign one is still there');
command($a, '/');
is($single->ask((map { "- $_" } @many), 'apply 60')->{status}, 0,
    '10,000 removals of who is not there');

# ---- rights ----
$jail = $ns->jail("recent:$a", under => [ Jail::as_nobody() ]);
$answer = $jail->ask('open w');
is($answer->{status}, 4, 'nobody may not write');
like($answer->{why}, qr{^\Q$path/$a\E may not be written by this user: .*as root}, 'what to do');
is($jail->ask('open r')->{status}, 0, 'but look');
is_deeply($jail->addresses, [], 'and list');
$answer = $jail->ask('+ 192.0.2.1', 'apply 60');
is($answer->{status} != 0 && "@{$answer->{lines}}", 'failed +192.0.2.1/32',
    'not write');
is(file($a), 0, 'nothing was written');
$jail = $ns->jail("recent:$a", under => [ Jail::read_only_proc() ]);
$answer = $jail->ask('open w');
is($answer->{status}, 5, 'read-only /proc');
like($answer->{why}, qr{/proc is mounted read-only}, 'said to be');
is($jail->ask('open r')->{status}, 0, 'looking is possible');
undef $jail;
undef $single;

# ---- names ----
my @bad = ('', ',', 'a,', 'a/b', '../passwd', '.', '..', '-a', 'a b',
    'a,a', 'a,b/', 'a,b/0', 'a,b/128', 'a,b/64x', 'a,b/064', 'a,b,c',
    "\xc3\xa4", 'x' x 200, 'a,' . 'x' x 200);
for my $name (@bad) {
    my $parsed = $ns->jail("recent:$name")->{parsed};
    (my $shown = $name) =~ s/[^\x20-\x7e]/?/g;
    is($parsed->{status}, 2, 'refused: ' . substr $shown, 0, 20);
}
like($ns->jail('recent:a/b')->{parsed}{why}, 
    qr{^--jail "recent:a/b": .*expected recent:NAME.*, e\.g\. recent:\w+$},
    'a sentence');
is($ns->jail('recent:' . 'x' x 199)->{parsed}{status}, 0, '199 characters');
is($ns->jail($_)->{parsed}{status}, 2, "no kind: \"$_\"")
    for '', 'recent', 'rec:a', 'recently:a', ':a', 'DenyAccessClamAV';

$ns->remove;
done_testing();
