/* html_change - asks before something is changed, and says that it was. */
#include "render/html_change.h"

#include <string.h>

const char *cq_change_action_word(enum cq_change_action action)
{
    return action == CQ_ACTION_RESET ? "reset"
        : action == CQ_ACTION_EXEMPT ? "exempt"
        : action == CQ_ACTION_UNEXEMPT ? "unexempt" : "none";
}

bool cq_change_action_parse(const char *text, enum cq_change_action *action)
{
    int i;

    for (i = CQ_ACTION_RESET; text != NULL && i <= CQ_ACTION_UNEXEMPT; i++) {
        if (strcmp(text, cq_change_action_word((enum cq_change_action)i))
            == 0) {
            *action = (enum cq_change_action)i;
            return true;
        }
    }
    return false;
}

static void write_net(struct cq_writer *w, const struct cq_key *net)
{
    char text[CQ_KEY_TEXT_SIZE];

    cq_write_html(w, cq_link_client(net, text, sizeof(text)));
}

/* The question, and what the change means. */
static void question(struct cq_writer *w, const struct cq_change_form *form)
{
    bool is_network = form->net.prefix < (form->net.family == 4
                                          ? form->prefixes.v4_bits
                                          : form->prefixes.v6_bits);

    cq_write_raw(w, "<h1>");
    cq_write_raw(w, form->action == CQ_ACTION_RESET ? "Reset "
                 : form->action == CQ_ACTION_EXEMPT ? "Exempt "
                 : "End the exemption of ");
    write_net(w, &form->net);
    cq_write_raw(w, "?</h1>\n<p>");
    if (form->action == CQ_ACTION_RESET) {
        cq_write_raw(w, is_network
            ? "This sets the used bytes of the clients of this network in this "
              "period to zero, in every pool. It cannot be undone."
            : "This sets the used bytes of this client in this period to zero, "
              "in every pool. It cannot be undone.");
    }
    else if (form->action == CQ_ACTION_EXEMPT) {
        cq_write_raw(w, form->net.prefix == 0
            ? "No quota refuses any client of this address family until then, "
              "and none is jailed. Downloads are still counted."
            : "No quota refuses it until then, in any pool, and it is not "
              "jailed. Downloads are still counted.");
    }
    else {
        cq_write_raw(w, "The quota applies again at once, to all bytes "
                        "counted meanwhile.");
    }
    cq_write_raw(w, "</p>\n");
}

static void hidden(struct cq_writer *w, const char *name, const char *value)
{
    cq_write_raw(w, "<input type=\"hidden\" name=\"");
    cq_write_raw(w, name);
    cq_write_raw(w, "\" value=\"");
    cq_write_html(w, value);
    cq_write_raw(w, "\">\n");
}

/* the page itself, with its query: an attribute's value */
static void address(struct cq_writer *w, const struct cq_change_form *form)
{
    if (form->self != NULL) {
        cq_write_path(w, form->self);
    }
    cq_write_raw(w, "?");
    cq_write_html(w, form->query);
}

static void fields(struct cq_writer *w, const struct cq_change_form *form)
{
    char text[CQ_KEY_TEXT_SIZE];

    cq_write_raw(w, "<form method=\"post\" action=\"");
    address(w, form);
    cq_write_raw(w, "\">\n");
    hidden(w, "action", cq_change_action_word(form->action));
    hidden(w, "client", cq_link_client(&form->net, text, sizeof(text)));
    if (form->action == CQ_ACTION_EXEMPT) {
        cq_write_raw(w, "<p><label for=\"for\">For</label> <input id=\"for\" "
                        "name=\"for\" size=\"6\" value=\"");
        cq_write_html(w, form->lasts);
        cq_write_raw(w, "\"> such as 6h, 1d or 1w</p>\n");
    }
    cq_write_raw(w, "<p><button type=\"submit\">");
    cq_write_raw(w, form->action == CQ_ACTION_RESET ? "Reset"
                 : form->action == CQ_ACTION_EXEMPT ? "Exempt"
                 : "End the exemption");
    cq_write_raw(w, "</button> <a href=\"");
    address(w, form);
    cq_write_raw(w, "\">Cancel</a></p>\n</form>\n");
}

void cq_render_change_form(const struct cq_change_form *form,
                           const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;

    cq_write_begin(w, sink);
    cq_write_raw(w, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
                    "<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" "
                    "content=\"width=device-width,initial-scale=1\">\n"
                    "<meta name=\"color-scheme\" content=\"light dark\">\n"
                    "<meta name=\"robots\" content=\"noindex,nofollow\">\n"
                    "<title>clamquota: ");
    cq_write_raw(w, cq_change_action_word(form->action));
    cq_write_raw(w, " ");
    write_net(w, &form->net);
    cq_write_raw(w, "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style");
    if (form->nonce != NULL) {
        cq_write_raw(w, " nonce=\"");
        cq_write_html(w, form->nonce);
        cq_write_raw(w, "\"");
    }
    cq_write_raw(w, ">\n");
    cq_html_style(w);
    cq_write_raw(w, "</style></head>\n<body><main class=\"ask\">\n");
    question(w, form);
    fields(w, form);
    cq_write_raw(w, "</main></body></html>\n");
    cq_write_end(w);
}

void cq_html_done(struct cq_writer *w, enum cq_change_action action,
                  const struct cq_key *net)
{
    cq_write_raw(w, "<p class=\"done\" role=\"status\">");
    if (action == CQ_ACTION_RESET) {
        cq_write_raw(w, "The used bytes of ");
        write_net(w, net);
        cq_write_raw(w, " are set to zero.");
    }
    else {
        write_net(w, net);
        cq_write_raw(w, action == CQ_ACTION_EXEMPT
                        ? " is exempt: no quota refuses it."
                        : " is no longer exempt.");
    }
    cq_write_raw(w, "</p>\n");
}
