/* replay_print - the page by which an operator chooses a quota. */
#include "clamquota/replay.h"

#include "cli/output.h"
#include "core/units.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define CELL_WIDTH 19
#define CELL_SIZE 96
#define SHARE_SIZE 32

static const char *format_day(int64_t time_s, char text[CELL_SIZE])
{
    time_t t = (time_t)time_s;
    struct tm tm;

    text[0] = '\0';
    if (localtime_r(&t, &tm) != NULL) {
        strftime(text, CELL_SIZE, "%Y-%m-%d", &tm);
    }
    return text;
}

static const char *format_bytes(uint64_t bytes, char text[CQ_SIZE_TEXT_SIZE])
{
    return cq_size_format_human(bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes,
                                text, CQ_SIZE_TEXT_SIZE);
}

/* "12.3 %" of a whole; above 2^50 without the last digits of both. */
static const char *format_share(uint64_t part, uint64_t whole,
                                char text[SHARE_SIZE])
{
    while (part > UINT64_C(1) << 50) {
        part >>= 10;
        whole >>= 10;
    }
    part = whole == 0 ? 0 : part * 1000 / whole;
    snprintf(text, SHARE_SIZE, "%" PRIu64 ".%" PRIu64 " %%", part / 10,
             part % 10);
    return text;
}

/* A row of cells, one for each quota. */
static void print_row(const struct cq_replay *r, FILE *out, const char *label,
                      char cells[CQ_REPLAY_QUOTAS_MAX][CELL_SIZE])
{
    size_t i;

    fprintf(out, "  %-18s", label);
    for (i = 0; i < r->quota_n; i++) {
        fprintf(out, " %*s", CELL_WIDTH, cells[i]);
    }
    putc('\n', out);
}

static void print_logs(const struct cq_replay *r,
                       const struct cq_replay_logs *logs, struct cq_output *o)
{
    char from[CELL_SIZE], to[CELL_SIZE], all[CQ_SIZE_TEXT_SIZE];
    char free[CQ_SIZE_TEXT_SIZE];
    FILE *out = o->file;

    cq_output_label(o, "Logs");
    fprintf(out, "%zu with %" PRIu64 " lines, %" PRIu64 " of them not "
            "understood\n", logs->log_n, logs->line_n, logs->bad_n);
    if (logs->failed_n > 0) {
        cq_output_label(o, "");
        fprintf(out, "%" PRIu64 " could not be read to the end\n",
                logs->failed_n);
    }
    if (r->total.requests > 0) {
        cq_output_label(o, "Time");
        fprintf(out, "%s to %s, %" PRIu32 " days with requests\n",
                format_day(r->first_s, from), format_day(r->last_s, to),
                r->day_n);
    }
    cq_output_label(o, "Clients");
    fprintf(out, "%" PRIu64 " with %" PRIu64 " requests\n", r->total.clients,
            r->total.requests);
    cq_output_label(o, "Bytes");
    fprintf(out, "%s, of these %s free\n", format_bytes(r->total.bytes, all),
            format_bytes(r->free_bytes, free));
    if (r->refused_n > 0) {
        cq_output_label(o, "Refused");
        fprintf(out, "%" PRIu64 " lines are refusals (429) of the site's own "
                "quota; a higher\n%17sone would add their bytes, which no log "
                "has\n", r->refused_n, "");
    }
    if (logs->no_client_n > 0) {
        cq_output_label(o, "No client");
        fprintf(out, "%" PRIu64 " lines with a host name, no address: %s, "
                "never refused here\n", logs->no_client_n,
                format_bytes(r->nameless_bytes, all));
    }
    if (r->window.late_n > 0) {
        cq_output_label(o, "Order");
        fprintf(out, "%" PRIu64 " lines are more than an hour older than a "
                "line before;\n%17sthey count in that hour\n",
                r->window.late_n, "");
    }
    if (logs->ahead_n > 0) {
        cq_output_label(o, "Future");
        fprintf(out, "%" PRIu64 " lines are later than this machine's clock "
                "and do not count\n", logs->ahead_n);
    }
    putc('\n', out);
}

static void print_quotas(const struct cq_replay *r, struct cq_output *o)
{
    char cells[CQ_REPLAY_QUOTAS_MAX][CELL_SIZE], share[SHARE_SIZE];
    char size[CQ_SIZE_TEXT_SIZE];
    size_t i;

    cq_output_heading(o, "With ClamQuotaDaily");
    for (i = 0; i < r->quota_n; i++) {
        cq_size_format_exact(r->quotas[i].daily_bytes, cells[i], CELL_SIZE);
    }
    print_row(r, o->file, "", cells);
    for (i = 0; i < r->quota_n; i++) {
        const struct cq_refused *refused = &r->total.refused[i];

        snprintf(cells[i], CELL_SIZE, "%" PRIu64 " (%s)", refused->clients,
                 format_share(refused->clients, r->total.clients, share));
    }
    print_row(r, o->file, "Clients refused", cells);
    for (i = 0; i < r->quota_n; i++) {
        const struct cq_refused *refused = &r->total.refused[i];

        snprintf(cells[i], CELL_SIZE, "%" PRIu64 " (%s)", refused->requests,
                 format_share(refused->requests, r->total.requests, share));
    }
    print_row(r, o->file, "Requests refused", cells);
    for (i = 0; i < r->quota_n; i++) {
        const struct cq_refused *refused = &r->total.refused[i];

        snprintf(cells[i], CELL_SIZE, "%s (%s)",
                 format_bytes(refused->bytes, size),
                 format_share(refused->bytes, r->total.bytes, share));
    }
    print_row(r, o->file, "Bytes saved", cells);
    for (i = 0; i < r->quota_n; i++) {
        if (r->first_refused_s[i] == 0) {
            snprintf(cells[i], CELL_SIZE, "none");
            continue;
        }
        format_day(r->first_refused_s[i], cells[i]);
    }
    print_row(r, o->file, "First refusal", cells);
}

