/* bench/jail: what it costs to put addresses into a jail, in a network
 * namespace of its own. Into xt_recent, against the loop of the 2012 script
 * (echo +ADDRESS >list); 100,000 into an nft set, against `nft -f` of the
 * same. Medians of some runs, taken in turn, so that a busy machine is busy
 * for both. */
#include "sync/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS 5
#define RECENT_N 90             /* below ip_list_tot's default of 100 */
#define RECENT_ROUNDS 2000
#define NFT_N 100000

extern char **environ;

static void quit(const char *what, const char *why)
{
    printf("%s: %s\n", what, why);
    exit(strcmp(what, "skipped") == 0 ? 0 : 1);
}

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Runs a command of sh; how long that took, in microseconds. */
static double shell(const char *command)
{
    char *argv[] = { (char[]){"sh"}, (char[]){"-c"}, NULL, NULL };
    double begun_us = now_us();
    int status = 0;
    pid_t pid;

    argv[2] = strdup(command);
    if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) != 0
        || waitpid(pid, &status, 0) != pid || status != 0) {
        quit("failed", command);
    }
    free(argv[2]);
    return now_us() - begun_us;
}

static int compare(const void *a, const void *b)
{
    const double *one = a;
    const double *other = b;

    return (*one > *other) - (*one < *other);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), compare);
    return values[count / 2];
}

static struct jail *open_jail(const char *spec)
{
    struct jail *jail;
    struct jail_why why;

    if (jail_parse(spec, &jail, &why) != JAIL_OK
        || jail->kind->open(jail, true, &why) != JAIL_OK) {
        quit("failed", why.text);
    }
    return jail;
}

/* 10.x.y.z, in an order that no tree likes best */
static struct jail_change *addresses(size_t count)
{
    struct jail_change *changes = calloc(count, sizeof(*changes));
    struct cq_prefixes whole = { 32, 128 };

    for (size_t i = 0; changes != NULL && i < count; i++) {
        size_t n = i * 7919 % count;
        uint8_t bytes[4] = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                             (uint8_t)n };

        cq_key_make(&changes[i].key, bytes, sizeof(bytes), whole);
    }
    return changes;
}

static double apply(struct jail *jail, struct jail_change *changes,
                    size_t count, enum jail_op op)
{
    struct jail_why why;
    double begun_us;

    for (size_t i = 0; i < count; i++) {
        changes[i].op = op;
    }
    begun_us = now_us();
    if (jail->kind->apply(jail, changes, count, 3600, &why) != JAIL_OK) {
        quit("failed", why.text);
    }
    return now_us() - begun_us;
}

static void recent(void)
{
    struct jail_change *changes = addresses(RECENT_N);
    static double rounds[RECENT_ROUNDS];
    double ours[RUNS], loop[RUNS], ours_us;
    char command[4096] = "for ip in";
    struct jail *jail;

    shell("iptables-legacy -A INPUT -m recent --rcheck --seconds 3600 "
          "--hitcount 1 --name clamquota_bench -j DROP");
    jail = open_jail("recent:clamquota_bench");
    for (size_t i = 0; i < RECENT_N; i++) {
        size_t at = strlen(command);

        snprintf(command + at, sizeof(command) - at, " 10.0.0.%zu", i);
    }
    strcat(command, "; do echo +$ip >/proc/net/xt_recent/clamquota_bench; "
                    "done");
    for (int run = 0; run < RUNS; run++) {
        for (int round = 0; round < RECENT_ROUNDS; round++) {
            rounds[round] = apply(jail, changes, RECENT_N, JAIL_ADD)
                            / RECENT_N;
            apply(jail, changes, RECENT_N, JAIL_REMOVE);
        }
        ours[run] = median(rounds, RECENT_ROUNDS);
        loop[run] = shell(command) / RECENT_N;
    }
    ours_us = median(ours, RUNS);
    printf("xt_recent, an address in: %.2f us (%.2f to %.2f); the loop of "
           "2012: %.1f us, %.0f times as long\n", ours_us, ours[0],
           ours[RUNS - 1], median(loop, RUNS), median(loop, RUNS) / ours_us);
    jail->kind->close(jail);
    free(changes);
}

