package Jail;

# A network namespace of the test's own, and build/peer/jail in it: what a
# jail does is done there, and nothing outside of it is touched.
#
#   my $ns = Jail::Namespace->new;            # undef with $Jail::why_not
#   my ($status, $output) = $ns->run('nft', '-f', 'conf/clamquota.nft');
#   my $jail = $ns->jail('recent:bad', under => [qw(setpriv ...)], lease => 60);
#   my $answer = $jail->ask('list');          # { status, why, lines => [] }
#
# And the tests that are the same for every kind of jail: is_usable() on an
# empty one, judges_names() for specs.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use IPC::Open2 qw(open2);
use Test::More;

our $top = abs_path(dirname(__FILE__) . '/../..');
our $why_not;
my $started = $$;

# The program where any user may run it: the build directory may be in a place
# that only its owner can enter.
my $scratch;
sub program {
    if (!$scratch) {
        my $build = $ENV{CQ_TEST_MODULE} ? dirname($ENV{CQ_TEST_MODULE})
            : $ENV{BUILD} // "$top/build";
        $scratch = tempdir(CLEANUP => 1);
        chmod 0755, $scratch;
        copy("$build/peer/jail", "$scratch/jail")
            or die "$build/peer/jail: $!\n";
        chmod 0755, "$scratch/jail";
    }
    return "$scratch/jail";
}

# ---- what every kind does ----

our $differ = 'holds no clients of this prefix length: ClamQuotaPrefix and the '
    . 'mask of its firewall rule differ';

# %can: client => what the jail answers to "can"
sub can_hold {
    my ($jail, %can) = @_;
    is_deeply($jail->ask("can $_")->{lines}, [ $can{$_} ], "can $_")
        for sort keys %can;
    return;
}

# An empty jail with the sets and rules of conf/ takes three clients, which are
# in it then: their addresses.
sub is_usable {
    my ($jail, $figures) = @_;
    is($jail->ask('open r')->{status}, 0, 'opens, to look');
    is($jail->ask('open w')->{status}, 0, 'and to write');
    is_deeply($jail->addresses, [], 'empty');
    is($jail->ask('figures')->{lines}[0], $figures, 'figures');
    can_hold($jail, '192.0.2.1' => 'yes', '2001:db8::/64' => 'yes',
        '10.0.0.0/8' => $differ, '2001:db8::1' => $differ);
    is_deeply($jail->ask('+ 192.0.2.7', '+ ::ffff:192.0.2.8',
        '+ 2001:db8:0:7::/64', 'apply'), { status => 0, why => '',
        lines => [] }, 'adds');
    my @three = ('192.0.2.7', '192.0.2.8', '2001:db8:0:7::');
    is_deeply($jail->addresses, \@three, 'lists');
    is((grep { / (\d+)$/ && $1 > 3500 && $1 <= 3600 }
        @{ $jail->ask('list')->{lines} }), 3, 'with a lease');
    return @three;
}

sub cannot_deny {
    my ($jail) = @_;
    like($jail->ask('can-deny 10.0.0.0/8')->{lines}[0],
        qr/^holds no networks/, 'no networks');
    is($jail->ask('deny')->{status}, 0, 'to deny none is no failure');
    is($jail->ask('deny 10.0.0.0/8')->{status}, 1, 'one is');
    return;
}

# Specs that are refused with exit 2, and such that are accepted
sub judges_names {
    my ($ns, $kind, $bad, $good) = @_;
    for my $name (@{$bad}) {
        (my $shown = $name) =~ s/[^\x20-\x7e]/?/g;
        is($ns->jail("$kind:$name")->{parsed}{status}, 2,
            'refused: ' . substr $shown, 0, 30);
    }
    is($ns->jail("$kind:$_")->{parsed}{status}, 0, "accepted: $_")
        for @{$good};
    return;
}

# Words to run a program as an unprivileged user
sub as_nobody {
    return qw(setpriv --reuid 65534 --regid 65534 --clear-groups);
}

# Words to run a program where /proc is read-only
sub read_only_proc {
    return qw(unshare --mount --propagation private sh -ec), <<'EOT', 'sh';
mount -o remount,bind,ro /proc
exec "$@"
EOT
}

package Jail::Namespace;

