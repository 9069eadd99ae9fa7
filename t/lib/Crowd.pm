package Crowd;

# Crowd - clients of every kind for a soak, each a process with an address of
# its own at the clients' end of the cable (Wire).
#
# Each keeps a book of what it did to every node: received (bytes), requests
# (that were answered, at least with a byte), data (bytes of HTTP/2 bodies),
# answers, and broken (streams that did not end by themselves). stop() has all
# of them finish and returns the books. What they do depends on the seed alone;
# when, on the machine.

use strict;
use warnings;
use Client;
use Http2;
use Httpd;
use JSON::PP ();
use Mirror ();
use Peer;
use POSIX ();
use Relay;
use Time::HiRes 'sleep';
use Wire;

my %running;            # address => pid
my ($server, $stop);    # of the process that the test is: for its directory

# kind => what it does once
my %KIND = (looper => \&loop, loader => \&load, slow => \&slow,
    aborter => \&give_up, streams => \&streams, curl => \&curl,
    curl2 => \&curl2, wget => \&wget, aria2 => \&aria2, apt => \&apt,
    freshclam => \&freshclam, h2load => \&h2load, prober => \&probe,
    attacker => \&attack, hammer => \&hammer, polite => \&be_polite);

my %program = (aria2 => 'aria2c', apt => 'apt', freshclam => 'freshclam',
    wget => 'wget', curl => 'curl', curl2 => 'curl', h2load => 'h2load');

# Can it be here? HTTP/2 cannot be under prefork.
sub is_here {
    my ($kind) = @_;
    return 0 if mpm() eq 'prefork' && $kind =~ /^(?:streams|curl2|h2load)$/;
    return !$program{$kind} || defined program($program{$kind});
}

# nodes: ports of the nodes that it asks, at random
sub begin {
    my ($class, $node, $kind, $from, $seed, @ports) = @_;
    ($server, $stop) = ($node, "$node->{dir}/run/stop");
    defined(my $pid = fork) or die "fork: $!";
    $running{$from} = $pid;
    return if $pid;
    @SIG{qw(INT TERM HUP PIPE)} = (('DEFAULT') x 3, 'IGNORE');
    %running = ();
    POSIX::setsid();
    my $me = bless { kind => $kind, from => $from, ports => \@ports,
        book => {}, times => 0,
        unanswered => 0 }, $class;
    srand $seed;
    my $lived = eval { there(sub { $me->live }); 1 };
    warn "$kind $from: $@" if !$lived;
    POSIX::_exit($lived ? 0 : 1);
}

sub live {
    my ($me) = @_;
    until (-e $stop) {
        $me->{port} = $me->{ports}[rand @{$me->{ports}}];
        eval { $KIND{$me->{kind}}->($me); $me->{times}++; 1 }
            # what faults do to a client
            or $@ =~ /^connect: / or die;
        sleep 0.02 + rand 0.05;
    }
    write_file("$server->{dir}/run/book.$me->{from}",
        JSON::PP->new->encode({ %$me, port => undef }));
}

# The books of all, by address, as soon as they have stopped.
sub stop {
    write_file($stop, '');
    my %books;
    for my $from (sort keys %running) {
        poll(120, sub { waitpid($running{$from}, POSIX::WNOHANG()) })
            or die "the client $from does not end\n";
        die "the client $from failed\n" if $?;
        delete $running{$from};
        $books{$from} = JSON::PP::decode_json(
            read_file("$server->{dir}/run/book.$from"));
    }
    return \%books;
}

# 20 s are much, but not too much.
sub is_unanswered {
    my ($me, $error) = @_;
    return $error =~ /^no answer/ && ++$me->{unanswered};
}

sub add {
    my ($me, %more) = @_;
    $me->{book}{$me->{port}}{$_} += $more{$_} for keys %more;
}

# ---- HTTP/1.1 by hand ----

sub connection {
    my ($me, %option) = @_;
    return $server->connect(from => $me->{from}, to => Wire::V4,
        port => $me->{port}, timeout => 2, %option);
}

sub close_connection {
    my ($me, $c) = @_;
    $me->add(received => $c->{bytes});
    $c->close;
}

