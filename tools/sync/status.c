/* status - the jails against what is wanted: what a pass would find and do,
 * without doing it. For people, or as JSON with every address. */
#include "sync/sync.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

/* addresses of one kind that people are shown; --json shows all */
#define SHOWN_MOST 20

/* Where one looks for these: a rule of another backend that is left over
 * drops as well, and would not be seen here. */
static const char *backend(const struct jail *jail)
{
    return jail->kind == &jail_nft ? "nft"
        : jail->kind == &jail_ipset ? "ipset"
        : "xt_recent (iptables, legacy or nft)";
}

static size_t ours_n(const struct sync_jail *sj)
{
    return sj->listing.count - sj->plan.foreign_n;
}

/* ---- for people ---- */

static void print_label(FILE *out, const char *label)
{
    fprintf(out, "  %-13s", label);
}

/* The keys that this operation would touch, at most SHOWN_MOST. */
static void print_drift(FILE *out, const struct sync_jail *sj,
                        enum jail_op op, const char *label)
{
    char text[CQ_KEY_TEXT_SIZE];
    size_t i, n = 0;

    for (i = 0; i < sj->plan.change_n; i++) {
        if (sj->plan.changes[i].op != op) {
            continue;
        }
        if (n++ == 0) {
            print_label(out, label);
        }
        if (n <= SHOWN_MOST) {
            fprintf(out, "%s%s", n > 1 ? " " : "",
                    sync_key_text(sj, &sj->plan.changes[i].key, text,
                                  sizeof(text)));
        }
    }
    if (n > SHOWN_MOST) {
        fprintf(out, " and %zu more", n - SHOWN_MOST);
    }
    if (n > 0) {
        fputc('\n', out);
    }
}

static void print_places(FILE *out, const struct sync_jail *sj)
{
    const struct jail_figures *f = &sj->figures;
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    print_label(out, "places");
    if (f->places_v4 < 0) {
        fputs("no limit", out);
    }
    else {
        fprintf(out, "%" PRId64, f->places_v4);
    }
    if (!f->shared_places && f->places_v6 >= 0) {
        fprintf(out, ", and %" PRId64 " for IPv6", f->places_v6);
    }
    fputc('\n', out);
    if (sj->plan.left_out_n > 0) {
        print_label(out, "no place");
        for (i = 0; i < sj->plan.left_out_n && i < SHOWN_MOST; i++) {
            fprintf(out, "%s%s", i > 0 ? " " : "",
                    sync_key_text(sj, &sj->plan.left_out[i], text,
                                  sizeof(text)));
        }
        if (i < sj->plan.left_out_n) {
            fprintf(out, " and %zu more", sj->plan.left_out_n - i);
        }
        fprintf(out, ": jailed %zu of %zu, %s\n", sj->plan.jailed_n,
                sj->plan.jailed_n + sj->plan.left_out_n,
                f->how_to_raise != NULL ? f->how_to_raise
                                        : "make it larger");
    }
}

static void print_jail(FILE *out, const struct sync_jail *sj)
{
    char text[CQ_KEY_TEXT_SIZE];

    fprintf(out, "%s\n", sj->jail->spec);
    print_label(out, "backend");
    fprintf(out, "%s\n", backend(sj->jail));
    if (!sj->planned) {
        print_label(out, "trouble");
        fprintf(out, "%s\n", sj->why.text);
        return;
    }
    print_label(out, "in it");
    fprintf(out, "%zu: %zu ours, %zu put in by others\n", sj->listing.count,
            ours_n(sj), sj->plan.foreign_n);
    print_label(out, "wanted");
    fprintf(out, "%zu\n", sj->wanted.count - sj->plan.never_n);
    print_places(out, sj);
    print_drift(out, sj, JAIL_ADD, "not yet in");
    print_drift(out, sj, JAIL_REMOVE, "to be let go");
    if (sj->unheld_n > 0) {
        print_label(out, "not held");
        fprintf(out, "%zu, e.g. %s: it %s\n", sj->unheld_n,
                cq_key_format_cidr(&sj->unheld, text, sizeof(text)),
                sj->unheld_why);
    }
    if (sj->plan.never_n > 0) {
        print_label(out, "never jailed");
        fprintf(out, "%zu that would be wanted\n", sj->plan.never_n);
    }
    print_label(out, "dropped");
    if (sj->figures.dropped_packets < 0) {
        fputs("the kernel does not tell; see iptables -vnL\n", out);
    }
    else {
        fprintf(out, "%" PRId64 " packets, %" PRId64 " bytes\n",
                sj->figures.dropped_packets, sj->figures.dropped_bytes);
    }
}

/* ---- JSON ---- */

