/* account - whose request it is, what holds for that client, and booking in
 * its account of the table.
 *
 * The address of each request identifies its client, never the pointer to
 * that address: other modules change it in place. */
#ifndef CQ_HTTPD_ACCOUNT_H
#define CQ_HTTPD_ACCOUNT_H

#include "httpd/private.h"

/* A request's hold on its client's account. It stays open between the requests
 * of a connection: mostly they are one client's. */
struct cq_client {
    /* of a request */
    bool tried;                 /* to open the account */
    bool has_free_range;        /* the response is a free small range */
    const struct cq_pool_decl *pool;    /* NULL until tried */
    int64_t granted_bytes;      /* of free ranges, not yet sent */

    /* of the account */
    uint16_t pool_index;
    int address_size;
    uint8_t address[16];
    struct cq_key key;
    const struct cq_client_decl *override;      /* ClamQuotaClient, or NULL */
    struct cq_exempt_answer exempt;
    struct cq_clock clock;      /* as last looked up */
    struct cq_account account;
};

/** The client that an address belongs to as a key, and its ClamQuotaClient if
 * there is one.
 * @return false: an address that is no IP address */
bool cq_client_find(const apr_sockaddr_t *address, struct cq_key *key,
                    const struct cq_client_decl **override);

/** Has httpd the client's text at hand, as it has of an IPv4 client? */
static inline bool cq_client_is_shown(const request_rec *r,
                                      const struct cq_key *key)
{
    return key->family == 4 && key->prefix == 32
        && strchr(r->useragent_ip, ':') == NULL;
}

/** The client of a request as text: "192.0.2.7", "2001:db8::/64"; its prefix
 * only where it has one. */
const char *cq_client_text(const request_rec *r, const struct cq_key *key);

/** The client of the next request of a connection. */
static inline void cq_client_begin(struct cq_client *client)
{
    client->tried = false;
    client->has_free_range = false;
    client->pool = NULL;
    client->granted_bytes = 0;
}

/** Finds out whose request it is and opens the client's account in the pool of
 * this scope, unless it is open; once per request.
 * @param by_proxy  whether the connection's requests are marked as a proxy's;
 *                  updated
 * @return whether there is an account; else the request is served uncounted */
bool cq_client_open(struct cq_client *client, bool *by_proxy,
                    const request_rec *r, const struct cq_dir_conf *conf);

/** What holds for this client in this scope.
 * @param override  its ClamQuotaClient, or NULL */
struct cq_policy cq_client_policy(const struct cq_client_decl *override,
                                  const struct cq_dir_conf *conf);

/** Is the client of this request, that has an account, exempt now? */
static inline bool cq_client_is_exempt(struct cq_client *client)
{
    return cq_exempt_covers(cq_site.table, &client->key, client->clock.now_s,
                            &client->exempt);
}

/** Grants a free small range if the client has some of them left today.
 * @param bytes  of its body, counted now: others are under way, too */
bool cq_client_grant_range(struct cq_client *client,
                           const struct cq_dir_conf *conf, int64_t bytes);

/** Books bytes that left. */
void cq_client_book(struct cq_client *client, enum cq_column column,
                    int64_t bytes);

#endif
