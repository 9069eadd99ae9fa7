/* lift - the directives of httpd beside which a "Deny from" may not hold. */
#include "sync/lift.h"
#include "sync/deny.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\r\v\f"

char *cq_deny_word(char **line)
{
    char *word = *line + strspn(*line, BLANKS);
    char *end;

    if (*word == '\0' || *word == '#') {
        return NULL;
    }
    if (*word == '"' || *word == '\'') {
        end = strchr(word + 1, *word);
        if (end != NULL) {
            *end = '\0';
            *line = end + 1;
            return word + 1;
        }
    }
    end = word + strcspn(word, BLANKS);
    *line = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}


static void read_allow(struct cq_lift *lift, char *rest, size_t line)
{
    char *word = cq_deny_word(&rest);

    if (word == NULL || strcasecmp(word, "from") != 0) {
        return;
    }
    while ((word = cq_deny_word(&rest)) != NULL) {
        const char *why;
        struct cq_key key;

        if (strcasecmp(word, "all") == 0) {
            lift->allows_all = line;
        }
        else if (cq_deny_address(word, &key, &why) != CQ_OK) {
            lift->allows_others = line;
        }
        else if (!cq_net_has(&lift->allowed, &key)
                 && cq_net_add(&lift->allowed, &key, (int64_t)line)
                     == CQ_ENOMEM) {
            lift->no_memory = true;
        }
    }
}

bool cq_lift_read(struct cq_lift *lift, const char *directive, char **rest,
                  size_t line)
{
    char *word;

    if (strcasecmp(directive, "allow") == 0) {
        read_allow(lift, *rest, line);
        return true;
    }
    if (strcasecmp(directive, "order") == 0) {
        word = cq_deny_word(rest);
        /* httpd's default is deny,allow; mutual-failure is as allow,deny */
        lift->deny_is_last = word != NULL
            && strcasecmp(word, "deny,allow") != 0;
        return true;
    }
    if (strcasecmp(directive, "satisfy") == 0) {
        word = cq_deny_word(rest);
        lift->satisfies_any = word != NULL && strcasecmp(word, "any") == 0
            ? line : 0;
        return true;
    }
    return false;
}

void cq_lift_finish(struct cq_lift *lift)
{
    (void)cq_net_seal(&lift->allowed, NULL);    /* none is in it twice */
}

/* The line of an Allow that touches the address; there is one. */
static size_t find_line(const struct cq_lift *lift, const struct cq_key *key)
{
    size_t i = 0;

    while (i + 1 < lift->allowed.count
           && !cq_key_contains(&lift->allowed.rules[i].net, key)
           && !cq_key_contains(key, &lift->allowed.rules[i].net)) {
        i++;
    }
    return (size_t)lift->allowed.rules[i].value;
}

bool cq_lift_may(const struct cq_lift *lift, const struct cq_key *key,
                 char *why, size_t size)
{
    const char *directive = "Allow";
    size_t line = 0;

    if (lift->satisfies_any != 0) {
        directive = "Satisfy Any";
        line = lift->satisfies_any;
    }
    else if (lift->deny_is_last) {
        return false;
    }
    else if (lift->allows_all != 0 || lift->allows_others != 0) {
        line = lift->allows_all != 0 ? lift->allows_all : lift->allows_others;
    }
    else if (cq_net_touches(&lift->allowed, key)) {
        line = find_line(lift, key);
    }
    if (line != 0) {
        snprintf(why, size, "\"%s\" in line %zu may lift it", directive,
                 line);
    }
    return line != 0;
}

void cq_lift_free(struct cq_lift *lift)
{
    cq_net_free(&lift->allowed);
}
