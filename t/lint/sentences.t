# Texts, comments and messages name a subject and what it does, in standard
# terms. The table below has what they avoid, and what to write instead.
#
# It judges every sentence that sentences.old does not list. That file holds a
# fingerprint (of the words, so that a text can be moved and filled anew) for
# each sentence that is older than the rules: an old sentence stays as it is or
# is rewritten by the rules. The list only shrinks: "perl t/lint/sentences.t
# --prune" removes the fingerprints of sentences that are gone.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files slurp code functions top);
use Test::More;

my $be = qr/(?:is|are|was|were|be|been|being)/;
my @rules = (    # pattern, what to write
    [ qr/\b(?:draws?|drew|drawn)\b/, 'downloads, downloaded, used' ],
    [ qr/\bwho(?:m|ever)?\b/,        'a client that ...' ],
    [ qr/\b(?:he|him|his|himself)\b/, 'it, its' ],
    [ qr/\b(?<!user )(?:some|any|every|no)body\b(?!@)/,
        'a client, any client, no client' ],
    [ qr/\b(?:$be|becomes?|became) over\b(?! (?:quota|the|a|its|\w+'s)\b)/,
        'over quota; has ended' ],
    [ qr/\b$be (?:said|told)\b(?! to be| apart)|\b(?:says?|said) so\b/,
        'is logged, reports' ],
    [ qr/\btells\b(?!.* apart)/, 'reports' ],
    [ qr/\bso (?:often|many|much|long)\b/, 'N times, N' ],
    [ qr/\bin doubt\b/,                    'when unsure' ],
    [ qr/\blet(?:s|ting)?(?: \w+)? (?:go|in again)\b/, 'release' ],
    [ qr/\bg(?:ives?|ave|iven|iving)(?: \w+){0,3} back\b/, 'refund, release' ],
    [ qr/\bgrip(?:s|ped)?\b/,                          'hold' ],
    [ qr/\bgo(?:es)? on (?:and on|asking|trying)\b/, 'keeps sending' ],
    [ qr/^what\ (?:$be|can|cannot|can't|could|has|have|goes|comes|does|did|may
        |must)\b.*\.$/x, 'a noun as the subject' ],
    [ qr/^(?:never |not )?\w+ed (?:is|are)\b/, 'the subject first' ],
);
my $vague = qr/(?:^|_)(?:(?:alone|give|grip|look|of|put|same|take)$
    |(?:brief|lenient|told|unheld)(?:_|$))/x;

# ---- the rules find what they are for ----

sub faults {
    my ($sentence) = @_;
    return grep { lc($sentence) =~ $_->[0] } @rules;
}

my @bad = split /\n/, <<'END';
What clients drew is shown.
Who goes on asking after his 429s costs a connection.
It is over by now.
This is said once.
It tells the operator.
When refused so often, it waits.
In doubt the client is right.
It lets him go.
It gives the rest back.
It grips the row.
It goes on asking.
What is not said in the Location is inherited.
Never jailed are your own addresses.
Counted are response headers.
END
my @good = split /\n/, <<'END';
A client that keeps sending requests after a 429 costs a connection.
The client is over quota, and is over its allowance.
clamquota-sync never jails your own addresses.
What it counts and what not
It holds the row and releases it, and refunds the rest.
END
ok(scalar faults($_), "bad: $_") for @bad;
is(scalar faults($_), 0, "good: $_") for @good;

# ---- what is written here ----

my $string = qr/"(?:\\.|[^"\\\n])*"/;
my $quoted = qr/'(?:\\.|[^'\\\n])*'/;

# [first line, text] of each comment of C and each string of several words. In
# comments "drawn" is a word of the table (layout.h).
sub pieces_of_c {
    my ($text) = @_;
    my @pieces;
    while ($text =~ m{/\*(.*?)\*/|($string(?:\s*$string)*)|'(?:\\.|[^'\\])'}gs)
    {
        my $piece = $1 // $2 // next;
        next if !defined $1 && $piece !~ /\w \w/;
        my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
        defined $1 ? $piece =~ s/^ +\*(?= |$)|\bdrawn\b//mg
            : $piece =~ s/"|\\n/ /g;
        push @pieces, [ $line, $piece ];
    }
    return @pieces;
}

