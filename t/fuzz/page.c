/* page - fuzzes the page of a damaged table: first a query, up to a line feed,
 * then words of the file. Of the JSON every character is looked at. */
#include "table_image.h"

#include "../unit/json.h"
#include "render/collect.h"
#include "render/query.h"

static unsigned char arena[1 << 20];
static size_t arena_used;

static void *arena_alloc(void *baton, size_t size)
{
    void *memory = arena + arena_used;

    (void)baton;
    size = (size + 15) & ~(size_t)15;
    if (size > sizeof(arena) - arena_used) {
        return NULL;
    }
    arena_used += size;
    return memory;
}

static char page[1 << 20];
static size_t page_size;

/* Of what a page is made nothing came from outside unescaped: it has no
 * control character. */
static void receive_page(void *baton, const char *bytes, size_t size)
{
    size_t i;

    (void)baton;
    HOLDS(size < sizeof(page) - page_size);
    memcpy(page + page_size, bytes, size);
    page_size += size;
    for (i = 0; i < size; i++) {
        HOLDS(bytes[i] == '\n' || (unsigned char)bytes[i] >= ' ');
    }
}

static void show(struct cq_table *t, const struct cq_query_request *request)
{
    static void (*const renderers[])(const struct cq_view *,
                                     const struct cq_sink *) = {
        [CQ_FORMAT_HTML] = cq_render_html, [CQ_FORMAT_JSON] = cq_render_json,
        [CQ_FORMAT_AUTO] = cq_render_auto,
        [CQ_FORMAT_OPENMETRICS] = cq_render_openmetrics
    };
    static const struct cq_view_facts facts = { .version = "1", .engine = "On",
                                                .counts = true,
                                                .readable = true };
    const struct cq_arena from = { arena_alloc, NULL };
    const struct cq_sink sink = { receive_page, NULL };
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_view view;

    arena_used = 0;
    page_size = 0;
    if (cq_collect(&view, t, &clock, &request->query, &facts, &from)
        != CQ_OK) {
        return;
    }
    renderers[request->format](&view, &sink);
    HOLDS(page_size > 0);
    page[page_size] = '\0';
    if (request->format == CQ_FORMAT_JSON) {
        HOLDS(strcmp(json_value(page, 0), "\n") == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t length = end != NULL ? (size_t)(end - data) : size;
    struct input text = { data, length };
    struct input in = { data + length + (end != NULL),
                        size - length - (end != NULL) };
    char *query = take_text(&text);
    struct cq_query_request request;
    struct cq_table *t;

    if (cq_query_parse(&request, query, NULL) == CQ_OK) {
        damage(&in, false);
        if (cq_tablefile_attach(fixture.path, false, &t, why, sizeof(why))
            == CQ_OK) {
            show(t, &request);
            cq_tablefile_close(t);
        }
    }
    free(query);
    return 0;
}
