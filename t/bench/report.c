/* bench/report: what `clamquota report` and `clamquota show` cost over ten
 * million clients: seconds, and memory as the kernel counts it (ru_maxrss:
 * private memory and mapped pages of the table together).
 * Argument: another number of clients, e.g. 100000. Runs the clamquota that
 * lies beside this program's directory. */
#define CQ_PLAIN_ASSERT
#include "../unit/table_stress.h"

#include <sys/resource.h>
#include <sys/time.h>

#define ROUNDS 5

static void fill(struct cq_table *table, uint32_t clients_n)
{
    struct cq_clock clock = clock_at(table, NOON_S);
    uint32_t k;

    for (k = 0; k < clients_n; k++) {
        struct cq_account a = open_client(table, k, &clock);

        cq_account_charge(&a, &clock, 1000 + k % 1000);
        cq_account_count_hit(&a, &clock);
        cq_account_close(&a);
    }
}

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* Processor time, and the best of some rounds: others use the machine, too. */
static void measure(const char *tool, char *const argv[])
{
    double best_s = 1e9;
    long most_kib = 0;
    int round;

    for (round = 0; round < ROUNDS; round++) {
        struct rusage usage;
        double took_s;
        int status;
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            if (freopen("/dev/null", "w", stdout)) {
                execv(tool, argv);
            }
            _exit(127);
        }
        ck_assert_int_eq(wait4(pid, &status, 0, &usage), pid);
        ck_assert_int_eq(status, 0);
        took_s = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
        best_s = took_s < best_s ? took_s : best_s;
        most_kib = usage.ru_maxrss > most_kib ? usage.ru_maxrss : most_kib;
    }
    printf("clamquota %s %s: %.3f s, %.1f MiB\n", argv[1], argv[2], best_s,
           (double)most_kib / 1024);
}

int main(int argc, char **argv)
{
    uint32_t clients_n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10)
                                  : 10000000;
    struct fixture f;
    struct cq_table *table;
    char tool[512];
    char table_option[] = "--table", limit[] = "--limit", hundred[] = "100";
    char report[] = "report", show[] = "show", client[] = "10.0.0.1";
    char by_net[] = "--by-net", nets[] = "24,48";

    snprintf(tool, sizeof(tool), "%.*s../clamquota",
             (int)(strrchr(argv[0], '/') - argv[0] + 1), argv[0]);
    table = fixture_table(&f, clients_n);
    fill(table, clients_n);
    cq_tablefile_close(table);
    measure(tool, (char *[]){ tool, report, limit, hundred, table_option,
                              f.path, NULL });
    measure(tool, (char *[]){ tool, report, by_net, nets, table_option, f.path,
                              NULL });
    measure(tool, (char *[]){ tool, show, client, table_option, f.path,
                              NULL });
    fixture_end(&f, NULL);
    return 0;
}
