/* json_me - a client's own figures as JSON. */
#include "render/json.h"
#include "render/me.h"

void cq_render_me_json(const struct cq_me *me, const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    cq_write_begin(w, sink);
    cq_write_raw(w, "{ \"version\": ");
    cq_write_json(w, me->version);
    cq_write_raw(w, ", \"now\": ");
    cq_write_int(w, me->now_s);
    if (me->client.family != 0) {
        cq_write_raw(w, ", \"client\": ");
        cq_write_json(w, cq_key_format(&me->client, text, sizeof(text)));
        cq_write_raw(w, ", \"prefix\": ");
        cq_write_int(w, me->client.prefix);
    }
    else {
        cq_write_raw(w, ", \"client\": null, \"prefix\": null");
    }
    cq_write_raw(w, ",\n  ");
    cq_json_period(w, &me->period, me->day, me->next_day_s);
    cq_write_raw(w, ",\n  \"pools\": [");
    for (i = 0; i < me->pool_count; i++) {
        cq_write_raw(w, i == 0 ? "\n    " : ",\n    ");
        cq_json_client(w, &me->pools[i].client);
    }
    cq_write_raw(w, "] }\n");
    cq_write_end(w);
}
