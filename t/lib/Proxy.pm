package Proxy;

# Proxy - a TCP proxy in front of one server, with faults on demand.
#
# A process of its own; a pipe has its orders for what comes next:
#   pass        forwards both ways
#   delay MS    forwards each piece that much later
#   mute        forwards requests, swallows answers: what became of a request
#               is unknown
#   deaf        swallows requests: a partition that no client notices
#   cut         closes every connection, and each new one
#   lose P      closes a connection instead of forwarding, in P of 100 pieces

use strict;
use warnings;
use Httpd;
use IO::Handle;
use IO::Poll qw(POLLIN POLLHUP POLLERR);
use IO::Socket::IP;
use POSIX ();
use Time::HiRes 'time';

my @proxies;

# to: port; seed: for "lose"
sub run {
    my ($class, %option) = @_;
    my $listener = IO::Socket::IP->new(LocalHost => '127.0.0.1',
        Listen => 100) or die "no free port: $@";
    pipe my $reader, my $writer or die "pipe: $!";
    pipe my $done, my $doing or die "pipe: $!";
    my $self = bless { %option, port => $listener->sockport }, $class;
    defined($self->{pid} = fork) or die "fork: $!";
    if (!$self->{pid}) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{PIPE} = 'IGNORE';
        close $_ for $writer, $done;
        srand($option{seed} // 1);
        @$self{qw(listener orders doing pairs mode by queue)} =
            ($listener, $reader, $doing, {}, 'pass', 0, []);
        eval { 1 while $self->step; 1 } or warn "proxy: $@";
        POSIX::_exit(0);
    }
    $writer->autoflush(1);
    @$self{qw(writer done)} = ($writer, $done);
    push @proxies, $self;
    return $self;
}

sub address { return "127.0.0.1:$_[0]{port}" }

# Returns when the new order is in force.
sub order {
    my ($self, $order) = @_;
    print {$self->{writer}} "$order\n";
    readline $self->{done};
    return;
}

# ---- in its process ----

sub step {
    my ($self) = @_;
    my $poll = IO::Poll->new;
    my @all = ($self->{orders}, $self->{listener},
        map { $_->{socket} } values %{$self->{pairs}});
    $poll->mask($_ => POLLIN) for @all;
    my $next = $self->{queue}[0];
    my $wait = $next ? $next->{due} - time : 10;
    $poll->poll($wait > 0 ? $wait : 0);
    $self->flush;
    for my $ready ($poll->handles(POLLIN | POLLHUP | POLLERR)) {
        if ($ready == $self->{orders}) { $self->obey or return 0 }
        elsif ($ready == $self->{listener}) { $self->accept_one }
        elsif ($self->{pairs}{$ready}) { $self->forward($self->{pairs}{$ready}) }
    }
    return 1;
}

sub obey {
    my ($self) = @_;
    sysread $self->{orders}, my $line, 100 or return 0;
    ($self->{mode}, $self->{by}) = $line =~ /(\w+) ?(\d*)/;
    if ($self->{mode} eq 'cut') {
        my @pairs = values %{$self->{pairs}};
        $self->shut($_) for @pairs;
    }
    syswrite $self->{doing}, "\n";
    return 1;
}

sub accept_one {
    my ($self) = @_;
    my $client = $self->{listener}->accept or return;
    my $server = $self->{mode} eq 'cut' ? undef : IO::Socket::IP->new(
        PeerHost => '127.0.0.1', PeerPort => $self->{to}, Timeout => 5);
    return close $client if !$server;
    $self->{pairs}{$client} = { socket => $client, other => $server,
        way => 'request' };
    $self->{pairs}{$server} = { socket => $server, other => $client,
        way => 'answer' };
}

sub forward {
    my ($self, $from) = @_;
    my $mode = $self->{mode};
    my $n = sysread $from->{socket}, my $data, 65_536;
    return $self->shut($from) if !$n
        || ($mode eq 'lose' && rand(100) < $self->{by});
    return if $mode eq ($from->{way} eq 'request' ? 'deaf' : 'mute');
    push @{$self->{queue}}, { to => $from->{other}, data => $data,
        due => time + ($mode eq 'delay' ? $self->{by} / 1000 : 0) };
    $self->flush;
}

sub flush {
    my ($self) = @_;
    while (@{$self->{queue}} && $self->{queue}[0]{due} <= time) {
        my $piece = shift @{$self->{queue}};
        my $to = $piece->{to};
        syswrite $to, $piece->{data} if $self->{pairs}{$to};
    }
}

sub shut {
    my ($self, $pair) = @_;
    for my $socket (@$pair{qw(socket other)}) {
        delete $self->{pairs}{$socket};
        close $socket;
    }
}

END {
    local $?;
    for my $proxy (@proxies) {
        kill 'KILL', $proxy->{pid};
        waitpid $proxy->{pid}, 0;
    }
}

1;
