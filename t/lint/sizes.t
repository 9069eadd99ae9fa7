# Every room can be read in one sitting: files up to 500 lines, functions up to
# 80, lines up to 80 columns. No list of exceptions.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files slurp functions);
use Test::More;

my @sources = files('mod_clamquota/*/*.[ch]', 'tools/*/*.[ch]',
    't/unit/*.c');

my (@long, @wide, @tabs, @functions, $count);
for my $name (@sources) {
    my @lines = split /\n/, slurp($name), -1;
    pop @lines;    # what follows the last newline
    push @long, "$name: " . @lines . ' lines' if @lines > 500;
    for my $n (1 .. @lines) {
        push @wide, "$name:$n" if length $lines[ $n - 1 ] > 80;
        push @tabs, "$name:$n" if $lines[ $n - 1 ] =~ /\t|\r|[ ]$/;
    }
    next if $name !~ /\.c$/;
    my @here = functions($name);
    $count += @here;
    ok(scalar @here, "$name: functions found")
        if $name !~ m{/(?:mod_clamquota|status)\.c$};
    for my $function (@here) {
        my ($called, $first, $last) = @{$function};
        my $length = $last - $first + 1;
        push @functions, "$name:$first: $called has $length lines"
            if $length > 80;
    }
}
cmp_ok($count, '>', 50, 'the parser finds functions');
is_deeply(\@long,      [], 'no file above 500 lines');
is_deeply(\@functions, [], 'no function above 80 lines');
is_deeply(\@wide,      [], 'no line above 80 columns');
is_deeply(\@tabs,      [], q(no tab, no carriage return, no trailing blank));

done_testing();
