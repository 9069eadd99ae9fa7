/* status - the jails against what is wanted: what a pass would find and do,
 * without doing it. For people, or as JSON with every address. */
#include "sync/sync.h"

#include "cli/output.h"
#include "table/jail.h"

#include <inttypes.h>
#include <time.h>

/* addresses of one kind that people are shown; --json has all */
#define SHOWN_MAX 20

/* One form of the two: each figure and list has a label and a JSON name. */
struct view {
    bool is_json;
    struct cq_output output;
    struct cq_writer json;      /* begun if is_json */
};

static void begin_member(struct view *v, const char *label, const char *name)
{
    if (v->is_json) {
        cq_write_raw(&v->json, ",\n    ");
        cq_write_json(&v->json, name);
        cq_write_raw(&v->json, ": ");
    }
    else {
        cq_output_label(&v->output, label);
    }
}

/* @param unknown  what a number below 0 means, as a word; in JSON it is null */
static void show_number(struct view *v, const char *label, const char *name,
                        int64_t number, const char *unknown)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    begin_member(v, label, name);
    if (v->is_json) {
        cq_write_raw(&v->json, number < 0 ? "null" : text);
    }
    else {
        fprintf(v->output.file, "%s\n", number < 0 ? unknown : text);
    }
}

static void show_text(struct view *v, const char *label, const char *name,
                      const char *text)
{
    begin_member(v, label, name);
    if (v->is_json) {
        cq_write_json(&v->json, text);
    }
    else {
        fprintf(v->output.file, "%s\n", text);
    }
}

/* ---- lists of addresses ---- */

enum which {
    WHICH_MISSING,              /* wanted, and not in it yet */
    WHICH_SURPLUS,              /* in it, and to be removed */
    WHICH_NO_PLACE,
    WHICH_REFUSED               /* jailed, and refused all the same */
};

/* The address of this index of the changes or the wanted ones, if it is in the
 * list; else NULL. */
static const struct cq_key *choose(const struct cq_sync *sync,
                                   const struct cq_sync_jail *sj,
                                   enum which which, size_t i)
{
    const struct cq_plan *plan = &sj->plan;
    bool is_in;

    if (which == WHICH_MISSING || which == WHICH_SURPLUS) {
        is_in = i < plan->change_n + plan->network_change_n
            && plan->changes[i].op == (which == WHICH_MISSING
                                       ? CQ_JAIL_ADD : CQ_JAIL_REMOVE);
        return is_in ? &plan->changes[i].key : NULL;
    }
    is_in = i < plan->wanted_n
        && (which == WHICH_NO_PLACE
            ? plan->fates[i] == CQ_FATE_NO_PLACE
            : cq_plan_jails(plan, i)
              && cq_table_refused_in_jail(sync->table,
                                          &sync->wanted.entries[i].client));
    return is_in ? &sync->wanted.entries[i].client : NULL;
}

static void show_list(struct view *v, const struct cq_sync *sync,
                      const struct cq_sync_jail *sj, enum which which,
                      const char *label, const char *name)
{
    const struct cq_plan *plan = &sj->plan;
    size_t i, n = 0;

    for (i = 0; i < plan->change_n + plan->network_change_n + plan->wanted_n;
         i++) {
        const struct cq_key *key = choose(sync, sj, which, i);
        char text[CQ_KEY_TEXT_SIZE];

        if (key == NULL) {
            continue;
        }
        if (n++ == 0) {
            begin_member(v, label, name);
        }
        cq_sync_text(key, text, sizeof(text));
        if (v->is_json) {
            cq_write_raw(&v->json, n > 1 ? ", " : "[");
            cq_write_json(&v->json, text);
        }
        else if (n <= SHOWN_MAX) {
            fprintf(v->output.file, n > 1 ? " %s" : "%s", text);
        }
    }
    if (v->is_json) {
        if (n == 0) {
            begin_member(v, label, name);
        }
        cq_write_raw(&v->json, n > 0 ? "]" : "[]");
    }
    else if (n > SHOWN_MAX) {
        fprintf(v->output.file, " and %zu more\n", n - SHOWN_MAX);
    }
    else if (n > 0) {
        fputc('\n', v->output.file);
    }
}

