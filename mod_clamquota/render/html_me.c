/* html_me - a client's own figures, for the people behind it.
 *
 * The reader may never have heard of a quota: the page shows what was used,
 * when it ends, why there is a limit and what to do instead. */
#include "render/html.h"
#include "render/link.h"
#include "render/me.h"

#include <string.h>

/* Of its own, and a fifth of the operator's page: this one is sent uncounted
 * to any client at any time. */
static const char style[] =
    ":root{color-scheme:light dark}"
    "body{max-width:780px;margin:0 auto;padding:16px;"
    "font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:10px 0}"
    "h1,h2,code{overflow-wrap:anywhere}"
    ".soft,.period,dt,footer{opacity:.75}.period b{font-weight:600}"
    ".card{border:1px solid #8886;border-radius:8px;padding:4px 16px 10px;"
    "margin:0 0 14px}.card p{margin:6px 0}"
    ".badge{margin-left:8px;padding:1px 8px;border:1px solid;"
    "border-radius:9px;font-size:.8rem}"
    ".big{font-size:1.4rem;font-weight:600}.big .soft{font-size:1rem}"
    "meter{width:100%;height:14px}"
    ".note{border-left:4px solid #c33;padding-left:10px}"
    ".tiles{display:flex;flex-wrap:wrap;gap:4px 28px;margin:8px 0}"
    "dd{margin:0;font-weight:600}ul{padding-left:20px}"
    "time{white-space:nowrap}table{font-size:.87rem}caption{text-align:left}"
    "th,td{text-align:left;padding:2px 8px 2px 0;overflow-wrap:anywhere}";

