# The rules of conf/ with real packets, where httpd's port is one of this host
# and where it is published from a container (DNAT); and traffic that this host
# forwards to another one, which they leave alone. A jailed client of each
# family against one that is not.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd qw(poll);
use IO::Select;
use IO::Socket::IP;
use IPC::Open2 qw(open2);
use Test::More;
use Wire;

my ($bad4, $bad6) = ('10.77.1.2', 'fd77:0:1:1::2');
my @bad = ($bad4, $bad6);
my @good = ('10.77.1.3', 'fd77:0:1:2::2');
lay(@bad, @good);

# Another host behind this one: the container, and whatever else is forwarded
# to. Its address for each family, and a web server of a kind.
my $behind = open my $pipe, '|-', 'unshare', '-n', 'cat' or die $!;
poll(20, sub { (readlink("/proc/$behind/ns/net") // '') ne
    readlink "/proc/$$/ns/net" }) or die 'no third namespace';
my ($host4, $host6) = ('10.88.0.2', 'fd88::2');
sub in_behind {
    my ($input, @command) = @_;
    return must($input, 'nsenter', "--net=/proc/$behind/ns/net", @command);
}
must(\join("\n", "link add cq2 type veth peer name cq3 netns $behind",
    'address add 10.88.0.1/24 dev cq2', 'address add fd88::1/64 dev cq2 nodad',
    'link set cq2 up', ''), qw(ip -batch -));
in_behind(\join("\n", 'link set lo up', "address add $host4/24 dev cq3",
    "address add $host6/64 dev cq3 nodad", 'link set cq3 up',
    'route add default via 10.88.0.1', 'route add default via fd88::1', ''),
    qw(ip -batch -));
must('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward; '
    . 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding');
there(sub { must(qw(ip route add 10.88.0.0/24 via), Wire::V4);
    must(qw(ip -6 route add fd88::/64 via), Wire::V6) });

# a server of its own there and here
my $server = <<'EOP';
use IO::Socket::IP;
my @listen = map { IO::Socket::IP->new(LocalHost => $_, LocalPort => 80,
    Listen => 9) // die "$_: $@" } @ARGV;
$| = 1;
print "ready\n";
# until its input ends with the test
1 while sysread STDIN, my $nothing, 1;
EOP
my @servers;
for my $words ([ $^X, '-e', $server, Wire::V4, Wire::V6 ],
    [ 'nsenter', "--net=/proc/$behind/ns/net", $^X, '-e', $server, $host4,
        $host6 ]) {
    open2(my $from, my $to, @{$words});
    push @servers, [ $from, $to ];
    is(scalar <$from>, "ready\n", 'a server');
}

# port 443 of this host is published from there, as Docker does
must(\<<"EOT", qw(nft -f -));
table inet published {
    chain prerouting {
        type nat hook prerouting priority dstnat;
        fib daddr type local tcp dport 443 dnat ip to $host4:80
        fib daddr type local tcp dport 443 dnat ip6 to [$host6]:80
    }
}
EOT

# "connected", or "dropped" as soon as the rules counted its SYN
sub try_connect {
    my ($jail, $from, $to, $port) = @_;
    my $before = $jail->drops($from);
    my $socket = there(sub { IO::Socket::IP->new(PeerHost => $to,
        PeerPort => $port, LocalHost => $from, Blocking => 0) })
        or return "connect: $@";
    return poll(20, sub {
        return 'connected' if IO::Select->new($socket)->can_write(0);
        return $jail->drops($from) > $before ? 'dropped' : undef;
    }) // 'neither';
}

for my $jail (Wire::Jail->all) {
    my $why = $jail->lacks;
    SKIP: {
        skip $why, 1 if $why;
        my $program = $jail->jail($jail->{spec});
        is($program->ask('open w')->{status}, 0, "$jail->{name}: open");
        is($program->ask("+ $bad4", '+ fd77:0:1:1::/64', 'apply')->{status}, 0,
            'one of each family in it');
        for my $six (0, 1) {
            my ($here, $there) = $six ? (Wire::V6, $host6)
                : (Wire::V4, $host4);
            my $name = "$jail->{name}, IPv" . ($six ? 6 : 4);
            is(try_connect($jail, $bad[$six], $here, 80), 'dropped',
                "$name: a port of this host");
            is(try_connect($jail, $bad[$six], $here, 443), 'dropped',
                "$name: a published port");
            is(try_connect($jail, $bad[$six], $there, 80), 'connected',
                "$name: another host behind this one");
            is(try_connect($jail, $good[$six], $here, $_), 'connected',
                "$name: another client, port $_") for 80, 443;
        }
        undef $program;
        $jail->unload;
    }
}
done_testing();
