/* log - fuzzes a line of an access log: first a LogFormat string, or a name,
 * up to a line feed; then the line. What a record shows lies in the line. */
#include "input.h"

#include "log/log.h"

static void check_text(struct cq_log_text text, const char *line, size_t size)
{
    HOLDS(text.at == NULL ? text.length == 0
          : text.at >= line && text.length <= size
            && (size_t)(text.at - line) <= size - text.length);
}

static void read_line(const struct cq_log_format *format, const char *text,
                      size_t size)
{
    struct cq_log_record r;
    int end;

    for (end = CQ_LOG_WHOLE; end <= CQ_LOG_CUT; end++) {
        if (cq_log_read_line(format, (struct cq_prefixes){ 32, 64 }, text,
                             size, (enum cq_log_end)end, &r) != NULL) {
            continue;
        }
        HOLDS(r.bytes >= 0 && r.body_bytes >= -1);
        HOLDS(r.status == 0 || (r.status >= 100 && r.status <= 999));
        HOLDS(!r.has_client || cq_key_is_valid(&r.client));
        HOLDS(!r.has_time || r.time_s >= 86400);
        check_text(r.vhost, text, size);
        check_text(r.method, text, size);
        check_text(r.path, text, size);
        check_text(r.agent, text, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "combined", "vhost", "clamav",
                                         "common", "pairs" };
    static struct cq_log_format format, known[sizeof(names)
                                              / sizeof(names[0])];
    struct input in = { data, size };
    char *text = take_text(&in), why[200];
    char *line = memchr(text, '\n', size);
    size_t i;

    if (line != NULL) {
        char *copy;
        size_t rest = size - (size_t)(++line - text);

        line[-1] = '\0';
        /* of its own, without a NUL behind it */
        copy = malloc(rest + (rest == 0));
        HOLDS(copy != NULL);
        memcpy(copy, line, rest);
        if (cq_log_format_compile(&format, text, why, sizeof(why)) == CQ_OK) {
            HOLDS(format.field_n <= CQ_LOG_FIELDS_MAX
                  && format.needed_n <= format.field_n);
            read_line(&format, copy, rest);
        }
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            HOLDS(known[i].field_n > 0
                  || cq_log_format_compile(&known[i], names[i], why,
                                           sizeof(why)) == CQ_OK);
            read_line(&known[i], copy, rest);
        }
        free(copy);
    }
    free(text);
    return 0;
}
