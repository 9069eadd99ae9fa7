/* query - reads the page's query string.
 *
 * One row of a table for each parameter; each reader gets a decoded value. */
#include "render/query.h"

#include <string.h>

struct parameter {
    const char *key;
    bool (*read)(struct cq_query_request *request, char *value);
    const char *why;
};

static const char *const sort_words[] = { "used", "today", "refused", "hits",
                                          "last" };

#define SORTS (sizeof(sort_words) / sizeof(sort_words[0]))

const char *cq_query_sort_word(enum cq_sort sort)
{
    return (size_t)sort < SORTS ? sort_words[sort] : sort_words[0];
}

static const char *const filter_words[] = { "", "ok", "over", "exempt", "near",
                                            "refused", "jailed" };

#define FILTERS (sizeof(filter_words) / sizeof(filter_words[0]))

const char *cq_query_filter_word(enum cq_filter filter)
{
    return (size_t)filter < FILTERS ? filter_words[filter] : filter_words[0];
}

/* digits only, 0..max */
static bool read_number(const char *value, int max, int *number)
{
    int sum = 0;

    for (; *value; value++) {
        if (*value < '0' || *value > '9') {
            return false;
        }
        sum = sum * 10 + (*value - '0');
        if (sum > max) {
            return false;
        }
    }
    *number = sum;
    return true;
}

static bool read_sort(struct cq_query_request *request, char *value)
{
    size_t i;

    for (i = 0; i < SORTS; i++) {
        if (strcmp(value, sort_words[i]) == 0) {
            request->query.sort = (enum cq_sort)i;
            return true;
        }
    }
    return false;
}

static bool read_limit(struct cq_query_request *request, char *value)
{
    return read_number(value, CQ_QUERY_LIMIT_MAX, &request->query.limit) &&
           request->query.limit >= 1;
}

static bool read_refresh(struct cq_query_request *request, char *value)
{
    return read_number(value, CQ_QUERY_REFRESH_MAX_S, &request->refresh_s);
}

static bool read_state(struct cq_query_request *request, char *value)
{
    size_t i;

    for (i = 1; i < FILTERS; i++) {
        if (strcmp(value, filter_words[i]) == 0) {
            request->query.filter = (enum cq_filter)i;
            return true;
        }
    }
    return false;
}

static bool read_offset(struct cq_query_request *request, char *value)
{
    return read_number(value, CQ_QUERY_OFFSET_MAX, &request->query.offset);
}

static bool read_hours(struct cq_query_request *request, char *value)
{
    return read_number(value, CQ_VIEW_HOURS_MAX, &request->query.hours) &&
           request->query.hours >= 1;
}

static bool read_days(struct cq_query_request *request, char *value)
{
    return read_number(value, CQ_VIEW_DAYS_MAX, &request->query.days) &&
           request->query.days >= 1;
}

/* "24,48" */
static bool read_net(struct cq_query_request *request, char *value)
{
    char *comma = strchr(value, ',');
    int v4_bits, v6_bits;

    if (!comma || comma == value || comma[1] == '\0') {
        return false;
    }
    *comma = '\0';
    if (!read_number(value, 32, &v4_bits) ||
        !read_number(comma + 1, 128, &v6_bits)) {
        return false;
    }
    request->query.by_net = true;
    request->query.net_bits = (struct cq_prefixes){ (uint8_t)v4_bits,
                                                    (uint8_t)v6_bits };
    return true;
}

/* people paste addresses with blanks around them */
static bool read_client(struct cq_query_request *request, char *value)
{
    size_t end = strlen(value);

    while (end > 0 && value[end - 1] == ' ') {
        value[--end] = '\0';
    }
    value += strspn(value, " ");
    if (*value == '\0') {
        return true;
    }
    request->query.has_client =
        cq_key_parse(&request->query.client, value, NULL) == CQ_OK;
    return request->query.has_client;
}

static bool read_pool(struct cq_query_request *request, char *value)
{
    size_t length = strlen(value);

    if (length >= sizeof(request->pool_text) ||
        strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                      "0123456789._-") != length) {
        return false;
    }
    memcpy(request->pool_text, value, length + 1);
    request->query.pool = request->pool_text;
    return true;
}

static bool read_json(struct cq_query_request *request, char *value)
{
    (void)value;
    request->format = CQ_FORMAT_JSON;
    return true;
}

static bool read_auto(struct cq_query_request *request, char *value)
{
    (void)value;
    request->format = CQ_FORMAT_AUTO;
    return true;
}

static bool read_openmetrics(struct cq_query_request *request, char *value)
{
    (void)value;
    request->format = CQ_FORMAT_OPENMETRICS;
    return true;
}

