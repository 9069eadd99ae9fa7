/* recent - fuzzes a listing in /proc/net/xt_recent: first a byte that says which
 * list of one or two it is and how the clock stands, then the text. Its
 * entries become addresses of packets, and no entry outlives its lease. */
#include "input.h"

#include <sys/mman.h>

#include "jail/recent.c"

#define NOW_S 1000000
#define LEASE_S 3600

static void check(const struct cq_jail_elements *elements)
{
    size_t i;

    for (i = 0; i < elements->count; i++) {
        const struct cq_jail_element *element = &elements->list[i];

        HOLDS(cq_key_is_valid(&element->key));
        HOLDS(element->key.prefix == (element->key.family == 4 ? 32 : 128));
        HOLDS(!element->is_operators);
        HOLDS(element->expires_at_s >= 0
              && element->expires_at_s <= NOW_S + LEASE_S);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static struct recent recent;
    struct input in = { data, size };
    uint64_t flags = take(&in, 1);
    int64_t line_n = 0;
    size_t i;

    if (fd < 0) {
        fd = memfd_create("recent", MFD_CLOEXEC);
        HOLDS(fd >= 0);
    }
    HOLDS(ftruncate(fd, 0) == 0
          && pwrite(fd, in.at, in.size, 0) == (ssize_t)in.size);
    for (i = 0; i < in.size; i++) {
        line_n += in.at[i] == '\n' || i + 1 == in.size;
    }
    recent.jail.names[1][0] = (flags & 1) != 0 ? 'b' : '\0';
    recent.jail.now_s = NOW_S;
    recent.jail.lease_s = LEASE_S;
    recent.jail.elements.count = 0;
    recent.ticks_per_s = (flags & 2) != 0 ? 1000 : 250;
    recent.rule_s[0] = (flags & 4) != 0 ? 60 : 0;
    i = (flags & 8) != 0 ? 1 : 0;
    snprintf(recent.lists[i].path, sizeof(recent.lists[i].path),
             "/proc/self/fd/%d", fd);
    HOLDS(read_list(&recent, (int)i, false) == 0);
    HOLDS(recent.lists[i].count == line_n);
    HOLDS((int64_t)recent.jail.elements.count <= line_n);
    check(&recent.jail.elements);
    cq_jail_elements_sort(&recent.jail.elements);
    check(&recent.jail.elements);
    HOLDS(read_list(&recent, (int)i, true) == 0);
    HOLDS(recent.lists[i].count == line_n);
    return 0;
}
