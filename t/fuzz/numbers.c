/* numbers - fuzzes sizes, durations, addresses and networks as people write
 * them: what is read is written, and read again, as the same. */
#include "input.h"

#include "core/key.h"
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
    cq_size_format_exact(bytes, written, sizeof(written));
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

static void fuzz_network(const char *text)
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
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    char *text = take_text(&in);

    fuzz_size(text);
    fuzz_duration(text);
    fuzz_network(text);
    free(text);
    return 0;
}
