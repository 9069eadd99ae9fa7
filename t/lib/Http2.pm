package Http2;

# Http2 - as much of an HTTP/2 client as tests need.
#
# Counts the bytes of each stream's DATA frames and decides itself how much
# the server may send: no other client shows the one and lets do the other.
# Takes a Client::Connection; knows nothing of a server's page or table.

use strict;
use warnings;

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4,
    PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8, CONTINUATION => 9 };
use constant { END_STREAM => 1, ACK => 1, END_HEADERS => 4, PADDED => 8,
    PRIORITY => 32 };

# The static table (RFC 7541, appendix A): the fields that are looked at.
my %FIELD = (':status' => 8, 'content-length' => 28, 'retry-after' => 53);
my %STATUS = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404,
    14 => 500);
# The Huffman code of digits (appendix B): 0 to 2 have 5 bits, the others 6.
my %DIGIT = ('00000' => 0, '00001' => 1, '00010' => 2,
    map { (sprintf('%06b', 22 + $_) => $_) } 3 .. 9);

# Begins. window: what a stream may send before grant(); without it whatever
# comes is granted again. upgraded: the connection's request is stream 1.
sub new {
    my ($class, $connection, %option) = @_;
    my $window = $option{window} // 65535;
    my $self = bless { connection => $connection, next => 1, stream => {},
        greedy => !defined $option{window} }, $class;
    $self->open_stream if $option{upgraded};
    # no header table: no state in the compression; nothing pushed
    $connection->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(SETTINGS, 0, 0, pack '(nN)3', 1, 0, 2, 0, 4, $window)
        . frame(WINDOW_UPDATE, 0, 0, pack 'N', 1 << 30));
    return $self;
}

sub frame {
    my ($type, $flags, $id, $payload) = @_;
    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags,
        $id) . $payload;
}

sub open_stream {
    my ($self) = @_;
    my $id = $self->{next};
    $self->{next} += 2;
    $self->{stream}{$id} = { id => $id, bytes => 0, done => 0, interim => 0,
        field => {} };
    return $self->{stream}{$id};
}

