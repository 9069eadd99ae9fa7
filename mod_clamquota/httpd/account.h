/* account - whose request it is, what holds for that client, and booking in
 * its account of the table.
 *
 * The address of each request identifies its client, never the pointer to
 * that address: other modules change it in place. */
#ifndef CQ_HTTPD_ACCOUNT_H
#define CQ_HTTPD_ACCOUNT_H

#include "httpd/private.h"

/* What an HTTP/1.x connection remembers between its requests. */
struct cq_connection {
    bool closing;               /* its pool goes: buckets that are destroyed
                                 * from now on were not sent */
    bool sendfile;              /* files may leave by it: no TLS */
    bool proxy;                 /* mod_remoteip found another's request */

    /* the client of the last request, by its address and pool; 0: none */
    int address_size;
    uint16_t pool;
    uint8_t address[16];
    uint64_t identity;
    struct cq_key key;
    const struct cq_client_decl *override;
    struct cq_clock clock;      /* as last looked up */
};

/* A request's hold on its client's account. */
struct cq_client {
    bool tried;                 /* to open it, once */
    bool is_open;
    bool proxied;
    bool has_free_range;        /* the response is a free small range */
    const struct cq_pool_decl *pool;
    const struct cq_client_decl *override;      /* ClamQuotaClient, or NULL */
    int64_t granted_bytes;      /* of free ranges, not yet sent */
    struct cq_key key;          /* from here on set once tried */
    struct cq_clock clock;      /* as last looked up */
    struct cq_account account;
};

/** The client of a request as a key, and its ClamQuotaClient if there is
 * one.
 * @return false: an address that is no IP address */
bool cq_client_find(const request_rec *r, struct cq_key *key,
                    const struct cq_client_decl **override);

/** A client as text: "192.0.2.7", "2001:db8::/64"; its prefix only where it
 * has one. */
const char *cq_client_text(apr_pool_t *p, const struct cq_key *key);

/** Has httpd the same text at hand, as it has of an IPv4 client? */
static inline bool cq_client_is_shown(const request_rec *r,
                                      const struct cq_key *key)
{
    return key->family == 4 && key->prefix == 32
        && strchr(r->useragent_ip, ':') == NULL;
}

/** Finds out whose request it is and opens the client's account in the pool of
 * this scope; once per request.
 * @param connection  of HTTP/1.x; else NULL
 * @return whether there is an account; else the request is served uncounted */
bool cq_client_open(struct cq_client *client, struct cq_connection *connection,
                    const request_rec *r, const struct cq_dir_conf *conf);

/** What holds for this client in this scope.
 * @param override  its ClamQuotaClient, or NULL */
struct cq_policy cq_client_policy(const struct cq_client_decl *override,
                                  const struct cq_dir_conf *conf);

/** Grants a free small range if the client has some of them left today.
 * @param bytes  of its body, counted now: others are under way, too */
bool cq_client_grant_range(struct cq_client *client,
                           const struct cq_dir_conf *conf, int64_t bytes);

/** Books bytes that left. */
void cq_client_book(struct cq_client *client, enum cq_column column,
                    int64_t bytes);

/** Gives back what is reserved; a second call does nothing. */
void cq_client_close(struct cq_client *client);

#endif
