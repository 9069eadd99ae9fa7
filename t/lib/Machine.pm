package Machine;

# Machine - a scratch copy of this machine, for commands that change one.
#
#   my $machine = Machine->new(source => $top, peers => $unpacked)
#       or plan skip_all => $Machine::why_not;
#   my ($status, $output) = $machine->run('a2enmod clamquota');
#
# One shell in namespaces of its own (mounts, network, processes). Its /etc,
# /usr, /var and /srv are overlays: it sees the files of this machine, and of
# the packages unpacked below peers, and what it writes goes to memory. /run is
# empty, the only network is loopback. /mnt is scratch space, with each
# directory that new() was given under its name. All of it ends with the shell.

use strict;
use warnings;
use IPC::Open2 qw(open2);

our $why_not;

my $setup = <<'EOT';
set -e
mount -t tmpfs -o mode=755 machine /mnt
mkdir /mnt/bin
while [ $# -gt 0 ]; do
    mkdir "/mnt/$1"
    [ ! -d "$2" ] || mount --bind "$2" "/mnt/$1"
    shift 2
done
for dir in etc usr var srv; do
    lower=/$dir
    [ ! -d "/mnt/peers/$dir" ] || lower=$lower:/mnt/peers/$dir
    mkdir "/mnt/$dir" "/mnt/$dir.work"
    chmod 755 "/mnt/$dir"
    mount -t overlay machine "/$dir" -o \
        "lowerdir=$lower,upperdir=/mnt/$dir,workdir=/mnt/$dir.work"
done
mount -t tmpfs -o mode=755 machine /run
ip link set lo up
set +e
PATH=/mnt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
EOT

sub new {
    my ($class, %directory) = @_;
    my $pid = open2(my $from, my $to, 'sh', '-c', 'exec "$@" 2>&1', 'sh',
        qw(unshare --mount --net --pid --fork --kill-child --mount-proc sh -s),
        %directory);
    my $self = bless { pid => $pid, from => $from, to => $to }, $class;
    $why_not = undef;
    print {$to} $setup;
    my ($status, $said) = eval { $self->run('true') };
    return $self if defined $status;
    $why_not = "no namespaces with overlays can be made here: $@";
    return;
}

# (exit status, output on both channels). The directory that a command changes
# to stays. No command may take longer than a minute.
sub run {
    my ($self, $command) = @_;
    local $SIG{PIPE} = 'IGNORE';
    local $SIG{ALRM} = sub { die "no answer for 60 s: $command\n" };
    my ($to, $from) = @$self{qw(to from)};
    print {$to} "{ $command\n} </dev/null\necho \"\n== \$?\"\n";
    $to->flush;
    alarm 60;
    my $said = '';
    while (defined(my $line = <$from>)) {
        if ($line =~ /^== (\d+)$/) {
            alarm 0;
            chomp $said;
            return ($1, $said);
        }
        $said .= $line;
    }
    alarm 0;
    die join(' ', split ' ', $said), "\n";
}

# Like run(), but dies when it fails: what a test needs to begin.
sub must {
    my ($self, $command) = @_;
    my ($status, $said) = $self->run($command);
    die "$command: exit $status: $said\n" if $status != 0;
    return $said;
}

# Writes a program into the first directory of PATH.
sub program {
    my ($self, $name, $text) = @_;
    $self->must("cat >/mnt/bin/$name <<'END OF PROGRAM'\n#!/bin/sh\n$text"
        . "\nEND OF PROGRAM\nchmod 755 /mnt/bin/$name");
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    close $self->{to};
    1 while readline $self->{from};
    waitpid $self->{pid}, 0;
    return;
}

1;
