/* target - the clients that a subcommand is for. */
#include "clamquota/target.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

bool cq_target_read(struct cq_look *look, const char *text,
                    struct cq_key *net)
{
    const char *why = NULL;

    if (text == NULL) {
        cq_say_trouble(&look->say, "expected an address or a network, e.g. "
                       "%s 198.51.100.7", look->say.program);
        return false;
    }
    if (cq_key_parse(net, text, &why) != CQ_OK) {
        cq_say_trouble(&look->say, "\"%s\": %s, e.g. %s 198.51.100.7", text,
                       why, look->say.program);
        return false;
    }
    return true;
}

bool cq_target_is_client(const struct cq_look *look, struct cq_key *net)
{
    struct cq_prefixes prefixes = cq_table_prefixes(look->table);
    uint8_t bits = net->family == 4 ? prefixes.v4_bits : prefixes.v6_bits;

    if (net->prefix < bits) {
        return false;
    }
    *net = cq_key_network(net, bits);
    return true;
}

enum cq_exit cq_target_count_clients(struct cq_look *look,
                                     const struct cq_key *net,
                                     int64_t *clients)
{
    const struct cq_query query = { .limit = 1, .has_client = true,
                                    .client = *net };
    enum cq_exit result = cq_look_collect(look, &query);

    *clients = result == CQ_EXIT_DONE ? look->view.clients_matched : 0;
    return result;
}

enum cq_exit cq_target_ask(struct cq_look *look, const char *format, ...)
{
    char question[256], answer[16] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(question, sizeof(question), format, args);
    va_end(args);
    if (isatty(STDIN_FILENO) == 0) {
        cq_say_trouble(&look->say, "%s: this is for more than one client and "
                       "there is no terminal to ask on; expected --yes",
                       question);
        return CQ_EXIT_USAGE;
    }
    fprintf(look->output.file, "%s? [y/N] ", question);
    fflush(look->output.file);
    if (fgets(answer, sizeof(answer), stdin) != NULL
        && (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0)) {
        return CQ_EXIT_DONE;
    }
    cq_say_trouble(&look->say, "nothing was changed");
    return CQ_EXIT_PARTLY;
}
