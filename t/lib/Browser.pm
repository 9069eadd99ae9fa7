package Browser;

# Browser - a headless Chromium for one test, driven by the DevTools protocol
# over two pipes: no port, no driver.
#
# Collects what the page asked for and what the browser complained about.
# new() returns nothing, and why() the reason, where there is none to start.

use strict;
use warnings;
use Carp 'croak';
use Fcntl 'F_DUPFD';
use File::Temp ();
use IO::Handle;
use IO::Select;
use JSON::PP ();
use MIME::Base64 'decode_base64';
use POSIX ();
use Time::HiRes 'time';

my $why = '';
sub why { return $why }

sub new {
    my ($class) = @_;
    my ($program) = grep { -x } map { ("$_/chromium", "$_/chromium-browser") }
        split /:/, $ENV{PATH};
    if (!$program) {
        $why = 'no chromium here: apt-get install chromium';
        return;
    }
    my $dir = File::Temp->newdir('cq-browser-XXXXXX', TMPDIR => 1);
    pipe my $its_in, my $out or die "pipe: $!";
    pipe my $in, my $its_out or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        # numbers that nothing else has, then those that Chromium expects
        my @ends = map { fcntl $_, F_DUPFD, 20 } $its_in, $its_out;
        POSIX::dup2($ends[0], 3);
        POSIX::dup2($ends[1], 4);
        open STDERR, '>', "$dir/stderr";
        open STDOUT, '>&', \*STDERR;
        POSIX::setpgid(0, 0);
        exec $program, '--headless', '--no-sandbox', '--disable-gpu',
            '--disable-dev-shm-usage', '--no-first-run',
            '--disable-background-networking', '--hide-scrollbars',
            "--user-data-dir=$dir/profile", '--remote-debugging-pipe',
            'about:blank' or POSIX::_exit(127);
    }
    close $_ for $its_in, $its_out;
    $out->autoflush(1);
    my $self = bless { pid => $pid, in => $in, out => $out, dir => $dir,
        buffer => '', id => 0, events => [], requests => [],
        complaints => [] }, $class;
    my $target = $self->ask('Target.createTarget', { url => 'about:blank' });
    $self->{session} = $self->ask('Target.attachToTarget', { flatten => \1,
        targetId => $target->{targetId} })->{sessionId};
    $self->ask("$_.enable") for qw(Page Log Runtime Network);
    return $self;
}

# One message, or nothing when the time is up.
sub receive {
    my ($self, $end) = @_;
    while ($self->{buffer} !~ /\0/) {
        my $left = $end - time;
        return if $left <= 0
            || !IO::Select->new($self->{in})->can_read($left);
        sysread $self->{in}, $self->{buffer}, 65536, length $self->{buffer}
            or croak 'the browser went away: '
                . (`tail -n 3 '$self->{dir}/stderr'` // '');
    }
    $self->{buffer} =~ s/^(.*?)\0//s;
    my $message = JSON::PP::decode_json($1);
    my ($method, $params) = @$message{qw(method params)};
    return $message if !defined $method;
    push @{$self->{events}}, $method;
    push @{$self->{requests}}, $params->{request}{url}
        if $method eq 'Network.requestWillBeSent';
    push @{$self->{complaints}}, $params->{entry}{text}
        if $method eq 'Log.entryAdded';
    push @{$self->{complaints}}, JSON::PP::encode_json($params)
        if $method eq 'Runtime.exceptionThrown'
            || $method eq 'Runtime.consoleAPICalled';
    return $message;
}

sub ask {
    my ($self, $method, $params) = @_;
    my $id = ++$self->{id};
    my $end = time + 60;
    print {$self->{out}} JSON::PP::encode_json({ id => $id,
        method => $method, params => $params // {},
        $self->{session} ? (sessionId => $self->{session}) : () }), "\0";
    while (my $message = $self->receive($end)) {
        next if ($message->{id} // 0) != $id;
        croak "$method: $message->{error}{message}" if $message->{error};
        return $message->{result};
    }
    croak "$method: no answer";
}

# Waits until the page has loaded that something just led to.
sub await_load {
    my ($self) = @_;
    my $end = time + 60;
    until (grep { $_ eq 'Page.loadEventFired' } @{$self->{events}}) {
        $self->receive($end) or croak 'the page does not load';
    }
    return;
}

sub open {
    my ($self, $url) = @_;
    @{$self->{events}} = ();
    $self->ask('Page.navigate', { url => $url });
    return $self->await_load;
}

sub value {
    my ($self, $expression) = @_;
    my $result = $self->ask('Runtime.evaluate', { expression => $expression,
        returnByValue => \1 });
    croak "$expression: $result->{exceptionDetails}{text}"
        if $result->{exceptionDetails};
    return $result->{result}{value};
}

# Does something to the page that loads another one.
sub follow {
    my ($self, $expression) = @_;
    @{$self->{events}} = ();
    $self->value($expression);
    return $self->await_load;
}

sub view {
    my ($self, $width, $height, $scheme) = @_;
    $self->ask('Emulation.setDeviceMetricsOverride', { width => $width,
        height => $height, deviceScaleFactor => 1, mobile => \0 });
    $self->ask('Emulation.setEmulatedMedia', { features => [
        { name => 'prefers-color-scheme', value => $scheme }] });
    return;
}

sub shot {
    my ($self, $file) = @_;
    my $shot = $self->ask('Page.captureScreenshot',
        { captureBeyondViewport => \1 });
    CORE::open my $out, '>:raw', $file or croak "$file: $!";
    print $out decode_base64($shot->{data});
    close $out or croak "$file: $!";
    return;
}

sub DESTROY {
    my ($self) = @_;
    kill KILL => -$self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

1;
