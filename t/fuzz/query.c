/* query - fuzzes the page's query string, and the form of a POST, which is
 * read by the same function. */
#include "input.h"

#include "render/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cq_query_request defaults;
    struct input in = { data, size };
    struct cq_query_request request;
    const char *why = NULL;
    char *text = take_text(&in);

    (void)cq_query_parse(&defaults, NULL, NULL);
    if (cq_query_parse(&request, text, &why) != CQ_OK) {
        HOLDS(why != NULL);
        HOLDS(request.format == defaults.format
              && request.refresh_s == defaults.refresh_s);
    }
    HOLDS(memchr(request.pool_text, '\0', sizeof(request.pool_text)) != NULL);
    HOLDS(request.refresh_s >= 0
          && request.refresh_s <= CQ_QUERY_REFRESH_MAX_S);
    free(text);
    return 0;
}
