# The guide's chapter on the kernel jail, followed in a bare Debian: for each of
# the three kinds its own commands, from nothing to a client whose packets are
# dropped, a boot, a client that is released, and back to nothing.
# mpm: once
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Debian;
use Httpd qw(poll read_file write_file);
use IO::Socket::IP;
use Test::More;
use Wire;

plan skip_all => 'slow: ./build.sh test all' if !$ENV{CQ_TEST_ALL};
my @bad = ('10.77.1.2', 'fd77:0:1:1::2');
my @good = ('10.77.1.3', 'fd77:0:1:2::2');
lay(@bad, @good);

my ($build) = $Wire::Sync::PROGRAM =~ m{^(.*)/};
my $guide = read_file("$Httpd::ROOT/mod_clamquota/clamquota.7");
my $examples = '/usr/share/doc/mod_clamquota/examples';
my @listen = map { IO::Socket::IP->new(LocalHost => $_, LocalPort => 80,
    Listen => 100) // die "listen: $@" } Wire::V4, Wire::V6;

# Commands of the guide: the first block behind these words
sub commands {
    my ($words) = @_;
    my ($text) = $guide =~ /\Q$words\E.*?^\.Bd [^\n]*\n(.*?)^\.Ed$/ms
        or die "the guide has no commands behind: $words\n";
    return $text =~ s/^\\&//mgr =~ s/\\e$/\\/mgr;
}

# How a sample says that it is removed
sub removal {
    my ($file) = @_;
    my ($text) = read_file("$Httpd::ROOT/conf/$file")
        =~ /To remove (?:them|it)\b.*?:\n((?:#     [^\n]*\n)+)/s
        or die "$file: no removal\n";
    return $text =~ s/^#     //mgr;
}

# Without systemd its words are taken literally: the service is what its unit
# starts, with the options of its environment file.
my $systemctl = <<'EOS';
#!/bin/sh
case $* in
'enable --now clamquota-sync')
    unset OPTIONS
    . "$(sed -n 's/^EnvironmentFile=-//p' \
        /lib/systemd/system/clamquota-sync.service)"
    mkdir -p /run/clamquota-sync
    start=$(sed -n 's/^ExecStart=//p' \
        /lib/systemd/system/clamquota-sync.service)
    export OPTIONS
    sh -c "exec setsid $start" </dev/null >>/run/journal 2>&1 &
    echo $! >/run/service ;;
'disable --now clamquota-sync')
    read -r pid </run/service
    kill "$pid"
    # until it has ended, as systemctl does
    while read -r _ _ state _ <"/proc/$pid/stat" && [ "$state" != Z ]; do
        sleep 0.1
    done 2>/dev/null
    rm /run/service ;;
'enable nftables')
    >/run/nftables ;;
*)
    exit 1 ;;
esac
EOS

my $root;
sub inside {
    my ($script) = @_;
    # its own mounts, so that nothing is left of them
    return Wire::Jail->here->run(qw(unshare --mount --propagation private sh
        -ec), 'mount -t proc proc "$0/proc"; exec chroot "$0" env -i '
        . 'PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root '
        . 'DEBIAN_FRONTEND=noninteractive sh -exc "cd $1; $2"', $root,
        $examples, $script);
}

sub follow {
    my ($name, $script) = @_;
    my ($status, $said) = inside($script);
    is($status, 0, $name) or die "$said\n";
    return $said;
}

sub all_are {
    my ($jail, $what, @clients) = @_;
    my $is = '';
    ok(poll(70, sub { ($is = join ' ', map { dropped($jail, $_) } @clients)
        eq join ' ', ($what) x @clients }), "$what: @clients") or diag($is,
        "\n", read_file("$root/run/journal"));
    return;
}

# Its service ends with the test.
END {
    local $?;
    kill 'KILL', read_file("$root/run/service")
        if $root && -e "$root/run/service";
}

my %boot = (nft => 'nft flush ruleset; [ -e /run/nftables ]; '
        . 'nft -f /etc/nftables.conf');
