/* html_client - one client's own part of the page: the sum that gives its
 * allowance, files, and how it stands.
 *
 * Shown where ?client= names one client; the table with its row and the
 * buttons follows. */
#include "render/html.h"

static void term(struct cq_writer *w, const char *name)
{
    cq_write_raw(w, "<dt>");
    cq_write_raw(w, name);
    cq_write_raw(w, "</dt><dd>");
}

static void end_term(struct cq_writer *w)
{
    cq_write_raw(w, "</dd>\n");
}

static const struct cq_view_pool *find_pool(const struct cq_view *view,
                                          const struct cq_view_client *client)
{
    size_t i;

    for (i = 0; i < view->pool_count; i++) {
        if (view->pools[i].name == client->pool) {
            return &view->pools[i];
        }
    }
    return NULL;
}

/* "day 23 x 50 MiB + 450 MiB = 1.6 GiB" */
static void sum(struct cq_writer *w, const struct cq_view *view,
                const struct cq_view_client *client)
{
    const struct cq_view_pool *pool = find_pool(view, client);

    term(w, "Allowance");
    if (client->daily_bytes < 0) {
        cq_write_raw(w, "unlimited");
    }
    else {
        cq_write_raw(w, "day ");
        cq_write_int(w, view->day);
        cq_write_raw(w, " &times; ");
        cq_words_bytes(w, client->daily_bytes);
        if (pool != NULL && pool->grace_bytes > 0) {
            cq_write_raw(w, " + ");
            cq_words_bytes(w, pool->grace_bytes);
        }
        cq_write_raw(w, " = <b>");
        cq_words_bytes(w, client->allowance_bytes);
        cq_write_raw(w, "</b>");
    }
    cq_write_raw(w, " <span class=\"soft\">by ");
    cq_write_html(w, client->rule);
    cq_write_raw(w, "</span>");
    end_term(w);
}

static void used(struct cq_writer *w, const struct cq_view_client *client)
{
    term(w, "Used");
    cq_write_raw(w, "<b>");
    cq_words_bytes(w, client->used_bytes);
    cq_write_raw(w, "</b>, ");
    cq_words_bytes(w, client->today_bytes);
    cq_write_raw(w, " of it today");
    if (client->in_flight_bytes > 0) {
        cq_write_raw(w, "; in flight ");
        cq_words_bytes(w, client->in_flight_bytes);
    }
    end_term(w);
    if (client->shared) {
        term(w, "By node");
        cq_write_raw(w, "here ");
        cq_words_bytes(w, client->here_used_bytes);
        cq_write_raw(w, ", on the other nodes ");
        cq_words_bytes(w, client->used_bytes - client->here_used_bytes);
        end_term(w);
    }
    term(w, "Free");
    cq_words_bytes(w, client->free_bytes);
    end_term(w);
}

static void refusals(struct cq_writer *w, const struct cq_view *view,
                     const struct cq_view_client *client)
{
    term(w, "Requests");
    cq_words_count(w, client->hits);
    cq_write_raw(w, " served, ");
    cq_words_count(w, client->refused);
    cq_write_raw(w, " refused");
    if (client->refused_today > 0) {
        cq_write_raw(w, " (");
        cq_words_count(w, client->refused_today);
        cq_write_raw(w, " today)");
    }
    if (client->would_refuse > 0) {
        cq_write_raw(w, ", ");
        cq_words_count(w, client->would_refuse);
        cq_write_raw(w, " that LogOnly would have refused");
    }
    end_term(w);
    if (client->over_since_s > 0) {
        term(w, "Over quota since");
        cq_words_moment(w, client->over_since_s);
        end_term(w);
    }
    if (client->retry_after_s > 0) {
        term(w, "Admitted again");
        cq_words_moment(w, view->now_s + client->retry_after_s);
        cq_write_raw(w, " (");
        cq_words_relative(w, view->now_s + client->retry_after_s,
                          view->now_s);
        cq_write_raw(w, ")");
        end_term(w);
    }
    if (client->last_hit_s > 0) {
        term(w, "Last hit");
        cq_words_moment(w, client->last_hit_s);
        end_term(w);
    }
}

static void jail(struct cq_writer *w, const struct cq_view *view,
                 const struct cq_view_client *client)
{
    const char *spared = cq_spared_text(client->spared);

    if (client->exempt_until_s > 0) {
        term(w, "Exempt until");
        cq_words_moment(w, client->exempt_until_s);
        end_term(w);
    }
    if (!view->jail.spec && !client->jailed) {
        return;
    }
    term(w, "Jail");
    if (client->jailed) {
        cq_write_raw(w, "<b>jailed</b>");
        if (view->jail.spec) {
            cq_write_raw(w, " in <code>");
            cq_write_html(w, view->jail.spec);
            cq_write_raw(w, "</code>");
        }
    }
    else if (spared) {
        cq_write_raw(w, "never jailed: ");
        cq_write_raw(w, spared);
    }
    else {
        cq_write_raw(w, "not jailed");
    }
    end_term(w);
}