static void document_head(struct cq_writer *w)
{
    cq_write_raw(w, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
                    "<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" "
                    "content=\"width=device-width,initial-scale=1\">\n"
                    "<meta name=\"color-scheme\" content=\"light dark\">\n"
                    "<meta name=\"robots\" content=\"noindex,nofollow\">\n"
                    "<title>Your download quota</title>\n"
                    "<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    cq_write_raw(w, style);
    cq_write_raw(w, "</style></head>\n");
}

static void page_header(struct cq_writer *w, const struct cq_me *me)
{
    const struct cq_link json = { .self = me->self, .format = "json",
                                  .query = { .limit = 100 } };
    char text[CQ_KEY_TEXT_SIZE];

    cq_write_raw(w, "<header><h1>Your download quota</h1>\n"
                    "<a href=\"");
    cq_link_write(w, &json);
    cq_write_raw(w, "\">JSON</a>\n<p class=\"period\">");
    if (me->client.family != 0) {
        cq_write_raw(w, "You are <b>");
        cq_write_html(w, cq_link_client(&me->client, text, sizeof(text)));
        cq_write_raw(w, "</b> &middot; ");
    }
    cq_html_period(w, &me->period, me->day, me->next_day_s, me->now_s);
    cq_write_raw(w, "</p></header>\n");
}

/* ---- one pool ---- */

static bool has_limit(const struct cq_view_client *client)
{
    return client->daily_bytes >= 0;
}

static void used_line(struct cq_writer *w, const struct cq_view_client *client)
{
    cq_write_raw(w, "<p class=\"big\">");
    cq_words_bytes(w, client->used_bytes);
    if (!has_limit(client)) {
        cq_write_raw(w, " <span class=\"soft\">used, no limit</span></p>\n");
        return;
    }
    cq_write_raw(w, " <span class=\"soft\">used of ");
    cq_words_bytes(w, client->allowance_bytes);
    cq_write_raw(w, " allowed by now</span></p>\n");
    if (client->allowance_bytes > 0) {
        cq_html_meter(w, client->used_bytes, client->allowance_bytes);
        cq_write_raw(w, "\n");
    }
}

static void refusal(struct cq_writer *w, const struct cq_me *me,
                    const struct cq_me_pool *pool)
{
    if (pool->client.exempt_until_s > 0) {
        cq_write_raw(w, "<p>No quota refuses you until ");
        cq_words_moment(w, pool->client.exempt_until_s);
        cq_write_raw(w, ".</p>\n");
    }
    if (pool->client.state != CQ_STATE_OVER) {
        return;
    }
    cq_write_raw(w, "<p class=\"note\">");
    if (me->log_only) {
        cq_write_raw(w, "You are over quota. This server only counts for now "
                        "and refuses no client.</p>\n");
        return;
    }
    cq_write_raw(w, "You are over quota: downloads are refused until ");
    cq_words_moment(w, me->now_s + pool->wait_s);
    cq_write_raw(w, " (");
    cq_words_relative(w, me->now_s + pool->wait_s, me->now_s);
    cq_write_raw(w, ").");
    if (pool->client.retry_after_s < pool->wait_s) {
        cq_write_raw(w, " Programs may try again in ");
        cq_words_duration(w, pool->client.retry_after_s);
        cq_write_raw(w, ".");
    }
    cq_write_raw(w, "</p>\n");
}

static void tile(struct cq_writer *w, const char *title, int64_t bytes)
{
    cq_write_raw(w, "<div><dt>");
    cq_write_raw(w, title);
    cq_write_raw(w, "</dt><dd>");
    cq_words_bytes(w, bytes);
    cq_write_raw(w, "</dd></div>\n");
}

static void tiles(struct cq_writer *w, const struct cq_view_client *client)
{
    int64_t left = client->allowance_bytes - client->used_bytes;

    cq_write_raw(w, "<dl class=\"tiles\">\n");
    tile(w, "Today", client->today_bytes);
    if (has_limit(client)) {
        tile(w, "Left now", left > 0 ? left : 0);
        tile(w, "More each day", client->daily_bytes);
    }
    tile(w, "In flight", client->in_flight_bytes);
    tile(w, "Free", client->free_bytes);
    cq_write_raw(w, "</dl>\n");
}

static void pool_card(struct cq_writer *w, const struct cq_me *me,
                      const struct cq_me_pool *pool)
{
    const struct cq_view_client *client = &pool->client;

    cq_write_raw(w, "<section class=\"card\"><h2>Pool ");
    cq_write_html(w, client->pool);
    cq_html_state(w, client->state);
    cq_write_raw(w, "</h2>\n");
    used_line(w, client);
    refusal(w, me, pool);
    if (client->copies_n > 0) {
        cq_write_raw(w, "<p class=\"note\">These files are refused until "
                        "tomorrow: you have used up your downloads of them "
                        "for today.</p>\n");
        cq_html_copies(w, client->copies, client->copies_n, me->next_day_s);
    }
    tiles(w, client);
    if (client->rule && strcmp(client->rule, "ClamQuotaDaily") != 0) {
        cq_write_raw(w, "<p class=\"rule soft\">By a rule for your network: ");
        cq_write_html(w, client->rule);
        cq_write_raw(w, "</p>\n");
    }
    cq_write_raw(w, "</section>\n");
}

static void pools(struct cq_writer *w, const struct cq_me *me)
{
    size_t i;

    for (i = 0; i < me->pool_count; i++) {
        pool_card(w, me, &me->pools[i]);
    }
    if (me->pool_count > 0) {
        return;
    }
    cq_write_raw(w, "<p class=\"card\">");
    cq_write_raw(w, !me->counted
        ? "Nothing is counted on this server: there is no quota."
        : me->client.family == 0
        ? "You have no IP address that could be counted: there is no quota "
          "for you."
        : "No bytes of yours were counted in this period.");
    cq_write_raw(w, "</p>\n");
}

/* ---- words ---- */

static void meaning(struct cq_writer *w, const struct cq_me *me)
{
    cq_write_raw(w, "<section class=\"card\"><h2>What this means</h2>\n<p>"
                    "This server gives each client a share, so that a few do "
                    "not use up what all pay for. ");
    if (me->period.kind == CQ_PERIOD_DAY) {
        cq_write_raw(w, "Counters are reset at midnight.");
    }
    else {
        cq_write_raw(w, "Each midnight adds a day&#39;s share. What you do "
                        "not use remains yours until counters are reset");
        cq_write_raw(w, me->period.kind == CQ_PERIOD_WEEK
                            ? " on Monday." : " on the 1st.");
    }
    cq_write_raw(w, "</p>\n<p>The bytes sent to you count, also those of "
                    "downloads that were broken off. A client is ");
    if (me->client.family != 0
        && me->client.prefix < (me->client.family == 4 ? 32 : 128)) {
        cq_write_raw(w, "a network: all its addresses share one counter.");
    }
    else {
        cq_write_raw(w, "an address: all machines behind it share one "
                        "counter.");
    }
    cq_write_raw(w, " A download that has begun is never cut off.</p>"
                    "</section>\n");
}

/* "webmaster@example.org", "https://example.org/contact", or any text */
static void contact(struct cq_writer *w, const char *admin)
{
    bool is_url = strncmp(admin, "https://", 8) == 0
        || strncmp(admin, "http://", 7) == 0;
    bool is_mail = !is_url && strchr(admin, '@') != NULL
        && strpbrk(admin, " ?&:/%<>\"") == NULL;

    if (is_url || is_mail) {
        cq_write_raw(w, is_url ? "<a href=\"" : "<a href=\"mailto:");
        cq_write_html(w, admin);
        cq_write_raw(w, "\">");
    }
    cq_write_html(w, admin);
    if (is_url || is_mail) {
        cq_write_raw(w, "</a>");
    }
}

static void advice(struct cq_writer *w, const struct cq_me *me)
{
    cq_write_raw(w,
        "<section class=\"card\"><h2>What to do instead</h2>\n<ul>\n"
        "<li>Download only what has changed. For ClamAV that is "
        "<b>freshclam</b> with <code>ScriptedUpdates yes</code> (the default) "
        "and a database directory that is kept: it downloads small "
        "differences, not <code>main.cvd</code> again and again as wget or a "
        "fresh container does.</li>\n"
        "<li>More than a few machines? Run a <b>private mirror</b>: "
        "<code>cvdupdate</code> on one of them and <code>DatabaseMirror"
        "</code> in the others&#39; freshclam.conf, or a caching proxy.</li>\n"
        "<li>Let programs wait as <code>Retry-After</code> asks them to: "
        "earlier requests are refused again.</li>\n"
        "<li>You need more? <b>Ask the operator</b> for an exception");
    if (me->admin) {
        cq_write_raw(w, ": ");
        contact(w, me->admin);
    }
    cq_write_raw(w, ".</li>\n</ul></section>\n");
}

void cq_render_me_html(const struct cq_me *me, const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;

    cq_write_begin(w, sink);
    w->period = &me->period;
    document_head(w);
    cq_write_raw(w, "<body>\n");
    page_header(w, me);
    cq_write_raw(w, "<main>\n");
    pools(w, me);
    if (me->counted) {
        meaning(w, me);
        advice(w, me);
    }
    cq_write_raw(w, "</main>\n<footer>mod_clamquota ");
    cq_write_html(w, me->version);
    cq_write_raw(w, "</footer>\n</body></html>\n");
    cq_write_end(w);
}
