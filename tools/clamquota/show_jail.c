/* show_jail - which kernel jails hold a client. Only reads them. */
#include "clamquota/show.h"

#include "jail/jail.h"
#include "render/words.h"

#include <string.h>
#include <time.h>

/* That of clamquota-sync is not known here, so a time-out does not tell an
 * operator's element from one of a long --lease. */
#define LEASE_S 3600

static int64_t monotonic_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* "nft delete element inet clamquota jail4 { 192.0.2.7 }" */
static void write_removal(struct cq_writer *w, const char *spec,
                          const struct cq_key *element)
{
    const char *names = strchr(spec, ':') + 1;
    const char *slash = strchr(names, '/');
    const char *second = slash != NULL ? strchr(slash + 1, '/') : NULL;
    const char *set = second != NULL ? second + 1 : names;
    const char *comma = strchr(set, ',');
    char address[CQ_KEY_TEXT_SIZE];

    cq_key_format(element, address, sizeof(address));
    if (element->family == 6 && comma != NULL) {
        set = comma + 1;
    }
    if (strncmp(spec, "recent:", 7) == 0) {
        cq_write_raw(w, "echo -");
        cq_write_raw(w, address);
        cq_write_raw(w, " >/proc/net/xt_recent/");
    }
    else if (second != NULL) {
        cq_write_raw(w, "nft delete element ");
        cq_write_data(w, names, (size_t)(slash - names));
        cq_write_raw(w, " ");
        cq_write_data(w, slash + 1, (size_t)(second - slash - 1));
        cq_write_raw(w, " ");
    }
    else {
        cq_write_raw(w, "ipset del ");
    }
    cq_write_data(w, set, strcspn(set, ","));
    if (second != NULL) {
        cq_write_raw(w, " { ");
        cq_write_raw(w, address);
        cq_write_raw(w, " }");
    }
    else if (strncmp(spec, "ipset:", 6) == 0) {
        cq_write_raw(w, " ");
        cq_write_raw(w, address);
    }
}

static void show_element(struct cq_show *show, const char *spec,
                         const struct cq_jail_element *element)
{
    struct cq_writer *w = cq_show_line(show, "jailed");

    cq_write_line(w, spec);
    if (element->expires_at_s == CQ_JAIL_PERMANENT) {
        cq_write_raw(w, ", by an operator: clamquota-sync keeps it");
    }
    else {
        cq_write_raw(w, ", until ");
        cq_show_moment(show, show->look->clock.now_s + element->expires_at_s
                             - monotonic_s());
        cq_write_raw(w, ", unless clamquota-sync renews it");
    }
    cq_show_end(show);
    w = cq_show_line(show, "to release it");
    write_removal(w, spec, &element->key);
    cq_show_end(show);
}

static void show_network(struct cq_show *show, const char *spec,
                         const struct cq_key *network)
{
    struct cq_writer *w = cq_show_line(show, "denied");
    char text[CQ_KEY_TEXT_SIZE];

    cq_write_line(w, spec);
    cq_write_raw(w, ", in ");
    cq_write_raw(w, cq_key_format_cidr(network, text, sizeof(text)));
    cq_write_raw(w, " of a deny file");
    cq_show_end(show);
}

/* @return it holds the client */
static bool show_contents(struct cq_show *show, const char *spec,
                          const struct cq_jail_contents *contents,
                          const struct cq_key *client)
{
    struct cq_key element = cq_jail_element_key(client);
    bool is_held = false;
    size_t i;

    for (i = 0; i < contents->element_n; i++) {
        if (cq_key_compare(&contents->elements[i].key, &element) == 0) {
            show_element(show, spec, &contents->elements[i]);
            is_held = true;
        }
    }
    /* prefix 0 stands for a range of addresses that is no network */
    for (i = 0; i < contents->network_n; i++) {
        if (contents->networks[i].key.prefix > 0
            && cq_key_touches(&contents->networks[i].key, client)) {
            show_network(show, spec, &contents->networks[i].key);
            is_held = true;
        }
    }
    return is_held;
}

/* What the table says of it, where the kernel does not answer. */
static void show_mark(struct cq_show *show, const char *spec,
                      const char *why)
{
    struct cq_writer *w = cq_show_line(show, "jailed");

    if (spec != NULL) {
        cq_write_line(w, spec);
        cq_write_raw(w, ", ");
    }
    cq_write_raw(w, "as clamquota-sync reported at ");
    cq_show_moment(show, show->look->view.jail.as_of_s);
    cq_show_end(show);
    if (why != NULL) {
        cq_write_line(cq_show_line(show, ""), why);
        cq_show_end(show);
    }
}

/* A jail of --jail that the kernel does not show. */
static void show_unknown(struct cq_show *show, const char *spec,
                         const char *why)
{
    struct cq_writer *w = cq_show_line(show, "jailed");

    cq_write_raw(w, "not known of ");
    cq_write_line(w, spec);
    cq_write_raw(w, ": ");
    cq_write_line(w, why);
    cq_show_end(show);
}

static bool show_jail(struct cq_show *show, const char *spec,
                      const struct cq_key *client, bool is_marked)
{
    struct cq_jail_contents contents;
    struct cq_jail *jail = NULL;
    struct cq_jail_why why;
    bool is_held = is_marked;

    if (cq_jail_parse(spec, CQ_JAIL_READ, LEASE_S, &jail, &why) == CQ_JAIL_OK
        && cq_jail_list(jail, &contents, &why) == CQ_JAIL_OK) {
        is_held = show_contents(show, spec, &contents, client);
    }
    else if (is_marked) {
        show_mark(show, spec, why.text);
    }
    else if (show->jails.count > 0) {
        show_unknown(show, spec, why.text);
    }
    cq_jail_close(jail);
    return is_held;
}

bool cq_show_jails(struct cq_show *show, const struct cq_key *client,
                   bool is_marked)
{
    const char *spec = show->look->view.jail.spec;
    bool is_held = false;
    size_t i;

    for (i = 0; i < show->jails.count; i++) {
        is_held |= show_jail(show, show->jails.texts[i], client, is_marked);
    }
    if (show->jails.count == 0 && spec != NULL) {
        is_held = show_jail(show, spec, client, is_marked);
    }
    return is_held;
}
