package Wire;

# Wire - two network namespaces and a cable: the server's, in which the test
# itself goes on, and the clients'. Both have no name and vanish with the
# processes in them; nothing outside is touched.
#
#   lay(@addresses);            # first of all: 10.77.*, fd77:* for clients
#   $socket = there(sub { ... });               # opened at the clients' end
#   my ($first) = Wire::Jail->all;              # iptables-legacy
#   $first->load; is(dropped($first, '10.77.1.2'), 'dropped');
#   ask($server, '10.77.1.2', '/f', 5);         # "200 429 429 429 429"
#   my $tool = Wire::Sync->begin($server, '--watch', ...);

use strict;
use warnings;
use Exporter 'import';
use Httpd;
use IO::Select;
use IO::Socket::IP;
use Jail;
use Mirror;
use Peer;
use Test::More;

our @EXPORT = qw(lay there must ask offend dropped);
use constant { V4 => '10.77.0.1', V6 => 'fd77::1' };

my ($here, $there, $pipe);

sub must { return Wire::Jail->here->must(@_) }

sub enter { syscall(SYS_setns(), fileno $_[0], 0) == 0 or die "setns: $!" }

# Runs something with the network of the clients; what it opens stays there.
our $stay;          # local $Wire::stay = 1: this end is the client itself
sub there {
    my ($code) = @_;
    return $code->() if $stay;
    enter($there);
    my $answer = eval { $code->() };
    my $error = $@;
    enter($here);
    die $error if $error;
    return $answer;
}

