/* directive_remoteip - notes which proxies mod_remoteip lists.
 *
 * Its lists are private, and the files of proxies are read before there is a
 * tree of directives. But httpd hands a directive to each module that has it
 * (core's config.c), so these are mod_remoteip's directives once more: it
 * judges their values and complains, here they are only noted. */
#include "httpd/directives.h"

#include <arpa/inet.h>

/* The networks are a machine's, not a virtual host's: no such address is to be
 * shut out, whichever host it speaks to. */
static const char *note(cmd_parms *cmd, const struct cq_key *net)
{
    struct cq_net_list *proxies = &cq_server_conf(cmd->server)->proxies;

    return cq_net_has(proxies, net) || cq_net_add(proxies, net, 0) == CQ_OK
        ? NULL : "no memory for another proxy";
}

/* "10.0.0.1", "10.1" (10.1.0.0/16) or "2001:db8::1". @return its length in
 * bytes; 0: neither */
static size_t read_address(apr_pool_t *p, const char *text, uint8_t bytes[16],
                           int *bits)
{
    if (inet_pton(AF_INET6, text, bytes) == 1) {
        *bits = 128;
        return 16;
    }
    for (*bits = 32; *bits > 0; *bits -= 8) {
        if (inet_pton(AF_INET, text, bytes) == 1) {
            return 4;
        }
        text = apr_pstrcat(p, text, ".0", NULL);
    }
    return 0;
}

/* "/8" or "/255.0.0.0" without the slash; -1: neither */
static int read_mask(const char *text)
{
    uint8_t bytes[4];
    int64_t number;
    int bits = 0;

    if (inet_pton(AF_INET, text, bytes) != 1) {
        number = apr_strtoi64(text, NULL, 10);
        return number >= 0 && number <= 128 ? (int)number : -1;
    }
    while (bits < 32 && (bytes[bits / 8] >> (7 - bits % 8) & 1) != 0) {
        bits++;
    }
    return bits;
}

/* The addresses of a name, as mod_remoteip just looked them up. */
static const char *note_name(cmd_parms *cmd, const char *name)
{
    static const struct cq_prefixes whole = { 32, 128 };
    apr_sockaddr_t *address = NULL;
    const char *error = NULL;
    struct cq_key key;

    (void)apr_sockaddr_info_get(&address, name, APR_UNSPEC, 0,
                                APR_IPV4_ADDR_OK, cmd->temp_pool);
    for (; address != NULL && error == NULL; address = address->next) {
        if (cq_key_make(&key, address->ipaddr_ptr,
                        (size_t)address->ipaddr_len, whole) == CQ_OK) {
            error = note(cmd, &key);
        }
    }
    return error;
}

const char *cq_directive_proxy(cmd_parms *cmd, void *conf, const char *text)
{
    const char *address = ap_getword(cmd->temp_pool, &text, '/');
    struct cq_prefixes prefixes;
    struct cq_key net;
    uint8_t bytes[16];
    size_t length;
    int bits;

    (void)conf;
    if (ap_find_linked_module("mod_remoteip.c") == NULL) {
        return "mod_remoteip is not loaded, expected \"LoadModule "
               "remoteip_module modules/mod_remoteip.so\" before";
    }
    length = read_address(cmd->temp_pool, address, bytes, &bits);
    if (length == 0) {
        return note_name(cmd, address);
    }
    if (*text != '\0') {
        bits = read_mask(text);
    }
    prefixes.v4_bits = (uint8_t)(length == 4 ? bits : bits > 96 ? bits - 96
                                                                : 0);
    prefixes.v6_bits = (uint8_t)bits;
    if (bits < 0 || bits > 128
        || cq_key_make(&net, bytes, length, prefixes) != CQ_OK) {
        return NULL;            /* mod_remoteip says it */
    }
    return note(cmd, &net);
}

const char *cq_directive_proxy_list(cmd_parms *cmd, void *conf,
                                    const char *path)
{
    const char *error = NULL;
    ap_configfile_t *file;
    char line[MAX_STRING_LEN];

    path = ap_server_root_relative(cmd->temp_pool, path);
    if (path == NULL
        || ap_pcfg_openfile(&file, cmd->temp_pool, path) != APR_SUCCESS) {
        return NULL;            /* mod_remoteip says it */
    }
    while (error == NULL
           && ap_cfg_getline(line, sizeof(line), file) == APR_SUCCESS) {
        const char *rest = line;
        const char *word;

        while (error == NULL
               && *(word = ap_getword_conf(cmd->temp_pool, &rest)) != '\0'
               && *word != '#') {
            error = cq_directive_proxy(cmd, conf, word);
        }
    }
    ap_cfg_closefile(file);
    return error;
}
