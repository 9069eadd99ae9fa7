/* bench/cluster: the real exchange between real tables and real memcached.
 *
 * Each node is a table and an exchange in this process, called one after
 * another, so CPU is that of 20 exchangers; memcached's is its own. Without
 * memcached (Debian's package, or t/peer/fetch) it reports it and ends. */
#define CQ_PLAIN_ASSERT
#include "../unit/table_fixture.h"

#include "cluster/cluster.h"
#include "table/exchange.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define MOVERS 100000u
#define NODES 20
#define IDLE_ROWS 10000000u

struct server {
    pid_t pid;
    int port;
};

struct node {
    struct fixture f;
    struct cq_table *table;
    struct cq_exchange *exchange;
};

static int64_t now_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static int64_t wall_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

static int64_t cpu_us(void)
{
    return now_us(CLOCK_PROCESS_CPUTIME_ID);
}

/* user and system time of another process */
static int64_t cpu_of_us(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, kernel = 0;
    const char *at;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file != NULL && fgets(text, sizeof(text), file) != NULL
        && (at = strrchr(text, ')')) != NULL) {
        sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
               &user, &kernel);
    }
    if (file != NULL) {
        fclose(file);
    }
    return (int64_t)(user + kernel) * 1000000 / sysconf(_SC_CLK_TCK);
}

/* ---- memcached ---- */

static const char *find_memcached(void)
{
    static char path[512];
    const char *peers = getenv("CQ_TEST_PEERS");

    if (access("/usr/bin/memcached", X_OK) == 0) {
        return "/usr/bin/memcached";
    }
    snprintf(path, sizeof(path), "%s/root/usr/bin/memcached",
             peers != NULL ? peers : "build/peers");
    return access(path, X_OK) == 0 ? path : NULL;
}

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A port that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    close(fd);
    return ntohs(address.sin_port);
}

static struct server start_server(const char *program)
{
    struct server server = { 0, free_port() };
    char port[16];
    int fd;

    snprintf(port, sizeof(port), "%d", server.port);
    server.pid = fork();
    if (server.pid == 0) {
        execl(program, "memcached", "-l", "127.0.0.1", "-p", port, "-U", "0",
              "-u", "nobody", "-m", "1024", (char *)NULL);
        _exit(127);
    }
    while ((fd = connect_to(server.port)) < 0) {
        ck_assert_int_eq(waitpid(server.pid, NULL, WNOHANG), 0);
        usleep(1000);           /* until it listens */
    }
    close(fd);
    return server;
}