/* The elements that the jail holds, clients and networks. */
static void write_entries(struct view *v, const struct cq_jail_contents *in)
{
    struct timespec now;
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    begin_member(v, NULL, "entries");
    cq_write_raw(&v->json, "[");
    for (i = 0; i < in->element_n + in->network_n; i++) {
        const struct cq_jail_element *element = i < in->element_n
            ? &in->elements[i] : &in->networks[i - in->element_n];

        cq_write_raw(&v->json, i == 0 ? "\n      {\"address\": "
                                      : ",\n      {\"address\": ");
        cq_write_json(&v->json, cq_sync_text(&element->key, text,
                                             sizeof(text)));
        cq_write_raw(&v->json, element->is_operators
                     ? ", \"operators\": true" : ", \"operators\": false");
        if (element->expires_at_s != CQ_JAIL_PERMANENT) {
            cq_write_raw(&v->json, ", \"expires_in\": ");
            cq_write_int(&v->json, element->expires_at_s - now.tv_sec);
        }
        cq_write_raw(&v->json, "}");
    }
    cq_write_raw(&v->json, "]");
}

/* ---- a jail ---- */

static void show_jail(struct view *v, const struct cq_sync *sync,
                      const struct cq_sync_jail *sj)
{
    const struct cq_jail_contents *f = &sj->contents;
    const struct cq_plan *plan = &sj->plan;

    if (!sj->is_planned) {
        show_text(v, "trouble", "error", sj->why.text);
        return;
    }
    show_number(v, "in it", "present", (int64_t)sj->contents.element_n, "");
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
    show_list(v, sync, sj, WHICH_MISSING, "to add", "missing");
    show_list(v, sync, sj, WHICH_SURPLUS, "to remove", "surplus");
    show_list(v, sync, sj, WHICH_NO_PLACE, "no place", "left_out");
    show_list(v, sync, sj, WHICH_REFUSED, "still refused", "still_refused");
    if (v->is_json) {
        write_entries(v, &sj->contents);
    }
}

static void show_all(struct view *v, const struct cq_sync *sync)
{
    size_t i;

    if (v->is_json) {
        cq_write_begin(&v->json, &v->output.sink);
        cq_write_raw(&v->json, "{\"now\": ");
        cq_write_int(&v->json, (int64_t)time(NULL));
        show_text(v, NULL, "table", sync->options->table);
        begin_member(v, NULL, "jails");
        cq_write_raw(&v->json, "[");
    }
    for (i = 0; i < sync->jail_n; i++) {
        const char *spec = cq_jail_spec(sync->jails[i].jail);

        if (v->is_json) {
            cq_write_raw(&v->json, i == 0 ? "{\"jail\": " : "},\n{\"jail\": ");
            cq_write_json(&v->json, spec);
        }
        else {
            cq_output_heading(&v->output, spec);
        }
        show_jail(v, sync, &sync->jails[i]);
    }
    if (v->is_json) {
        cq_write_raw(&v->json, "}]}\n");
        cq_write_end(&v->json);
    }
}

enum cq_exit cq_sync_status(struct cq_sync *sync)
{
    struct view view = { .is_json = sync->options->json };

    sync->say.is_silent_on_states = true;
    if (cq_sync_prepare(sync, CQ_FULL, (int64_t)time(NULL))) {
        cq_output_begin(&view.output, sync->out);
        show_all(&view, sync);
        if (!cq_output_end(&view.output)) {
            cq_say_trouble(&sync->say, "standard output cannot be written");
        }
    }
    return cq_sync_end(sync);
}
