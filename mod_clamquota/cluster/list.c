/* list - the bytes of a server's list of nodes. Pure. */
#include "cluster/list.h"
#include "cluster/bytes.h"

#include <string.h>

#define LIST_VERSION 1
#define HEAD_SIZE 16
#define ENTRY_SIZE 160

/* The end of the year 9999, in ms. What a server has is not trusted: a time
 * behind it, or before 1970, becomes this one. Differences do not overflow. */
#define TIME_MAX INT64_C(253402300799999)

_Static_assert(HEAD_SIZE + ENTRY_SIZE * CQ_CLUSTER_NODES_MAX
                   <= CQ_LIST_SIZE_MAX, "a list fits");

void cq_list_key(struct cq_item_key *key)
{
    static const struct cq_key none = { .family = 4 };
    struct cq_item_seeds seeds = cq_item_seeds("nodes ", 0, 0,
                                               (struct cq_prefixes){ 0, 0 });

    cq_item_key(&seeds, &none, key);
}

enum coding { ENCODE, DECODE };

static void code_number(unsigned char *at, uint64_t *n, enum coding coding)
{
    if (coding == ENCODE) {
        cq_encode_number(at, 8, *n);
    }
    else {
        *n = cq_decode_number(at, 8);
    }
}

static void code_time(unsigned char *at, int64_t *t, enum coding coding)
{
    uint64_t n = (uint64_t)*t;

    code_number(at, &n, coding);
    *t = n < (uint64_t)TIME_MAX ? (int64_t)n : TIME_MAX;
}

/* One description of an entry's bytes, for both directions. */
static void code_entry(unsigned char *at, struct cq_list_entry *e,
                       enum coding coding)
{
    uint64_t small = (uint64_t)e->over_n << 32
        | (uint64_t)e->prefixes.v4_bits << 8 | e->prefixes.v6_bits;

    code_number(at, &e->node, coding);
    code_number(at + 8, &e->session, coding);
    code_time(at + 16, &e->since_ms, coding);
    code_number(at + 24, &e->beat, coding);
    code_time(at + 32, &e->wall_ms, coding);
    code_time(at + 40, &e->period_start_s, coding);
    code_time(at + 48, &e->period_end_s, coding);
    code_number(at + 56, &small, coding);
    code_number(at + 64, &e->servers_hash, coding);
    code_number(at + 72, &e->name_hash, coding);
    code_number(at + 80, &e->daily_hash, coding);
    code_number(at + 88, &e->acts_digest, coding);
    code_number(at + 96, &e->over_epoch, coding);
    if (coding == ENCODE) {
        memset(at + 104, 0, ENTRY_SIZE - 104);
        memcpy(at + 104, e->label, sizeof(e->label));
        return;
    }
    memcpy(e->label, at + 104, sizeof(e->label));
    e->over_n = (uint32_t)(small >> 32);
    e->prefixes.v4_bits = (uint8_t)(small >> 8);
    e->prefixes.v6_bits = (uint8_t)small;
}

size_t cq_list_encode(struct cq_list *list, unsigned char *value)
{
    size_t i;

    memset(value, 0, HEAD_SIZE);
    value[4] = LIST_VERSION;
    value[5] = (unsigned char)list->n;
    cq_encode_number(value + 8, 8, list->born);
    for (i = 0; i < list->n; i++) {
        code_entry(value + HEAD_SIZE + ENTRY_SIZE * i, &list->entries[i],
                   ENCODE);
    }
    return HEAD_SIZE + ENTRY_SIZE * list->n;
}

void cq_label_clean(char *label)
{
    size_t i;

    label[CQ_CLUSTER_LABEL_SIZE - 1] = '\0';
    for (i = 0; label[i] != '\0'; i++) {
        if (label[i] <= ' ' || label[i] > '~') {
            label[i] = '?';
        }
    }
    memset(label + i, 0, CQ_CLUSTER_LABEL_SIZE - i);
}

void cq_list_decode(unsigned char *value, size_t size, struct cq_list *list)
{
    struct cq_item_key key;
    size_t i;

    list->n = 0;
    list->born = 0;
    cq_list_key(&key);
    if (size < HEAD_SIZE || !cq_is_sealed(value, size, &key.hash)
        || value[4] != LIST_VERSION || value[5] > CQ_CLUSTER_NODES_MAX
        || size != HEAD_SIZE + ENTRY_SIZE * (size_t)value[5]) {
        return;
    }
    list->born = cq_decode_number(value + 8, 8);
    list->n = value[5];
    for (i = 0; i < list->n; i++) {
        code_entry(value + HEAD_SIZE + ENTRY_SIZE * i, &list->entries[i],
                   DECODE);
        cq_label_clean(list->entries[i].label);
    }
}
