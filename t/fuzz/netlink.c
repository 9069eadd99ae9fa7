/* netlink - fuzzes what the kernel answers to an nft and an ipset jail: sets,
 * elements, rules, generations, errors. The input is the datagrams, each with
 * its length before it; the sequence number is put right half the time. Every
 * question is asked twice, the second time with what the first one left. */
#include "input.h"

#include "jail/jail.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <sys/types.h>

static struct input answers;
static uint32_t sequence;

static ssize_t answer(void *buffer, size_t size)
{
    size_t n = take(&answers, 2) & 0x7fff, i;
    int puts_right = (int)(take(&answers, 1) & 1);
    unsigned char *bytes = buffer;

    if (answers.size == 0) {
        errno = ENOBUFS;
        return -1;
    }
    n = n < answers.size ? n : answers.size;
    n = n < size ? n : size;
    memcpy(bytes, answers.at, n);
    answers.at += n;
    answers.size -= n;
    for (i = 0; puts_right && i + sizeof(struct nlmsghdr) <= n;) {
        struct nlmsghdr *header = (struct nlmsghdr *)(void *)(bytes + i);

        header->nlmsg_seq = sequence;
        header->nlmsg_pid = 0;
        if (header->nlmsg_len < sizeof(*header)) {
            break;
        }
        i += ((size_t)header->nlmsg_len + 3) / 4 * 4;
    }
    return (ssize_t)n;
}

/* ---- libmnl's calls of a socket, which there is not ---- */

struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
    (void)bus;
    (void)flags;
    return (struct mnl_socket *)(void *)&answers;
}

int mnl_socket_bind(struct mnl_socket *socket, unsigned groups, pid_t pid)
{
    (void)socket;
    (void)groups;
    (void)pid;
    return 0;
}

int mnl_socket_get_fd(const struct mnl_socket *socket)
{
    (void)socket;
    return -1;
}

int mnl_socket_setsockopt(const struct mnl_socket *socket, int type,
                          void *value, socklen_t length)
{
    (void)socket;
    (void)type;
    (void)value;
    (void)length;
    return 0;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *socket, const void *bytes,
                          size_t size)
{
    const struct nlmsghdr *header = bytes;

    (void)socket;
    sequence = header->nlmsg_seq;
    return (ssize_t)size;
}

ssize_t mnl_socket_recvfrom(const struct mnl_socket *socket, void *buffer,
                            size_t size)
{
    (void)socket;
    return answer(buffer, size);
}

unsigned mnl_socket_get_portid(const struct mnl_socket *socket)
{
    (void)socket;
    return 0;
}

int mnl_socket_close(struct mnl_socket *socket)
{
    (void)socket;
    return 0;
}

static void check(const struct cq_jail_element *elements, size_t n,
                  bool are_networks)
{
    size_t i;

    for (i = 0; i < n; i++) {
        const struct cq_key *key = &elements[i].key;

        HOLDS(key->family == 4 || key->family == 6);
        HOLDS(are_networks || cq_key_is_valid(key));
        HOLDS(i == 0 || cq_key_compare(&elements[i - 1].key, key) < 0);
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
