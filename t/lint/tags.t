# Each log tag is used in one place and is explained in the man page.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files slurp code log_tags);
use Test::More;

my @tags = log_tags();
cmp_ok(scalar @tags, '>', 0, 'tags found in httpd/*.c');

my (%where, @twice, @malformed);
for my $tag (@tags) {
    my ($name, $place) = @{$tag};
    push @twice, "$name: $where{$name} and $place" if $where{$name};
    $where{$name} = $place;
    push @malformed, "$name at $place" if $name !~ /^CQ\d{4}$/;
}
is_deeply(\@twice,     [], 'no tag is used twice');
is_deeply(\@malformed, [], 'a tag has four digits');

# A call that logs above debug level without a tag cannot be looked up.
my @bare;
for my $name (files('mod_clamquota/httpd/*.c')) {
    my $text = code($name, keep_strings => 1);
    while ($text =~ /\bap_log_[rcp]?error\s*\(([^;]*)/g) {
        my ($call, $line) = ($1, 1 + (substr($text, 0, $-[0]) =~ tr/\n//));
        next if $call =~ /\bAPLOG_(?:TRACE\d|DEBUG)\b/;
        push @bare, "$name:$line" if $call !~ /\bCQNO\s*\(/;
    }
}
is_deeply(\@bare, [], 'every message from info upwards has a tag');

# .It Li CQ0101 Pq warn
my %explained =
    slurp('mod_clamquota/mod_clamquota.5') =~ /^\.It Li (CQ\d{4}) Pq (\w+)$/mg;
is_deeply([ grep { !$explained{$_} } sort keys %where ],
    [], 'each is explained in the man page');
is_deeply([ grep { !$where{$_} } sort keys %explained ],
    [], 'the man page explains none that is not used');

my @levels;
for my $name (files('mod_clamquota/httpd/*.c')) {
    my $text = code($name, keep_strings => 1);
    while ($text =~ /\bap_log_[rcp]?error\s*\(([^;]*?)\bCQNO\("(\d{4})"\)/g) {
        my ($before, $tag) = ($1, "CQ$2");
        my ($level) = $before =~ /\bAPLOG_(EMERG|CRIT|ERR|WARNING|NOTICE|INFO)\b/
            or next;    # decided at run time
        $level = { ERR => 'error', WARNING => 'warn' }->{$level} // lc $level;
        push @levels, "$tag is $level in $name"
            if ($explained{$tag} // '') ne $level;
    }
}
is_deeply(\@levels, [], 'with the level it has');

done_testing();
