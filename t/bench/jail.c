/* bench/jail: what it costs to put addresses into a jail, in a network
 * namespace of its own. Into xt_recent, against the loop of the 2012 script
 * (echo +ADDRESS >list); 100,000 into an nft set, against `nft -f` of the
 * same, and into an ipset, against `ipset restore`. Medians of some runs, taken
 * in turn, so that a busy machine is busy for both. */
#include "jail/jail.h"

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
#define MANY 100000

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

static struct cq_jail *open_jail(const char *spec, size_t *count)
{
    struct cq_jail_contents contents;
    struct cq_jail *jail;
    struct cq_jail_why why;

    if (cq_jail_parse(spec, CQ_JAIL_WRITE, 3600, &jail, &why) != CQ_JAIL_OK
        || cq_jail_list(jail, &contents, &why) != CQ_JAIL_OK) {
        quit("failed", why.text);
    }
    *count = contents.element_n;
    return jail;
}

/* 10.x.y.z, in an order that no tree likes best */
static struct cq_jail_change *addresses(size_t count)
{
    struct cq_jail_change *changes = calloc(count, sizeof(*changes));
    struct cq_prefixes whole = { 32, 128 };

    for (size_t i = 0; changes != NULL && i < count; i++) {
        size_t n = i * 7919 % count;
        uint8_t bytes[4] = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                             (uint8_t)n };

        cq_key_make(&changes[i].key, bytes, sizeof(bytes), whole);
    }
    return changes;
}

static double apply(struct cq_jail *jail, struct cq_jail_change *changes,
                    size_t count, enum cq_jail_op op)
{
    struct cq_jail_why why;
    double begun_us;

    for (size_t i = 0; i < count; i++) {
        changes[i].op = op;
    }
    begun_us = now_us();
    if (cq_jail_apply(jail, changes, count, &why) != CQ_JAIL_OK) {
        quit("failed", why.text);
    }
    return now_us() - begun_us;
}

static void recent(void)
{
    struct cq_jail_change *changes = addresses(RECENT_N);
    static double rounds[RECENT_ROUNDS];
    double ours[RUNS], loop[RUNS], ours_us;
    char command[4096] = "for ip in";
    struct cq_jail *jail;
    size_t count;

    shell("iptables-legacy -A INPUT -m recent --rcheck --seconds 3600 "
          "--hitcount 1 --name clamquota_bench -j DROP");
    jail = open_jail("recent:clamquota_bench", &count);
    for (size_t i = 0; i < RECENT_N; i++) {
        size_t at = strlen(command);

        snprintf(command + at, sizeof(command) - at, " 10.0.0.%zu", i);
    }
    strcat(command, "; do echo +$ip >/proc/net/xt_recent/clamquota_bench; "
                    "done");
    for (int run = 0; run < RUNS; run++) {
        for (int round = 0; round < RECENT_ROUNDS; round++) {
            rounds[round] = apply(jail, changes, RECENT_N, CQ_JAIL_ADD)
                            / RECENT_N;
            apply(jail, changes, RECENT_N, CQ_JAIL_REMOVE);
        }
        ours[run] = median(rounds, RECENT_ROUNDS);
        loop[run] = shell(command) / RECENT_N;
    }
    ours_us = median(ours, RUNS);
    printf("xt_recent, an address in: %.2f us (%.2f to %.2f); the loop of "
           "2012: %.1f us, %.0f times as long\n", ours_us, ours[0],
           ours[RUNS - 1], median(loop, RUNS), median(loop, RUNS) / ours_us);
    cq_jail_close(jail);
    free(changes);
}

static FILE *open_file(const char *name)
{
    FILE *file = fopen(name, "w");

    if (file == NULL) {
        quit(name, strerror(errno));
    }
    return file;
}

/* The file that nft -f reads: the addresses in the order that we have. */
static void write_nft(const char *name, const struct cq_jail_change *changes)
{
    FILE *file = open_file(name);
    char text[CQ_KEY_TEXT_SIZE];

    fputs("add element inet clamquota jail4 { ", file);
    for (size_t i = 0; i < MANY; i++) {
        fprintf(file, "%s%s", i > 0 ? ", " : "",
                cq_key_format(&changes[i].key, text, sizeof(text)));
    }
    fputs(" }\n", file);
    fclose(file);
}

