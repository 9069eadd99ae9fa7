/* lists - addresses that are jailed or never jailed whatever the table says:
 * deny files, never files, options, and this machine's own addresses.
 *
 * What a file says is kept for as long as this process lives, so that a file
 * that cannot be read changes nothing. */
#ifndef CQ_SYNC_LISTS_H
#define CQ_SYNC_LISTS_H

#include "cli/say.h"
#include "core/offence.h"
#include "deny/deny.h"
#include "sync/options.h"
#include "sync/wanted.h"

struct cq_list {
    const char *path;           /* the option's */
    enum cq_deny_form form;
    struct cq_deny_list entries;
    bool is_known;              /* it was read, now or before */
};

/* All zero bytes: none, nothing is known. */
struct cq_lists {
    struct cq_list *files;      /* deny files in the options' order, then never
                                 * files */
    size_t deny_n;
    size_t count;
    struct cq_net_list own;     /* sealed */
    struct cq_net_list never;   /* sealed: options and files */
    bool knows_never;           /* both are known: clients can be jailed */
    bool knows_denied;          /* so are the deny files: a client that is not
                                 * wanted can be released */
};

/** Makes lists of the options' files, nothing read yet.
 * @return false: out of memory */
bool cq_lists_open(struct cq_lists *lists,
                   const struct cq_sync_options *options);

/** Reads all of it (cq_deny_read()). A file that cannot be read is trouble;
 * what it said before stays. */
void cq_lists_read(struct cq_lists *lists,
                   const struct cq_sync_options *options, struct cq_say *say);

/** cq_spared_reason(), by the lists.
 * @param client_bits, proxied  as in struct cq_address_facts */
enum cq_spared cq_lists_spared(const struct cq_lists *lists,
                               const struct cq_key *key, int client_bits,
                               bool proxied);

/** Appends the addresses and networks of deny files that neither are spared nor
 * touch one that is exempt.
 * @param exempt  sealed
 * @param say     reports with -v how many are left out; may be NULL
 * @return false: out of memory */
bool cq_lists_add_denied(const struct cq_lists *lists,
                         const struct cq_net_list *exempt,
                         struct cq_wanted_list *wanted, struct cq_say *say);

void cq_lists_close(struct cq_lists *lists);

#endif
