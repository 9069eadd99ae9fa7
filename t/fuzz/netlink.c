/* netlink - fuzzes what the kernel answers to an nft and an ipset jail: sets,
 * elements, rules, generations, errors. The input is the datagrams, each with
 * its length before it; the sequence number is put right half the time. Every
 * question is asked twice, the second time with what the first one left. */
#include "input.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <sys/socket.h>

static struct input answers;
static uint32_t sequence;

static ssize_t receive(const struct mnl_socket *link, void *buffer,
                       size_t size)
{
    size_t n = take(&answers, 2) & 0x7fff, i;
    int puts_right = (int)(take(&answers, 1) & 1);
    unsigned char *bytes = buffer;

    (void)link;
    if (answers.size == 0) {
        errno = ENOBUFS;
        return -1;
    }
    n = n < answers.size ? n : answers.size;
    n = n < size ? n : size;
    memcpy(bytes, answers.at, n);
    answers.at += n;
    answers.size -= n;
    /* libmnl takes the length of a message as the kernel's: what is longer than
     * the datagram ends it */
    for (i = 0; i + sizeof(struct nlmsghdr) <= n;) {
        struct nlmsghdr *header = (struct nlmsghdr *)(void *)(bytes + i);

        if (header->nlmsg_len < sizeof(*header)
            || header->nlmsg_len > n - i) {
            n = i;
            break;
        }
        if (puts_right) {
            header->nlmsg_seq = sequence;
            header->nlmsg_pid = 0;
        }
        i += (header->nlmsg_len + 3u) & ~(size_t)3;
    }
    return (ssize_t)n;
}

/* ---- a socket that is none ---- */

static struct mnl_socket *open_none(int bus, int flags)
{
    (void)bus;
    (void)flags;
    return (struct mnl_socket *)(void *)&answers;
}

static int bind_none(struct mnl_socket *link, unsigned groups, pid_t pid)
{
    (void)link;
    (void)groups;
    (void)pid;
    return 0;
}

static int get_none(const struct mnl_socket *link)
{
    (void)link;
    return -1;
}

static int set_none(const struct mnl_socket *link, int type, void *value,
                    socklen_t size)
{
    (void)link;
    (void)type;
    (void)value;
    (void)size;
    return 0;
}

static ssize_t send_none(const struct mnl_socket *link, const void *bytes,
                         size_t size)
{
    (void)link;
    sequence = ((const struct nlmsghdr *)bytes)->nlmsg_seq;
    return (ssize_t)size;
}

static unsigned ask_none(const struct mnl_socket *link)
{
    (void)link;
    return 0;
}

static int close_none(struct mnl_socket *link)
{
    (void)link;
    return 0;
}

#define mnl_socket_open2 open_none
#define mnl_socket_bind bind_none
#define mnl_socket_get_fd get_none
#define mnl_socket_setsockopt set_none
#define mnl_socket_sendto send_none
#define mnl_socket_recvfrom receive
#define mnl_socket_get_portid ask_none
#define mnl_socket_close close_none
#include "jail/netlink.c"

static void check(const struct cq_jail_element *elements, size_t n,
                  bool are_networks)
{
    size_t i;

    for (i = 0; i < n; i++) {
        const struct cq_key *key = &elements[i].key;

        HOLDS(key->family == 4 || key->family == 6);
        HOLDS(are_networks || cq_key_is_valid(key));
        /* a range that is no network is there as one of prefix 0 */
        HOLDS(i == 0 || (are_networks && (key->prefix == 0
                                          || elements[i - 1].key.prefix == 0))
              || cq_key_compare(&elements[i - 1].key, key) < 0);
    }
}

static void use(const char *spec)
{
    struct cq_jail_contents contents;
    struct cq_jail_why why;
    struct cq_jail *jail;
    int i;

    HOLDS(cq_jail_parse(spec, CQ_JAIL_WRITE, 3600, &jail, &why)
          == CQ_JAIL_OK);
    for (i = 0; i < 2; i++) {
        struct cq_jail_change change = {
            .key = { .family = 4, .prefix = 32, .bytes = { 192, 0, 2, 7 } },
            .op = CQ_JAIL_ADD
        };

        if (cq_jail_list(jail, &contents, &why) == CQ_JAIL_OK) {
            check(contents.elements, contents.element_n, false);
            check(contents.networks, contents.network_n, true);
            (void)cq_jail_apply(jail, &change, 1, &why);
        }
        else {
            HOLDS(contents.element_n == 0 && contents.network_n == 0);
            HOLDS(memchr(why.text, '\0', sizeof(why.text)) != NULL);
        }
        (void)cq_jail_has_changed(jail);
    }
    cq_jail_close(jail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    answers = (struct input){ data, size };
    use((take(&answers, 1) & 1) != 0 ? "ipset:a4,a6"
        : "nft:inet/t/a4,a6,d4,d6");
    return 0;
}