# Goes into a namespace of the test's own; with 10.77.0.1 and fd77::1 here and
# these addresses at the other end. Ends the test where that cannot be done.
sub lay {
    my (@addresses) = @_;
    own_network();
    require 'syscall.ph';
    # cat holds the second namespace until this process ends
    my $holder = open $pipe, '|-', 'unshare', '-n', 'cat' or die $!;
    poll(20, sub { (readlink("/proc/$holder/ns/net") // '') ne
        readlink "/proc/$$/ns/net" }) or die 'no second namespace';
    open $here, '<', "/proc/$$/ns/net" or die $!;
    open $there, '<', "/proc/$holder/ns/net" or die $!;
    must(\join("\n", 'link set lo up', "link add cq0 type veth peer name cq1"
        . " netns $holder", 'address add ' . V4 . '/16 dev cq0',
        'address add ' . V6 . '/32 dev cq0 nodad', 'link set cq0 up', ''),
        qw(ip -batch -));
    there(sub { must(\join("\n", 'link set lo up', 'link set cq1 up',
        map({ "address add $_ dev cq1" . (/:/ ? ' nodad' : '') }
            map { $_ . (/^fe80/ ? '/64' : /:/ ? '/32' : '/16') } @addresses),
            ''),
        qw(ip -batch -)) });
    must(qw(ip address add fe80::1/64 dev cq0 nodad));
    # addresses of IPv6 are there a moment after their link
    poll(20, sub { must(qw(ip -6 route show table local)) =~ /^local fd77::1/m
        && must(qw(ip -6 address show tentative)) eq '' })
        or die 'no IPv6 on the cable';
}

# where the server is for it; a link-local address has its interface behind it
sub to {
    my ($from) = @_;
    return 'fe80::1%cq1' if $from =~ /^fe80:/;
    return $from =~ /:/ ? V6 : V4;
}

# What an address is answered on one connection, e.g. "200 429 429": one GET,
# and N more in one go once that is booked. "PROXY ..." in front of the
# headers goes before all.
sub ask {
    my ($server, $from, $path, $more, @headers) = @_;
    my $first = ($headers[0] // '') =~ /^PROXY / ? shift(@headers) . "\r\n"
        : '';
    my $get = join "\r\n", "GET $path HTTP/1.1", 'Host: localhost', @headers,
        '', '';
    my $connection = there(sub { $server->connect(from => $from,
        to => to($from), port => $first ? 81 : 80) });
    my @statuses = $connection->send("$first$get")->response->{status};
    while (@statuses <= ($more // 0)) {
        my $n = 1 + $more - @statuses;
        $n = 50 if $n > 50;     # what both ends hold unread
        $connection->send($get x $n);
        push @statuses, map { ($connection->response // {})->{status}
            // 'closed' } 1 .. $n;
    }
    $connection->close;
    return join ' ', @statuses;
}

# It downloads more than it may, and is then refused N times.
sub offend {
    my ($server, $from, $refusals, $path, @headers) = @_;
    is(ask($server, $from, $path // '/f', $refusals, @headers),
        join(' ', 200, (429) x $refusals), "$from: $refusals refusals");
}

# A connection from there is begun: "dropped" as soon as the rules of the jail
# (or of one of several) have dropped its SYN, "connected" as soon as it is.
sub dropped {
    my ($jail, $from, $port) = @_;
    my $drops = sub {
        my $sum = 0;
        $sum += $_->drops($from) for ref $jail eq 'ARRAY' ? @$jail : $jail;
        return $sum;
    };
    my $before = $drops->();
    my $socket = there(sub { IO::Socket::IP->new(PeerHost => to($from),
        PeerPort => $port // 80, LocalHost => $from, Blocking => 0) })
        or return "connect: $@";
    return poll(20, sub {
        return 'connected' if IO::Select->new($socket)->can_write(0);
        return $drops->() > $before ? 'dropped' : undef;
    }) // 'neither';
}

# ---- the four jails, with the rules of conf/ ----

package Wire::Jail;

our @ISA = ('Jail::Namespace');

my $RECENT = 'recent:DenyAccessClamAV,DenyAccessClamAV6';
my @KINDS = (
    { name => 'iptables-legacy', spec => $RECENT, tables => '-legacy' },
    { name => 'iptables-nft', spec => $RECENT, tables => '-nft' },
    { name => 'nft', spec => 'nft:inet/clamquota/jail4,jail6,deny4,deny6' },
    { name => 'ipset', spec => 'ipset:clamquota4,clamquota6', tables => '' });

# each once, in that order
sub all { return map { bless {%$_}, $_[0] } @KINDS }

sub here { return bless {}, $_[0] }

# in this namespace: nothing to go through
sub words { return () }

sub load {
    my ($self) = @_;
    my ($how, $kind) = ($self->{tables}, $self->{name});
    $self->SUPER::load('clamquota.nft', qw(nft -f -)) if $kind eq 'nft';
    $self->SUPER::load('clamquota.ipset', qw(ipset restore -exist))
        if $kind eq 'ipset';
    return if !defined $how;
    my $file = $kind eq 'ipset' ? 'clamquota-ipset' : 'clamquota';
    # -w: a lock of the machine, not of the namespace
    $self->SUPER::load("$file.$_", "$_$how-restore", '-w', '-n')
        for qw(iptables ip6tables);
}

# All that can be loaded here, loaded; a skipped test names each other one. The
# text of each file goes through the function first, if there is one.
sub loaded {
    my ($class, $edit) = @_;
    my @can;
    for my $jail ($class->all) {
        $jail->{edit} = $edit;
        my $why = $jail->lacks;
        push @can, $jail if !$why;
        SKIP: { Test::More::skip($why, 1) if $why }
    }
    return @can;
}

# Loads it; or why that cannot be done here
sub lacks {
    my ($self) = @_;
    return if eval { $self->load; 1 };
    my $why = "no $self->{name} here: " . $@ =~ s/^SCALAR\S+ //r;
    eval { $self->unload };
    return $why =~ s/\s+/ /gr;
}

sub unload {
    my ($self) = @_;
    my ($how, $kind) = ($self->{tables}, $self->{name});
    $self->must(qw(nft delete table inet clamquota)) if $kind eq 'nft';
    for (defined $how ? qw(iptables ip6tables) : ()) {
        $self->must("$_$how", qw(-w -t raw -F PREROUTING));
    }
    $self->must(qw(ipset destroy)) if $kind eq 'ipset';
}

# How many packets its rules have dropped, of the family of that address.
sub drops {
    my ($self, $address) = @_;
    my $six = $address =~ /:/ ? 6 : '';
    my $sum = 0;
    if ($self->{name} eq 'nft') {
        my $word = $six ? 'ip6' : 'ip';
        $sum += $_ for $self->must(qw(nft list chain inet clamquota jail))
            =~ /^\s*$word saddr .* packets (\d+) .* drop$/mg;
        return $sum;
    }
    my $program = ($six ? 'ip6tables' : 'iptables') . $self->{tables};
    $sum += $_ for $self->must($program, qw(-w -t raw -nvxL PREROUTING))
        =~ /^\s*(\d+)\s+\d+\s+DROP\s/mg;
    return $sum;
}

# Does it spare what an operator adds? Entries of xt_recent have no time-out.
sub spares { return $_[0]{spec} !~ /^recent/ }

# The addresses in it
sub inside {
    my ($self) = @_;
    my $program = $self->jail($self->{spec});
    my $answer = $program->ask('open r');
    return "exit $answer->{status}" if $answer->{status} != 0;
    return join ' ', @{ $program->addresses };
}

# As the operator does it by hand
sub put {
    my ($self, $address) = @_;
    return $self->by_hand("+$address", "add element inet clamquota jail4"
        . " { $address timeout 3650d }", "add clamquota4 $address timeout 0");
}

sub empty {
    my ($self) = @_;
    my ($set, $list) = ('flush set inet clamquota jail', 'DenyAccessClamAV');
    $self->by_hand('/', "${set}4; ${set}6", 'flush');
    $self->must('sh', '-c', "echo / >/proc/net/xt_recent/${list}6")
        if defined $self->{tables} && $self->{name} ne 'ipset';
}

sub by_hand {
    my ($self, $recent, $nft, $ipset) = @_;
    return $self->must('ipset', split ' ', $ipset) if $self->{name} eq 'ipset';
    return $self->must('nft', $nft) if $self->{name} eq 'nft';
    return $self->must('sh', '-c',
        "echo $recent >/proc/net/xt_recent/DenyAccessClamAV");
}

# A client's address as the tool prints it: an IPv6 client is a /64, and a jail
# holds its first address.
sub printed {
    my ($self, $address) = @_;
    return $address =~ /:/ ? $address =~ s/::[0-9a-f]+$/::/r : $address;
}

# ---- clamquota-sync, in the server's world: its clock, its zone; with one
# jail or [several] ----

package Wire::Sync;

my $begun = 0;
my ($BUILD) = ($ENV{CQ_TEST_MODULE}
    // "$Httpd::ROOT/build/mod_clamquota.so") =~ m{^(.*)/};
our $PROGRAM = "$BUILD/clamquota-sync";

sub words {
    my ($server, $jail, @options) = @_;
    return ($PROGRAM, '--table', "$server->{dir}/state/clamquota.table",
        '--state', "$server->{dir}/state/sync", (map { ('--jail', $_->{spec}) }
        ref $jail eq 'ARRAY' ? @$jail : $jail), @options);
}

# One pass: [exit status, lines that it printed]
sub pass {
    my ($class, $server, $jail, @options) = @_;
    my ($exit, $said) = Mirror::run($server, words($server, $jail, @options));
    return [$exit, split /\n/, $said];
}

sub begin {
    my ($class, $server, $jail, @options) = @_;
    my $output = "$server->{dir}/logs/sync" . ++$begun;
    return bless { output => $output, read => 0, pid => Mirror::begin($server,
        $output, words($server, $jail, '--watch', '-v', @options)) }, $class;
}

# The clients jailed (+) and released (-) since the last call, in order of the
# text: as soon as there are N lines.
sub changes {
    my ($self, $count) = @_;
    my @lines;
    Httpd::poll(20, sub {
        @lines = map { /^\S+: (jailed|released) (\S+): ./
            ? ($1 eq 'jailed' ? '+' : '-') . $2 : () } split /\n/,
            Httpd::read_file($self->{output});
        return @lines >= $self->{read} + $count;
    });
    splice @lines, 0, $self->{read};
    $self->{read} += @lines;
    return [sort @lines];
}

# What it said of trouble
sub notes {
    my ($self) = @_;
    return grep { !/^\S+: (?:jailed|released|\S+ is left out:) / } split /\n/,
        Httpd::read_file($self->{output});
}

# The clients over quota that it left out, and why: it reports that each minute.
sub left_out {
    my ($self) = @_;
    return { map { /^\S+: (\S+) is left out: (.*)$/ ? ($1 => $2) : () }
        split /\n/, Httpd::read_file($self->{output}) };
}

# Its exit status, of a signal 128 and its number
sub end {
    my ($self, $signal) = @_;
    kill $signal // 'TERM', $self->{pid};
    return Mirror::ended($self->{pid}, 20);
}

1;
