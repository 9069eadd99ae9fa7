/* query - the page's query string, read.
 *
 * Pure text work: knows no httpd and no table. The renderers write the same
 * parameters into their links. */
#ifndef CQ_QUERY_H
#define CQ_QUERY_H

#include "render/view.h"

#define CQ_QUERY_LIMIT_DEFAULT 100
#define CQ_QUERY_LIMIT_MAX 10000
#define CQ_QUERY_OFFSET_MAX 10000
#define CQ_QUERY_REFRESH_MAX_S 86400

/* as long as a name of a pool can be, with NUL (CQ_POOL_NAME_SIZE) */
#define CQ_QUERY_POOL_SIZE 32

enum cq_query_format {
    CQ_FORMAT_HTML = 0,
    CQ_FORMAT_JSON,
    CQ_FORMAT_AUTO,
    CQ_FORMAT_OPENMETRICS
};

/* A parsed query string. query.pool points into pool_text: don't copy it. */
struct cq_query_request {
    struct cq_query query;
    enum cq_query_format format;
    int refresh_s;                      /* 0: none */
    char pool_text[CQ_QUERY_POOL_SIZE];
};

/** Reads "json&sort=hits&client=2001:db8::%2F32&limit=20". Values are
 * percent-decoded and "+" is a blank, as forms send them; an empty value is as
 * none. Of a key given twice the last counts. Unknown keys are ignored.
 * @param request       result, filled with the defaults first; after a failure
 *                      it holds the defaults
 * @param query_string  without the "?"; NULL is as ""
 * @param why           on failure a static sentence that says which parameter
 *                      is wrong and what it may be; may be NULL
 * @return CQ_OK or CQ_EINVAL */
enum cq_status cq_query_parse(struct cq_query_request *request,
                              const char *query_string, const char **why);

/* the longest value that makes sense is a CIDR with blanks around it */
#define CQ_QUERY_VALUE_SIZE 80

/** Reads one value of a query, or of a form, decoded. Of a key given twice the
 * first counts.
 * @return false: the key is missing, or its value is badly encoded, has a NUL
 *         or is too long */
bool cq_query_value(const char *query_string, const char *key,
                    char value[CQ_QUERY_VALUE_SIZE]);

/** "used", "today", "refused", "hits", "last". */
const char *cq_query_sort_word(enum cq_sort sort);

/** "", "ok", "over", "exempt", "near", "refused", "jailed". */
const char *cq_query_filter_word(enum cq_filter filter);

#endif