# The same of Perl: comments that have a line of their own, and strings of
# several words.
sub pieces_of_perl {
    my ($text) = @_;
    my @pieces;
    while ($text =~ /^[^\S\n]*\#(?!!)(.*(?:\n[^\S\n]*\#.*)*)
        |((?:$string|$quoted)(?:\s*\.\s*(?:$string|$quoted))*)/mgx)
    {
        my $piece = $1 // $2;
        my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
        if (!defined $1) {
            $piece =~ s/['"]\s*\.\s*['"]|^['"]|['"]$|\\n/ /g;
            next if $piece !~ /\w \w/;
        }
        $piece =~ s/^[^\S\n]*#+|[\$@%]\w+//mg;
        push @pieces, [ $line, $piece ];
    }
    return @pieces;
}

# The same of a file: comments and strings of C and Perl, the words of mdoc, all
# of any other.
sub pieces {
    my ($name) = @_;
    my $text = slurp($name);
    return pieces_of_c($text) if $name =~ /\.[ch]$/;
    return pieces_of_perl($text) if $name =~ m{^t/.*\.(?:t|pm|pl)$};
    if ($name =~ /\.[1-8]$/) {
        $text =~ s/^\.\\".*$//mg;
        $text =~ s/^\.(?:Sh|Ss)\b(.*)$/\f$1\f/mg;
        $text =~ s/^\.(?:Pp|Bl|El|It|Bd|Ed|Dl)\b/\f/mg;
        $text =~ s/^\.[A-Z]\w\b//mg;
    }
    $text =~ s/^[^\S\n]*#+//mg;
    return [ 1, $text ];
}

# [file:line, sentence] of each, and the names of functions as sentences
sub sentences {
    my ($name) = @_;
    my @found;
    for my $piece (pieces($name)) {
        my ($line, $text) = @{$piece};
        for my $sentence (split /(?<=[.?!])(?=\s)|(?<=\n)(?=\s*\n)|(?=\f)/,
            $text) {
            my ($before) = $sentence =~ /\A(\s*)/;
            push @found, [ "$name:" . ($line + ($before =~ tr/\n//)),
                join ' ', split ' ', $sentence ] if $sentence =~ /\w/;
            $line += $sentence =~ tr/\n//;
        }
    }
    return @found;
}

# A fingerprint of its words
sub fingerprint {
    my ($sentence) = @_;
    return substr md5_hex(join ' ', lc($sentence) =~ /\w+/g), 0, 8;
}

my @texts = files('README', 'CHANGES', 'build.sh', 'conf/*', 'conf/debian/*',
    'conf/debian/*/*', 't/sample/*', 'mod_clamquota/*.[1-8]',
    'tools/*/*.[1-8]', 'mod_clamquota/*/*.[ch]', 'tools/*/*.[ch]', 't/*.t',
    't/{bench,lib,lint}/*.p[lm]', 't/{bench,fuzz,model,peer,unit}/*.[ch]');
my $list = 't/lint/sentences.old';
my %old = map { $_ => 0 } split ' ', slurp($list);
my ($count, @new) = 0;

# place: where the sentence is; instead: what to write for it
sub judge {
    my ($place, $sentence, $instead) = @_;
    my $print = fingerprint($sentence);
    return $old{$print}++ if exists $old{$print};
    push @new, "$print $place: $sentence (write: $instead)";
    return;
}

for my $name (@texts) {
    for my $found (sentences($name)) {
        $count++;
        my ($rule) = faults($found->[1]) or next;
        judge(@{$found}, $rule->[1]);
    }
    for my $found ($name =~ m{^(?!t/).*\.c$} ? functions($name) : ()) {
        my ($function, $line) = @{$found};
        judge("$name:$line", "$function()", 'a verb and its object')
            if $function =~ $vague;
    }
}
cmp_ok($count, '>', 4000, 'sentences found');
is(join("\n", @new), '', 'no new sentence breaks a rule');

my @gone = grep { !$old{$_} } sort keys %old;
if (@gone && "@ARGV" eq '--prune') {
    open my $file, '>', top() . "/$list" or die "$list: $!\n";
    print {$file} map { "$_\n" } grep { $old{$_} } sort keys %old;
    close $file or die "$list: $!\n";
    @gone = ();
}
is("@gone", '', 'each old sentence is still there; if not: perl '
    . 't/lint/sentences.t --prune');

done_testing();
