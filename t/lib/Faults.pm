package Faults;

# Faults - everything that can fail beside httpd and in it, for a soak: each is
# made and undone by one method, in an order that the seed decides.
#
# Keeps samples of how large the processes are: of each that lives long, after
# each graceful restart.

use strict;
use warnings;
use Cluster;
use Httpd;
use List::Util qw(shuffle max);
use Mirror ();
use POSIX ();
use Test::More;
use Time::HiRes 'sleep';
use Wire;

# the same on every 64-bit Linux
use constant { SYS_pidfd_send_signal => 424, SYS_pidfd_open => 434 };

my @FAULTS = qw(graceful graceful kill_children kill_server stop_child
    stop_exchanger kill_exchanger freeze_memcached restart_memcached garbage
    step_clock jump_clock fill_disk kill_sync freeze_sync look);

# cluster; jail: a Wire::Jail; noon: what its clocks show, about; seed
sub new {
    my ($class, %option) = @_;
    my $self = bless { %option, done => {}, samples => {}, said => [] }, $class;
    $self->begin_sync;
    return $self;
}

# One after the other, until the end of the time; each at least once. What each
# does depends on its number only, not on what was there before.
sub run {
    my ($self, $seconds) = @_;
    my $end = Time::HiRes::time() + $seconds;
    my (@next, $n);
    while (1) {
        srand $self->{seed} + ++$n;
        return if !@next && $n > 1 && Time::HiRes::time() > $end;
        @next = shuffle @FAULTS if !@next;
        my $fault = shift @next;
        note sprintf '%.1f s: %s', $seconds - $end + Time::HiRes::time(),
            $fault if $ENV{CQ_TEST_VERBOSE};
        $self->$fault;
        $self->{done}{$fault}++;
        @next = () if $n > @FAULTS && Time::HiRes::time() > $end;
        sleep rand($seconds > 60 ? 1 : 0.2);
    }
}

sub node { my @nodes = $_[0]{cluster}->nodes; return $nodes[rand @nodes] }
sub first { return $_[0]{cluster}->node(0) }
sub memcached { my @all = $_[0]{cluster}->memcached; return $all[rand @all] }

# ---- httpd ----

sub graceful {
    my ($self) = @_;
    my $node = $self->node;
    $node->graceful or die "$node->{port}: gone after a graceful restart\n";
    $self->sample($node);
}