# Sends a request; the stream it returns has status, bytes (of DATA), done
# (the server ended it), reset (how it was), interim (1xx answers), field.
sub request {
    my ($self, $path, %option) = @_;
    my $stream = $self->open_stream;
    my $more = exists $option{body};
    my $block = join '', map { "\0" . text($_->[0]) . text($_->[1]) }
        [':method', $option{method} // 'GET'], [':scheme', 'http'],
        [':authority', 'localhost'], [':path', $path],
        @{$option{headers} // []};
    $self->{connection}->send(frame(HEADERS, END_HEADERS
        | ($more ? 0 : END_STREAM), $stream->{id}, $block));
    $self->body($stream, $option{body}) if defined $option{body};
    return $stream;
}

# A request's body where it was announced by body => undef: 16 KiB at most.
sub body {
    my ($self, $stream, $text) = @_;
    $self->{connection}->send(frame(DATA, END_STREAM, $stream->{id}, $text));
}

# A string literal that is not Huffman coded.
sub text {
    my ($text) = @_;
    my $n = length $text;
    return ($n < 127 ? pack 'C', $n : pack 'CC', 127, $n - 127) . $text
        if $n < 255;
    die 'too long a header field';
}

# Lets a stream send N bytes more.
sub grant {
    my ($self, $stream, $bytes) = @_;
    $self->{connection}->send(frame(WINDOW_UPDATE, 0, $stream->{id},
        pack 'N', $bytes));
}

# Gives a stream up: CANCEL.
sub reset {
    my ($self, $stream) = @_;
    $self->{connection}->send(frame(RST_STREAM, 0, $stream->{id},
        pack 'N', 8));
}

# Reads until the answer is true; false when the connection ended before.
sub until {
    my ($self, $done) = @_;
    while (!$done->()) {
        $self->read_frame or return 0;
    }
    return 1;
}

sub finish {
    my ($self, @streams) = @_;
    return $self->until(sub { !grep { !$_->{done} } @streams });
}

# Answers a PING of ours? Then the server has seen all that was sent before.
sub ping {
    my ($self) = @_;
    my $pongs = $self->{pongs} // 0;
    $self->{connection}->send(frame(PING, 0, 0, 'cq' x 4));
    return $self->until(sub { ($self->{pongs} // 0) > $pongs });
}

sub take {
    my ($self, $n) = @_;
    my $connection = $self->{connection};
    while (length $connection->{data} < $n) {
        $connection->more or return;
    }
    return substr $connection->{data}, 0, $n, '';
}

sub read_frame {
    my ($self) = @_;
    my $head = $self->take(9) // return 0;
    my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $head;
    my $payload = $self->take(($high << 16) + $low) // return 0;
    my $stream = $self->{stream}{$id};
    if ($type == SETTINGS && !($flags & ACK)) {
        $self->{connection}->send(frame(SETTINGS, ACK, 0, ''));
    }
    elsif ($type == PING) {
        $self->{pongs}++ if $flags & ACK;
        $self->{connection}->send(frame(PING, ACK, 0, $payload))
            if !($flags & ACK);
    }
    elsif ($type == DATA) {
        die 'padding' if $flags & PADDED;
        $stream->{bytes} += length $payload;
        my $grant = pack 'N', length $payload;
        $self->{connection}->send(frame(WINDOW_UPDATE, 0, 0, $grant)
            . ($self->{greedy} && !($flags & END_STREAM)
                ? frame(WINDOW_UPDATE, 0, $id, $grant) : ''))
            if length $payload;
    }
    elsif ($type == HEADERS) {
        die 'continued headers' if !($flags & END_HEADERS);
        die 'padding or priority' if $flags & (PADDED | PRIORITY);
        headers($stream, $payload);
    }
    elsif ($type == RST_STREAM) {
        $stream->{reset} = unpack 'N', $payload;
        $stream->{done} = 1;
    }
    $stream->{done} = 1
        if ($type == DATA || $type == HEADERS) && $flags & END_STREAM;
    return 1;
}

# Reads a header block as far as %FIELD goes.
sub headers {
    my ($stream, $block) = @_;
    my @octets = unpack 'C*', $block;
    my $integer = sub {
        my ($mask) = @_;
        my $n = shift(@octets) & $mask;
        return $n if $n < $mask;
        my $shift = 0;
        while (1) {
            my $octet = shift @octets;
            $n += ($octet & 127) << $shift;
            return $n if $octet < 128;
            $shift += 7;
        }
    };
    my $string = sub {
        my $huffman = $octets[0] & 128;
        my $raw = pack 'C*', splice @octets, 0, $integer->(127);
        return $huffman ? digits($raw) : $raw;
    };
    my %field;
    while (@octets) {
        my $index;
        if ($octets[0] & 128) {
            $index = $integer->(127);
            $field{8} = $STATUS{$index} if $STATUS{$index};
            next;
        }
        if (($octets[0] & 224) == 32) {
            $integer->(31);     # a table size: 0, as we said
            next;
        }
        $index = $integer->($octets[0] & 64 ? 63 : 15);
        $string->() if !$index;
        $field{$index} = $string->();
    }
    if (($field{8} // 0) =~ /^1/) {
        $stream->{interim}++;
        return;
    }
    $stream->{status} //= $field{8};
    $stream->{field}{$_} //= $field{$FIELD{$_}} for keys %FIELD;
}

# Digits from their Huffman code; other text is undef.
sub digits {
    my ($bits, $text) = (unpack('B*', shift), '');
    while ($bits =~ s/^(0000[01]|00010|0\d{5})//) {
        return if !defined $DIGIT{$1};
        $text .= $DIGIT{$1};
    }
    return $bits =~ /^1*$/ ? $text : undef;
}

1;
