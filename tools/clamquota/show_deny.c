/* show_deny - which line of a deny file names a client. */
#include "clamquota/show.h"

#include "deny/deny.h"
#include "render/link.h"
#include "table/jail.h"

/* @return it names the address */
static bool show_file(struct cq_show *show, const char *path,
                      const struct cq_key *address)
{
    const struct cq_deny_entry *entry = NULL;
    struct cq_deny_list list = { NULL, 0, 0 };
    char text[CQ_KEY_TEXT_SIZE];
    const char *why;
    struct cq_writer *w;

    if (!cq_deny_read(path, CQ_DENY_FILE, &list, NULL, NULL, &why)) {
        w = cq_show_line(show, "denied by");
        cq_write_raw(w, "not known of ");
        cq_write_line(w, path);
        cq_write_raw(w, ": ");
        cq_write_line(w, why);
        cq_show_end(show);
        return false;
    }
    entry = cq_deny_find(&list, address);
    if (entry != NULL) {
        w = cq_show_line(show, "denied by");
        cq_write_line(w, path);
        cq_write_raw(w, " line ");
        cq_write_int(w, entry->line);
        cq_write_raw(w, ": ");
        cq_write_raw(w, cq_link_client(&entry->net, text, sizeof(text)));
        cq_show_end(show);
    }
    cq_deny_free(&list);
    return entry != NULL;
}

bool cq_show_denied(struct cq_show *show, const struct cq_key *address)
{
    char path[CQ_JAIL_FILES_SIZE];
    struct cq_jail_report report;
    const char *next = NULL;
    bool is_denied = false;
    size_t i;

    for (i = 0; i < show->deny_files.count; i++) {
        is_denied |= show_file(show, show->deny_files.texts[i], address);
    }
    if (show->deny_files.count > 0
        || !cq_table_jail(show->look->table, &report)) {
        return is_denied;
    }
    while (cq_jail_report_next(&report, &next, path)) {
        is_denied |= show_file(show, path, address);
    }
    return is_denied;
}
