/* replay_exact - replay's figures for programs: JSON and CSV. */
#include "clamquota/replay.h"

#include "clamquota/csv.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char *format_month(int64_t start_s, char text[16])
{
    time_t t = (time_t)start_s;
    struct tm tm;

    text[0] = '\0';
    if (localtime_r(&t, &tm) != NULL) {
        strftime(text, 16, "%Y-%m", &tm);
    }
    return text;
}

/* ---- JSON ---- */

/* Words and addresses of ours: nothing in them needs an escape. */
static void print_tally(FILE *out, const char *member, const char *name,
                        const struct cq_tally *tally,
                        const struct cq_refused *refused)
{
    fprintf(out, "{\"%s\": \"%s\", \"clients\": %" PRIu64 ", "
            "\"clients_refused\": %" PRIu64 ", \"requests\": %" PRIu64 ", "
            "\"requests_refused\": %" PRIu64 ", \"bytes\": %" PRIu64 ", "
            "\"bytes_saved\": %" PRIu64 "}", member, name, tally->clients,
            refused->clients, tally->requests, refused->requests,
            tally->bytes, refused->bytes);
}

static void print_client(FILE *out, const struct cq_replay_client *client,
                         const struct cq_replay_use *use)
{
    char text[CQ_KEY_TEXT_SIZE];
    struct cq_key key;

    memcpy(&key, client->key, sizeof(key));
    fprintf(out, "{\"client\": \"%s\", \"prefix\": %u, \"requests\": %" PRIu32
            ", \"requests_refused\": %" PRIu32 ", \"bytes\": %" PRIu64 ", "
            "\"bytes_saved\": %" PRIu64 "}",
            cq_key_format(&key, text, sizeof(text)), (unsigned)key.prefix,
            client->request_n, use->refused_n, client->bytes,
            use->refused_bytes);
}

static void print_quota(const struct cq_replay *r, size_t i, FILE *out)
{
    const struct cq_replay_client *most[CQ_REPLAY_MOST_N];
    size_t n = cq_replay_find_most(r, i, most), k;
    char month[16];

    fprintf(out, "    {\"daily\": %" PRId64 ", \"clients_refused\": %" PRIu64
            ", \"requests_refused\": %" PRIu64 ", \"bytes_saved\": %" PRIu64
            ", \"first_refused\": %" PRId64 ",\n     \"agents\": [",
            r->quotas[i].daily_bytes, r->total.refused[i].clients,
            r->total.refused[i].requests, r->total.refused[i].bytes,
            r->first_refused_s[i]);
    for (k = 0; k < CQ_FAMILY_N; k++) {
        fputs(k > 0 ? ",\n       " : "", out);
        print_tally(out, "agent", cq_family_word((enum cq_family)k),
                    &r->families[k], &r->families[k].refused[i]);
    }
    fputs("],\n     \"months\": [", out);
    for (k = 0; k < r->month_n; k++) {
        const struct cq_tally *tally = &r->months[k];

        fprintf(out, "%s{\"month\": \"%s\", \"requests\": %" PRIu64 ", "
                "\"requests_refused\": %" PRIu64 ", \"bytes\": %" PRIu64 ", "
                "\"bytes_saved\": %" PRIu64 "}", k > 0 ? ",\n       " : "",
                format_month(tally->start_s, month), tally->requests,
                tally->refused[i].requests, tally->bytes,
                tally->refused[i].bytes);
    }
    fputs("],\n     \"most_refused\": [", out);
    for (k = 0; k < n; k++) {
        fputs(k > 0 ? ",\n       " : "", out);
        print_client(out, most[k], &most[k]->uses[i]);
    }
    fputs("]}", out);
}

static const char *name_figure(const struct cq_replay_logs *logs)
{
    return logs->has_body ? "body" : logs->has_unknown ? "unknown" : "sent";
}

