package Load;

# Load - many transfers at once, each counted by its receiver.
#
# A transfer is a download of one file or a loop of small ones on one
# connection, each from an address of its own. What a killed child had handed
# to the kernel still arrives, so what a client has received at the end of its
# connection is what the kernel took.

use strict;
use warnings;
use Errno ();
use File::Basename 'dirname';
use IO::Poll qw(POLLIN);
use Httpd;
use Time::HiRes ();

use constant PIECE => 256 * 1024;
# Bytes that may still arrive from a dead child: both sides' buffers at most
# (tcp_wmem[2], and twice what connect() asks for). More of it was sent by a
# living one.
use constant BUFFERED => 6_000_000;

# The program that verifies a table; with '-q' nothing may be open.
# Returns what it complains about, '' when all is well.
sub check_table {
    my ($server, @quiet) = @_;
    my $so = $ENV{CQ_TEST_MODULE} || "$Httpd::ROOT/build/mod_clamquota.so";
    open my $fh, '-|', dirname($so) . '/peer/tablecheck', @quiet,
        "$server->{dir}/state/clamquota.table" or die "tablecheck: $!";
    my $said = join '', <$fh>;
    close $fh;
    return $? == 0 ? '' : "exit $?: $said";
}

# The same as soon as the last request is put away.
sub check_quiet_table {
    my ($server) = @_;
    my $said;
    poll(5, sub { ($said = check_table($server, '-q')) eq '' });
    return $said;
}

sub new {
    my ($class, $server) = @_;
    return bless { server => $server, transfers => [], bytes => 0 }, $class;
}

# from: address; path; times: how often, on one connection (1); slow: reads
# only N times out of a hundred that it could
sub add {
    my ($self, %option) = @_;
    my $t = { times => 1, slow => 100, bytes => 0, complete => 0, buffer => '',
        after => 0, %option };
    $t->{connection} = $self->{server}->connect(from => $t->{from},
        buffer => 131_072);
    $t->{socket} = $t->{connection}{socket};
    $t->{socket}->blocking(0);
    request($t);
    push @{$self->{transfers}}, $t;
    return $t;
}

sub request {
    my ($t) = @_;
    my $close = $t->{times} == 1 ? "Connection: close\r\n" : '';
    $t->{connection}->send("GET $t->{path} HTTP/1.1\r\nHost: localhost\r\n"
        . "$close\r\n");
    $t->{left} = undef;
}

sub open_transfers { return grep { $_->{socket} } @{$_[0]{transfers}} }

# One read of each that has something and is willing to. At the end of all
# returns false.
sub step {
    my ($self, $hurry) = @_;
    my @open = $self->open_transfers or return 0;
    my $poll = IO::Poll->new;
    $poll->mask($_->{socket} => POLLIN) for @open;
    $poll->poll(20) > 0 or die "no transfer moved for 20 s\n";
    for my $t (@open) {
        next if !$poll->events($t->{socket});
        next if !$hurry && rand(100) >= $t->{slow};
        $self->receive($t, $hurry ? 1 << 20 : 1 + int rand 1 << 17);
    }
    return 1;
}

sub receive {
    my ($self, $t, $most) = @_;
    my $n = sysread $t->{socket}, (my $data), $most;
    return if !defined $n && $! == Errno::EAGAIN();
    return finish_transfer($t) if !$n;       # the end, or a reset
    $self->{bytes} += $n;
    $t->{bytes} += $n;
    $t->{after} += $n if $self->{killed};
    if (!defined $t->{left}) {
        $t->{buffer} .= $data;
        $t->{buffer} =~ s/^(.*?\r\n\r\n)//s or return;
        my ($head) = $1;
        ($t->{status}) = $head =~ m{^HTTP/1.1 (\d+)};
        ($t->{left}) = $head =~ /^Content-Length: (\d+)/mi
            or die "no length: $head\n";
        ($n, $t->{buffer}) = (length $t->{buffer}, '');
    }
    $t->{left} -= $n;
    return if $t->{left} > 0;
    $t->{complete}++;
    return finish_transfer($t)
        if $self->{killed} || $t->{complete} == $t->{times};
    request($t);
}

sub finish_transfer {
    my ($t) = @_;
    (delete $t->{connection})->close;
    delete $t->{socket};
}

# Until N bytes more were received by all together.
sub receive_bytes {
    my ($self, $bytes) = @_;
    $bytes += $self->{bytes};
    1 while $self->{bytes} < $bytes && $self->step;
}

