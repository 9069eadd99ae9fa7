/* render_markup - reads a page as markup: for tests that include
 * render_sample.h before. */
#ifndef RENDER_MARKUP_H
#define RENDER_MARKUP_H

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    while ((text = strstr(text, what)) != NULL) {
        n++;
        text += strlen(what);
    }
    return n;
}

/* Tags are well nested and attributes quoted: a name that broke out of where
 * it stands would break one of these. A style element is stepped over. */
static void expect_markup(const char *text)
{
    static const char *const empty[] = { "meta", "link", "input", "hr" };
    char open[32][16];
    int depth = 0;

    while ((text = strchr(text, '<')) != NULL) {
        bool closes = text[1] == '/';
        char name[16];
        bool is_void = false;
        size_t i;

        text++;
        if (*text == '!') {
            continue;
        }
        text = word(text + closes, " />\n", name, sizeof(name));
        while (*text != '>') {
            ck_assert_int_ne(*text, '\0');
            ck_assert_int_ne(*text, '<');
            if (*text == '"') {
                text += strcspn(text + 1, "\"<\n") + 1;
                ck_assert_int_eq(*text, '"');
            }
            text++;
        }
        for (i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
            is_void = is_void || strcmp(name, empty[i]) == 0;
        }
        if (closes) {
            ck_assert_int_gt(depth, 0);
            ck_assert_str_eq(open[--depth], name);
        }
        else if (!is_void && text[-1] != '/') {
            ck_assert_int_lt(depth, 32);
            memcpy(open[depth++], name, sizeof(name));
        }
        if (!closes && strcmp(name, "style") == 0) {
            text = strstr(text, "</style>");
        }
    }
    ck_assert_int_eq(depth, 0);
}

#endif