static void write_ipset(const char *name, const struct cq_jail_change *changes)
{
    FILE *file = open_file(name);
    char text[CQ_KEY_TEXT_SIZE];

    for (size_t i = 0; i < MANY; i++) {
        fprintf(file, "add clamquota_bench %s\n",
                cq_key_format(&changes[i].key, text, sizeof(text)));
    }
    fclose(file);
}

/* CPU of this process and the kernel for it */
static double cpu_us(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

/* Lists until all are there: a set still grows for a moment after 100,000
 * additions, and a listing meanwhile lacks some. @return CPU in us */
static double list_all(const char *spec, struct cq_jail **jail)
{
    size_t count;

    for (int tries = 100; tries > 0; tries--) {
        double begun_us = cpu_us();

        cq_jail_close(*jail);
        *jail = open_jail(spec, &count);
        if (count == MANY) {
            return cpu_us() - begun_us;
        }
    }
    quit("listing", "lacks addresses that were added");
    return 0;
}

/* What a look costs that has nothing to do. @return CPU in us */
static double list_again(struct cq_jail *jail)
{
    struct cq_jail_contents contents;
    struct cq_jail_why why;
    double used_us = cpu_us();

    cq_jail_list(jail, &contents, &why);
    return cpu_us() - used_us;
}

/* 100,000 addresses into a set, against the system's own tool. */
static void many(const char *kind, const char *spec, const char *make,
                 const char *empty, const char *load, const char *destroy,
                 void (*write_file)(const char *name,
                                    const struct cq_jail_change *changes))
{
    struct cq_jail_change *changes = addresses(MANY);
    double ours[RUNS], theirs[RUNS], list_us, again_us;
    char name[] = "/tmp/clamquota-bench-XXXXXX";
    struct cq_jail *jail;
    char command[256];
    size_t count;
    int fd = mkstemp(name);

    if (fd < 0) {
        quit(name, strerror(errno));
    }
    close(fd);
    write_file(name, changes);
    shell(make);
    jail = open_jail(spec, &count);
    snprintf(command, sizeof(command), "exec %s %s", load, name);
    for (int run = 0; run < RUNS; run++) {
        theirs[run] = shell(command);
        shell(empty);
        ours[run] = apply(jail, changes, MANY, CQ_JAIL_ADD);
        if (run < RUNS - 1) {
            shell(empty);
        }
    }
    printf("%s, %d addresses in: %.0f ms, its own tool: %.0f ms, ratio %.2f\n",
           kind, MANY, median(ours, RUNS) / 1e3, median(theirs, RUNS) / 1e3,
           median(ours, RUNS) / median(theirs, RUNS));
    list_us = list_all(spec, &jail);
    again_us = list_again(jail);
    printf("    CPU: listed: %.0f ms, again: %.2f ms; renewed: %.0f ms; "
           "removed: %.0f ms\n", list_us / 1e3, again_us / 1e3,
           apply(jail, changes, MANY, CQ_JAIL_RENEW) / 1e3,
           apply(jail, changes, MANY, CQ_JAIL_REMOVE) / 1e3);
    cq_jail_close(jail);
    shell(destroy);
    unlink(name);
    free(changes);
}

int main(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        quit("skipped", "a network namespace of its own needs root");
    }
    recent();
    many("nft", "nft:inet/clamquota/jail4", "nft 'table inet clamquota { set "
         "jail4 { type ipv4_addr; flags timeout; timeout 1h; }; }'",
         "nft flush set inet clamquota jail4", "nft -f",
         "nft delete table inet clamquota", write_nft);
    many("ipset", "ipset:clamquota_bench", "ipset create clamquota_bench "
         "hash:ip maxelem 131072 timeout 3600", "ipset flush clamquota_bench",
         "ipset restore <", "ipset destroy clamquota_bench",
         write_ipset);
    return 0;
}