static void print_families(const struct cq_replay *r, struct cq_output *o)
{
    char cells[CQ_REPLAY_QUOTAS_MAX][CELL_SIZE], size[CQ_SIZE_TEXT_SIZE];
    char label[CELL_SIZE];
    size_t f, i;

    putc('\n', o->file);
    cq_output_heading(o, "Clients refused, and bytes saved, by user agent");
    for (f = 0; f < CQ_FAMILY_N; f++) {
        const struct cq_tally *family = &r->families[f];

        if (family->requests == 0) {
            continue;
        }
        snprintf(label, sizeof(label), "%-10s%8" PRIu64,
                 cq_family_word((enum cq_family)f), family->clients);
        for (i = 0; i < r->quota_n; i++) {
            snprintf(cells[i], CELL_SIZE, "%" PRIu64 ", %s",
                     family->refused[i].clients,
                     format_bytes(family->refused[i].bytes, size));
        }
        print_row(r, o->file, label, cells);
    }
}

static void print_months(const struct cq_replay *r, struct cq_output *o)
{
    char cells[CQ_REPLAY_QUOTAS_MAX][CELL_SIZE], size[CQ_SIZE_TEXT_SIZE];
    char label[CELL_SIZE], date[CELL_SIZE];
    size_t m, i;

    putc('\n', o->file);
    cq_output_heading(o, "The site's bytes by month, without and with a quota");
    for (m = 0; m < r->month_n; m++) {
        const struct cq_tally *month = &r->months[m];

        snprintf(label, sizeof(label), "%-8.7s%10s",
                 format_day(month->start_s, date),
                 format_bytes(month->bytes, size));
        for (i = 0; i < r->quota_n; i++) {
            snprintf(cells[i], CELL_SIZE, "%s",
                     format_bytes(month->bytes - month->refused[i].bytes,
                                  size));
        }
        print_row(r, o->file, label, cells);
    }
}

/* Up to two fit into the line. */
static void print_agents(unsigned families, FILE *out)
{
    size_t f;

    if (__builtin_popcount(families) > 2) {
        fputs(" several\n", out);
        return;
    }
    for (f = 0; f < CQ_FAMILY_N; f++) {
        if ((families >> f & 1) != 0) {
            fprintf(out, " %s", cq_family_word((enum cq_family)f));
        }
    }
    putc('\n', out);
}

static void print_most(const struct cq_replay *r, size_t quota,
                       struct cq_output *o)
{
    const struct cq_replay_client *most[CQ_REPLAY_MOST_N];
    char heading[128], size[CQ_SIZE_TEXT_SIZE], all[CQ_SIZE_TEXT_SIZE];
    char client[CQ_KEY_TEXT_SIZE];
    size_t n = cq_replay_find_most(r, quota, most), i;

    if (n == 0) {
        return;
    }
    snprintf(heading, sizeof(heading), "Refused most with %s: requests, "
             "bytes saved of all, user agents", cq_size_format_exact(
                 r->quotas[quota].daily_bytes, size, sizeof(size)));
    putc('\n', o->file);
    cq_output_heading(o, heading);
    for (i = 0; i < n; i++) {
        const struct cq_replay_use *use = &most[i]->uses[quota];
        struct cq_key key;

        memcpy(&key, most[i]->key, sizeof(key));
        fprintf(o->file, "  %-22s%9" PRIu32 "%11s of %-11s",
                cq_key_format(&key, client, sizeof(client)), use->refused_n,
                format_bytes(use->refused_bytes, size),
                format_bytes(most[i]->bytes, all));
        print_agents(use->families, o->file);
    }
}

static void print_notes(const struct cq_replay_logs *logs, FILE *out)
{
    fputs("\nEvery request in the logs counts as made, also those that a "
          "client would not\nhave sent after a 429.\n", out);
    if (logs->has_body) {
        fputs("The bytes are an upper bound: %b and %B log an aborted download "
              "in full. Log\n%O for the bytes sent.\n", out);
    }
    else if (logs->has_unknown) {
        fputs("If the log has %b or %B, not %O, the bytes are an upper bound: "
              "these log an\naborted download in full.\n", out);
    }
}

void cq_replay_print_text(const struct cq_replay *r,
                          const struct cq_replay_logs *logs, FILE *out)
{
    struct cq_output output;
    size_t i;

    cq_output_begin(&output, out);
    print_logs(r, logs, &output);
    if (r->total.requests == 0) {
        return;
    }
    print_quotas(r, &output);
    print_families(r, &output);
    print_months(r, &output);
    for (i = 0; i < r->quota_n; i++) {
        print_most(r, i, &output);
    }
    print_notes(logs, out);
}
