/* status - the jails against the clients that are wanted: what a pass would
 * find and do, without doing it. For people, or as JSON with every address. */
#include "sync/sync.h"

#include "cli/output.h"
#include "table/jail.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* addresses of one kind that people are shown; --json has all */
#define SHOWN_MAX 20

/* ---- lists of addresses, for both forms ---- */

enum which {
    WHICH_MISSING,              /* wanted, and not in it yet */
    WHICH_SURPLUS,              /* in it, and to be removed */
    WHICH_NO_PLACE,
    WHICH_REFUSED               /* jailed, and refused all the same */
};

/* The next address of a list, or NULL.
 * @param at  0 to begin; updated */
static const struct cq_key *next_address(const struct cq_sync *sync,
                                         const struct cq_sync_jail *sj,
                                         enum which which, size_t *at)
{
    const struct cq_plan *plan = &sj->plan;
    enum cq_jail_op op = which == WHICH_MISSING ? CQ_JAIL_ADD : CQ_JAIL_REMOVE;

    if (which == WHICH_MISSING || which == WHICH_SURPLUS) {
        while (*at < plan->change_n) {
            size_t i = (*at)++;

            if (plan->changes[i].op == op) {
                return &plan->changes[i].key;
            }
        }
        return NULL;
    }
    while (*at < plan->wanted_n) {
        size_t i = (*at)++;
        const struct cq_key *client = &sync->wanted.entries[i].client;

        if (which == WHICH_NO_PLACE
            ? plan->fates[i] == CQ_FATE_NO_PLACE
            : plan->fates[i] == CQ_FATE_JAILED
              && cq_table_refused_in_jail(sync->table, client)) {
            return client;
        }
    }
    return NULL;
}

/* ---- for people ---- */

static void print_list(const struct cq_sync *sync,
                       const struct cq_sync_jail *sj,
                       struct cq_output *output, const char *label,
                       enum which which)
{
    const struct cq_key *key;
    char text[CQ_KEY_TEXT_SIZE];
    size_t at = 0, n = 0;

    while ((key = next_address(sync, sj, which, &at)) != NULL) {
        if (n++ == 0) {
            cq_output_label(output, label);
        }
        if (n <= SHOWN_MAX) {
            fprintf(output->file, "%s%s", n > 1 ? " " : "",
                    cq_key_format(key, text, sizeof(text)));
        }
    }
    if (n > SHOWN_MAX) {
        fprintf(output->file, " and %zu more", n - SHOWN_MAX);
    }
    if (n > 0) {
        fputc('\n', output->file);
    }
}

static void print_number(struct cq_output *output, const char *label,
                         int64_t number, const char *unknown)
{
    cq_output_label(output, label);
    if (number < 0) {
        fprintf(output->file, "%s\n", unknown);
    }
    else {
        fprintf(output->file, "%" PRId64 "\n", number);
    }
}

static void print_jail(const struct cq_sync *sync,
                       const struct cq_sync_jail *sj, struct cq_output *output)
{
    const struct cq_jail_figures *f = &sj->figures;
    FILE *out = output->file;

    cq_output_heading(output, cq_jail_spec(sj->jail));
    if (!sj->is_planned) {
        cq_output_label(output, "trouble");
        fprintf(out, "%s\n", sj->why.text);
        return;
    }
    cq_output_label(output, "in it");
    fprintf(out, "%zu, %zu of them the operator's\n", sj->contents.element_n,
            sj->plan.operators_n);
    cq_output_label(output, "wanted");
    fprintf(out, "%zu: %zu jailed, %zu without a place, %zu that it cannot "
            "hold\n", sj->plan.wanted_n, sj->plan.jailed_n,
            sj->plan.no_place_n, sj->plan.not_held_n);
    print_number(output, "places", f->capacity_v4, "no limit");
    if (!f->shares_capacity && f->capacity_v6 > 0) {
        print_number(output, "places, IPv6", f->capacity_v6, "no limit");
    }
    if (sj->network_n > 0 || sj->network_not_held_n > 0) {
        cq_output_label(output, "networks");
        fprintf(out, "%zu, and %zu that it cannot hold\n", sj->network_n,
                sj->network_not_held_n);
    }
    print_number(output, "dropped", f->dropped_packets,
                 "no rule that counts is known");
    print_list(sync, sj, output, "to add", WHICH_MISSING);
    print_list(sync, sj, output, "to remove", WHICH_SURPLUS);
    print_list(sync, sj, output, "no place", WHICH_NO_PLACE);
    print_list(sync, sj, output, "still refused", WHICH_REFUSED);
}

/* ---- JSON ---- */

static void write_member(struct cq_writer *w, const char *name)
{
    cq_write_raw(w, ", \"");
    cq_write_raw(w, name);
    cq_write_raw(w, "\": ");
}

/* a negative number is not known, or no limit: null */
static void write_number(struct cq_writer *w, const char *name,
                         int64_t number)
{
    write_member(w, name);
    if (number < 0) {
        cq_write_raw(w, "null");
    }
    else {
        cq_write_int(w, number);
    }
}

