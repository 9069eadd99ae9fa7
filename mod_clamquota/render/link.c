/* link - writes the query string that render/query reads. */
#include "render/link.h"

#include "render/query.h"

struct cq_link cq_link_find(const struct cq_view *view)
{
    struct cq_link link = { .self = view->facts.self,
                            .format = NULL,
                            .query = view->query,
                            .refresh_s = view->facts.refresh_s };

    return link;
}

const char *cq_link_client(const struct cq_key *client, char *text,
                           size_t size)
{
    if (client->prefix == (client->family == 4 ? 32 : 128)) {
        return cq_key_format(client, text, size);
    }
    return cq_key_format_cidr(client, text, size);
}

/* "?" or "&amp;", then the key */
static void key(struct cq_writer *writer, bool *first, const char *name)
{
    cq_write_raw(writer, *first ? "?" : "&amp;");
    cq_write_raw(writer, name);
    *first = false;
}

void cq_link_write(struct cq_writer *writer, const struct cq_link *link)
{
    const struct cq_query *query = &link->query;
    const char *self = link->self;
    char text[CQ_KEY_TEXT_SIZE];
    bool first = true;
    bool has_path = self && self[0] == '/' && self[1] != '/';

    /* "//host/" would lead elsewhere: then relative to where the page is */
    if (has_path) {
        cq_write_path(writer, self);
    }
    if (link->format) {
        key(writer, &first, link->format);
    }
    if (query->sort != CQ_SORT_USED) {
        key(writer, &first, "sort=");
        cq_write_raw(writer, cq_query_sort_word(query->sort));
    }
    if (query->limit != CQ_QUERY_LIMIT_DEFAULT) {
        key(writer, &first, "limit=");
        cq_write_int(writer, query->limit);
    }
    if (query->offset > 0) {
        key(writer, &first, "offset=");
        cq_write_int(writer, query->offset);
    }
    if (query->filter != CQ_FILTER_ALL) {
        key(writer, &first, "state=");
        cq_write_raw(writer, cq_query_filter_word(query->filter));
    }
    if (query->by_net) {
        key(writer, &first, "net=");
        cq_write_int(writer, query->net_bits.v4_bits);
        cq_write_raw(writer, ",");
        cq_write_int(writer, query->net_bits.v6_bits);
    }
    if (query->hours > 0) {
        key(writer, &first, "hours=");
        cq_write_int(writer, query->hours);
    }
    if (query->days > 0) {
        key(writer, &first, "days=");
        cq_write_int(writer, query->days);
    }
    if (query->pool) {
        key(writer, &first, "pool=");
        cq_write_query_value(writer, query->pool);
    }
    if (query->has_client) {
        key(writer, &first, "client=");
        cq_write_query_value(
            writer, cq_link_client(&query->client, text, sizeof(text)));
    }
    if (link->refresh_s > 0) {
        key(writer, &first, "refresh=");
        cq_write_int(writer, link->refresh_s);
    }
    if (link->change) {
        key(writer, &first, "action=");
        cq_write_query_value(writer, link->change);
        key(writer, &first, "on=");
        cq_write_query_value(writer, link->on);
    }
    if (first && !has_path) {
        cq_write_raw(writer, "?");
    }
}
