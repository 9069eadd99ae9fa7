# Usage: perl mirror.pl DIRECTORY
# Makes DIRECTORY and in it what a ClamAV mirror serves, with generated
# contents: the CVD headers are well-formed (freshclam's probe reads them), what
# follows is noise.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);

my %databases = (    # version, signatures, functionality level, bytes
    main     => [ 63,    6647427, 90, 20 * 1024 * 1024 ],
    daily    => [ 27830, 2077000, 90, 4 * 1024 * 1024 ],
    bytecode => [ 339,   80,      90, 284179 ],
);
my @diffs = (27826 .. 27830);    # the way to the daily above

my ($directory) = @ARGV;
defined $directory or die "usage: perl mirror.pl DIRECTORY\n";
mkdir $directory or die "$directory: $!\n";

# The same bytes at each run, and cheap: a block of a simple generator's
# output, then that block over and over.
sub noise {
    my ($bytes, $state) = @_;
    my $block = '';
    for (1 .. 4096) {
        $state = ($state * 1103515245 + 12345) & 0x7fffffff;
        $block .= chr(($state >> 16) & 0xff);
    }
    return substr($block x ($bytes / 4096 + 1), 0, $bytes);
}

sub store {
    my ($name, $contents) = @_;
    open my $file, '>:raw', "$directory/$name" or die "$name: $!\n";
    print {$file} $contents or die "$name: $!\n";
    close $file or die "$name: $!\n";
    chmod 0644, "$directory/$name" or die "$name: $!\n";
    return;
}

# A 512 byte header, padded with blanks: ClamAV-VDB, time, version, number of
# signatures, functionality level, MD5 of the rest, signature, builder, unix
# time of the build.
sub cvd {
    my ($name, $version, $signatures, $level, $bytes) = @_;
    my $body  = noise($bytes - 512, $version);
    my $built = time - 3600;
    my (undef, $minute, $hour, $day, $month, $year) = gmtime $built;
    my $date = sprintf '%02d %s %d %02d-%02d +0000', $day,
        (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$month],
        $year + 1900, $hour, $minute;
    my $header = join ':', 'ClamAV-VDB', $date, $version, $signatures, $level,
        md5_hex($body), 'not-signed', 'sample', $built;
    store($name, sprintf('%-512s', $header) . $body);
    return;
}

cvd("$_.cvd", @{ $databases{$_} }) for sort keys %databases;
store("daily-$_.cdiff", noise(1024 * ($_ % 20 + 1), $_)) for @diffs;