# A child may have ended and its number be another process's by now: signals go
# through a descriptor of the process that was seen to be httpd's child.
sub hold {
    my ($node, $pid) = @_;
    my $fd = syscall SYS_pidfd_open, $pid // return, 0;
    return if $fd < 0;
    my ($parent) = read_file("/proc/$pid/stat") =~ /^\d+ \(.*\) \S (\d+)/s;
    return $fd if ($parent // 0) == ($node->{pid} // -1);
    POSIX::close($fd);
    return;
}

# One after the other, with a pause
sub signals {
    my ($node, $pid, @signals) = @_;
    my $fd = hold($node, $pid) // return;
    for my $signal (@signals) {
        syscall SYS_pidfd_send_signal, $fd, $signal, 0, 0;
        sleep 0.2 + rand 0.8 if $signal == POSIX::SIGSTOP();
    }
    POSIX::close($fd);
}

sub kill_children {
    my ($self) = @_;
    my $node = $self->node;
    my @children = $node->children;
    my $one = int rand @children;
    signals($node, $children[$_], POSIX::SIGKILL())
        for grep { $_ == $one || rand() < 0.3 } 0 .. $#children;
}

# The second one: the first lives to the end, so that it can be seen to grow.
sub kill_server {
    my ($self) = @_;
    my $node = $self->{cluster}->node(1);
    $node->kill9_all;
    my $failure = $node->start;
    die "does not start again: $failure\n" if $failure;
}

sub stop {
    my ($node, $pid) = @_;
    signals($node, $pid, POSIX::SIGSTOP(), POSIX::SIGCONT());
}

sub stop_child {
    my ($self) = @_;
    my $node = $self->node;
    my @children = $node->children;
    stop($node, $children[rand @children]);
}

# ---- the cluster ----

sub stop_exchanger {
    my ($self) = @_;
    my $node = $self->node;
    stop($node, Cluster::exchanger($node));
}

sub kill_exchanger {
    my ($self) = @_;
    my $node = $self->node;
    signals($node, Cluster::exchanger($node), POSIX::SIGKILL());
}

sub freeze_memcached {
    my ($self) = @_;
    my $memcached = $self->memcached;
    $memcached->freeze;
    sleep 0.2 + rand 1;
    $memcached->thaw;
}

sub restart_memcached {
    my ($self) = @_;
    my $memcached = $self->memcached;
    $memcached->stop;
    sleep rand 1;
    $memcached->start;
}

sub garbage {
    my ($self) = @_;
    my $memcached = $self->memcached;
    $memcached->put({ map { $_ => join '', map { chr int rand 256 }
        1 .. rand 3000 } grep { rand() < 0.5 } $memcached->keys });
}

# ---- clocks ----

# Within the day, for good
sub step_clock {
    my ($self) = @_;
    $self->show_time($self->node, 3600 * (rand(8) - 4));
}

# Into another period, and back before that is believed
sub jump_clock {
    my ($self) = @_;
    my $node = $self->node;
    $self->show_time($node, 86_400 * (rand() < 0.5 ? 400 : -4000));
    sleep 0.2 + rand 1;
    $self->show_time($node, 0);
}

sub show_time {
    my ($self, $node, $offset_s) = @_;
    $node->set_time(POSIX::strftime('%Y-%m-%d %H:%M:%S',
        gmtime $self->{noon} + $offset_s));
}

# ---- the disk of the first node's table and of clamquota-sync's state ----

sub fill_disk {
    my ($self) = @_;
    my $path = $self->first->{dir} . '/state/fill';
    open my $file, '>', $path or die "$path: $!";
    1 while syswrite $file, 'f' x 65_536;
    sleep 0.2 + rand 0.5;
    $self->kill_sync if rand() < 0.5;
    close $file;
    unlink $path or die "$path: $!";
}

# ---- the tools ----

sub begin_sync {
    my ($self) = @_;
    $self->{sync} = Wire::Sync->begin($self->first, $self->{jail}, '--after',
        50, '--grace', '1s');
    push @{$self->{said}}, $self->{sync}{output};
}

# Its exit status, when it has begun and gets SIGTERM
sub end_sync {
    my ($self) = @_;
    poll(20, sub { hex((read_file("/proc/$self->{sync}{pid}/status")
        =~ /^SigCgt:\s+(\w+)/m)[0] // 0) & 1 << 14 });
    return $self->{sync}->end;
}

# Not each time: it must be seen to grow, too.
sub kill_sync {
    my ($self) = @_;
    return if $self->{done}{kill_sync} && rand() < 0.8;
    $self->{sync}->end('KILL');
    $self->begin_sync;
}

# a child of the test, whose number stays until it is waited for
sub freeze_sync {
    my ($self) = @_;
    kill 'STOP', $self->{sync}{pid};
    sleep 0.2 + rand 0.8;
    kill 'CONT', $self->{sync}{pid};
}

# address => how often it was jailed
sub jailed {
    my ($self) = @_;
    my %jailed;
    for my $file (@{$self->{said}}) {
        $jailed{$_}++ for read_file($file) =~ /^\S+: jailed (\S+): /mg;
    }
    return \%jailed;
}

# What an operator looks at meanwhile: all end well.
sub look {
    my ($self) = @_;
    my $node = $self->node;
    for my $words (['check'], ['report', '--json'], ['report', '--by-net',
        '24,48'], ['show', '10.77.2.1'], ['export', 'sqlite'], ['cluster']) {
        my ($exit, $said) = Mirror::run($node,
            $Wire::Sync::PROGRAM =~ s/-sync$//r, @$words, '--table',
            "$node->{dir}/state/clamquota.table");
        push @{$self->{wrong}}, "@$words: exit $exit: $said" if $exit ne '0';
    }
}

# ---- how large they are ----

sub sample {
    my ($self, $node) = @_;
    my $exchanger = Cluster::exchanger($node);
    my %size = (parent => $node->{pid}, sync => $self->{sync}{pid},
        $exchanger ? (exchanger => $exchanger) : ());
    for my $name (keys %size) {
        my $size = size($size{$name}) or next;
        push @{$self->{samples}{"$name $size{$name}"}}, $size;
    }
    for my $pid ($node->children) {
        my ($kb, $fds) = @{size($pid) // next};
        $self->{most_kb} = max($self->{most_kb} // 0, $kb);
        $self->{most_fds} = max($self->{most_fds} // 0, $fds);
    }
}

# [resident KiB that are its own, open descriptors]; undef: it is gone
sub size {
    my ($pid) = @_;
    my ($kb) = read_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m
        or return;
    my @fds = glob "/proc/$pid/fd/*";
    return [$kb, scalar @fds];
}

1;
