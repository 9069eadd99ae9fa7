/* numbers - fuzzes sizes, durations, addresses and networks as people write
 * them, a line each: what is read is written, and read again, as the same. The
 * networks become a list, which is searched from one end to the other, too. */
#include "input.h"

#include "core/net.h"
#include "core/units.h"

static void fuzz_size(const char *text)
{
    char written[CQ_SIZE_TEXT_SIZE], human[CQ_SIZE_TEXT_SIZE];
    int64_t bytes = -1, again = -1;

    if (cq_size_parse(text, &bytes) != CQ_OK) {
        HOLDS(bytes == -1);
        return;
    }
    HOLDS(bytes >= 0 && bytes <= CQ_SIZE_MAX_BYTES);
    cq_size_format_human(bytes, human, sizeof(human));
    HOLDS(strlen(human) >= 3 && human[0] >= '0' && human[0] <= '9');
    cq_size_format_exact(bytes, written, sizeof(written));
    HOLDS(strlen(written) <= strlen(text) || text[0] == '.');
    HOLDS(cq_size_parse(written, &again) == CQ_OK && again == bytes);
}

static void fuzz_duration(const char *text)
{
    int64_t ms = -1, s = -1;

    if (cq_duration_parse_ms(text, &ms) == CQ_OK) {
        HOLDS(ms >= 0 && ms <= CQ_DURATION_MAX_MS);
    }
    if (cq_duration_parse_s(text, &s) == CQ_OK) {
        HOLDS(ms == s * 1000);
    }
}

static void fuzz_network(const char *text, struct cq_net_list *nets)
{
    char written[CQ_KEY_TEXT_SIZE];
    struct cq_key key, again;
    const char *why = NULL;

    if (cq_key_parse(&key, text, &why) != CQ_OK) {
        HOLDS(why != NULL);
        return;
    }
    HOLDS(cq_key_is_valid(&key));
    cq_key_format_cidr(&key, written, sizeof(written));
    HOLDS(cq_key_parse(&again, written, NULL) == CQ_OK);
    HOLDS(cq_key_compare(&key, &again) == 0);
    HOLDS(cq_net_add(nets, &key, 7) == CQ_OK && cq_net_has(nets, &key));
}

/* The list's answers about one of its own networks are those of all rules. */
static void search_list(const struct cq_net_list *nets,
                        const struct cq_key *key)
{
    const struct cq_net_rule *found = cq_net_find(nets, key);
    const struct cq_net_rule *best = NULL;
    size_t i;

    for (i = 0; i < nets->count; i++) {
        const struct cq_net_rule *rule = &nets->rules[i];

        if (cq_key_contains(&rule->net, key)
            && (best == NULL || rule->net.prefix > best->net.prefix)) {
            best = rule;
        }
        HOLDS(cq_key_touches(&rule->net, key)
              == (cq_key_contains(&rule->net, key)
                  || cq_key_contains(key, &rule->net)));
    }
    HOLDS(found == best);
}

static void fuzz_list(struct cq_net_list *nets)
{
    struct cq_key twice;
    size_t i;

    if (cq_net_seal(nets, &twice) != CQ_OK) {
        HOLDS(!nets->sealed && cq_net_has(nets, &twice));
        return;
    }
    for (i = 0; i < nets->count && i < 16; i++) {
        struct cq_key key = nets->rules[i].net;
        struct cq_key wider = cq_key_network(&key, key.prefix / 2);

        HOLDS(cq_net_find(nets, &key) == &nets->rules[i]);
        search_list(nets, &wider);
        HOLDS(cq_net_touches(nets, &wider) && cq_net_touches(nets, &key));
        key.prefix = key.family == 4 ? 32 : 128;
        /* 64:ff9b::/46 begins with an IPv4 address */
        if (cq_key_is_valid(&key)) {
            search_list(nets, &key);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    struct cq_net_list nets = { NULL, 0, 0, false };
    char *text = take_text(&in), *rest = text, *line;

    while ((line = strsep(&rest, "\n")) != NULL) {
        fuzz_size(line);
        fuzz_duration(line);
        fuzz_network(line, &nets);
    }
    fuzz_list(&nets);
    cq_net_free(&nets);
    free(text);
    return 0;
}
