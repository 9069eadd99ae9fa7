/* log_options - the options that replay and feed share. */
#include "clamquota/log_options.h"

#include <strings.h>

static bool read_period(const char *text, enum cq_period_kind *kind)
{
    enum cq_period_kind k;

    for (k = CQ_PERIOD_MONTH; k <= CQ_PERIOD_DAY; k++) {
        if (strcasecmp(text, cq_period_kind_word(k)) == 0) {
            *kind = k;
            return true;
        }
    }
    return false;
}

bool cq_log_options_compile(const struct cq_log_options *options,
                            const char *program, FILE *err,
                            struct cq_log_values *values)
{
    char why[256];
    int error;

    if (options->period != NULL
        && !read_period(options->period, &values->kind)) {
        fprintf(err, "%s: --period \"%s\": expected " CQ_LOG_PERIOD_EXPECTED
                "\n", program, options->period);
        return false;
    }
    if (options->format != NULL) {
        if (cq_log_format_compile(&values->format_memory, options->format,
                                  why, sizeof(why)) != CQ_OK) {
            fprintf(err, "%s: --format \"%s\": %s\n", program,
                    options->format, why);
            return false;
        }
        values->format = &values->format_memory;
    }
    if (options->free != NULL) {
        error = regcomp(&values->free_memory, options->free,
                        REG_EXTENDED | REG_NOSUB);
        if (error != 0) {
            regerror(error, &values->free_memory, why, sizeof(why));
            fprintf(err, "%s: --free \"%s\": %s; expected "
                    CQ_LOG_FREE_EXPECTED "\n", program, options->free, why);
            return false;
        }
        values->free = &values->free_memory;
    }
    return true;
}

void cq_log_values_free(struct cq_log_values *values)
{
    if (values->free != NULL) {
        regfree(&values->free_memory);
    }
}
