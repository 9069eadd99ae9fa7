/* specs - fuzzes what names the things beside a quota: the servers of a
 * cluster, the lists of a jail, a pool. A text that is refused has a
 * sentence. */
#include "input.h"

#include "cluster/cluster.h"
#include "jail/jail.h"
#include "table/table.h"

static void fuzz_cluster(const char *text)
{
    struct cq_cluster_options options = { 0 };
    char why[300];
    size_t i;

    memset(why, 'x', sizeof(why));
    if (cq_cluster_parse(text, &options, why, sizeof(why)) != CQ_OK) {
        HOLDS(memchr(why, '\0', sizeof(why)) != NULL && why[0] != '\0');
        HOLDS(options.servers_n == 0);
        return;
    }
    HOLDS(options.servers_n >= 1
          && options.servers_n <= CQ_CLUSTER_SERVERS_MAX);
    for (i = 0; i < options.servers_n; i++) {
        const struct cq_cluster_server *server = &options.servers[i];

        HOLDS(memchr(server->host, '\0', sizeof(server->host)) != NULL);
        HOLDS(server->host[0] != '\0' && server->port != 0);
        HOLDS(strpbrk(server->host, "[] \t\r\n") == NULL);
    }
}

static void fuzz_jail(const char *text)
{
    struct cq_jail_why why;
    struct cq_jail *jail = NULL;

    if (cq_jail_parse(text, CQ_JAIL_READ, 3600, &jail, &why) == CQ_JAIL_OK) {
        cq_jail_close(jail);
    }
    else {
        HOLDS(jail == NULL && why.text[0] != '\0');
        HOLDS(memchr(why.text, '\0', sizeof(why.text)) != NULL);
    }
}

static void fuzz_pool(const char *text)
{
    if (cq_table_is_pool_name(text)) {
        HOLDS(text[0] != '\0' && strlen(text) < CQ_POOL_NAME_SIZE);
        HOLDS(strpbrk(text, " \t\r\n\"'<>&=%/\\") == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    char *text = take_text(&in);

    fuzz_cluster(text);
    fuzz_jail(text);
    fuzz_pool(text);
    free(text);
    return 0;
}
