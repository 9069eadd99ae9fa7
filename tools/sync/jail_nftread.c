/* jail_nftread - libnftables and its JSON: one command, what sets there are,
 * what their rules have dropped. */
#include "sync/jail_nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libnftables tells by words; for an errno they are the C library's. */
static enum jail_status failure(const struct nft *nft, const char *error,
                                struct jail_why *why)
{
    size_t line = strcspn(error, "\n");

    if (strstr(error, strerror(EPERM)) != NULL) {
        return jail_fail(why, JAIL_NOT_PERMITTED,
                         "nft table %s %s: not permitted, looking at it needs "
                         "root too; run clamquota-sync as root", nft->family,
                         nft->table);
    }
    if (strstr(error, strerror(ENOENT)) != NULL) {
        return jail_fail(why, JAIL_MISSING,
                         "nft table %s %s does not exist, or not with the set "
                         "%s; load it first, e.g. nft -f clamquota.nft",
                         nft->family, nft->table, nft->sets[0].name);
    }
    return jail_fail(why, JAIL_PARTLY, "nft table %s %s: %.*s", nft->family,
                     nft->table, line > 200 ? 200 : (int)line, error);
}

enum jail_status nft_run(const struct nft *nft, const char *command,
                         unsigned flags, json_t **output,
                         struct jail_why *why)
{
    enum jail_status status = JAIL_OK;
    struct nft_ctx *context;
    uint32_t generation;

    /* libnftables would say so on stderr too */
    if (nft_generation(&generation) == EPERM) {
        return failure(nft, strerror(EPERM), why);
    }
    context = nft_ctx_new(NFT_CTX_DEFAULT);
    if (context == NULL || nft_ctx_buffer_error(context) != 0
        || nft_ctx_buffer_output(context) != 0) {
        nft_ctx_free(context);
        return jail_no_memory(why);
    }
    nft_ctx_output_set_flags(context, flags);
    if (nft_run_cmd_from_buffer(context, command) != 0) {
        status = failure(nft, nft_ctx_get_error_buffer(context), why);
    } else if (output != NULL) {
        *output = json_loads(nft_ctx_get_output_buffer(context), 0, NULL);
        if (*output == NULL) {
            status = jail_fail(why, JAIL_PARTLY, "nft table %s %s: its "
                               "listing is no JSON", nft->family, nft->table);
        }
    }
    nft_ctx_free(context);
    return status;
}

/* The array in {"nftables": [...]}; NULL where there is none. */
static const json_t *items_of(const json_t *output)
{
    return json_object_get(output, "nftables");
}

static bool has_flag(const json_t *set, const char *name)
{
    const json_t *flags = json_object_get(set, "flags");
    const json_t *flag;
    size_t i;

    json_array_foreach(flags, i, flag) {
        if (json_is_string(flag)
            && strcmp(json_string_value(flag), name) == 0) {
            return true;
        }
    }
    return false;
}

/* Is this set or rule of our table? */
static bool is_of_table(const struct nft *nft, const json_t *object)
{
    const char *table = json_string_value(json_object_get(object, "table"));

    return table != NULL && strcmp(table, nft->table) == 0;
}

/* Finds {"set": {"table": ours, "name": NAME ...}}. */
static const json_t *find_set(const struct nft *nft, const json_t *output,
                              const char *name)
{
    const json_t *item;
    size_t i;

    json_array_foreach(items_of(output), i, item) {
        const json_t *set = json_object_get(item, "set");
        const char *called = json_string_value(json_object_get(set, "name"));

        if (called != NULL && strcmp(called, name) == 0
            && is_of_table(nft, set)) {
            return set;
        }
    }
    return NULL;
}

static bool has_sets(const struct nft *nft, const json_t *output)
{
    const json_t *item;
    size_t i;

    json_array_foreach(items_of(output), i, item) {
        if (is_of_table(nft, json_object_get(item, "set"))) {
            return true;
        }
    }
    return false;
}