static void write_address(struct cq_writer *w, const struct cq_key *key,
                          bool is_first)
{
    char text[CQ_KEY_TEXT_SIZE];

    cq_write_raw(w, is_first ? "" : ", ");
    cq_write_json(w, cq_sync_text(key, text, sizeof(text)));
}

static void write_list(const struct cq_sync *sync,
                       const struct cq_sync_jail *sj, struct cq_writer *w,
                       const char *name, enum which which)
{
    const struct cq_key *key;
    size_t at = 0, n = 0;

    write_member(w, name);
    cq_write_raw(w, "[");
    while ((key = next_address(sync, sj, which, &at)) != NULL) {
        write_address(w, key, n++ == 0);
    }
    cq_write_raw(w, "]");
}

static void write_elements(const struct cq_sync_jail *sj, struct cq_writer *w)
{
    int64_t now_s = cq_sync_now_s();
    size_t i;

    write_member(w, "networks");
    cq_write_raw(w, "[");
    for (i = 0; i < sj->network_n; i++) {
        write_address(w, &sj->networks[i], i == 0);
    }
    cq_write_raw(w, "]");
    write_member(w, "entries");
    cq_write_raw(w, "[");
    for (i = 0; i < sj->contents.element_n; i++) {
        const struct cq_jail_element *element = &sj->contents.elements[i];

        cq_write_raw(w, i == 0 ? "\n      {\"address\": "
                               : ",\n      {\"address\": ");
        write_address(w, &element->key, true);
        cq_write_raw(w, element->is_operators ? ", \"operators\": true"
                                              : ", \"operators\": false");
        write_number(w, "expires_in",
                     element->expires_at_s == CQ_JAIL_PERMANENT
                     ? -1 : element->expires_at_s - now_s);
        cq_write_raw(w, "}");
    }
    cq_write_raw(w, "]");
}

static void write_jail(const struct cq_sync *sync,
                       const struct cq_sync_jail *sj, struct cq_writer *w)
{
    const struct cq_jail_figures *f = &sj->figures;

    cq_write_raw(w, "{\"jail\": ");
    cq_write_json(w, cq_jail_spec(sj->jail));
    write_number(w, "status", (int64_t)sj->status);
    write_member(w, "error");
    if (!sj->is_planned) {
        cq_write_json(w, sj->why.text);
        cq_write_raw(w, "}");
        return;
    }
    cq_write_raw(w, "null");
    write_number(w, "present", (int64_t)sj->contents.element_n);
    write_number(w, "operators", (int64_t)sj->plan.operators_n);
    write_number(w, "wanted", (int64_t)sj->plan.wanted_n);
    write_number(w, "jailed", (int64_t)sj->plan.jailed_n);
    write_number(w, "not_held", (int64_t)(sj->plan.not_held_n));
    write_number(w, "places", f->capacity_v4);
    write_number(w, "places_v6", f->capacity_v6);
    write_member(w, "shared_places");
    cq_write_raw(w, f->shares_capacity ? "true" : "false");
    write_number(w, "dropped_packets", f->dropped_packets);
    write_list(sync, sj, w, "missing", WHICH_MISSING);
    write_list(sync, sj, w, "surplus", WHICH_SURPLUS);
    write_list(sync, sj, w, "left_out", WHICH_NO_PLACE);
    write_list(sync, sj, w, "still_refused", WHICH_REFUSED);
    write_elements(sj, w);
    cq_write_raw(w, "}");
}

static void write_json(const struct cq_sync *sync, struct cq_output *output)
{
    struct cq_writer writer;
    size_t i;

    cq_write_begin(&writer, &output->sink);
    cq_write_raw(&writer, "{ \"now\": ");
    cq_write_int(&writer, (int64_t)time(NULL));
    write_member(&writer, "table");
    cq_write_json(&writer, sync->options->table);
    write_number(&writer, "after", sync->options->after);
    write_number(&writer, "grace", sync->options->grace_s);
    write_number(&writer, "wanted", (int64_t)sync->wanted.count);
    write_member(&writer, "jails");
    cq_write_raw(&writer, "[");
    for (i = 0; i < sync->jail_n; i++) {
        cq_write_raw(&writer, i == 0 ? "\n    " : ",\n    ");
        write_jail(sync, &sync->jails[i], &writer);
    }
    cq_write_raw(&writer, "] }\n");
    cq_write_end(&writer);
}

enum cq_exit cq_sync_status(struct cq_sync *sync)
{
    struct cq_output output;
    bool changed;
    size_t i;

    sync->say.is_silent_on_states = true;
    if (!cq_sync_attach(sync, CQ_ATTACH_READ)) {
        return sync->exit;
    }
    cq_sync_read_lists(sync, true);
    if (!cq_sync_gather(sync, (int64_t)time(NULL), &changed)) {
        return cq_sync_end(sync);
    }
    cq_sync_plan(sync, CQ_FULL, true);
    cq_output_begin(&output, sync->out);
    if (sync->options->json) {
        write_json(sync, &output);
    }
    for (i = 0; !sync->options->json && i < sync->jail_n; i++) {
        print_jail(sync, &sync->jails[i], &output);
    }
    if (!cq_output_end(&output)) {
        cq_say_trouble(&sync->say, "standard output cannot be written");
    }
    return cq_sync_end(sync);
}
