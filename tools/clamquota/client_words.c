/* client_words - a client of a view in words. */
#include "clamquota/client_words.h"

#include "core/units.h"
#include "render/words.h"

void cq_client_state(struct cq_writer *writer,
                     const struct cq_view_client *client)
{
    cq_write_raw(writer, cq_state_word(client->state));
    cq_write_raw(writer, client->jailed ? ", jailed" : "");
}

enum cq_style cq_client_style(const struct cq_view_client *client)
{
    if (client->jailed || client->state == CQ_STATE_OVER) {
        return CQ_STYLE_BAD;
    }
    if (client->state == CQ_STATE_EXEMPT
        || client->daily_bytes == CQ_UNLIMITED) {
        return CQ_STYLE_GOOD;
    }
    return client->used_bytes / 4 > client->allowance_bytes / 5
        ? CQ_STYLE_NEAR : CQ_STYLE_PLAIN;
}

void cq_client_bytes(struct cq_writer *writer, int64_t bytes,
                     const char *what)
{
    char text[CQ_SIZE_TEXT_SIZE];

    cq_write_raw(writer, cq_size_format_human(bytes, text, sizeof(text)));
    cq_write_raw(writer, what);
}

void cq_client_count(struct cq_writer *writer, int64_t number,
                     const char *what)
{
    cq_words_count(writer, number);
    cq_write_raw(writer, what);
}

void cq_client_share(struct cq_writer *writer,
                     const struct cq_view_client *client)
{
    if (client->daily_bytes == CQ_UNLIMITED) {
        cq_write_raw(writer, "-");
    }
    else {
        cq_words_percent(writer, client->used_bytes, client->allowance_bytes);
    }
}

void cq_client_moment(struct cq_writer *writer, const struct cq_period *period,
                      int64_t when_s)
{
    if (when_s == 0) {
        cq_write_raw(writer, "-");
        return;
    }
    writer->period = period;
    cq_words_local(writer, when_s);
}

void cq_client_sum(struct cq_writer *writer,
                   const struct cq_view_client *client, int day,
                   int64_t grace_bytes)
{
    char text[CQ_SIZE_TEXT_SIZE];

    if (client->daily_bytes == CQ_UNLIMITED) {
        cq_write_raw(writer, "no limit");
        return;
    }
    cq_write_raw(writer, "day ");
    cq_write_int(writer, day);
    cq_write_raw(writer, " x ");
    cq_write_raw(writer, cq_size_format_exact(client->daily_bytes, text,
                                              sizeof(text)));
    if (grace_bytes > 0) {
        cq_write_raw(writer, " + ");
        cq_write_raw(writer, cq_size_format_exact(grace_bytes, text,
                                                  sizeof(text)));
    }
    cq_write_raw(writer, " = ");
    cq_write_raw(writer, cq_size_format_human(client->allowance_bytes, text,
                                              sizeof(text)));
}