static enum jail_status describe(const struct nft *nft, struct nft_set *set,
                                 const json_t *output, struct jail_why *why)
{
    const char *expected = set->family == 4 ? "ipv4_addr" : "ipv6_addr";
    const json_t *found = find_set(nft, output, set->name);
    const json_t *size = json_object_get(found, "size");
    const char *type = json_string_value(json_object_get(found, "type"));

    if (found == NULL && !has_sets(nft, output)) {
        return failure(nft, strerror(ENOENT), why);
    }
    if (found == NULL) {
        return jail_fail(why, JAIL_MISSING,
                         "nft table %s %s has no set %s; load it first, e.g. "
                         "nft -f clamquota.nft", nft->family, nft->table,
                         set->name);
    }
    if (type == NULL || strcmp(type, expected) != 0) {
        return jail_fail(why, JAIL_MISSING,
                         "nft table %s %s: set %s is of type %.40s, expected "
                         "%s as in clamquota.nft", nft->family, nft->table,
                         set->name, type == NULL ? "a concatenation" : type,
                         expected);
    }
    set->holds_networks = has_flag(found, "interval");
    set->has_timeouts = has_flag(found, "timeout");
    set->timeout_s =
        json_integer_value(json_object_get(found, "timeout"));
    set->size = size == NULL ? -1 : json_integer_value(size);
    return JAIL_OK;
}

/* Lists what the kernel has of our family: "sets" or "ruleset", and no
 * elements. Asked for one table or set, libnftables 1.0.6 reads the elements
 * all the same, to leave them out: 100,000 take half a second. */
static enum jail_status read_all(const struct nft *nft, const char *what,
                                 json_t **output, struct jail_why *why)
{
    char command[64];

    snprintf(command, sizeof(command), "list %s %s", what, nft->family);
    return nft_run(nft, command,
                   NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_TERSE, output, why);
}

enum jail_status nft_read_sets(struct nft *nft, struct jail_why *why)
{
    json_t *output = NULL;
    enum jail_status status = read_all(nft, "sets", &output, why);
    int s;

    for (s = 0; s < 2 && status == JAIL_OK; s++) {
        if (nft->sets[s].name[0] != '\0') {
            status = describe(nft, &nft->sets[s], output, why);
        }
    }
    json_decref(output);
    return status;
}

/* Does the rule drop who is in one of our sets? Then its counter counts. */
static const json_t *counter_of(const struct nft *nft, const json_t *rule)
{
    const json_t *counter = NULL;
    const json_t *part;
    bool ours = false, drops = false;
    size_t i;

    json_array_foreach(json_object_get(rule, "expr"), i, part) {
        const json_t *match = json_object_get(part, "match");
        const char *right = json_string_value(json_object_get(match, "right"));
        const char *op = json_string_value(json_object_get(match, "op"));

        if (right != NULL && right[0] == '@' && op != NULL
            && strcmp(op, "==") == 0
            && (strcmp(right + 1, nft->sets[0].name) == 0
                || strcmp(right + 1, nft->sets[1].name) == 0)) {
            ours = true;
        }
        if (json_is_object(json_object_get(part, "counter"))) {
            counter = json_object_get(part, "counter");
        }
        if (json_object_get(part, "drop") != NULL
            || json_object_get(part, "reject") != NULL) {
            drops = true;
        }
    }
    return ours && drops && is_of_table(nft, rule) ? counter : NULL;
}

enum jail_status nft_read_counters(const struct nft *nft, int64_t *packets,
                                   int64_t *bytes, struct jail_why *why)
{
    json_t *output = NULL;
    enum jail_status status = read_all(nft, "ruleset", &output, why);
    const json_t *item;
    size_t i;

    *packets = *bytes = -1;
    if (status == JAIL_OK && !has_sets(nft, output)) {
        status = failure(nft, strerror(ENOENT), why);
    }
    json_array_foreach(items_of(output), i, item) {
        const json_t *counter = counter_of(nft, json_object_get(item, "rule"));

        if (counter != NULL) {
            if (*packets < 0) {
                *packets = *bytes = 0;
            }
            *packets +=
                json_integer_value(json_object_get(counter, "packets"));
            *bytes += json_integer_value(json_object_get(counter, "bytes"));
        }
    }
    json_decref(output);
    return status;
}
