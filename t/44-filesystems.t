# A disk that fills up under a server that counts, on real file systems. Where
# pages of the table need new blocks, because a copy shares the old ones, they
# are lost, which stops counting and nothing else.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Fcntl;
use HTTP::Tiny;
use Httpd;
use IO::Handle;
use Test::More;

plan skip_all => 'file systems are mounted by root' if $<;

# lost: are pages lost when the disk is full; undef: kernels differ
my @cases = (
    { name => 'ext4', type => 'ext4', megabytes => 64, lost => 0 },
    { name => 'xfs, a reflink', type => 'xfs', megabytes => 320, lost => 1,
        copy => 'cp --reflink=always %s/clamquota.table %s/copy' },
    { name => 'btrfs', type => 'btrfs', megabytes => 128 },
    { name => 'btrfs, a snapshot', type => 'btrfs', megabytes => 128, lost => 1,
        copy => 'btrfs subvolume snapshot %s %s/copy' },
);
my @mounted;

# What a command says, if it fails.
sub failure {
    my $said = `@_ 2>&1`;
    return $? ? ($said =~ /\S/ ? $said : "$_[0]: status $?") : '';
}

# '' or why there is no such file system below the server's state.
sub mount_image {
    my ($server, $case) = @_;
    my ($image, $state) = map { "$server->{dir}/$_" } qw(image state);
    open my $fh, '>', $image or die "$image: $!";
    truncate $fh, $case->{megabytes} << 20 or die "$image: $!";
    my $why = failure("mkfs.$case->{type} -q", $image);
    return $why if $why;
    # its loop device goes with it
    $why = failure('mount -o loop', $image, $state);
    push @mounted, $state if !$why;
    return $why;
}

# Until no block is left, nor one that a delayed write releases.
sub fill {
    my ($state) = @_;
    # the bulk of it, without writing it
    for my $shift (reverse 20 .. 28) {
        failure("fallocate -l", 1 << $shift, "$state/fill.$shift");
    }
    sysopen my $fh, "$state/fill", O_WRONLY | O_CREAT | O_APPEND or die "$!";
    my $written = 1;
    while ($written) {
        $written = 0;
        for my $size (1 << 20, 4096) {
            my $bytes = 'f' x $size;
            while (my $n = syswrite $fh, $bytes) { $written += $n }
        }
        $fh->sync;
    }
    close $fh;
}

# The status that a client gets; without a process for each.
sub ask {
    my ($server, $client) = @_;
    return HTTP::Tiny->new(local_address => client($client), timeout => 10)
        ->get("http://127.0.0.1:$server->{port}/file")->{status};
}

sub client { return '127.0.' . int($_[0] / 200) . '.' . (1 + $_[0] % 200) }

# The row of a client that did not come while the disk was full.
sub earlier { return $_[0]->row(client(999), @_[1 .. $#_]) }

sub begin {
    my ($case) = @_;
    my $server = Httpd->new(clients => 1000, conf =>
        "ClamQuotaPeriod Day\nClamQuotaDaily 1M\n");
    write_file("$server->{dir}/htdocs/file", 'f' x 5000);
    my $why = mount_image($server, $case);
    if ($why) {
        SKIP: { skip "$case->{name}: " . $why =~ s{\s*\n}{ }gr, 1 }
        return;
    }
    my $state = "$server->{dir}/state";
    my $table = "$state/clamquota.table";
    is($server->start, '', "$case->{name}: starts");
    ask($server, $_) for 0 .. 9, 999;
    $case->{before} = earlier($server, hits => 1, in_flight => 0);
    like(`lsattr $table`, qr/^\S*C/, "$case->{name}: written in place")
        if $case->{type} eq 'btrfs';
    # a page that is clean asks the file system before it is written to
    system('sync', '-f', $table) == 0 or die "sync: $?";
    is(failure($case->{copy} =~ s/%s/$state/gr), '', "$case->{name}: copied")
        if $case->{copy};
    fill($state);
    return $server;
}

# Serves, whatever happens to the table.
sub serve {
    my ($server, $case) = @_;
    my %status;
    $status{ask($server, $_)}++ for 0 .. 39;
    is_deeply(\%status, { 200 => 40 }, "$case->{name}: full: all are served");
}

sub judge {
    my ($server, $case) = @_;
    my ($name, $parent) = ($case->{name}, $server->{pid});
    my $gone = qr/CQ0127: /;
    my $lost = $case->{lost} // ($server->json->{engine} eq 'unusable');
    if ($lost) {
        ok($server->wait_log($gone), "$name: full: logged");
        is($server->json->{engine}, 'unusable', "$name: full: unusable");
    }
    else {
        is($server->json->{engine}, 'On', "$name: full: counts");
        is($server->row(client($_), hits => $_ < 10 ? 2 : 1)->{hits},
            $_ < 10 ? 2 : 1, "$name: full: a client's hits") for 0, 9, 10, 39;
    }
    like($server->get('/clamquota?openmetrics')->{body},
        $lost ? qr/^clamquota_up 0$/m : qr/^clamquota_up 1$/m,
        "$name: full: metrics");
    ok($server->graceful, "$name: full: graceful");
    is($server->{pid}, $parent, "$name: full: the parent lives");
    is(ask($server, 0), 200, "$name: full: served after it");
    $server->allow_log($gone, $lost ? 1 : 0);

    ok($server->stop, "$name: stops");
    unlink glob "$server->{dir}/state/fill*";
    is($server->start, '', "$name: room again: starts");
    is($server->json->{engine}, 'On', "$name: room again: counts");
    is_deeply(earlier($server), $case->{before}, "$name: room again: a row");
    ask($server, 999);
    is(earlier($server, hits => 2)->{hits}, 2, "$name: room again: counted");
    ok($server->stop, "$name: stops again");
}

# All at once: what is lost is noticed at the next tick of each parent.
my @running = grep { $_->[0] } map { [scalar begin($_), $_] } @cases;
serve(@$_) for @running;
judge(@$_) for @running;
finish();

# before Httpd.pm's own, which removes the directories
END {
    my $exit = $?;
    $_->[0]->kill9_all for @running;
    system('umount', $_) == 0 or system('umount', '-l', $_) for @mounted;
    $? = $exit;
}