static void stop_server(const struct server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

/* One line of "stats". */
static long long stat_of(const struct server *server, const char *name)
{
    char text[65536], line[64];
    const char *at;
    size_t n = 0;
    ssize_t got;
    int fd = connect_to(server->port);

    ck_assert_int_eq(write(fd, "stats\r\n", 7), 7);
    while (n < sizeof(text) - 1
           && (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0) {
        n += (size_t)got;
        text[n] = '\0';
        if (strstr(text, "END\r\n") != NULL) {
            break;
        }
    }
    close(fd);
    snprintf(line, sizeof(line), "STAT %s ", name);
    at = strstr(text, line);
    return at != NULL ? atoll(at + strlen(line)) : 0;
}

/* ---- nodes ---- */

static void say(void *baton, enum cq_cluster_event event, const char *text)
{
    (void)baton;
    printf("# event %d: %s\n", (int)event, text);
}

static void begin_node(struct node *node, const char *servers, int number,
                       uint64_t clients)
{
    struct cq_cluster_options options;
    struct cq_exchange_want want = { .options = &options, .interval_ms = 500,
                                     .report = say };
    char text[512], label[16];
    uint16_t pool;

    snprintf(label, sizeof(label), "node%d", number);
    want.label = label;
    ck_assert_int_eq(cq_cluster_parse(servers, &options, text, sizeof(text)),
                     CQ_OK);
    fixture_begin(&node->f, clients);
    node->f.want.cluster = true;
    node->f.want.now_s = time(NULL);
    node->table = fixture_open(&node->f, NULL);
    ck_assert_int_eq(cq_table_pool(node->table, "default", &pool), CQ_OK);
    ck_assert_msg(cq_exchange_start(node->table, &want, &node->exchange, text,
                                    sizeof(text)) == CQ_OK, "%s", text);
}

static void end_node(struct node *node)
{
    cq_exchange_stop(node->exchange);
    fixture_end(&node->f, node->table);
}

static int64_t unix_ms(void)
{
    return now_us(CLOCK_REALTIME) / 1000;
}

static void move_clients(struct node *node, uint32_t n)
{
    struct cq_clock clock = clock_at(node->table, time(NULL));
    uint32_t k;

    for (k = 0; k < n; k++) {
        charge_client(node->table, k, &clock, 1000);
    }
}

/* Rounds until the server is known to answer. */
static void begin_rounds(struct node *node)
{
    struct cq_cluster_status status;

    do {
        cq_exchange_round(node->exchange, unix_ms(), 60000);
        cq_cluster_status_read(node->table, &status);
    } while (!status.servers[0].up);
}

struct cost {
    int64_t wall, own, theirs, bytes;
};

static struct cost measure(const struct server *server)
{
    return (struct cost){ wall_us(), cpu_us(), cpu_of_us(server->pid),
                          stat_of(server, "bytes_read")
                              + stat_of(server, "bytes_written") };
}

static void print_cost(const struct server *server, const char *what,
                       const struct cost *from, double per)
{
    struct cost to = measure(server);

    printf("%-44s wall %7.1f ms, exchanger %7.1f ms CPU, memcached %7.1f ms "
           "CPU, %7.2f MB on the wire\n", what,
           (double)(to.wall - from->wall) / 1000 / per,
           (double)(to.own - from->own) / 1000 / per,
           (double)(to.theirs - from->theirs) / 1000 / per,
           (double)(to.bytes - from->bytes) / 1e6 / per);
}

static void one_node(const char *program)
{
    struct server server = start_server(program);
    struct node node;
    struct cost from;
    char servers[64];
    int i;

    snprintf(servers, sizeof(servers), "--SERVER=127.0.0.1:%d", server.port);
    begin_node(&node, servers, 1, 2 * MOVERS);
    begin_rounds(&node);
    move_clients(&node, MOVERS);
    from = measure(&server);
    cq_exchange_round(node.exchange, unix_ms(), 60000);
    print_cost(&server, "100,000 new clients: get, add", &from, 1);
    from = measure(&server);
    cq_exchange_round(node.exchange, unix_ms(), 60000);
    print_cost(&server, "  the round after: read back", &from, 1);
    move_clients(&node, MOVERS);
    from = measure(&server);
    cq_exchange_round(node.exchange, unix_ms(), 60000);
    print_cost(&server, "100,000 clients moved: get, cas", &from, 1);
    from = measure(&server);
    cq_exchange_round(node.exchange, unix_ms(), 60000);
    print_cost(&server, "  the round after: read back", &from, 1);
    for (i = 0; i < 3; i++) {
        cq_exchange_round(node.exchange, unix_ms(), 60000);
    }
    from = measure(&server);
    for (i = 0; i < 20; i++) {
        cq_exchange_round(node.exchange, unix_ms(), 60000);
    }
    print_cost(&server, "nothing moved: heartbeat and rotation", &from, 20);
    end_node(&node);
    stop_server(&server);
}

static void many_nodes(const char *program)
{
    static struct node nodes[NODES];
    struct server server = start_server(program);
    struct cq_cluster_status status;
    struct cost from;
    char servers[64];
    int64_t cas = 0;
    int i, round;

    snprintf(servers, sizeof(servers), "--SERVER=127.0.0.1:%d", server.port);
    for (i = 0; i < NODES; i++) {
        begin_node(&nodes[i], servers, i, 2 * MOVERS);
    }
    for (i = 0; i < NODES; i++) {
        begin_rounds(&nodes[i]);
    }
    for (i = 0; i < NODES; i++) {
        move_clients(&nodes[i], MOVERS);
    }
    cas = stat_of(&server, "cas_hits");
    for (round = 0; round < 3; round++) {
        static const char *const what[] = {
            "20 nodes with the same 100,000 clients: round 1", "  round 2",
            "  round 3"
        };

        from = measure(&server);
        for (i = 0; i < NODES; i++) {
            cq_exchange_round(nodes[i].exchange, unix_ms(), 60000);
        }
        print_cost(&server, what[round], &from, 1);
    }
    cq_cluster_status_read(nodes[NODES - 1].table, &status);
    printf("marks waiting then: %lld; cas %lld, refused %lld\n",
           (long long)status.waiting,
           (long long)(stat_of(&server, "cas_hits") - cas),
           stat_of(&server, "cas_badval"));
    printf("memcached: %.0f bytes for each client of 20 nodes\n",
           (double)stat_of(&server, "bytes")
               / (double)stat_of(&server, "curr_items"));
    {
        struct cq_clock clock = clock_at(nodes[0].table, time(NULL));
        struct cq_row row = row_of(nodes[0].table, 77, &clock);

        ck_assert_int_eq(row.used_bytes, 1000);
        ck_assert_int_eq(row.others_used_bytes, (NODES - 1) * 1000);
    }
    for (i = 0; i < NODES; i++) {
        end_node(&nodes[i]);
    }
    stop_server(&server);
}

static void idle_scan(void)
{
    struct fixture f;
    struct cq_table *table;
    int64_t best = INT64_MAX;
    int i;

    fixture_begin(&f, IDLE_ROWS / 3 * 2);
    f.want.cluster = true;
    table = fixture_open(&f, NULL);
    for (i = 0; i < 20; i++) {
        int64_t from = cpu_us();
        uint64_t group = 0;

        ck_assert(!cq_group_find(table, &group));
        if (cpu_us() - from < best) {
            best = cpu_us() - from;
        }
    }
    printf("scan of %llu idle rows: %lld us; the section for the cluster: "
           "%.1f bytes for each client\n",
           (unsigned long long)cq_rows_n(table), (long long)best,
           (double)table->header->geometry.cluster_size
               / (double)f.want.clients);
    fixture_end(&f, table);
}

int main(void)
{
    const char *program = find_memcached();

    setvbuf(stdout, NULL, _IOLBF, 0);
    idle_scan();
    if (program == NULL || !cq_cluster_available()) {
        printf("no memcached, or built without libmemcached: not measured\n");
        return 0;
    }
    one_node(program);
    many_nodes(program);
    return 0;
}
