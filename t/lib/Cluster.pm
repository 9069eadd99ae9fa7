package Cluster;

# Cluster - several httpd nodes that share counters through memcached.
#
# Each node is an Httpd of its own with the same configuration; what follows is
# read from the nodes' pages, never slept for.

use strict;
use warnings;
use Exporter 'import';
use Httpd;
use Memcached;
use Peer;
use Test::More;

our @EXPORT = qw(need_memcached);

# Skips the file where there is no memcached, or no libmemcached.
sub need_memcached {
    need(memcached => 'memcached');
    my ($exit, $said) = Httpd->new(clients => 0)->config_test(
        "ClamQuotaMemcached --SERVER=127.0.0.1:11211\n");
    plan skip_all => "built without libmemcached: $said"
        if $said =~ /without libmemcached/;
}

# nodes: 3; memcached: 2; conf; sync: 100ms; servers: addresses, else those of
# the memcached; each: [{options of Httpd} per node]
sub new {
    my ($class, %option) = @_;
    my $seed = $ENV{CQ_TEST_SEED} // srand;
    srand $seed;
    note "CQ_TEST_SEED=$seed";
    my $self = bless { sync => '100ms', conf => "ClamQuotaDaily 10M\n",
        %option, nodes => [], sent => {} }, $class;
    $self->{memcached} = [map { Memcached->run } 1 .. $option{memcached} // 2];
    $self->{servers} //= [map { $_->address } @{$self->{memcached}}];
    for my $n (0 .. ($option{nodes} // 3) - 1) {
        my $node = Httpd->new(%{$option{each}[$n] // {}},
            conf => $self->conf_of($n, $option{each}[$n]{conf}));
        write_file("$node->{dir}/htdocs/small", 'c' x 1000);
        push @{$self->{nodes}}, $node;
    }
    return $self;
}

sub conf_of {
    my ($self, $n, $more) = @_;
    my $servers = join ' ', map { "--SERVER=$_" } @{$self->{servers}};
    return "ClamQuotaMemcached \"$servers\"\nClamQuotaSync $self->{sync}\n"
        . 'ClamQuotaNode ' . chr(ord('a') + $n) . "\n"
        . ($more // $self->{conf});
}

# Every node runs and all know each other.
sub run {
    my $self = shift->new(@_);
    for my $node ($self->nodes) {
        my $failure = $node->start;
        die "httpd did not start: $failure\n" if $failure;
    }
    $self->await_nodes;
    return $self;
}

sub nodes { return @{$_[0]{nodes}} }
sub node { return $_[0]{nodes}[$_[1]] }
sub memcached { return @{$_[0]{memcached}} }

# Until all that run see each other on living servers.
sub await_nodes {
    my ($self) = @_;
    my @running = grep { $_->{pid} } $self->nodes;
    for my $node (@running) {
        poll(20, sub {
            my $cluster = cluster($node);
            return @{$cluster->{nodes}} >= @running;
        }) or die 'a node does not see the others: '
            . JSON::PP->new->canonical->encode(cluster($node)) . "\n";
    }
}

# A node's own view
sub cluster {
    my ($node) = @_;
    return $node->json('limit=1')->{cluster} // die "no cluster\n";
}

# What a node knows of a client; zeros if nothing.
sub client {
    my ($node, $client) = @_;
    return $node->row($client) // { used => 0, in_flight => 0, state => 'ok',
        here => { used => 0, in_flight => 0, refused => 0 } };
}

# Until the node's figures of a client are these; returns them in any case.
sub await {
    my ($node, $client, %expect) = @_;
    my $row;
    poll(15, sub {
        $row = client($node, $client);
        return !grep { $row->{$_} ne $expect{$_} } keys %expect;
    });
    return $row;
}

# Until the node ended N more rounds that went well.
sub await_rounds {
    my ($node, $n) = @_;
    my $from = cluster($node)->{rounds};
    return poll(20, sub { cluster($node)->{rounds} >= $from + $n });
}

# Small downloads of random clients, 127.$net.1.y, from random nodes that run;
# remembers what each client received, and which nodes it asked.
sub download {
    my ($self, $count, $net) = @_;
    my @running = grep { $_->{pid} } $self->nodes;
    for (1 .. $count) {
        my $client = "127.$net.1." . (1 + int rand 50);
        my $node = $running[rand @running];
        my $connection = $node->connect(from => $client);
        $connection->send("GET /small HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\n\r\n");
        $connection->drain =~ m{^HTTP/1.1 200 } or die "$client: refused\n";
        $self->{sent}{$client} += $connection->{bytes};
        $self->{asked}{$node->{port}}{$client} = 1;
    }
}

# Each node that runs agrees to the byte on every client that asked it, in the
# end.
sub agrees {
    my ($self, $name) = @_;
    for my $node (grep { $_->{pid} } $self->nodes) {
        my %expected = map { $_ => $self->{sent}{$_} } grep {
            $self->{asked}{$node->{port}}{$_} } keys %{$self->{sent}};
        my %rows;
        poll(30, sub {
            %rows = map { $_->{client} => $_->{used} } grep {
                exists $expected{$_->{client}} }
                @{$node->json('limit=10000')->{clients}};
            return !grep { ($rows{$_} // 0) != $expected{$_} } keys %expected;
        });
        is_deeply(\%rows, \%expected, "$name: $node->{port} agrees to the "
            . 'byte on ' . keys(%expected) . ' clients');
    }
}

# As the operator's page does it.
sub reset_client {
    my ($node, $client) = @_;
    return $node->post("action=reset&client=$client", '-H',
        "Origin: http://127.0.0.1:$node->{port}")->{status};
}

# The process that exchanges, by its name; undef if there is none.
sub exchanger {
    my ($node) = @_;
    return (grep { read_file("/proc/$_/comm") eq "clamquota-share\n" }
        $node->children)[0];
}

sub await_exchanger {
    my ($node, $not) = @_;
    return poll(15, sub {
        my $pid = exchanger($node);
        return $pid && $pid != ($not // 0) ? $pid : 0;
    });
}

1;
