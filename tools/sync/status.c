/* status - the jails against what is wanted: what a pass would find and do,
 * without doing it. For people, or as JSON with every address. */
#include "sync/sync.h"

#include "cli/output.h"
#include "table/jail.h"

#include <string.h>
#include <time.h>

/* addresses of one kind that people are shown; --json has all */
#define SHOWN_MAX 20

/* One form of the two: each figure and list has a label and a JSON name. */
struct view {
    bool is_json;
    struct cq_writer writer;
};

static void write_text(struct view *v, const char *text)
{
    if (v->is_json) {
        cq_write_json(&v->writer, text);
    }
    else {
        cq_write_line(&v->writer, text);
    }
}

static void begin_member(struct view *v, const char *label, const char *name)
{
    static const char blanks[] = "               ";

    if (v->is_json) {
        cq_write_raw(&v->writer, ",\n    ");
        cq_write_json(&v->writer, name);
        cq_write_raw(&v->writer, ": ");
    }
    else {
        cq_write_raw(&v->writer, "\n  ");
        cq_write_raw(&v->writer, label);
        cq_write_raw(&v->writer, &blanks[strlen(label)]);
    }
}

/* @param unknown  what a number below 0 means, as words; in JSON it is null */
static void show_number(struct view *v, const char *label, const char *name,
                        int64_t number, const char *unknown)
{
    begin_member(v, label, name);
    if (number >= 0) {
        cq_write_int(&v->writer, number);
    }
    else {
        cq_write_raw(&v->writer, v->is_json ? "null" : unknown);
    }
}

/* ---- lists of addresses ---- */

enum which {
    WHICH_MISSING,              /* wanted, and not in it yet */
    WHICH_SURPLUS,              /* in it, and to be removed */
    WHICH_NO_PLACE,
    WHICH_REFUSED               /* jailed, and refused all the same */
};

/* The address of this index, of the changes and behind them the wanted ones, if
 * it is in the list; else NULL. */
static const struct cq_key *choose(const struct cq_sync *sync,
                                   const struct cq_plan *plan,
                                   enum which which, size_t i)
{
    size_t change_n = plan->change_n + plan->network_change_n;
    const struct cq_key *wanted;

    if (i < change_n) {
        return (which == WHICH_MISSING && plan->changes[i].op == CQ_JAIL_ADD)
            || (which == WHICH_SURPLUS
                && plan->changes[i].op == CQ_JAIL_REMOVE)
            ? &plan->changes[i].key : NULL;
    }
    i -= change_n;
    wanted = &sync->wanted.entries[i].key;
    return (which == WHICH_NO_PLACE && plan->fates[i] == CQ_FATE_NO_PLACE)
        || (which == WHICH_REFUSED && cq_plan_jails(plan, i)
            && cq_table_refused_in_jail(sync->table, wanted)) ? wanted : NULL;
}

static void show_list(struct view *v, const struct cq_sync *sync,
                      const struct cq_plan *plan, enum which which,
                      const char *label, const char *name)
{
    size_t all_n = plan->change_n + plan->network_change_n + plan->wanted_n;
    size_t shown_max = v->is_json ? SIZE_MAX : SHOWN_MAX;
    size_t i, n = 0;

    begin_member(v, label, name);
    cq_write_raw(&v->writer, v->is_json ? "[" : "");
    for (i = 0; i < all_n; i++) {
        const struct cq_key *key = choose(sync, plan, which, i);
        char text[CQ_KEY_TEXT_SIZE];

        if (key != NULL && n++ < shown_max) {
            cq_write_raw(&v->writer, n == 1 ? "" : v->is_json ? ", " : " ");
            write_text(v, cq_sync_text(key, text, sizeof(text)));
        }
    }
    if (n > shown_max) {
        cq_write_raw(&v->writer, " and ");
        cq_write_int(&v->writer, (int64_t)(n - shown_max));
        cq_write_raw(&v->writer, " more");
    }
    cq_write_raw(&v->writer, v->is_json ? "]" : n == 0 ? "none" : "");
}

