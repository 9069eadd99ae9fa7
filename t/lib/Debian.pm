package Debian;

# Debian - a bare root directory of this machine's Debian, with packages in its
# apt's cache, so that they can be installed there without a network. Made once,
# as a file in the build directory.
#
#   Debian::unpack($root, $build, $words, '--customize-hook=...');

use strict;
use warnings;
use Digest::MD5 qw(md5_hex);

# apt's lines for the sources of this machine, and the name of its release
sub sources {
    open my $file, '<', '/etc/os-release' or die "os-release: $!\n";
    my %os = map { /^(\w+)="?(.*?)"?$/ ? ($1 => $2) : () } <$file>;
    my @lines = map { chomp; "deb $_" } `apt-get indextargets \\
        --format '\$(REPO_URI) \$(RELEASE) \$(COMPONENT)' \\
        'Created-By: Packages' 'Origin: \u$os{ID}'`;
    return ($os{VERSION_CODENAME}, @lines);
}

sub must {
    system(@_) == 0 or die "@_: exit $?\n";
    return;
}

# Unpacks one into an existing directory.
# @param build    where the file stays
# @param words    whatever makes another one of it
# @param options  of mmdebstrap, which fill the cache
sub unpack {
    my ($root, $build, $words, @options) = @_;
    my ($release, @sources) = sources();
    my $tar = "$build/root-" . md5_hex("@sources $words") . '.tar';
    if (!-e $tar) {
        must('mmdebstrap', '--quiet', '--variant=apt', '--format=tar',
            '--skip=cleanup/apt', '--dpkgopt=force-unsafe-io', @options,
            $release, "$tar.new", @sources);
        rename "$tar.new", $tar or die "$tar: $!\n";
    }
    must('tar', '-xf', $tar, '-C', $root);
    return;
}

1;