# One request: its status, 0 when the connection ended before it did. most:
# reads no more of it; pace: between reads; head: no body comes
sub request {
    my ($me, $c, $request, %how) = @_;
    my ($begin, $status) = ($c->{bytes}, 0);
    my $most = $how{most} // 1 << 40;
    $c->{data} = '';
    $c->send("$request\r\nHost: localhost\r\n\r\n");
    eval {
        while ($c->{data} !~ /\r\n\r\n/ && $c->{bytes} - $begin < $most) {
            $c->more(1024) or last;
        }
        if ($c->{data} =~ s/^(HTTP\S+ (\d+).*?\r\n\r\n)//s) {
            my ($head, $answer) = ($1, $2);
            my ($left) = $head =~ /^content-length: (\d+)/mi;
            $left = ($how{head} || $answer == 304 ? 0 : $left // 0)
                - length $c->{data};
            while ($left > 0 && $c->{bytes} - $begin < $most) {
                $c->{data} = '';
                $how{pace}->() if $how{pace};
                $left -= $c->more($how{pace} ? 16_384 : 262_144) || last;
            }
            $status = $answer if $left <= 0;
            $c->{last} = $head =~ /^connection: close/mi;
        }
        1;
    } or $me->is_unanswered($@) or die;
    $me->add(requests => 1) if $c->{bytes} > $begin || $how{most};
    return $status;
}

# As many requests on one connection as it stands, from a list at random.
sub on_one_connection {
    my ($me, $times, @requests) = @_;
    my $c = $me->connection;
    my @statuses;
    while ($times-- > 0 && !-e $stop) {
        my $request = $requests[rand @requests];
        my $is_head = $request =~ /^HEAD /;
        my $status = $me->request($c, $request, head => $is_head);
        push @statuses, $status if $status;
        last if !$status || $c->{last};
    }
    $me->close_connection($c);
    return @statuses;
}

sub loop {
    my ($me) = @_;
    $me->on_one_connection(1 + rand 60, 'GET /small HTTP/1.1',
        'GET /tiny HTTP/1.1', 'GET /none HTTP/1.1', 'HEAD /big HTTP/1.1',
        "GET /big HTTP/1.1\r\nRange: bytes=1000000-1300000",
        "GET /big HTTP/1.1\r\nRange: bytes=0-511",
        "GET /small HTTP/1.1\r\nIf-None-Match: *");
}

sub load {
    my ($me) = @_;
    $me->on_one_connection(1 + rand 3, 'GET /big HTTP/1.1');
}

sub probe {
    my ($me) = @_;
    $me->on_one_connection(20, 'HEAD /big HTTP/1.1', 'GET /none HTTP/1.1',
        "GET /big HTTP/1.1\r\nRange: bytes=0-511");
}

sub slow {
    my ($me) = @_;
    my $c = $me->connection(buffer => 65_536);
    $me->request($c, 'GET /big HTTP/1.1',
        pace => sub { sleep rand 0.02 if !-e $stop });
    $me->close_connection($c);
}

sub give_up {
    my ($me) = @_;
    my $c = $me->connection(rand() < 0.5 ? (buffer => 65_536) : ());
    $me->request($c, 'GET /big HTTP/1.1', most => 1 + rand 6_000_000);
    $me->close_connection($c);
}

# ---- clients that go over quota ----

# Headers that were believed once (t/19), methods, too many at a time
sub attack {
    my ($me) = @_;
    my @ranges = ('bytes=1-0', 'bytes=-0', 'bytes=0-0x', 'bytes=9-1,0-0',
        'bytes=0-0,1-0', 'lines=0-0', 'bytes=0-99', 'bytes=0-0,2-2,4-4',
        'bytes=99999999999999999999-', 'bytes=4999999-');
    my @requests = (map({ "GET /medium HTTP/1.1\r\nRange: $_" } @ranges),
        "GET /medium HTTP/1.1\r\nX-Forwarded-For: 10.77.1.2",
        map { "$_ /medium HTTP/1.1" } qw(PUT DELETE OPTIONS PROPFIND));
    my @open = map { $me->connection(buffer => 8192) } 1 .. 1 + rand 5;
    $_->send("$requests[rand @requests]\r\nHost: localhost\r\n\r\n")
        for @open;
    for my $c (@open) {
        $c->{data} = '';
        eval { $c->more(1 + rand 60_000); 1 } or $me->is_unanswered($@) or die;
        $me->add(requests => 1);
        $me->close_connection($c);
    }
}

sub hammer {
    my ($me) = @_;
    my @statuses = $me->on_one_connection(90, 'GET /medium HTTP/1.1');
    $me->{refused} += grep { $_ == 429 } @statuses;
}

# Is refused now and then, never as often as it takes to be jailed.
sub be_polite {
    my ($me) = @_;
    return sleep 0.5 if ($me->{refused} // 0) >= 20;
    $me->hammer_once;
}

sub hammer_once {
    my ($me) = @_;
    my @statuses = $me->on_one_connection(1, 'GET /medium HTTP/1.1');
    $me->{refused} += grep { $_ == 429 } @statuses;
}

# ---- HTTP/2 ----

sub streams {
    my ($me) = @_;
    my $c = $me->connection;
    my $h2 = Http2->new($c);
    my @streams = map { $h2->request(rand() < 0.3 ? '/big' : '/small') }
        1 .. 1 + rand 8;
    my $victim = rand() < 0.5 ? $streams[0] : undef;
    my $most = rand 3_000_000;
    eval {
        if ($victim && $h2->until(sub { $victim->{done}
            || $victim->{bytes} >= $most }) && !$victim->{done}) {
            $h2->reset($victim);
            @$victim{qw(done reset)} = (1, 8);
        }
        $h2->finish(@streams);
        $h2->ping;
        1;
    } or $me->is_unanswered($@) or die;
    for my $stream (@streams) {
        $me->add(data => $stream->{bytes}, answers => 1,
            broken => $stream->{done} && !defined $stream->{reset} ? 0 : 1);
    }
    $me->close_connection($c);
}

sub curl2 {
    my ($me) = @_;
    my $output = "$server->{dir}/run/output.$me->{from}";
    my $url = 'http://' . Wire::V4 . ":$me->{port}";
    my $pid = Mirror::begin($server, $output, program('curl'), qw(-q -s
        --http2-prior-knowledge --noproxy * -m 60), '--interface', $me->{from},
        '-w', '%{size_download} %{exitcode}\n', map { ('-o', '/dev/null',
        "$url/$_") } qw(small big small));
    Mirror::ended($pid, 90) // die "curl does not end\n";
    for (split /\n/, read_file($output)) {
        my ($bytes, $exit) = split;
        $me->add(data => $bytes, answers => 1, broken => $exit ? 1 : 0);
    }
}

# h2load hangs where a connection breaks: it is killed then, and of its data is
# known only that they are less than what passed the relay.
sub h2load {
    my ($me) = @_;
    my ($end, $received) = (time + 4, 0);
    my ($exit, $said) = $me->relayed(sub {
        $received = $_[0]{received};
        return time > $end;
    }, sub {
        program('h2load'), qw(-n 60 -c 2 -m 10), "http://127.0.0.1:$_[0]/small"
    });
    my ($data) = $said =~ /^traffic:.*\((\d+)\) data/m;
    my ($good) = $said =~ / (\d+) succeeded,/;
    $me->add(data => $data // $received, answers => 60,
        broken => 60 - ($good // 0));
}

# ---- real programs, through a relay ----

# Runs what command() says for the relay's port; give_up: see Relay.
sub relayed {
    my ($me, $give_up, $command) = @_;
    my $output = "$server->{dir}/run/output.$me->{from}";
    my $relay = Relay->new(sub { $me->connection->{socket} });
    my $exit = $relay->serve(Mirror::begin($server, $output,
        $command->($relay->port)), $give_up);
    $me->add(received => $relay->{received}, requests => $relay->{requests});
    return ($exit, read_file($output));
}

sub curl {
    my ($me) = @_;
    my $most = rand() < 0.3 ? rand 8_000_000 : 1 << 40;
    $me->relayed(sub { $_[0]{received} > $most }, sub {
        my $url = "http://127.0.0.1:$_[0]";
        program('curl'), qw(-q -s --noproxy * -m 60 -Z), map { ('-o',
            '/dev/null', "$url/$_") } qw(small big tiny small medium)
    });
}

sub wget {
    my ($me) = @_;
    $me->relayed(undef, sub { program('wget'), qw(--no-config --no-proxy -q
        -t 2 -T 20 -O /dev/null),
        map { "http://127.0.0.1:$_[0]/$_" } qw(small medium) });
}

sub aria2 {
    my ($me) = @_;
    my $dir = "$server->{dir}/run";
    $me->relayed(undef, sub { program('aria2c'), qw(--no-conf -q -x4 -s4 -k1M
        --allow-overwrite=true --file-allocation=none --max-tries=2
        --async-dns=false), "--dir=$dir", "--out=aria2.$me->{from}",
        "http://127.0.0.1:$_[0]/medium" });
    unlink glob "$dir/aria2.$me->{from}*";
}

sub apt {
    my ($me) = @_;
    my $file = "$server->{dir}/run/apt.$me->{from}";
    $me->relayed(undef, sub { '/usr/lib/apt/apt-helper', qw(-o
        Acquire::http::Proxy=DIRECT -o APT::Sandbox::User=root -o
        Acquire::Retries=1), 'download-file',
        "http://127.0.0.1:$_[0]/medium", $file });
    unlink $file;
}

sub freshclam {
    my ($me) = @_;
    $me->relayed(undef, sub { Mirror::freshclam($server, '/fc',
        "DatabaseMirror http://127.0.0.1:$_[0]/fc\nMaxAttempts 1\n") });
}

END {
    local $?;
    kill 'KILL', -$_ for values %running;
}

1;
