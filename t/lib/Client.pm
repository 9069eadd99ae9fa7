package Client;

# Client - what tests send to a server and how they read its page.
#
# Methods of Httpd. curl() runs the real program, connect() gives a raw
# connection that counts every byte it receives.

use strict;
use warnings;
use HTTP::Tiny;
use IO::Select;
use IO::Socket::IP;
use JSON::PP ();
use POSIX ();
use Socket;
use Time::Local 'timegm';

sub url {
    my ($self, $path) = @_;
    return $path =~ m{^/} ? "http://127.0.0.1:$self->{port}$path" : $path;
}

sub tls_url { return "https://127.0.0.1:$_[0]{tls_port}$_[1]" }

# Gets a path or URL with curl. Returns {exit, status, head, headers (names in
# lower case), date (unix seconds), body, bytes}: bytes of headers and body of all transfers; of
# several (URL globs) the rest is the last one's, and codes has every status.
sub get {
    my ($self, $path, @arguments) = @_;
    my ($head, $body) = map { "$self->{dir}/run/$_.$$" } qw(head body);
    unlink $head, $body;
    open my $fh, '-|', 'curl', qw(-q -s -k -m 30 --noproxy *), '-D', $head,
        '-o', $body, '-w', '%{http_code} %{size_header} %{size_download} '
        . "%{num_connects}\n", @arguments, $self->url($path)
        or die "curl: $!";
    my @transfers = map { [split] } <$fh>;
    close $fh;
    my %answer = (exit => $? >> 8, status => $transfers[-1][0],
        bytes => 0, connects => 0, head => Httpd::read_file($head),
        body => Httpd::read_file($body), codes => [map { $_->[0] } @transfers]);
    for (@transfers) {
        $answer{bytes} += $_->[1] + $_->[2];
        $answer{connects} += $_->[3];
    }
    $answer{headers} = headers($answer{head});
    $answer{date} = date($answer{headers}{date} // '');
    return \%answer;
}

# {name in lower case => value} of the last header block
sub headers {
    my ($last) = (split /\r\n\r\n(?=HTTP)/, shift)[-1];
    return { map { /^([^:\s]+):\s*(.*?)\r?$/ ? (lc $1, $2) : () }
        split /\n/, $last // '' };
}

# The second of a Date header: a time "in N seconds" is exact
# from there, however long the answer took.
sub date {
    my ($text) = @_;
    my ($d, $name, $y, $h, $m, $s) =
        $text =~ /, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/
        or return;
    my $month = index('JanFebMarAprMayJunJulAugSepOctNovDec', $name) / 3;
    return timegm($s, $m, $h, $d, $month, $y);
}

# The page's JSON; with a query only what it selects.
sub json {
    my ($self, $query) = @_;
    my $answer;
    # a child that a test kills may take the connection of the page along
    for (1 .. 5) {
        $answer = HTTP::Tiny->new(timeout => 10)->get("http://127.0.0.1:"
            . "$self->{port}/clamquota?json" . ($query ? "&$query" : ''));
        last if $answer->{status} != 599
            || $answer->{content} !~ /Connection reset|Unexpected end/;
    }
    die "page: $answer->{status} $answer->{content}" if !$answer->{success};
    return JSON::PP::decode_json($answer->{content});
}

# A client's row, undef if there is none. With expectations (used => 123) it
# is read until they are met, for 5 s: the last byte arrives at the client a
# moment before it is booked.
sub row {
    my ($self, $client, %expect) = @_;
    my $pool = delete $expect{pool} // 'default';
    my $row;
    Httpd::poll(%expect ? 5 : 0, sub {
        ($row) = grep { $_->{client} eq $client && $_->{pool} eq $pool }
            @{$self->json('limit=10000')->{clients}};
        return $row && !grep { $row->{$_} != $expect{$_} } keys %expect;
    });
    return $row;
}

# The page's action, as its own form sends it.
sub post {
    my ($self, $body, @arguments) = @_;
    return $self->get('/clamquota', '--data', $body, @arguments);
}

# Lines of the access log; waits until there are N that match.
sub access {
    my ($self, $wanted, $count) = @_;
    my @lines;
    Httpd::poll(5, sub {
        @lines = grep { $_ =~ $wanted } split /\n/,
            Httpd::read_file("$self->{dir}/logs/access.log");
        return @lines >= ($count // 1);
    });
    return @lines;
}

# ---- a raw connection: options from, to, port, buffer (receive buffer),
# timeout; tls: the protocol to agree on ----

sub connect {
    my ($self, %option) = @_;
    return $self->connect_tls(%option) if $option{tls};
    my $socket = IO::Socket::IP->new(PeerHost => $option{to} // '127.0.0.1',
        PeerPort => $option{port} // $self->{port},
        Timeout => $option{timeout} // 10,
        $option{from} ? (LocalHost => $option{from}) : (),
        $option{buffer} ? (Sockopts => [[SOL_SOCKET(), SO_RCVBUF(),
            $option{buffer}]]) : ()) or die "connect: $@";
    $socket->blocking(1);
    return bless { socket => $socket, bytes => 0, data => '' },
        'Client::Connection';
}

# openssl does the cipher: this end has the plaintext.
sub connect_tls {
    my ($self, %option) = @_;
    socketpair my $mine, my $its, AF_UNIX(), SOCK_STREAM(), PF_UNSPEC()
        or die "socketpair: $!";
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        open STDIN, '<&', $its;
        open STDOUT, '>&', $its;
        open STDERR, '>', '/dev/null';
        exec 'openssl', qw(s_client -quiet -connect),
            '127.0.0.1:' . ($option{port} // $self->{tls_port}),
            '-alpn', $option{tls}, '-bind', ($option{from} // '127.0.0.1')
            . ':0' or POSIX::_exit(127);
    }
    close $its;
    return bless { socket => $mine, bytes => 0, data => '', openssl => $pid },
        'Client::Connection';
}

package Client::Connection;

sub send {
    my ($self, $text) = @_;
    local $SIG{PIPE} = 'IGNORE';
    $self->{socket}->syswrite($text);
    return $self;
}

# Adds what comes next to data; false at the end of the connection.
sub more {
    my ($self, $most) = @_;
    IO::Select->new($self->{socket})->can_read(20) or die "no answer for 20 s";
    my $n = $self->{socket}->sysread($self->{data}, $most // 65536,
        length $self->{data});
    $self->{bytes} += $n // 0;
    return $n;
}

# Reads one response with a Content-Length (or none: head => 1).
sub response {
    my ($self, %option) = @_;
    1 while $self->{data} !~ /\r\n\r\n/ && $self->more;
    $self->{data} =~ s/^(HTTP\S+ (\d+).*?\r\n\r\n)//s or return;
    my %answer = (head => $1, status => $2, headers => Client::headers($1));
    my $length = $option{head} ? 0 : $answer{headers}{'content-length'} // 0;
    1 while length $self->{data} < $length && $self->more;
    $answer{body} = substr $self->{data}, 0, $length, '';
    return \%answer;
}

# All until the server closes.
sub drain {
    my ($self) = @_;
    1 while $self->more;
    return $self->{data};
}

# A number of bytes, then no more: close() follows.
sub take {
    my ($self, $bytes) = @_;
    while ($self->{bytes} < $bytes) {
        $self->{data} = '';
        $self->more($bytes - $self->{bytes}) or last;
    }
    return $self->{bytes};
}

# Goes away; with unread bytes the kernel sends a reset.
sub close {
    my ($self) = @_;
    $self->{socket}->close;
    my $pid = delete $self->{openssl} or return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!);
    $self->close if $self->{openssl};
}

1;
