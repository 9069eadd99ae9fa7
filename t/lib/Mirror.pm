package Mirror;

# Mirror - a mirror made by hand, and the real programs that fetch from it.
#
# run() starts a program in the server's world (its clock, its zone, no proxy,
# its own HOME) and waits; begin() leaves it running, and the end of the test
# ends it. All come from 127.0.0.1, so each scenario has a path of its own and
# there a pool. requests() reports what was asked for below such a path; for that
# the server's configuration has LOG in it.

use strict;
use warnings;
use Exporter 'import';
use Httpd;
use Peer;

our @EXPORT = qw(LOG database run begin ended requests freshclam
    home cool_down);

# status, bytes, second of arrival, Retry-After, Range, request
use constant LOG => <<'EOT';
LogFormat "%>s %O %{sec}t %{Retry-After}o %{Range}i \"%r\"" clients
CustomLog logs/clients.log clients
EOT

my %running;

# A database of that version: a header by hand, as sigtool writes it, gets a
# freshclam past its probe. There is no signature in it that would verify.
sub database {
    my ($version, $bytes) = @_;
    my $header = join ':', 'ClamAV-VDB', '20 Nov 2026 10-00 +0000', $version,
        100, 90, 'X' x 32, 'Y' x 80, 'builder', 1_795_168_800;
    return sprintf('%-512s', $header) . 'z' x ($bytes - 512);
}

# A program and where it writes; its number for ended().
sub begin {
    my ($server, $output, @command) = @_;
    local $server->{env} = {%{$server->{env}}, no_proxy => '*', LC_ALL => 'C',
        HOME => "$server->{dir}/run", Peer::environment($command[0])};
    my $pid = $server->spawn($output, @command);
    $running{$pid} = 1;
    return $pid;
}

# Its exit status as soon as it has ended, within N seconds; else undef.
sub ended {
    my ($pid, $seconds) = @_;
    poll($seconds, sub { waitpid($pid, POSIX::WNOHANG()) == $pid }) or return;
    delete $running{$pid};
    return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

# (exit status, what it said)
sub run {
    my ($server, @command) = @_;
    my $output = "$server->{dir}/logs/program";
    my $exit = ended(begin($server, $output, @command), 60) // 'hangs';
    return ($exit, read_file($output));
}

# The requests below a path since the last call: {seen =>
# ["429 daily.cvd", ...], sorted, as children log in any order; bytes => {429
# => sum of headers and bodies, "429 cvd" => those of such files}; until =>
# [arrival + Retry-After, of each refusal]}. Waits for N requests: a
# client has its answer a moment before it is logged. The page and a file
# called filler, which a client goes over by, are the test's own.
my (%read, $fences);
my $OWN = qr/^(?:filler$|fence-|clamquota)/;

sub requests {
    my ($server, $under, $count) = @_;
    my $line = qr/^(\d+) (\d+) (\d+) (\S+) (\S+) "(\S+) \Q$under\E\/(\S+) /;
    my $lines = sub {
        return grep { @$_ && $_->[6] !~ $OWN } map { [$_ =~ $line] }
            split /\n/, read_file("$server->{dir}/logs/clients.log");
    };
    my $before = $read{"$server $under"} // 0;
    poll(10, sub { $lines->() >= $before + $count });
    # and another one, so that those that should not be there are logged too
    $server->get('/fence-' . ++$fences, '--interface', '127.0.0.9');
    $server->access(qr/fence-$fences /, 1);
    my @new = splice @{[$lines->()]}, $before;
    $read{"$server $under"} = $before + @new;
    my %answer = (seen => [], bytes => {}, until => []);
    for (@new) {
        my ($status, $bytes, $arrival, $retry, $range, $method, $name) = @$_;
        push @{$answer{seen}}, ($method eq 'GET' ? '' : "$method ")
            . "$status $name" . ($range eq '-' ? '' : " $range");
        push @{$answer{until}}, $arrival + $retry if $retry ne '-';
        my ($kind) = $name =~ /\.(\w+)(?:\?|$)/;
        $answer{bytes}{$_} += $bytes
            for $status, $kind ? "$status $kind" : ();
    }
    @{$answer{seen}} = sort @{$answer{seen}};
    return \%answer;
}

# ---- freshclam ----

# The command line of a freshclam whose mirror is below that path and that keeps
# its files in a directory of the same name. conf: more lines, with its own
# DatabaseMirror or PrivateMirror if it should be another.
sub freshclam {
    my ($server, $under, $conf, @arguments) = @_;
    my $home = home($server, $under);
    $conf = "DatabaseMirror http://127.0.0.1:$server->{port}$under\n" . $conf
        if $conf !~ /^\w+Mirror /m;
    $conf = "MaxAttempts 3\n" . $conf if $conf !~ /^MaxAttempts /m;
    write_file("$home.conf", <<"EOT" . $conf);
DatabaseDirectory $home
DatabaseOwner @{[scalar getpwuid $<]}
Foreground yes
EOT
    return (program('freshclam'), '--no-dns', '--stdout',
        "--config-file=$home.conf", @arguments);
}

sub home {
    my ($server, $under) = @_;
    (my $name = $under) =~ s{/}{}g;
    mkdir "$server->{dir}/clients";
    mkdir "$server->{dir}/clients/$name";
    return "$server->{dir}/clients/$name";
}

# Until when its freshclam.dat says that it stays away; 0: it does not.
sub cool_down {
    my ($server, $under) = @_;
    # a magic, then a struct: 32 bits version, UUID of 37 bytes, 64 bits time
    my ($name, $until) = unpack 'a13 x48 q<',
        read_file(home($server, $under) . '/freshclam.dat') . "\0" x 80;
    return $name eq 'FreshClamData' ? $until : 'no freshclam.dat';
}

END {
    local $?;
    for my $pid (keys %running) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
}

1;