void cq_html_copies(struct cq_writer *w, const struct cq_view_copy *copies,
                    size_t count, int64_t next_day_s)
{
    size_t i;

    cq_write_raw(w, "<table><caption>Files whose copies of today are used up, "
                    "until ");
    cq_words_moment(w, next_day_s);
    cq_write_raw(w, "</caption>\n<thead><tr><th scope=\"col\">File</th>"
                    "<th scope=\"col\" class=\"wide\">Version of</th>"
                    "<th scope=\"col\" class=\"n\">Used</th>"
                    "<th scope=\"col\" class=\"n\">Allowed</th>"
                    "</tr></thead>\n<tbody>\n");
    for (i = 0; i < count; i++) {
        cq_write_raw(w, "<tr><th scope=\"row\" class=\"path\">");
        cq_write_html(w, copies[i].path);
        cq_write_raw(w, "</th><td class=\"wide\">");
        cq_words_moment(w, copies[i].mtime_s);
        cq_write_raw(w, "</td><td class=\"n\">");
        cq_words_bytes(w, copies[i].used_bytes);
        cq_write_raw(w, "</td><td class=\"n\">");
        cq_words_bytes(w, copies[i].allowance_bytes);
        cq_write_raw(w, "</td></tr>\n");
    }
    cq_write_raw(w, "</tbody></table>\n");
}

static void change(struct cq_writer *w, const struct cq_change *change)
{
    cq_write_raw(w, "<tr><td>");
    cq_words_moment(w, change->at_s);
    cq_write_raw(w, "</td><td>");
    cq_write_raw(w, cq_change_word(change->kind));
    cq_write_raw(w, "</td><td class=\"n\">");
    if (change->used_bytes > 0) {
        cq_words_bytes(w, change->used_bytes);
    }
    cq_write_raw(w, "</td><td class=\"n\">");
    if (change->allowance_bytes > 0 && change->allowance_bytes < CQ_BYTES_MAX) {
        cq_words_bytes(w, change->allowance_bytes);
    }
    cq_write_raw(w, "</td><td>");
    if (change->until_s > 0) {
        cq_words_moment(w, change->until_s);
    }
    cq_write_raw(w, "</td></tr>\n");
}

static void changes(struct cq_writer *w, const struct cq_view *view)
{
    size_t i;

    if (view->change_count == 0) {
        return;
    }
    cq_write_raw(w, "<section class=\"card facts\"><h2>Last changes of state"
                    "</h2>\n<div class=\"scroll\"><table><caption>In every "
                    "pool, the newest first</caption>\n<thead><tr>"
                    "<th scope=\"col\">When</th>"
                    "<th scope=\"col\">What</th>"
                    "<th scope=\"col\" class=\"n\">Used</th>"
                    "<th scope=\"col\" class=\"n\">Allowance</th>"
                    "<th scope=\"col\">Until</th></tr></thead>\n<tbody>\n");
    for (i = 0; i < view->change_count; i++) {
        change(w, &view->changes[i]);
    }
    cq_write_raw(w, "</tbody></table></div></section>\n");
}

static void one(struct cq_writer *w, const struct cq_view *view,
                const struct cq_view_client *client)
{
    char text[CQ_KEY_TEXT_SIZE];

    cq_write_raw(w, "<section class=\"card facts\"><h2>");
    cq_write_html(w, cq_link_client(&client->client, text, sizeof(text)));
    cq_write_raw(w, " <small>in pool ");
    cq_write_html(w, client->pool);
    cq_write_raw(w, "</small> ");
    cq_html_badges(w, client);
    cq_write_raw(w, "</h2>\n<dl>");
    sum(w, view, client);
    used(w, client);
    refusals(w, view, client);
    jail(w, view, client);
    cq_write_raw(w, "</dl>\n");
    if (view->facts.changes) {
        cq_write_raw(w, "<p>");
        cq_html_change_links(w, view, client);
        cq_write_raw(w, "</p>\n");
    }
    if (client->copies_n > 0) {
        cq_html_copies(w, client->copies, client->copies_n,
                       view->next_day_s);
    }
    cq_write_raw(w, "</section>\n");
}

void cq_html_client(struct cq_writer *w, const struct cq_view *view)
{
    const struct cq_key *asked = &view->query.client;
    size_t i;

    for (i = 0; view->query.has_client && i < view->client_count; i++) {
        /* a row that lies in a network that was asked for is one of many */
        if (cq_key_contains(&view->clients[i].client, asked)) {
            one(w, view, &view->clients[i]);
        }
    }
    changes(w, view);
}