void cq_replay_print_json(const struct cq_replay *r,
                          const struct cq_replay_logs *logs, FILE *out)
{
    size_t i;

    fprintf(out, "{\"logs\": %zu, \"logs_failed\": %" PRIu64
            ", \"lines\": %" PRIu64 ", \"bad_lines\": %" PRIu64
            ", \"lines_without_client\": %" PRIu64
            ", \"lines_late\": %" PRIu64 ", \"lines_ahead\": %" PRIu64
            ", \"bytes_are\": \"%s\",\n", logs->log_n, logs->failed_n,
            logs->line_n, logs->bad_n, logs->no_client_n,
            r->window.late_n, logs->ahead_n, name_figure(logs));
    fprintf(out, " \"first\": %" PRId64 ", \"last\": %" PRId64
            ", \"period\": \"%s\", \"grace\": %" PRId64 ", \"clients\": %"
            PRIu64 ", \"requests\": %" PRIu64 ", \"bytes\": %" PRIu64
            ", \"free_bytes\": %" PRIu64 ", \"requests_refused_before\": %"
            PRIu64 ",\n \"quotas\": [\n", r->first_s,
            r->last_s, cq_period_kind_word(r->kind), r->quotas[0].grace_bytes,
            r->total.clients, r->total.requests, r->total.bytes,
            r->free_bytes, r->refused_n);
    for (i = 0; i < r->quota_n; i++) {
        print_quota(r, i, out);
        fputs(i + 1 < r->quota_n ? ",\n" : "]}\n", out);
    }
}

/* ---- CSV ---- */

/* Of a month clients are not counted: their cells are empty. */
static void print_line(struct cq_csv *csv, int64_t daily_bytes,
                       const char *kind, const char *name,
                       const struct cq_tally *tally,
                       const struct cq_refused *refused)
{
    cq_csv_number(csv, daily_bytes);
    cq_csv_text(csv, kind);
    cq_csv_text(csv, name);
    if (tally->start_s == 0) {
        cq_csv_number(csv, (int64_t)tally->clients);
        cq_csv_number(csv, (int64_t)refused->clients);
    }
    else {
        cq_csv_text(csv, NULL);
        cq_csv_text(csv, NULL);
    }
    cq_csv_number(csv, (int64_t)tally->requests);
    cq_csv_number(csv, (int64_t)refused->requests);
    cq_csv_number(csv, (int64_t)tally->bytes);
    cq_csv_number(csv, (int64_t)refused->bytes);
    cq_csv_end(csv);
}

void cq_replay_print_csv(const struct cq_replay *r, FILE *out)
{
    static const char *const names[] = { "daily", "kind", "name", "clients",
        "clients_refused", "requests", "requests_refused", "bytes",
        "bytes_saved" };
    const struct cq_replay_client *most[CQ_REPLAY_MOST_N];
    struct cq_csv csv = { .file = out };
    char text[CQ_KEY_TEXT_SIZE], month[16];
    size_t i, k, n;

    cq_csv_header(&csv, names, sizeof(names) / sizeof(names[0]));
    for (i = 0; i < r->quota_n; i++) {
        int64_t daily_bytes = r->quotas[i].daily_bytes;

        print_line(&csv, daily_bytes, "all", "", &r->total,
                   &r->total.refused[i]);
        for (k = 0; k < CQ_FAMILY_N; k++) {
            print_line(&csv, daily_bytes, "agent",
                       cq_family_word((enum cq_family)k), &r->families[k],
                       &r->families[k].refused[i]);
        }
        for (k = 0; k < r->month_n; k++) {
            print_line(&csv, daily_bytes, "month",
                       format_month(r->months[k].start_s, month),
                       &r->months[k], &r->months[k].refused[i]);
        }
        n = cq_replay_find_most(r, i, most);
        for (k = 0; k < n; k++) {
            const struct cq_replay_use *use = &most[k]->uses[i];
            const struct cq_tally tally = { .clients = 1,
                .requests = most[k]->request_n, .bytes = most[k]->bytes };
            const struct cq_refused refused = { 1, use->refused_n,
                                                use->refused_bytes };
            struct cq_key key;

            memcpy(&key, most[k]->key, sizeof(key));
            print_line(&csv, daily_bytes, "client",
                       cq_key_format(&key, text, sizeof(text)), &tally,
                       &refused);
        }
    }
}
