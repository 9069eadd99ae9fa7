/* peers - connections whose other end is not one client: a proxy that
 * mod_remoteip lists, a default gateway, this machine.
 *
 * Their own requests are counted and refused like those of any client; but
 * dropping such an address shuts out all clients behind it. So a declared
 * proxy's rows are marked (request.c), which keeps the jail away,
 * ClamQuotaDropAfter asks here, and a refusal that hits one is logged. */
#include "httpd/private.h"
#include "core/special.h"
#include "host/own.h"

#include <errno.h>

static const struct cq_prefixes whole = { 32, 128 };

static bool make_key(const apr_sockaddr_t *address, struct cq_prefixes prefixes,
                     struct cq_key *key)
{
    return cq_key_make(key, address->ipaddr_ptr, (size_t)address->ipaddr_len,
                       prefixes) == CQ_OK;
}

/* The default gateways as one text, or NULL. */
static const char *list_gateways(apr_pool_t *p, const struct cq_net_list *list)
{
    const char *names = NULL;
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (list->rules[i].value == CQ_OWN_GATEWAY) {
            cq_key_format(&list->rules[i].net, text, sizeof(text));
            names = names != NULL ? apr_pstrcat(p, names, ", ", text, NULL)
                                  : apr_pstrdup(p, text);
        }
    }
    return names;
}

void cq_peers_start(server_rec *base, apr_pool_t *ptemp,
                    struct cq_server_conf *conf)
{
    bool drops = conf->drop_after_n != 0;
    const char *names;

    (void)cq_net_seal(&conf->proxies, NULL);    /* none is in it twice */
    if (cq_own_collect(&conf->own_addresses) != CQ_OK
        || cq_net_seal(&conf->own_addresses, NULL) != CQ_OK) {
        conf->drop_after_n = 0;
        if (drops) {
            ap_log_error(APLOG_MARK, APLOG_ERR, APR_FROM_OS_ERROR(errno), base,
                         CQNO("0125") "the addresses of this machine cannot be "
                         "listed: ClamQuotaDropAfter is Off");
        }
        return;
    }
    names = list_gateways(ptemp, &conf->own_addresses);
    if (drops && names != NULL) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, base, CQNO("0142")
                     "ClamQuotaDropAfter never drops connections from %s: a "
                     "default gateway may be the address of many clients",
                     names);
    }
}

/* With RemoteIPProxyProtocol mod_remoteip keeps something with a connection
 * that has to begin with a PROXY header, and with no other: so exceptions and
 * ports are judged by mod_remoteip. */
static bool has_proxy_header(const conn_rec *c)
{
    return ap_get_module_config(c->conn_config, cq_site.remoteip) != NULL;
}

bool cq_peer_is_proxy(const conn_rec *c)
{
    const struct cq_net_list *proxies = &cq_site.conf->proxies;
    struct cq_key key;

    if (cq_site.remoteip == NULL) {
        return false;
    }
    return has_proxy_header(c)
        || (proxies->count > 0 && make_key(c->client_addr, whole, &key)
            && cq_net_find(proxies, &key) != NULL);
}

static bool is_gateway(const conn_rec *c)
{
    const struct cq_net_rule *rule = NULL;
    struct cq_key key;

    if (make_key(c->client_addr, whole, &key)) {
        rule = cq_net_find(&cq_site.conf->own_addresses, &key);
    }
    return rule != NULL && rule->value == CQ_OWN_GATEWAY;
}

/* The connection's own end also covers addresses that came up after the
 * start. */
enum cq_spared cq_peer_spared(const conn_rec *c, const struct cq_key *key,
                              bool proxied)
{
    const struct cq_server_conf *conf = cq_site.conf;
    struct cq_address_facts facts = {
        .key = key,
        .client_bits = -1,
        .proxied = proxied || cq_net_touches(&conf->proxies, key)
            || (cq_site.remoteip != NULL && has_proxy_header(c)),
        .own = cq_net_touches(&conf->own_addresses, key)
    };
    struct cq_key local;

    facts.own = facts.own
        || (make_key(c->local_addr, cq_site.prefixes, &local)
            && cq_key_compare(&local, key) == 0);
    return cq_spared_reason(&facts);
}

bool cq_peer_may_be_proxy(const request_rec *r)
{
    struct cq_key key;

    return cq_site.remoteip == NULL
        && apr_table_get(r->headers_in, "X-Forwarded-For") != NULL
        && make_key(r->useragent_addr, whole, &key)
        && (cq_special_word(&key) != NULL || cq_special_is_private(&key));
}

bool cq_peer_refused(const request_rec *r)
{
    const conn_rec *c = r->connection;

    if (!apr_sockaddr_equal(r->useragent_addr, c->client_addr)) {
        return false;           /* in the name of a client */
    }
    if (cq_peer_is_proxy(c)) {
        if (cq_table_notice_first(cq_site.table, CQ_NOTICE_PROXY_REFUSED)) {
            ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, CQNO("0140")
                          "the proxy %s is refused itself: requests "
                          "without a usable RemoteIPHeader or PROXY header, "
                          "such as health checks, count for the proxy; it is "
                          "never jailed or dropped, and \"ClamQuotaClient %s "
                          "Unlimited\" exempts it", c->client_ip,
                          c->client_ip);
        }
    }
    else if (is_gateway(c)
             && cq_table_notice_first(cq_site.table,
                                      CQ_NOTICE_GATEWAY_REFUSED)) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, CQNO("0141")
                      "the default gateway %s is refused: if it masquerades "
                      "the clients, as in a container's network, all of them "
                      "share one counter; let httpd see their addresses (a "
                      "container in the host's network, a proxy with "
                      "mod_remoteip)", c->client_ip);
    }
    return true;
}
