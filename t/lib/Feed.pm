package Feed;

# Feed - clamquota feed behind a pipe, for tests.
#
#   my $feed = Feed->begin($table, '--daily', '1k');
#   $feed->write(Feed::line('192.0.2.1', 600));
#   is($feed->end, 0);              # end of input
#   Feed::rows($table)->{'192.0.2.1'}{used}

use strict;
use warnings;
use File::Basename 'dirname';
use File::Temp ();
use Httpd qw(poll read_file);
use JSON::PP ();
use POSIX ();
use Time::HiRes 'sleep';

our $BUILD = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x");
my @feeds;

# A line of combined, of now; status, request, time as options
sub line {
    my ($client, $bytes, %option) = @_;
    my $time = POSIX::strftime('%d/%b/%Y:%H:%M:%S +0000',
        gmtime($option{time} // time));
    my $request = $option{request} // 'GET /file HTTP/1.1';
    return "$client - - [$time] \"$request\" " . ($option{status} // 200)
        . " $bytes \"-\" \"ClamAV/1.4.1\"\n";
}

# With an open pipe, whose reader it is given may stay (reader => handle), and
# the command it is started by (through => [...])
sub begin {
    my ($class, $table, @arguments) = @_;
    my %option = ref $arguments[0] ? %{shift @arguments} : ();
    my $self = bless { said => File::Temp->new, table => $table }, $class;
    pipe(my $reader, $self->{to}) or die "pipe: $!";
    $reader = $option{reader} // $reader;
    $self->{to}->autoflush(1);
    defined($self->{pid} = fork) or die "fork: $!";
    if (!$self->{pid}) {
        open STDIN, '<&', $reader;
        open STDOUT, '>&', $self->{said};
        open STDERR, '>&', $self->{said};
        %ENV = (%ENV, TZ => 'UTC', %{$option{env} // {}});
        exec @{$option{through} // []}, "$BUILD/clamquota", 'feed', '--table',
            $table, @arguments or POSIX::_exit(127);
    }
    $self->{reader} = $reader;
    push @feeds, $self;
    return $self;
}

# Until the table is its own
sub ready {
    my ($self, $pattern) = @_;
    poll(10, sub { $self->said =~ ($pattern // qr/made a new table/) })
        or die 'feed: ' . $self->said;
    return $self;
}

sub write {
    my ($self, @lines) = @_;
    local $SIG{PIPE} = 'IGNORE';
    return print {$self->{to}} @lines;
}

sub said { return read_file("$_[0]{said}") }

# The exit status; a signal: how
sub end {
    my ($self, $how) = @_;
    kill $how, $self->{pid} if $how;
    close $self->{to} if !$how;
    return $self->wait;
}

sub wait {
    my ($self) = @_;
    my $gone = poll(20, sub {
        waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid} });
    delete $self->{pid} if $gone;
    return $gone ? $? & 127 ? 'signal ' . ($? & 127) : $? >> 8 : 'stays';
}

# Lines all at once: (exit status, what it said)
sub all {
    my ($table, $arguments, @lines) = @_;
    my $feed = Feed->begin($table, @$arguments);
    $feed->write(@lines);
    return ($feed->end, $feed->said);
}

# The rows of a table, by client, or "pool client"
sub rows {
    my ($table) = @_;
    # before it is made, too
    my $text = `$BUILD/clamquota report --json --limit 10000 --table $table 2>&-`;
    my $json = JSON::PP::decode_json($text || '{"clients":[]}');
    return { map { (($_->{pool} eq 'default' ? '' : "$_->{pool} ")
        . $_->{client} => $_) } @{$json->{clients}} };
}

# "used free hits refused" of a client, once it is as expected or after 5 s
sub figures {
    my ($table, $client, $expected) = @_;
    my $got;
    for (1 .. (defined $expected ? 100 : 1)) {
        my $row = rows($table)->{$client};
        $got = $row ? join ' ', @$row{qw(used free hits refused)} : 'no row';
        last if $got eq ($expected // $got);
        sleep 0.05;
    }
    return $got;
}

END {
    local $?;
    for my $feed (grep { $_->{pid} } @feeds) {
        kill 'KILL', $feed->{pid};
        waitpid $feed->{pid}, 0;
    }
}

1;
