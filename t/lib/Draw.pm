package Draw;

# Draw - requests made at random, and what the contract's table says of their
# answers. Knows no server: the same seed draws the same requests.
#
#   my $draw = Draw->new($seed);
#   my $request = $draw->request;   # {kind, method, path, headers, body}
#   my @answers = Draw::answers($data, @requests);      # HTTP/1.x
#   Draw::column($request, $answer);        # used, free, refused

use strict;
use warnings;

use constant SIZE => 20_000;

# Kinds of resources, how often each is drawn, and their paths
my @KINDS = map { [split] } (
    'plain 8 /plain', 'empty 1 /empty', 'directory 1 /dir/',
    'multiviews 2 /variant', 'rewrite 2 /rewritten', 'ssi 2 /page.shtml',
    'cgi 2 /script.cgi', 'deflate 4 /deflated/text.txt',
    'proxy 2 /proxied/plain', 'file 2 /file/none', 'script 2 /coded/none',
    'url 1 /url/none', 'none 1 /none', 'dav 2 /dav/plain',
    'write 2 /dav/written', 'backend 1 /proxied/dav/plain',
    'unset 3 /unset/plain', 'copies 4 /copies/plain', 'denied 1 /denied/plain');

# The default handler answers these: it can be known what with.
our %PREDICTABLE = map { ($_ => 1) } qw(plain empty directory multiviews rewrite
    ssi deflate file script url none unset copies);

# What has no known length, and may be in flight beside the response that
# crosses the allowance
our %UNKNOWN = map { ($_ => 1) } qw(ssi cgi deflate proxy script dav
    write backend);

my @RANGES = map { "bytes=$_" } ('0-99', '0-0', '5-4100', '0-4095', '0-4096',
    '1-0', '-0', '-1', '-5000', '-99999999', '0-', '1-', '10000-', '19999-',
    '20000-', '20000-20001', '99999999999999999999-', '0-99999999999999999999',
    '0-1,3-4', '0-,0-', '0-9999,5000-19999', '5-9,1-2,0-3', '0-0,', ',0-0',
    '0-0,x', ' 0-0', '0 -0', 'x', '', '-', '0-0x', '5000-100',
    join(',', map { 2 * $_ . '-' . 2 * $_ } 0 .. 99),
    join(',', ('0-') x 30), join(',', ('1-') x 300));

sub new {
    my ($class, $seed) = @_;
    return bless { state => $seed % 2_147_483_647 || 1 }, $class;
}

# Park and Miller's generator: perl's own is another one on other machines.
sub below {
    my ($self, $n) = @_;
    $self->{state} = $self->{state} * 48271 % 2_147_483_647;
    return $self->{state} % $n;
}

sub one_of { return $_[1 + $_[0]->below(@_ - 1)] }
sub one_in { return $_[0]->below($_[1]) == 0 }

