package Broken;

# Faults on purpose: a program runs again and again, and each time another one
# of its system calls or allocations fails, once.
#
#   my $faults = Broken->new(dir => $dir);   # or undef, and $Broken::why_not
#   my $clean = $faults->run(@words);        # { status, out, err }
#   for my $fault ($faults->all(@words)) {   # every one that there can be
#       my $result = $faults->run_with($fault, @words);
#   }
#
# env => { NAME => VALUE } is for the program, which has t/fault/alloc.c loaded.
# System calls are made to fail by strace, allocations by that. What
# the dynamic loader does before main() is left alone. Without CQ_TEST_ALL only
# each STEP-th fault is there, another one on each day.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use POSIX ();

our $why_not;
our $STEP = $ENV{CQ_TEST_ALL} ? 1 : 8;
my $top = abs_path(dirname(__FILE__) . '/../..');

# How each call fails. EINTR is none: it may be repeated.
our %errno = (
    openat => 'EMFILE', read => 'EIO', pread64 => 'EIO', write => 'ENOSPC',
    pwrite64 => 'ENOSPC', mmap => 'ENOMEM', fallocate => 'ENOSPC',
    ftruncate => 'EIO', rename => 'EIO', renameat2 => 'EIO', fsync => 'EIO',
    getdents64 => 'EIO', socket => 'EMFILE', bind => 'ENOMEM',
    sendmsg => 'ENOBUFS', sendto => 'ENOBUFS', recvmsg => 'ENOBUFS',
    recvfrom => 'ENOBUFS', newfstatat => 'EIO', fcntl => 'ENOLCK',
    unlink => 'EIO', fchmod => 'EPERM', getrandom => 'ENOSYS',
);

# dir: a directory to work in
sub new {
    my ($class, %option) = @_;
    my $self = bless {%option}, $class;
    $self->{alloc} = "$self->{dir}/alloc.so";
    system('cc', '-shared', '-fPIC', '-O1', '-o', $self->{alloc},
        "$top/t/fault/alloc.c") == 0 or die "t/fault/alloc.c\n";
    my $tried = $self->run('strace', '-o', '/dev/null', 'true');
    return $self if $tried->{status} eq '0';
    $why_not = "strace cannot trace here: $tried->{err}";
    return;
}

# Ends by itself, or is a hang.
sub run {
    my ($self, @words) = @_;
    my ($out, $err) = map { "$self->{dir}/$_" } qw(stdout stderr);
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', $self->{input} // '/dev/null' or die;
        open STDOUT, '>', $out or die;
        open STDERR, '>', $err or die;
        exec 'timeout', '-k', '1', '60', @words or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $status = $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
    $status = 'hangs' if $status eq '124';
    $status = 'signal ' . ($status - 128) if $status =~ /^1(?:[3-5]\d|29)$/;
    return { status => $status, out => slurp($out), err => slurp($err) };
}

sub slurp {
    my ($name) = @_;
    open my $file, '<:raw', $name or return '';
    local $/ = undef;
    return scalar(<$file>) // '';
}

# All faults of a run: { call, n, errno, text } and { alloc }
sub all {
    my ($self, @words) = @_;
    my $trace = "$self->{dir}/trace";
    $self->prepare;
    $self->run('strace', '-f', '-o', $trace, $self->through_strace, @words);
    my (%n, @faults, $begun, $loaded);
    for (split /\n/, slurp($trace)) {
        /^(?:\d+ +)?(\w+)\((.*)/ or next;
        my ($call, $text) = ($1, $2);
        $n{$call}++;
        $begun ||= $call eq 'rseq';
        $loaded ||= $begun && $call eq 'munmap' or next;
        # Nothing can report that nothing can be reported; and asking for a
        # lock does not fail.
        next if !$errno{$call} || ($call eq 'write' && $text =~ /^2,/)
            || ($call eq 'fcntl' && $text =~ /F_GETLK/);
        push @faults, { call => $call, n => $n{$call},
            errno => $errno{$call}, text => substr $text, 0, 60 };
    }
    $self->prepare;
    local $ENV{CQ_FAULT_COUNT} = "$self->{dir}/count";
    $self->run_with({ alloc => 0 }, @words);
    my ($allocations) = slurp("$self->{dir}/count") =~ /^(\d+)$/
        or die "@words: no allocations counted\n";
    return choose(@faults, map { { alloc => $_ } } 1 .. $allocations);
}

sub choose {
    my @faults = @_;
    my $first = (localtime)[7] % $STEP;
    return @faults[grep { $_ % $STEP == $first } 0 .. $#faults];
}

# Makes the files of a run anew.
sub prepare {
    my ($self) = @_;
    $self->{prepare}->() if $self->{prepare};
    return;
}

sub run_with {
    my ($self, $fault, @words) = @_;
    $self->prepare;
    return $self->run('env', $self->environment($fault->{alloc}), @words)
        if exists $fault->{alloc};
    my $call = $fault->{call};
    return $self->run('strace', '-f', '--seccomp-bpf', '-qq', '-o', '/dev/null',
        "--trace=$call",
        "--inject=$call:error=$fault->{errno}:when=$fault->{n}",
        $self->through_strace, @words);
}

# What a program has in its environment.
sub environment {
    my ($self, $alloc) = @_;
    my %env = ($self->{env} ? %{ $self->{env} } : (),
        LD_PRELOAD => $self->{alloc}, CQ_FAULT_ALLOC => $alloc);
    return map { "$_=$env{$_}" } sort keys %env;
}

sub through_strace { return map { ('-E', $_) } $_[0]->environment(0) }

sub name {
    my ($fault) = @_;
    return exists $fault->{alloc} ? "allocation $fault->{alloc}"
        : "$fault->{call} $fault->{n}: $fault->{errno} ($fault->{text})";
}

1;
