/* replay - runs a fuzz target over its corpus, without a fuzzer: each file as
 * it is, then changed at random 300 times from a fixed seed. TAP. */
#include "../input.h"

#include <dirent.h>
#include <stdio.h>

#define CHANGES 300
#define SIZE_MAX_BYTES 65536

static uint8_t *read_file(const char *path, size_t *size)
{
    uint8_t *bytes = malloc(SIZE_MAX_BYTES);
    FILE *file = fopen(path, "rb");

    HOLDS(bytes != NULL && file != NULL);
    *size = fread(bytes, 1, SIZE_MAX_BYTES, file);
    fclose(file);
    return bytes;
}

/* Exactly as large as what it holds, for valgrind and the sanitizers. */
static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    HOLDS(copy != NULL);
    memcpy(copy, bytes, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Some bytes, the order of two, or the length. */
static void change(uint8_t *bytes, size_t *size, uint64_t *random)
{
    uint64_t n = 1 + draw(random) % 4;

    while (n-- > 0 && *size > 0) {
        size_t at = draw(random) % *size;

        switch (draw(random) % 4) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << draw(random) % 8);
            break;
        case 1:
            bytes[at] = (uint8_t)draw(random);
            break;
        case 2:
            bytes[at] = bytes[draw(random) % *size];
            break;
        default:
            *size = at;
            break;
        }
    }
}

static void run_changed(const uint8_t *bytes, size_t size)
{
    uint8_t *changed = malloc(SIZE_MAX_BYTES);
    uint64_t random = 20121108;
    int i;

    HOLDS(changed != NULL);
    for (i = 0; i < CHANGES; i++) {
        size_t n = size;

        memcpy(changed, bytes, size);
        change(changed, &n, &random);
        run(changed, n);
    }
    free(changed);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    struct dirent **files;
    char path[4096];
    int i, n;

    name = name != NULL ? name + 1 : argv[0];
    snprintf(path, sizeof(path), "t/fuzz/corpus/%s", argc > 1 ? argv[1] : name);
    n = scandir(path, &files, is_visible, alphasort);
    if (n <= 0) {
        printf("1..1\nnot ok 1 - %s: no corpus\n", path);
        return 1;
    }
    printf("1..%d\n", n);
    for (i = 0; i < n; i++) {
        char file[sizeof(path) + 256];
        uint8_t *bytes;
        size_t size;

        snprintf(file, sizeof(file), "%s/%s", path, files[i]->d_name);
        bytes = read_file(file, &size);
        run(bytes, size);
        run_changed(bytes, size);
        printf("ok %d - %s\n", i + 1, files[i]->d_name);
        fflush(stdout);
        free(bytes);
        free(files[i]);
    }
    free(files);
    return 0;
}