static json_t *number_or_null(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

static json_t *address(const struct sync_jail *sj, const struct cq_key *key)
{
    char text[CQ_KEY_TEXT_SIZE];

    return json_string(sync_key_text(sj, key, text, sizeof(text)));
}

static json_t *drift(const struct sync_jail *sj, enum jail_op op)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < sj->plan.change_n; i++) {
        if (sj->plan.changes[i].op == op) {
            json_array_append_new(list,
                                  address(sj, &sj->plan.changes[i].key));
        }
    }
    return list;
}

static json_t *keys(const struct sync_jail *sj, const struct cq_key *key,
                    size_t n)
{
    json_t *list = json_array();

    while (n-- > 0) {
        json_array_append_new(list, address(sj, key++));
    }
    return list;
}

/* What is in the jail. What of it is ours: owned and present, which is in
 * order as the listing is. */
static json_t *entries(const struct sync_jail *sj)
{
    json_t *list = json_array();
    size_t i, o = 0;

    for (i = 0; i < sj->listing.count; i++) {
        const struct jail_present *there = &sj->listing.entries[i];
        const struct plan *plan = &sj->plan;
        bool ours;

        while (o < plan->owned_n
               && cq_key_compare(&plan->owned[o].key, &there->key) < 0) {
            o++;
        }
        ours = o < plan->owned_n
            && cq_key_compare(&plan->owned[o].key, &there->key) == 0;
        json_array_append_new(list, json_pack("{s:o, s:b, s:o}",
            "address", address(sj, &there->key), "ours", ours,
            "expires_in", number_or_null(there->expires_in_s)));
    }
    return list;
}

static json_t *jail_json(const struct sync_jail *sj)
{
    const struct jail_figures *f = &sj->figures;
    char text[CQ_KEY_TEXT_SIZE];

    if (!sj->planned) {
        return json_pack("{s:s, s:s, s:i, s:s}", "jail", sj->jail->spec,
                         "backend", backend(sj->jail),
                         "status", (int)sj->status, "error", sj->why.text);
    }
    return json_pack(
        "{s:s, s:s, s:i, s:n, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s*,"
        " s:o, s:o, s:b, s:s*, s:o, s:o, s:o, s:o, s:o, s:o}",
        "jail", sj->jail->spec, "backend", backend(sj->jail),
        "status", 0, "error",
        "present", (json_int_t)sj->listing.count,
        "ours", (json_int_t)ours_n(sj),
        "foreign", (json_int_t)sj->plan.foreign_n,
        "wanted", (json_int_t)(sj->wanted.count - sj->plan.never_n),
        "jailed", (json_int_t)sj->plan.jailed_n,
        "never", (json_int_t)sj->plan.never_n,
        "not_held", (json_int_t)sj->unheld_n,
        "not_held_example", sj->unheld_n == 0 ? NULL
            : cq_key_format_cidr(&sj->unheld, text, sizeof(text)),
        "places", number_or_null(f->places_v4),
        "places_v6", number_or_null(f->places_v6),
        "shared_places", f->shared_places,
        "how_to_raise", f->how_to_raise,
        "dropped_packets", number_or_null(f->dropped_packets),
        "dropped_bytes", number_or_null(f->dropped_bytes),
        "missing", drift(sj, JAIL_ADD),
        "surplus", drift(sj, JAIL_REMOVE),
        "left_out", keys(sj, sj->plan.left_out, sj->plan.left_out_n),
        "entries", entries(sj));
}

static bool print_json(const struct sync *sync, int64_t now_s)
{
    json_t *jails = json_array();
    json_t *root;
    size_t i;
    bool good;

    for (i = 0; i < sync->jail_n; i++) {
        json_array_append_new(jails, jail_json(&sync->jails[i]));
    }
    root = json_pack("{s:I, s:s, s:I, s:I, s:I, s:o}",
        "now", (json_int_t)now_s, "table", sync->options->table,
        "after", (json_int_t)sync->options->after,
        "grace", (json_int_t)sync->options->grace_s,
        "wanted", (json_int_t)sync->wanted.count, "jails", jails);
    good = root != NULL
        && json_dumpf(root, sync->out, JSON_INDENT(2)) == 0
        && fputc('\n', sync->out) != EOF;
    json_decref(root);
    return good;
}

enum sync_exit sync_status(struct sync *sync)
{
    int64_t now_s = (int64_t)time(NULL);
    size_t i;

    sync->say.no_states = true;
    (void)sync_load(sync, true);
    if (!sync_attach(sync)) {
        return sync->exit;
    }
    sync_read_lists(sync);
    if (!sync_gather(sync, now_s)) {
        return sync_end(sync);
    }
    sync_plan(sync, now_s, false, true);
    if (sync->options->json) {
        if (!print_json(sync, now_s)) {
            say_trouble(&sync->say, "out of memory, or standard output is "
                        "closed");
        }
    }
    for (i = 0; !sync->options->json && i < sync->jail_n; i++) {
        print_jail(sync->out, &sync->jails[i]);
    }
    fflush(sync->out);
    return sync_end(sync);
}