/* those before the first with a sentence take no value and can't fail */
static const struct parameter parameters[] = {
    { "json", read_json, NULL },
    { "auto", read_auto, NULL },
    { "openmetrics", read_openmetrics, NULL },
    { "sort", read_sort,
      "sort must be used, today, refused, hits or last, e.g. ?sort=hits" },
    { "limit", read_limit,
      "limit must be a whole number from 1 to 10000, e.g. ?limit=50" },
    { "refresh", read_refresh,
      "refresh must be whole seconds from 0 (none) to 86400, e.g. "
      "?refresh=30" },
    { "client", read_client,
      "client must be an address (no %zone) or a network without host bits, "
      "e.g. ?client=192.0.2.7 or ?client=2001:db8::/32" },
    { "state", read_state,
      "state must be ok, over, exempt, near, refused, jailed or left out, "
      "e.g. ?state=over" },
    { "offset", read_offset,
      "offset must be a whole number from 0 to 10000, e.g. ?offset=100" },
    { "net", read_net,
      "net must be two prefixes, of IPv4 and of IPv6, e.g. ?net=24,48" },
    { "hours", read_hours,
      "hours must be a whole number from 1 to 768, e.g. ?hours=168" },
    { "days", read_days,
      "days must be a whole number from 1 to 416, e.g. ?days=31" },
    { "pool", read_pool,
      "pool must be a name of at most 31 letters, digits, dots, dashes and "
      "underscores, e.g. ?pool=default" },
};

#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    if (!at) {
        return -1;
    }
    return (int)(at - digits) < 16 ? (int)(at - digits)
                                   : (int)(at - digits) - 6;
}

/* %XX and + to what they stand for. A NUL, a broken %XX and a value too long
 * for any parameter are refused. */
static bool decode(const char *from, size_t size,
                   char value[CQ_QUERY_VALUE_SIZE])
{
    size_t out = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        char c = from[i] == '+' ? ' ' : from[i];

        if (c == '%') {
            int high = i + 2 < size ? hex_digit(from[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(from[i + 2]) : -1;

            if (low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (out + 1 >= CQ_QUERY_VALUE_SIZE) {
            return false;
        }
        value[out++] = c;
    }
    value[out] = '\0';
    return true;
}

static const struct parameter *find_parameter(const char *key, size_t size)
{
    size_t i;

    for (i = 0; i < PARAMETERS; i++) {
        if (strlen(parameters[i].key) == size &&
            memcmp(parameters[i].key, key, size) == 0) {
            return &parameters[i];
        }
    }
    return NULL;
}

static void set_defaults(struct cq_query_request *request)
{
    memset(request, 0, sizeof(*request));
    request->query.limit = CQ_QUERY_LIMIT_DEFAULT;
}

/* one key=value; NULL or the sentence that says what is wrong */
static const char *read_pair(struct cq_query_request *request,
                             const char *pair, size_t size)
{
    const char *equals = memchr(pair, '=', size);
    size_t key_size = equals ? (size_t)(equals - pair) : size;
    size_t value_size = equals ? size - key_size - 1 : 0;
    const struct parameter *parameter = find_parameter(pair, key_size);
    char value[CQ_QUERY_VALUE_SIZE] = "";

    if (!parameter) {
        return NULL;
    }
    if (!parameter->why) {
        parameter->read(request, value);
        return NULL;
    }
    if (value_size == 0) {
        return NULL;
    }
    if (!decode(equals + 1, value_size, value) ||
        !parameter->read(request, value)) {
        return parameter->why;
    }
    return NULL;
}

enum cq_status cq_query_parse(struct cq_query_request *request,
                              const char *query_string, const char **why)
{
    const char *at = query_string ? query_string : "";

    set_defaults(request);
    while (*at) {
        size_t size = strcspn(at, "&");
        const char *wrong = read_pair(request, at, size);

        if (wrong) {
            set_defaults(request);
            if (why) {
                *why = wrong;
            }
            return CQ_EINVAL;
        }
        at += size;
        at += *at == '&';
    }
    return CQ_OK;
}

bool cq_query_value(const char *query_string, const char *key,
                    char value[CQ_QUERY_VALUE_SIZE])
{
    size_t length = strlen(key);

    while (*query_string) {
        size_t size = strcspn(query_string, "&");

        if (size > length && query_string[length] == '=' &&
            memcmp(query_string, key, length) == 0) {
            return decode(query_string + length + 1, size - length - 1,
                          value);
        }
        query_string += size;
        query_string += *query_string == '&';
    }
    return false;
}