/* The file that nft -f reads: the addresses in the order that we have. */
static void write_file(const char *name, const struct jail_change *changes)
{
    FILE *file = fopen(name, "w");
    char text[CQ_KEY_TEXT_SIZE];

    if (file == NULL) {
        quit(name, strerror(errno));
    }
    fputs("add element inet clamquota jail4 { ", file);
    for (size_t i = 0; i < NFT_N; i++) {
        fprintf(file, "%s%s", i > 0 ? ", " : "",
                cq_key_format(&changes[i].key, text, sizeof(text)));
    }
    fputs(" }\n", file);
    fclose(file);
}

static void nft(const char *kind, const char *flags)
{
    struct jail_change *changes = addresses(NFT_N);
    double ours[RUNS], theirs[RUNS], renew_us, remove_us, begun_us, list_us;
    char name[] = "/tmp/clamquota-bench-XXXXXX";
    char command[256];
    struct jail_listing listing;
    struct jail_why why;
    struct jail *jail;
    int fd = mkstemp(name);

    if (fd < 0) {
        quit(name, strerror(errno));
    }
    close(fd);
    write_file(name, changes);
    snprintf(command, sizeof(command), "nft 'table inet clamquota { set jail4 "
             "{ type ipv4_addr; flags %s; timeout 1h; }; }'", flags);
    shell(command);
    jail = open_jail("nft:inet/clamquota/jail4");
    snprintf(command, sizeof(command), "exec nft -f %s", name);
    for (int run = 0; run < RUNS; run++) {
        theirs[run] = shell(command);
        shell("nft flush set inet clamquota jail4");
        ours[run] = apply(jail, changes, NFT_N, JAIL_ADD);
        if (run < RUNS - 1) {
            shell("nft flush set inet clamquota jail4");
        }
    }
    printf("nft, %s, %d addresses in: %.0f ms, nft -f: %.0f ms, "
           "ratio %.2f\n", kind, NFT_N, median(ours, RUNS) / 1e3,
           median(theirs, RUNS) / 1e3, median(ours, RUNS) / median(theirs, RUNS));
    /* a set without intervals still grows for a moment after 100,000 additions,
     * and a listing meanwhile lacks some: the kernel's resize of its hash */
    for (int tries = 100;; tries--) {
        size_t listed;

        begun_us = now_us();
        if (jail->kind->list(jail, &listing, &why) != JAIL_OK) {
            quit("listing", why.text);
        }
        list_us = now_us() - begun_us;
        listed = listing.count;
        jail_listing_free(&listing);
        if (listed == NFT_N) {
            break;
        }
        if (tries == 0) {
            quit("listing", "lacks addresses that were added");
        }
        /* what was read is kept until the ruleset changes */
        jail->kind->close(jail);
        jail = open_jail("nft:inet/clamquota/jail4");
    }
    begun_us = now_us();
    jail->kind->list(jail, &listing, &why);
    begun_us = now_us() - begun_us;
    jail_listing_free(&listing);
    renew_us = apply(jail, changes, NFT_N, JAIL_RENEW);
    remove_us = apply(jail, changes, NFT_N, JAIL_REMOVE);
    printf("    listed: %.0f ms, again: %.2f ms; renewed: %.0f ms; removed: "
           "%.0f ms\n", list_us / 1e3, begun_us / 1e3, renew_us / 1e3,
           remove_us / 1e3);
    jail->kind->close(jail);
    shell("nft delete table inet clamquota");
    unlink(name);
    free(changes);
}

int main(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        quit("skipped", "a network namespace of its own needs root");
    }
    recent();
    nft("intervals as in conf", "interval, timeout");
    nft("no intervals", "timeout");
    return 0;
}
