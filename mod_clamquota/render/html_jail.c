/* html_jail - the kernel's list as clamquota-sync reported it last, and the
 * clients that are exempt for a time. */
#include "render/html.h"

static void term(struct cq_writer *w, const char *name)
{
    cq_write_raw(w, "<dt>");
    cq_write_raw(w, name);
    cq_write_raw(w, "</dt><dd>");
}

void cq_html_jail(struct cq_writer *w, const struct cq_view *view)
{
    const struct cq_view_jail *jail = &view->jail;
    struct cq_link jailed = cq_link_find(view);

    jailed.query.filter = CQ_FILTER_JAILED;
    jailed.query.offset = 0;
    cq_write_raw(w, "<section class=\"card jail facts\"><h2>Jail "
                    "<small>as of ");
    cq_words_relative(w, jail->as_of_s, view->now_s);
    cq_write_raw(w, "</small></h2>\n<dl>");
    term(w, "List of the kernel");
    cq_write_raw(w, "<code>");
    cq_write_html(w, jail->spec);
    cq_write_raw(w, "</code></dd>");
    term(w, "Clients and networks in it");
    cq_words_count(w, jail->jailed);
    cq_write_raw(w, " (<a href=\"");
    cq_link_write(w, &jailed);
    cq_write_raw(w, "#clients\">clients</a>)</dd>");
    term(w, "Capacity");
    if (jail->capacity > 0) {
        cq_words_count(w, jail->capacity);
        cq_write_raw(w, ", ");
        cq_words_percent(w, jail->jailed, jail->capacity);
        cq_write_raw(w, " used");
    }
    else {
        cq_write_raw(w, "without a limit");
    }
    cq_write_raw(w, "</dd>");
    term(w, "Packets dropped");
    if (jail->dropped_packets >= 0) {
        cq_words_count(w, jail->dropped_packets);
    }
    else {
        cq_write_raw(w, "not known");
    }
    cq_write_raw(w, "</dd></dl></section>\n");
}

void cq_html_exemptions(struct cq_writer *w, const struct cq_view *view)
{
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    cq_write_raw(w, "<section class=\"card\"><h2>Exempt <small>for a time, in "
                    "every pool</small></h2>\n<ul class=\"plain\">\n");
    for (i = 0; i < view->exemption_count; i++) {
        struct cq_link link = cq_link_find(view);

        link.query.has_client = true;
        link.query.client = view->exemptions[i].net;
        link.query.offset = 0;
        cq_write_raw(w, "<li><a href=\"");
        cq_link_write(w, &link);
        cq_write_raw(w, "\">");
        cq_write_html(w, cq_link_client(&link.query.client, text,
                                        sizeof(text)));
        cq_write_raw(w, "</a> until ");
        cq_words_moment(w, view->exemptions[i].until_s);
        cq_write_raw(w, "</li>\n");
    }
    cq_write_raw(w, "</ul></section>\n");
}