# Everything that still comes; loops begin nothing new.
sub drain {
    my ($self) = @_;
    $self->{killed} = 1;
    1 while $self->step(1);
}

# ---- rounds of kill -9 ----

# Some children are spare, so that a round need not wait for new ones.
use constant KILL_CONF => <<'EOT';
ClamQuotaDaily 1T
MaxKeepAliveRequests 0
<IfModule !mpm_prefork_module>
    StartServers 4
    MaxRequestWorkers 80
    MinSpareThreads 60
    MaxSpareThreads 80
</IfModule>
EOT

sub write_kill_files {
    my ($server) = @_;
    write_file("$server->{dir}/htdocs/big", 'k' x 16_000_000);
    write_file("$server->{dir}/htdocs/small", 's' x 20_000);
}

# One round: downloads and loops of small files run, some children die at a
# random moment, every client receives what still comes. Returns {lost: bytes that
# were received and not booked, seconds: until nothing was in flight, wrong:
# sentences, cut: how many downloads were}. used: what each address had downloaded
# before, updated. everything: the whole server dies and starts again.
sub kill_round {
    my ($server, $used, %option) = @_;
    my $load = Load->new($server);
    $load->add(from => "127.0.4.$_", path => '/big',
        slow => (100, 30, 5)[$_ % 3]) for 1 .. 6;
    $load->add(from => "127.0.4.$_", path => '/small', times => 1000)
        for 7 .. 9;
    $load->receive_bytes(rand 40_000_000);
    my %round = (wrong => [], lost => 0, most_lost => 0);
    my $said = check_table($server);
    push @{$round{wrong}}, "table in use: $said" if $said;
    $load->{killed} = 1;
    my $start = Time::HiRes::time();
    if ($option{everything}) {
        $server->kill9_all;
        $load->drain;
        $said = check_table($server);
        push @{$round{wrong}}, "table of the dead: $said" if $said;
        $start = Time::HiRes::time();
        my $failure = $server->start;
        die "does not start again: $failure\n" if $failure;
        my $left = $server->json->{totals}{in_flight};
        push @{$round{wrong}}, "the start left $left bytes in flight" if $left;
    }
    else {
        my @children = $server->children;
        my $first = int rand @children;
        kill 'KILL', @children[grep { $_ == $first || rand() < 0.3 }
            0 .. $#children];
        $load->drain;
    }
    settle($server, $load, $used, \%round, $start);
    return \%round;
}

# Compares what was booked with what was received.
sub settle {
    my ($server, $load, $used, $round, $start) = @_;
    my (%row, $json);
    my @transfers = @{$load->{transfers}};
    my $settled = poll(10, sub {
        $json = $server->json('limit=10000');
        %row = map { ($_->{client} => $_) } @{$json->{clients}};
        return 0 if $json->{totals}{in_flight};
        $round->{seconds} //= Time::HiRes::time() - $start;
        return !grep { was_alive($_) && $_->{bytes}
            != $row{$_->{from}}{used} - ($used->{$_->{from}} // 0) } @transfers;
    });
    $round->{seconds} //= 'inf';
    push @{$round->{wrong}}, "$json->{totals}{in_flight} bytes stay in flight"
        if $json->{totals}{in_flight};
    for my $t (@transfers) {
        my $now = $row{$t->{from}} ? $row{$t->{from}}{used} : 0;
        my $lost = $t->{bytes} - ($now - ($used->{$t->{from}} // 0));
        $used->{$t->{from}} = $now;
        $round->{cut}++ if $t->{times} == 1 && !$t->{complete};
        $round->{lost} += $lost;
        $round->{most_lost} = $lost if $lost > $round->{most_lost};
        push @{$round->{wrong}}, "$t->{from} $t->{path} received $t->{bytes}, "
            . "$t->{after} of it after the kill, of which $lost are not booked"
            if $lost < 0 || $lost > PIECE || $lost && was_alive($t);
    }
    my $said = check_quiet_table($server);
    push @{$round->{wrong}}, "table at rest: $said" if $said;
    $round->{received} = $load->{bytes};
    $round->{sent} = $json->{totals}{sent};
}

# Did it go on after the kill? Then every byte is to be booked.
sub was_alive { return $_[0]{complete} && $_[0]{after} > BUFFERED }

1;
