package Database;

# Database - a real MariaDB, PostgreSQL or SQLite for one test file.
#
#   my $database = Database->run('pgsql') or skip $Database::why_not, 5;
#   my ($status, $said) = $database->load($sql);    # by psql, as a cron job
#   my @rows = $database->rows('SELECT ...');       # "a|b|c" each
#
# The servers are those of the packages, installed or unpacked by
# t/peer/fetch. Each has a directory of its own, listens on a socket in it only,
# and ends with the test.

use strict;
use warnings;
use File::Path 'remove_tree';
use File::Temp ();
use Httpd qw(poll write_file read_file);
use Peer;
use POSIX ();

our $why_not;
my @databases;

# kind: mysql, pgsql, sqlite
sub run {
    my ($class, $kind) = @_;
    my $self = bless { kind => $kind,
        dir => File::Temp::tempdir('cq-XXXXXX', TMPDIR => 1) }, $class;
    push @databases, $self;
    $why_not = $self->$kind;
    return $why_not ? undef : $self;
}

sub mysql {
    my ($self) = @_;
    my ($server, $client) = map { program($_) } qw(mariadbd mariadb);
    return 'no MariaDB: ' . Peer::reason('mariadb-server')
        if !$server || !$client;
    my $share = Peer::root() . '/usr/share/mysql';
    my $socket = "$self->{dir}/socket";
    my @sets = -d $share ? "--character-sets-dir=$share/charsets" : ();
    $self->{client} = [$client, '--no-defaults', "--socket=$socket", @sets];
    # without the tables of rights, which take seconds to make
    $self->start($socket, $server, '--no-defaults', '--skip-networking',
        $> ? () : '--user=root', "--datadir=$self->{dir}",
        "--socket=$socket", "--pid-file=$self->{dir}/pid",
        '--skip-grant-tables', '--innodb-flush-log-at-trx-commit=0',
        -d $share ? "--lc-messages-dir=$share" : (), @sets)
        or return 'MariaDB does not start: ' . $self->last_words;
    system("@{$self->{client}} -e 'CREATE DATABASE test'") == 0
        or die "MariaDB: no database\n";
    push @{$self->{client}}, '--default-character-set=utf8mb4', 'test';
    $self->{ask} = [@{$self->{client}}, '--batch', '--raw', '-N'];
    return;
}

sub pgsql {
    my ($self) = @_;
    my ($bin) = grep { -x "$_/postgres" && -x "$_/psql" } reverse
        glob(Peer::root() . '/usr/lib/postgresql/*/bin'),
        glob('/usr/lib/postgresql/*/bin');
    return 'no PostgreSQL: ' . Peer::reason('postgresql') if !$bin;
    my $data = "$self->{dir}/data";
    # It does not run as root, nor can another user enter each checkout: root
    # by another number will do, where that can be had.
    my ($as, @others) = $> ? '' : grep { !refusal("$_ $bin/postgres -V") }
        'unshare --user --map-user=65534', 'setpriv --reuid 65534';
    return 'root cannot run PostgreSQL as another user here'
        if !defined $as;
    chown 65534, -1, $self->{dir} if $as =~ /setpriv/;
    my @set = map { ('-c', $_) } 'listen_addresses=', 'fsync=off';
    $self->start("$data/PG_VERSION", split(/ /, $as), "$bin/initdb",
        '--pgdata', $data, qw(-U test -A trust --no-sync --locale=C -E UTF8))
        && poll(60, sub { waitpid($self->{pid}, POSIX::WNOHANG()) })
        && $? == 0
        && $self->start("$self->{dir}/.s.PGSQL.5432", split(/ /, $as),
            "$bin/postgres", '-D', $data, '-k', $self->{dir}, @set)
        or return 'PostgreSQL does not start: ' . $self->last_words;
    $self->{client} = ["$bin/psql", '--no-psqlrc', '-h', $self->{dir}, '-U',
        'test', 'postgres'];
    $self->{ask} = [@{$self->{client}}, '-At'];
    poll(30, sub { $self->rows('SELECT 1') })
        or return 'PostgreSQL does not answer: ' . $self->last_words;
    return;
}

sub sqlite {
    my ($self) = @_;
    my $client = program('sqlite3')
        or return 'no SQLite: ' . Peer::reason('sqlite3');
    $self->{client} = $self->{ask} = [$client, "$self->{dir}/file"];
    return;
}

# Until the file is there: true, or the command has ended without it.
sub start {
    my ($self, $file, @command) = @_;
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        my $program = (grep { m{^/} } @command)[0];
        %ENV = (%ENV, Peer::environment($program), LC_ALL => 'C');
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}.log";
        open STDERR, '>&', \*STDOUT;
        chdir '/';
        exec @command or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    return poll(60, sub {
        -e $file || waitpid($pid, POSIX::WNOHANG()) == $pid && 'ended';
    }) eq '1';
}

sub last_words {
    return (split /\n/, read_file("$_[0]{dir}.log"))[-1] // 'no word';
}

# (exit status, what it said) of the client with this SQL as its standard input;
# more: options of the client, env: its environment
sub load {
    my ($self, $sql, %option) = @_;
    write_file("$self->{dir}.sql", $sql);
    local %ENV = (%ENV, Peer::environment($self->{client}[0]),
        %{$option{env} // {}});
    my @client = @{$option{ask} ? $self->{ask} : $self->{client}};
    splice @client, $self->{kind} eq 'mysql' ? 2 : 1, 0, @{$option{more} // []};
    my $command = join ' ', map { "'$_'" } @client;
    my $said = `$command <'$self->{dir}.sql' 2>&1`;
    return ($? >> 8, $said);
}

# Rows as the database has them, the columns joined by |
sub rows {
    my ($self, $sql) = @_;
    my ($status, $said) = $self->load("$sql;\n", ask => 1);
    return if $status != 0;
    $said =~ tr/\t/|/ if $self->{kind} eq 'mysql';
    return split /\n/, $said;
}

END {
    local $?;
    for my $database (@databases) {
        if ($database->{pid}) {
            # PostgreSQL's fast end, MariaDB's ordinary one
            kill $database->{kind} eq 'pgsql' ? 'INT' : 'TERM',
                $database->{pid};
            poll(20, sub { waitpid $database->{pid}, POSIX::WNOHANG() });
            kill 'KILL', -$database->{pid};
        }
        remove_tree($database->{dir});
        unlink "$database->{dir}.log", "$database->{dir}.sql";
    }
}

1;