/* The elements that the jail holds, clients and networks. */
static void write_entries(struct cq_writer *w,
                          const struct cq_jail_contents *in)
{
    struct timespec now;
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    cq_write_raw(w, ",\n    \"entries\": [");
    for (i = 0; i < in->element_n + in->network_n; i++) {
        const struct cq_jail_element *element = i < in->element_n
            ? &in->elements[i] : &in->networks[i - in->element_n];

        cq_write_raw(w, i == 0 ? "\n      {\"address\": "
                               : ",\n      {\"address\": ");
        cq_write_json(w, cq_sync_text(&element->key, text, sizeof(text)));
        cq_write_raw(w, element->is_operators ? ", \"operators\": true"
                                              : ", \"operators\": false");
        if (element->expires_at_s != CQ_JAIL_PERMANENT) {
            cq_write_raw(w, ", \"expires_in\": ");
            cq_write_int(w, element->expires_at_s - now.tv_sec);
        }
        cq_write_raw(w, "}");
    }
    cq_write_raw(w, "]");
}

/* ---- jails ---- */

static void show_jail(struct view *v, const struct cq_sync *sync,
                      const struct cq_sync_jail *sj)
{
    const struct cq_jail_contents *f = &sj->contents;
    const struct cq_plan *plan = &sj->plan;

    if (!sj->is_planned) {
        begin_member(v, "trouble", "error");
        write_text(v, sj->why.text);
        return;
    }
    show_number(v, "in it", "present", (int64_t)f->element_n, "");
    show_number(v, "operator's", "operators", (int64_t)plan->operators_n, "");
    show_number(v, "wanted", "wanted", (int64_t)plan->wanted_n, "");
    show_number(v, "jailed", "jailed", (int64_t)cq_plan_jailed_n(plan), "");
    show_number(v, "cannot hold", "not_held",
                (int64_t)plan->n[CQ_FATE_NOT_HELD], "");
    show_number(v, "places", "places", f->capacity_v4, "no limit");
    if (!f->shares_capacity) {
        show_number(v, "places, IPv6", "places_v6", f->capacity_v6,
                    "no limit");
    }
    show_number(v, "dropped", "dropped_packets", f->dropped_packets,
                "no rule that counts is known");
    show_list(v, sync, plan, WHICH_MISSING, "to add", "missing");
    show_list(v, sync, plan, WHICH_SURPLUS, "to remove", "surplus");
    show_list(v, sync, plan, WHICH_NO_PLACE, "no place", "left_out");
    show_list(v, sync, plan, WHICH_REFUSED, "still refused", "still_refused");
    if (v->is_json) {
        write_entries(&v->writer, f);
    }
}

static void show_all(struct view *v, const struct cq_sync *sync)
{
    size_t i;

    if (v->is_json) {
        cq_write_raw(&v->writer, "{\"now\": ");
        cq_write_int(&v->writer, (int64_t)time(NULL));
        cq_write_raw(&v->writer, ",\n\"table\": ");
        write_text(v, sync->options->table);
        cq_write_raw(&v->writer, ",\n\"jails\": [");
    }
    for (i = 0; i < sync->jail_n; i++) {
        cq_write_raw(&v->writer, !v->is_json ? "" : i == 0 ? "{\"jail\": "
                                 : ",\n{\"jail\": ");
        write_text(v, cq_jail_spec(sync->jails[i].jail));
        show_jail(v, sync, &sync->jails[i]);
        cq_write_raw(&v->writer, v->is_json ? "}" : "\n");
    }
    cq_write_raw(&v->writer, v->is_json ? "]}\n" : "");
}

enum cq_exit cq_sync_status(struct cq_sync *sync)
{
    struct view view = { .is_json = sync->options->json };
    struct cq_output output;

    sync->say.is_silent_on_states = true;
    if (cq_sync_prepare(sync, CQ_FULL, (int64_t)time(NULL))) {
        cq_output_begin(&output, sync->out);
        cq_write_begin(&view.writer, &output.sink);
        show_all(&view, sync);
        cq_write_end(&view.writer);
        (void)cq_output_end(&output);   /* main() reports a failure */
    }
    return cq_sync_end(sync);
}
