package Dns;

# Dns - a name server on loopback that gives every question the same text, for
# programs that read the versions of ClamAV's databases from a TXT record.
#
# It listens on port 53, which such programs cannot change, so it
# needs root or the like; on an address there that no other client uses.

use strict;
use warnings;
use Errno ();
use IO::Socket::INET;
use POSIX ();

# With this text; undef and the reason in $! if it may not listen there.
sub new {
    my ($class, $text) = @_;
    for my $address (map { "127.53.0.$_" } 1 .. 20) {
        my $socket = IO::Socket::INET->new(LocalAddr => $address,
            LocalPort => 53, Proto => 'udp');
        return bless {address => $address, pid => serve($socket, $text)},
            $class if $socket;
        return if !$!{EADDRINUSE};
    }
    return;
}

sub address { return $_[0]{address} }

sub serve {
    my ($socket, $text) = @_;
    defined(my $pid = fork) or die "fork: $!";
    return $pid if $pid;
    $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
    # longer than any test, in case that was killed
    alarm 600;
    while (defined $socket->recv(my $question, 512)) {
        my $reply = reply($question, $text);
        $socket->send($reply) if defined $reply;
    }
    POSIX::_exit(1);
}

# RFC 1035, 4.1: the question comes back with one answer, which names it by a
# pointer to offset 12. What else came (EDNS) is left out.
sub reply {
    my ($message, $text) = @_;
    my ($number, undef, $questions) = unpack 'n3', $message;
    my $at = 12;
    # the name's labels, each after its length; then type and class
    while ($at < length $message and my $label = ord substr $message, $at, 1) {
        $at += 1 + $label;
    }
    return if $at + 5 > length $message || $questions != 1;
    # a response, authoritative, recursion available; TXT, IN, 60 s
    return pack('n6', $number, 0x8580, 1, 1, 0, 0)
        . substr($message, 12, $at + 5 - 12)
        . pack('n n n N n/a*', 0xc00c, 16, 1, 60, pack 'C/a*', $text);
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

1;