sub request {
    my ($self) = @_;
    my ($kind, undef, $path) = @{$self->one_of(map { ($_) x $_->[1] } @KINDS)};
    my $method = $self->one_in(5) ? $self->one_of(qw(HEAD HEAD POST PUT DELETE
        OPTIONS PROPFIND PATCH)) : 'GET';
    # the files stay as they are
    $method = $self->one_of(qw(GET PROPFIND OPTIONS HEAD))
        if $kind =~ /^(?:dav|backend)$/;
    if ($kind eq 'write') {
        $method = $self->one_of(qw(PUT MKCOL DELETE));
        $path .= ++$self->{written};
    }
    my %request = (kind => $kind, method => $method, path => $path,
        headers => []);
    my $add = sub { push @{$request{headers}}, [@_] };
    $request{path} .= '?' . $self->below(3) if $self->one_in(4);
    if ($self->one_in(2)) {
        $add->('range', $self->one_of(@RANGES));
        $add->('range', $self->one_of(@RANGES)) if $self->one_in(15);
    }
    if ($self->one_in(4)) {
        my ($tag, $other) = ('%ETAG%', '"other"');
        my ($old, $new) = map { "$_ 00:00:00 GMT" } 'Mon, 01 Jan 2001',
            'Thu, 31 Dec 2037';
        $add->(@{$self->one_of(['if-none-match', $tag],
            ['if-none-match', $other], ['if-none-match', '*'],
            ['if-modified-since', $old], ['if-modified-since', $new],
            ['if-match', $tag], ['if-match', $other], ['if-range', $tag],
            ['if-unmodified-since', $old], ['if-range', $other],
            ['if-range', $new])});
    }
    $add->('accept-encoding', 'gzip') if $self->one_in(2);
    if ($method =~ /^P(?:OST|UT|ATCH|ROPFIND)$/) {
        $request{body} = $method eq 'PROPFIND' ? '' : 'b' x $self->below(3000);
        $add->('depth', '0') if $method eq 'PROPFIND';
        $add->('expect', '100-continue')
            if $request{body} ne '' && $self->one_in(3);
    }
    return \%request;
}

sub text {
    my ($request, @more) = @_;
    my @headers = @{$request->{headers}};
    push @headers, ['content-length', length $request->{body}]
        if defined $request->{body};
    return join "\r\n", "$request->{method} $request->{path} HTTP/1.1",
        'Host: localhost', (map { "$_->[0]: $_->[1]" } @headers), @more, '',
        $request->{body} // '';
}

# Cuts what came of a connection into {status, headers, bytes, body}, one for
# each request that was answered; nothing may be left.
sub answers {
    my ($data, @requests) = @_;
    my @answers;
    for my $request (@requests) {
        # 1xx answers pass every filter, and are not counted
        $data =~ s/\AHTTP\/1\.1 1\d\d .*?\r\n\r\n//s;
        $data =~ s/\A(HTTP\/1\.1 (\d+).*?\r\n\r\n)//s or last;
        my ($head, $status) = ($1, $2);
        my %field = map { /^([^:\s]+): *(.*?)\r?$/ ? (lc $1, $2) : () }
            split /\n/, $head;
        my $raw = '';
        if ($request->{method} eq 'HEAD' || $status == 304 || $status == 204) {
            $raw = '';
        }
        elsif (($field{'transfer-encoding'} // '') eq 'chunked') {
            while ($data =~ s/\A(([0-9a-f]+)\r\n)//i) {
                my ($line, $n) = ($1, hex $2);
                $raw .= $line . substr $data, 0, $n + 2, '';
                last if $n == 0;
            }
        }
        else {
            $raw = substr $data, 0, $field{'content-length'} // length $data,
                '';
        }
        push @answers, { status => $status, headers => \%field, body =>
            length $raw, bytes => length($head) + length $raw };
    }
    return (\@answers, length $data);
}

# One closed range of at most 4 KiB, as the contract has it free
sub is_small_range {
    my ($request) = @_;
    my @range = map { $_->[1] } grep { $_->[0] eq 'range' }
        @{$request->{headers}};
    return $request->{method} eq 'GET' && @range == 1
        && $range[0] =~ /^bytes=(\d+)-(\d+)$/ && $1 <= $2 && $2 - $1 < 4096
        && !grep { $_->[0] eq 'if-range' } @{$request->{headers}};
}

sub column {
    my ($request, $answer) = @_;
    my $status = $answer->{status};
    return 'refused' if $status == 429;
    return 'free' if $request->{method} eq 'HEAD' || $status == 204
        || int($status / 100) == 3;
    return $request->{kind} eq 'file' && $answer->{body} >= SIZE
        ? 'used' : 'free' if $status >= 400;
    # a regular file that httpd itself sends
    return 'free' if $status == 206 && is_small_range($request)
        && $request->{kind} !~ /^(?:cgi|proxy|backend)$/;
    return 'used';
}

1;
