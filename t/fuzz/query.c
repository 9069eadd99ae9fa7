/* query - fuzzes the page's query string, and the form of a POST. A link that
 * is made of a query has the same query. */
#include "input.h"

#include "core/units.h"
#include "render/html_change.h"
#include "render/query.h"

static char page[4096];
static size_t page_size;

static void receive(void *baton, const char *bytes, size_t size)
{
    (void)baton;
    HOLDS(size < sizeof(page) - page_size);
    memcpy(page + page_size, bytes, size);
    page_size += size;
    page[page_size] = '\0';
}

/* A link is the value of an attribute: "&amp;" for "&". */
static void remove_escapes(char *text)
{
    char *at = text;

    while ((at = strstr(at, "&amp;")) != NULL) {
        at++;
        memmove(at, at + 4, strlen(at + 4) + 1);
    }
}

static void write_again(const struct cq_query_request *request)
{
    static const char *const formats[] = {
        [CQ_FORMAT_HTML] = NULL, [CQ_FORMAT_JSON] = "json",
        [CQ_FORMAT_AUTO] = "auto", [CQ_FORMAT_OPENMETRICS] = "openmetrics"
    };
    const struct cq_sink sink = { receive, NULL };
    const struct cq_link link = { .format = formats[request->format],
                                  .query = request->query,
                                  .refresh_s = request->refresh_s };
    struct cq_query_request again;
    struct cq_writer writer;

    page_size = 0;
    cq_write_begin(&writer, &sink);
    cq_link_write(&writer, &link);
    cq_write_end(&writer);
    HOLDS(page[0] == '?' && strpbrk(page, "<>\"' \t\r\n") == NULL);
    remove_escapes(page);
    HOLDS(cq_query_parse(&again, page + 1, NULL) == CQ_OK);
    HOLDS(again.format == request->format
          && again.refresh_s == request->refresh_s
          && strcmp(again.pool_text, request->pool_text) == 0);
    HOLDS(again.query.sort == request->query.sort
          && again.query.filter == request->query.filter
          && again.query.limit == request->query.limit
          && again.query.offset == request->query.offset
          && again.query.by_net == request->query.by_net
          && again.query.has_client == request->query.has_client);
    HOLDS(!again.query.has_client
          || cq_key_compare(&again.query.client, &request->query.client) == 0);
}

static void fuzz_query(const char *text)
{
    static struct cq_query_request defaults;
    struct cq_query_request request;
    const char *why = NULL;

    (void)cq_query_parse(&defaults, NULL, NULL);
    if (cq_query_parse(&request, text, &why) != CQ_OK) {
        HOLDS(why != NULL);
        HOLDS(memcmp(&request, &defaults, sizeof(request)) == 0);
        return;
    }
    HOLDS(memchr(request.pool_text, '\0', sizeof(request.pool_text)) != NULL);
    HOLDS(request.query.pool == NULL
          || request.query.pool == request.pool_text);
    HOLDS(request.refresh_s >= 0
          && request.refresh_s <= CQ_QUERY_REFRESH_MAX_S);
    HOLDS(request.query.limit >= 1
          && request.query.limit <= CQ_QUERY_LIMIT_MAX);
    HOLDS(request.query.offset >= 0
          && request.query.offset <= CQ_QUERY_OFFSET_MAX);
    HOLDS(!request.query.has_client
          || cq_key_is_valid(&request.query.client));
    write_again(&request);
}

/* As httpd/change.c reads it. */
static void fuzz_form(const char *text)
{
    char value[CQ_QUERY_VALUE_SIZE];
    enum cq_change_action action;
    struct cq_key net;
    int64_t for_s;

    if (cq_query_value(text, "action", value)) {
        HOLDS(memchr(value, '\0', sizeof(value)) != NULL);
        HOLDS(strstr(text, "action=") != NULL);
        if (cq_change_action_parse(value, &action)) {
            HOLDS(strcmp(cq_change_action_word(action), value) == 0);
        }
    }
    if (cq_query_value(text, "client", value)
        && cq_key_parse(&net, value, NULL) == CQ_OK) {
        HOLDS(cq_key_is_valid(&net));
    }
    if (cq_query_value(text, "for", value)
        && cq_duration_parse_s(value, &for_s) == CQ_OK) {
        HOLDS(for_s >= 0 && for_s <= CQ_DURATION_MAX_MS / 1000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    char *text = take_text(&in);

    fuzz_query(text);
    fuzz_form(text);
    free(text);
    return 0;
}
