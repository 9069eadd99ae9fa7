/* output - standard output of a tool. */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL_WIDTH 15

static void write_file(void *baton, const char *data, size_t size)
{
    (void)fwrite(data, 1, size, baton);     /* ferror() remembers */
}

bool cq_output_fill_streams(const char *program)
{
    int fd;

    /* the lowest number that is free is the one that is opened */
    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF
            && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY)
               != fd) {
            fprintf(stderr, "%s: /dev/null: %s\n", program, strerror(errno));
            return false;
        }
    }
    return true;
}

void cq_output_begin(struct cq_output *output, FILE *file)
{
    const char *no_color = getenv("NO_COLOR");

    output->file = file;
    output->has_style = isatty(fileno(file)) != 0
        && (no_color == NULL || *no_color == '\0');
    output->sink.write = write_file;
    output->sink.baton = file;
}

bool cq_output_end(struct cq_output *output)
{
    return fflush(output->file) == 0 && !ferror(output->file);
}

const char *cq_output_style(const struct cq_output *output,
                            enum cq_style style)
{
    static const char *const styles[] = {
        "\033[0m", "\033[1m", "\033[32m", "\033[33m", "\033[31m"
    };

    return output->has_style ? styles[style] : "";
}

void cq_output_heading(struct cq_output *output, const char *text)
{
    fprintf(output->file, "%s%s%s\n",
            cq_output_style(output, CQ_STYLE_BOLD), text,
            cq_output_style(output, CQ_STYLE_PLAIN));
}

void cq_output_label(struct cq_output *output, const char *label)
{
    fprintf(output->file, "  %-*s", LABEL_WIDTH, label);
}
