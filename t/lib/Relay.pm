package Relay;

# Relay - stands between one program and one server: the program's requests
# come from an address that it cannot choose itself, and every byte that the
# server sends is counted. Passes the ends of connections on as they come.

use strict;
use warnings;
use IO::Poll qw(POLLIN POLLOUT POLLHUP POLLERR);
use IO::Socket::IP;
use POSIX ();

use constant ROOM => 1 << 20;           # what may wait for a slow reader

# connect: opens a connection to the server
sub new {
    my ($class, $connect) = @_;
    my $listener = IO::Socket::IP->new(LocalHost => '127.0.0.1',
        Listen => 100, Blocking => 0) or die "no free port: $@";
    return bless { connect => $connect, listener => $listener, pairs => [],
        received => 0, requests => 0 }, $class;
}

sub port { return $_[0]{listener}->sockport }

# Until the program has ended and its connections have; kills it as soon as
# give_up() is true. Its exit status, of a signal 128 and its number.
sub serve {
    my ($self, $pid, $give_up) = @_;
    my $status;
    while (1) {
        if (!defined $status && waitpid($pid, POSIX::WNOHANG()) == $pid) {
            $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
        }
        return $status if defined $status && !@{$self->{pairs}};
        kill 'KILL', $pid if !defined $status && $give_up && $give_up->($self);
        $self->step;
    }
}

sub step {
    my ($self) = @_;
    my $poll = IO::Poll->new;
    $poll->mask($self->{listener} => POLLIN);
    for my $pair (@{$self->{pairs}}) {
        $poll->mask($pair->{program} => POLLIN
            | (length $pair->{waiting} ? POLLOUT : 0));
        $poll->mask($pair->{server} => POLLIN)
            if length $pair->{waiting} < ROOM && !$pair->{ended};
    }
    $poll->poll(0.05);
    $self->accept if $poll->events($self->{listener});
    for my $pair (@{$self->{pairs}}) {
        $self->from_program($pair) if $poll->events($pair->{program});
        $self->from_server($pair)
            if !$pair->{done} && $poll->events($pair->{server});
        send_waiting($pair) if !$pair->{done};
        $_->close for $pair->{done} ? @$pair{qw(program server)} : ();
    }
    @{$self->{pairs}} = grep { !$_->{done} } @{$self->{pairs}};
}

sub accept {
    my ($self) = @_;
    my $program = $self->{listener}->accept or return;
    my $server = eval { $self->{connect}->() } or return $program->close;
    $_->blocking(0) for $program, $server;
    push @{$self->{pairs}}, { program => $program, server => $server,
        waiting => '' };
}

sub from_program {
    my ($self, $pair) = @_;
    my $n = sysread $pair->{program}, (my $data), 65_536;
    return if !defined $n && $!{EAGAIN};
    # what the server still sends is lost
    return $pair->{done} = 1 if !$n;
    $self->{requests}++ while $data =~ m{^(?:GET|HEAD) \S+ HTTP/1}mg;
    local $SIG{PIPE} = 'IGNORE';
    syswrite $pair->{server}, $data;
}

sub from_server {
    my ($self, $pair) = @_;
    my $n = sysread $pair->{server}, $pair->{waiting}, 65_536,
        length $pair->{waiting};
    return if !defined $n && $!{EAGAIN};
    return $pair->{ended} = 1 if !$n;
    $self->{received} += $n;
}

sub send_waiting {
    my ($pair) = @_;
    if (length $pair->{waiting}) {
        local $SIG{PIPE} = 'IGNORE';
        my $n = syswrite $pair->{program}, $pair->{waiting};
        substr $pair->{waiting}, 0, $n, '' if $n;
    }
    $pair->{done} = 1 if $pair->{ended} && !length $pair->{waiting};
}

1;
