/* list - a server's list of nodes, as bytes and as entries. Pure; nodes.c alone
 * decides what is written into one. */
#ifndef CQ_CLUSTER_LIST_H
#define CQ_CLUSTER_LIST_H

#include "cluster/item.h"

/* A list, little endian:
 *   0  seal:32 version:8 entries:8 reserved:16 born:64
 *  16  entries of 160 bytes: see code_entry() */
#define CQ_LIST_SIZE_MAX 16384

struct cq_list_entry {
    uint64_t node, session, beat, servers_hash, name_hash, daily_hash;
    uint64_t acts_digest, over_epoch;
    int64_t since_ms, wall_ms, period_start_s, period_end_s;
    uint32_t over_n;
    struct cq_prefixes prefixes;
    char label[CQ_CLUSTER_LABEL_SIZE];
};

struct cq_list {
    uint64_t born;
    size_t n;
    struct cq_list_entry entries[CQ_CLUSTER_NODES_MAX];
};

/** The key of the list, which every server has; it is the server's marker as
 * well. */
void cq_list_key(struct cq_item_key *key);

/** @param value  CQ_LIST_SIZE_MAX bytes
 * @return its size */
size_t cq_list_encode(struct cq_list *list, unsigned char *value);

/** Anything that is no list is an empty one, to be written over. */
void cq_list_decode(unsigned char *value, size_t size, struct cq_list *list);

/** Makes a label printable ASCII without blanks, and fills it up with zeros.
 * @param label  CQ_CLUSTER_LABEL_SIZE bytes */
void cq_label_clean(char *label);

#endif