my %alive;
my $made = 0;

sub new {
    my ($class) = @_;
    my $name = "cqjail-$$-" . ++$made;
    my $said = `ip netns add $name 2>&1`;
    if ($? != 0) {
        $said =~ s/\s+\z//;
        $Jail::why_not = "no network namespace can be made here ($said)";
        return;
    }
    $alive{$name} = 1;
    return bless { name => $name }, $class;
}

sub name { return $_[0]{name} }

sub words {
    my ($self) = @_;
    # not ip netns exec, which wants to mount /sys
    return ('nsenter', "--net=/run/netns/$self->{name}", '--');
}

# (exit status, what it said on both channels). A leading \'input' is its
# standard input.
sub run {
    my ($self, @command) = @_;
    my $input = ref $command[0] ? ${ shift @command } : '';
    my $file = File::Temp->new;
    print {$file} $input;
    $file->flush;
    my $pid = open my $from, '-|';
    die "fork: $!\n" if !defined $pid;
    if ($pid == 0) {
        open STDIN, '<', $file->filename or die "stdin: $!\n";
        open STDERR, '>&', \*STDOUT or die "stderr: $!\n";
        exec $self->words, @command or POSIX::_exit(127);
    }
    my $said = do { local $/; <$from> };
    close $from;
    return ($? >> 8, $said // '');
}

# Like run(), but dies when it fails: what a test needs to begin.
sub must {
    my ($self, @command) = @_;
    my ($status, $said) = $self->run(@command);
    die "@command: exit $status: $said\n" if $status != 0;
    return $said;
}

# Loads a file of conf/ with a program that reads it from its input; with
# $ns->{edit}, a function, what that makes of its text.
sub load {
    my ($self, $name, @program) = @_;
    open my $file, '<', "$Jail::top/conf/$name" or die "conf/$name: $!\n";
    my $text = do { local $/; <$file> };
    $text = $self->{edit}->($text) if $self->{edit};
    return $self->must(\$text, @program);
}

sub jail {
    my ($self, $spec, %option) = @_;
    my $pid = IPC::Open2::open2(my $from, my $to, $self->words,
        @{ $option{under} // [] }, Jail::program(), $spec,
        $option{lease} // 3600);
    my $jail = bless { pid => $pid, from => $from, to => $to },
        'Jail::Program';
    $jail->{parsed} = $jail->answer;
    return $jail;
}

sub remove {
    my ($self) = @_;
    system 'ip', 'netns', 'del', $self->{name}
        if delete $alive{ $self->{name} };
    return;
}

END {
    if ($$ == $started) {
        local $?;
        system 'ip', 'netns', 'del', $_ for keys %alive;
    }
}

package Jail::Program;

# Until the line with the status. A process that waits a minute waits for ever.
sub answer {
    my ($self) = @_;
    my $from = $self->{from};
    my @lines;
    local $SIG{ALRM} = sub {
        kill 'KILL', $self->{pid};
        die "no answer from the jail within 60 s\n";
    };
    alarm 60;
    while (defined(my $line = <$from>)) {
        chomp $line;
        if ($line =~ /^= (\d+)(?: (.*))?$/) {
            alarm 0;
            return { status => $1, why => $2 // '', lines => \@lines };
        }
        push @lines, $line;
    }
    alarm 0;
    die "the jail's program ended: @lines\n";
}

# ask('+ 10.0.0.1', ..., 'apply'): the answer to the last line; the ones before
# are changes, which are not answered.
sub ask {
    my ($self, @lines) = @_;
    my $to = $self->{to};
    print {$to} map { "$_\n" } @lines;
    $to->flush;
    return $self->answer;
}

# The addresses only, without how long they stay
sub addresses {
    my ($self) = @_;
    return [ map { s/ .*//r } @{ $self->ask('list')->{lines} } ];
}

# How long an address stays ("3600", "-1 operator's"), or "gone"
sub left_of {
    my ($self, $address) = @_;
    my ($line) = grep { /^\Q$address\E / } @{ $self->ask('list')->{lines} };
    return defined $line ? $line =~ s/^\S+ //r : 'gone';
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    close $self->{to};
    close $self->{from};
    waitpid $self->{pid}, 0;
    return;
}

1;
