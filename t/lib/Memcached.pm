package Memcached;

# Memcached - real memcached processes for one test file, on loopback.
#
# Each has a port of its own that it keeps when it is stopped and started
# again. command() speaks its text protocol. They end with the test.

use strict;
use warnings;
use Httpd;
use IO::Select;
use IO::Socket::IP;
use Peer;
use POSIX ();

my @servers;

# arguments: of memcached, e.g. ['-m', 2]; faketime: e.g. '+40d'
sub run {
    my ($class, %option) = @_;
    my $probe = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1)
        or die "no free port: $@";
    my $self = bless { arguments => [], %option, port => $probe->sockport },
        $class;
    close $probe;
    push @servers, $self;
    $self->start;
    return $self;
}

sub address { return "127.0.0.1:$_[0]{port}" }

# Comes up empty.
sub start {
    my ($self) = @_;
    my $program = program('memcached') or die "no memcached\n";
    my @fake = $self->{faketime} ? ('faketime', '-f', $self->{faketime}) : ();
    my ($user) = grep { getpwnam $_ } qw(www-data nobody);
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        %ENV = (%ENV, Peer::environment($program));
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec { $fake[0] // $program } @fake, $program, '-l', '127.0.0.1', '-p',
            $self->{port}, '-t', 1, $> ? () : ('-u', $user),
            @{$self->{arguments}} or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    poll(10, sub { eval { $self->command('version') } })
        or die "memcached @{$self->{arguments}} does not answer\n";
    return;
}

# How (a signal): KILL unless it is to end in order. It is a session of its own,
# and faketime waits for it as a process of its own in that.
sub stop {
    my ($self, $how) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'CONT', -$pid;
    kill $how // 'KILL', -$pid;
    local $?;
    waitpid $pid, 0;
    return;
}

sub freeze { return kill 'STOP', -$_[0]{pid} }
sub thaw { return kill 'CONT', -$_[0]{pid} }

# The answer of one command up to its end, else all; without carriage returns unless it is raw.
sub command {
    my ($self, $command, %option) = @_;
    my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1', Timeout => 5,
        PeerPort => $self->{port}) or die "memcached: $@\n";
    my $end = $option{end} // qr/MN\r\n\z/;
    # which marks the end of the answer
    print {$socket} $command, $option{end} ? "\r\n" : "\r\nmn\r\n";
    my $answer = '';
    while ($answer !~ s/$end//) {
        IO::Select->new($socket)->can_read(5) or die "memcached hangs\n";
        sysread $socket, $answer, 65_536, length $answer
            or die "memcached ended: $answer\n";
    }
    return $option{raw} ? $answer : $answer =~ s/\r//gr;
}

sub stats {
    my ($self) = @_;
    return { $self->command('stats') =~ /^STAT (\S+) (.*)$/mg };
}

# The keys of all items
sub keys {
    my ($self) = @_;
    return map { s/%([0-9A-F]{2})/chr hex $1/iger }
        $self->command('lru_crawler metadump all', end => qr/END\r\n\z/) =~ /^key=(\S+)/mg;
}

# {key => value} of all items; put() stores them, whatever is there
sub items {
    my ($self) = @_;
    my %items;
    for my $key ($self->keys) {
        my ($length, $rest) = $self->command("get $key", raw => 1)
            =~ /\AVALUE \S+ \d+ (\d+)\r\n(.*)/s or next;
        $items{$key} = substr $rest, 0, $length;
    }
    return \%items;
}

sub put {
    my ($self, $items) = @_;
    for my $key (CORE::keys %$items) {
        $self->command("set $key 0 0 " . length($items->{$key}) . "\r\n"
            . $items->{$key}) =~ /^STORED/ or die "not stored: $key\n";
    }
}

# Stores items of no use until others have to go.
sub fill {
    my ($self, $count) = @_;
    my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1',
        PeerPort => $self->{port}) or die "memcached: $@\n";
    my $value = 'x' x 100;
    print {$socket} map { "set fill$_ 0 0 100 noreply\r\n$value\r\n" }
        1 .. $count;
    print {$socket} "mn\r\n";
    return scalar readline $socket;
}

# A connection that takes a place.
sub hold {
    my ($self) = @_;
    return IO::Socket::IP->new(PeerHost => '127.0.0.1',
        PeerPort => $self->{port}, Timeout => 5);
}

END {
    $_->stop for @servers;
}

1;
