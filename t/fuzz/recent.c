/* recent - fuzzes a listing in /proc/net/xt_recent: first a byte that says
 * which list of one or two it is and how the clock stands, then the text. Its
 * entries become addresses of packets, and no entry outlives its lease. */
#include "input.h"

#include <stdio.h>

static struct input listing;

static ssize_t read_listing(void *baton, char *to, size_t size)
{
    struct input *in = baton;
    size_t n = size < in->size ? size : in->size;

    memcpy(to, in->at, n);
    in->at += n;
    in->size -= n;
    return (ssize_t)n;
}

/* A file of the kernel's, without a file. */
static FILE *open_listing(const char *path, const char *mode)
{
    static struct input in;

    (void)path;
    in = listing;
    return fopencookie(&in, mode, (cookie_io_functions_t){
        .read = read_listing });
}

#define fopen open_listing
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
    static struct recent recent;
    struct input in = { data, size };
    uint64_t flags = take(&in, 1);
    const struct list *list_read;
    int64_t line_n = 0;
    size_t i;

    listing = in;
    for (i = 0; i < in.size; i++) {
        line_n += in.at[i] == '\n' || i + 1 == in.size;
    }
    recent.jail.place = PLACE;
    recent.jail.names[0] = "a";
    recent.jail.names[1] = (flags & 1) != 0 ? "b" : NULL;
    recent.jail.shares_capacity = (flags & 1) == 0;
    recent.jail.now_s = NOW_S;
    recent.jail.lease_s = LEASE_S;
    recent.jail.capacity[0] = recent.jail.capacity[1] = 1;
    recent.jail.elements.count = 0;
    recent.ticks_per_s = (flags & 2) != 0 ? 1000 : 250;
    recent.jail.rule_s[0] = (flags & 4) != 0 ? 60 : 0;
    recent.jail.set = (flags & 9) == 9;
    list_read = &recent.lists[recent.jail.set];
    HOLDS(read_list(&recent.jail) == 0);
    HOLDS(list_read->count == line_n);
    HOLDS((int64_t)recent.jail.elements.count <= line_n);
    check(&recent.jail.elements);
    cq_jail_elements_sort(&recent.jail.elements);
    check(&recent.jail.elements);
    HOLDS(make_sure_of_room(&recent.jail) == (line_n > 0 ? ENFILE : 0));
    HOLDS(list_read->count == line_n);
    return 0;
}