$boot{$_} = 'iptables -t raw -F; ip6tables -t raw -F; ipset destroy || :; '
    . 'netfilter-persistent start' for qw(iptables ipset);

# What is left in the kernel of any jail
sub left {
    return join '', grep { /clamquota|clamav/i } map { "$_\n" } map {
        split /\n/, (Wire::Jail->here->run(split ' ', $_))[1] }
        'nft list ruleset', 'iptables-save', 'ip6tables-save',
        'ipset list -n';
}

# In the words of the guide: its heading, how the sample is removed
for (['nft', 'nftables :', commands('nftables: first remove')],
    ['iptables-nft', "\n.Sy iptables\n", removal('clamquota.iptables')
        . 'netfilter-persistent save'],
    ['ipset', "\n.Sy ipset ,\n", removal('clamquota.ipset')
        . 'netfilter-persistent save']) {
    my ($name, $heading, $removal) = @{$_};
    my ($jail) = grep { $_->{name} eq $name } Wire::Jail->all;
    my $why = $jail->lacks;
    SKIP: {
        skip $why, 1 if $why;
        $jail->unload;
        subtest $name => sub { one_kind($jail, $heading, $removal) };
    }
}

sub one_kind {
    my ($jail, $heading, $removal) = @_;
    my $scratch = tempdir(CLEANUP => 1);
    my $packages = 'nftables ipset iptables-persistent ipset-persistent';
    chmod 0755, $scratch;
    $root = "$scratch/root";
    mkdir $root or die "$root: $!\n";
    Debian::unpack($root, $build, $packages, '--include=libmnl0',
        '--customize-hook=chroot "$1" apt-get -qq '
        . "-o APT::Install-Recommends=true --download-only install $packages");
    # what clamquota-tools brings
    must('sh', '-ec', <<'EOS', $root, $build, $examples);
mkdir -p "$0$2" "$0/var/lib/clamquota" "$0/lib/systemd/system"
cp "$1/clamquota-sync" "$0/usr/sbin/"
cp conf/clamquota*.* "$0$2/"
cp conf/clamquota-sync.service "$0/lib/systemd/system/"
echo 'APT::Get::Assume-Yes "true";' >"$0/etc/apt/apt.conf.d/yes"
printf '#!/bin/sh\nexit 101\n' >"$0/usr/sbin/policy-rc.d"
chmod 755 "$0/usr/sbin/policy-rc.d"
EOS
    write_file("$root/usr/bin/systemctl", $systemctl);
    chmod 0755, "$root/usr/bin/systemctl";
    my @offend = ("$build/peer/offend",
        "$root/var/lib/clamquota/clamquota.table");
    must(@offend, 'daily', 'default', 1000,
        map { ('draw', 'default', $_, 2000, 200, 61) } @bad);

    follow('the commands of the guide', commands($heading));
    follow('the service', 'systemctl enable --now clamquota-sync');
    all_are($jail, 'dropped', @bad);
    all_are($jail, 'connected', @good);
    my $status = follow('how to see that it works',
        commands('To see that it works') =~ s/^journalctl.*//mr);
    like($status, qr/^  in it +2$/m, 'both are in it');

    must(@offend, 'reset', $bad[0]);
    all_are($jail, 'connected', $bad[0]);
    all_are($jail, 'dropped', $bad[1]);

    follow('shut down', 'systemctl disable --now clamquota-sync');
    follow('a boot', $boot{ $jail->{name} =~ s/-nft$//r });
    follow('the service, after it', 'systemctl enable --now clamquota-sync');
    all_are($jail, 'dropped', $bad[1]);

    follow('stop and empty', commands('.Ss Removing the jail'));
    all_are($jail, 'connected', @bad);
    follow('remove the rules', $removal);
    is(left(), '', 'nothing is left in the kernel');
    follow('another boot', $boot{ $jail->{name} =~ s/-nft$//r });
    is(left(), '', 'nor comes back with it');
    return;
}
done_testing();
