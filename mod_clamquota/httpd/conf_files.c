/* conf_files - is a quota smaller than a file that it is meant for?
 *
 * A new client has Daily + Grace on the first day of a period. A client that
 * fetches a larger file is over quota at once: a mirror's new installations
 * get an incomplete set. So `httpd -t` reads the files below each DocumentRoot
 * and each <Directory> with a directive of ours; a start and a restart wait for
 * no file system. It stops after ENTRIES_MAX entries or TIME_MAX, follows no
 * symbolic link to a directory, and leaves out what it cannot read. A file's
 * scope is found by Directory, Files and Location, without <If>, .htaccess. */
#include "httpd/private.h"

#include <apr_file_info.h>
#include <apr_fnmatch.h>

#include <string.h>

#define ENTRIES_MAX 20000
#define TIME_MAX apr_time_from_sec(1)

struct walk {
    apr_pool_t *p;
    apr_time_t end;
    int entries_left;
    int64_t least_bytes;        /* a file of at most this fits everywhere */
};

struct file {
    const char *path;
    int64_t bytes;
};

/* the largest file that a quota is too small for */
struct finding {
    const char *root;
    const struct cq_pool_decl *pool;
    int64_t daily_bytes;
    int64_t grace_bytes;
    struct file file;
};

/* ---- the file system ---- */

static bool within_bounds(struct walk *walk)
{
    if (walk->entries_left <= 0 || apr_time_now() > walk->end) {
        walk->entries_left = 0;
        return false;
    }
    walk->entries_left--;
    return true;
}

static void check_entry(struct walk *walk, const char *folder,
                        apr_finfo_t *entry, apr_array_header_t *folders,
                        apr_array_header_t *files)
{
    const char *path;

    if ((entry->valid & APR_FINFO_TYPE) == 0
        || strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) {
        return;
    }
    path = apr_pstrcat(walk->p, folder, "/", entry->name, NULL);
    if (entry->filetype == APR_DIR) {
        APR_ARRAY_PUSH(folders, const char *) = path;
        return;
    }
    if (entry->filetype == APR_LNK
        && apr_stat(entry, path, APR_FINFO_TYPE | APR_FINFO_SIZE, walk->p)
            != APR_SUCCESS) {
        return;
    }
    /* a file may be gone by now: then its size is not valid */
    if (entry->filetype == APR_REG && (entry->valid & APR_FINFO_SIZE) != 0
        && entry->size > walk->least_bytes) {
        struct file *file = apr_array_push(files);

        file->path = path;
        file->bytes = entry->size;
    }
}

/* The files below a folder that are too large for some quota. */
static apr_array_header_t *large_files(struct walk *walk, const char *root)
{
    apr_array_header_t *files = apr_array_make(walk->p, 8,
                                               sizeof(struct file));
    apr_array_header_t *folders = apr_array_make(walk->p, 8,
                                                 sizeof(const char *));

    APR_ARRAY_PUSH(folders, const char *) = root;
    while (folders->nelts > 0) {
        const char *folder = *(const char **)apr_array_pop(folders);
        apr_dir_t *dir;
        apr_finfo_t entry;
        apr_status_t rv = APR_SUCCESS;

        if (apr_dir_open(&dir, folder, walk->p) != APR_SUCCESS) {
            continue;
        }
        while ((rv == APR_SUCCESS || rv == APR_INCOMPLETE)
               && within_bounds(walk)) {
            rv = apr_dir_read(&entry, APR_FINFO_TYPE | APR_FINFO_SIZE
                              | APR_FINFO_NAME, dir);
            if (rv == APR_SUCCESS || rv == APR_INCOMPLETE) {
                check_entry(walk, folder, &entry, folders, files);
            }
        }
        apr_dir_close(dir);
    }
    return files;
}

/* ---- the scope of a file ---- */

static core_dir_config *find_core_conf(ap_conf_vector_t *section)
{
    return ap_get_core_module_config(section);
}

static bool is_pattern(const core_dir_config *core)
{
    return core->r != NULL || core->d_is_fnmatch;
}

/* Is path the folder (with or without a slash at its end) or below? */
static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    while (length > 0 && folder[length - 1] == '/') {
        length--;
    }
    return strncmp(path, folder, length) == 0
        && (path[length] == '/' || path[length] == '\0');
}

/* Does a pattern of <Directory> match this folder or one around it? Folders
 * end in a slash, patterns may. */
static bool folder_matches(apr_pool_t *p, const char *pattern,
                           const char *folder)
{
    const char *at;

    for (at = strchr(folder, '/'); at != NULL; at = strchr(at + 1, '/')) {
        const char *with = apr_pstrmemdup(p, folder,
                                          (apr_size_t)(at + 1 - folder));
        const char *without = apr_pstrmemdup(p, folder,
                                             (apr_size_t)(at - folder));

        if (apr_fnmatch(pattern, with, APR_FNM_PATHNAME) == APR_SUCCESS
            || apr_fnmatch(pattern, without, APR_FNM_PATHNAME)
                == APR_SUCCESS) {
            return true;
        }
    }
    return false;
}

enum kind { KIND_DIRECTORY, KIND_FILES, KIND_LOCATION };

static bool holds_for(apr_pool_t *p, const core_dir_config *core,
                      enum kind kind, const char *text)
{
    if (core->d == NULL) {
        return false;
    }
    if (core->r != NULL) {
        return ap_regexec(core->r, text, 0, NULL, 0) == 0;
    }
    if (core->d_is_fnmatch && kind == KIND_DIRECTORY) {
        return folder_matches(p, core->d, text);
    }
    if (core->d_is_fnmatch) {
        return apr_fnmatch(core->d, text, kind == KIND_FILES
                           ? 0 : APR_FNM_PATHNAME) == APR_SUCCESS;
    }
    return kind == KIND_FILES ? strcmp(core->d, text) == 0
                              : is_below(text, core->d);
}

/* what a scope is so far, and where it is put together */
struct scope {
    apr_pool_t *p;
    struct cq_dir_conf *conf;
};

static void merge_sections(struct scope *scope, apr_array_header_t *sections,
                           enum kind kind, const char *text)
{
    int i;

    for (i = 0; sections != NULL && i < sections->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(sections, i,
                                                  ap_conf_vector_t *);
        struct cq_dir_conf *own = ap_get_module_config(section,
                                                       &clamquota_module);

        if (own != NULL && holds_for(scope->p, find_core_conf(section), kind,
                                     text)) {
            scope->conf = cq_dir_conf_merge(scope->p, scope->conf, own);
        }
    }
}

/* <Directory> by the length of its path, then those with an expression. */
static apr_array_header_t *sorted_directories(apr_pool_t *p,
                                              const server_rec *s)
{
    const core_server_config *core =
        ap_get_core_module_config(s->module_config);
    apr_array_header_t *sorted = apr_array_copy(p, core->sec_dir);
    ap_conf_vector_t **at = (ap_conf_vector_t **)sorted->elts;
    int i, j;

    for (i = 1; i < sorted->nelts; i++) {
        ap_conf_vector_t *section = at[i];
        const core_dir_config *own = find_core_conf(section);

        for (j = i; j > 0 && own->r == NULL; j--) {
            const core_dir_config *other = find_core_conf(at[j - 1]);

            if (other->r == NULL && strlen(other->d) <= strlen(own->d)) {
                break;
            }
            at[j] = at[j - 1];
        }
        at[j] = section;
    }
    return sorted;
}

/* ---- one server ---- */

struct look {
    struct walk *walk;
    server_rec *s;
    const char *docroot;
    apr_array_header_t *directories;    /* sorted */
    apr_hash_t *listings;               /* of all servers: root -> files */
    apr_array_header_t *findings;       /* of all servers */
    apr_pool_t *scratch;
};

static const struct cq_dir_conf *find_scope(const struct look *look,
                                            const char *path)
{
    const core_server_config *core =
        ap_get_core_module_config(look->s->module_config);
    struct scope scope = { look->scratch, ap_get_module_config(
                           look->s->lookup_defaults, &clamquota_module) };
    const char *name = strrchr(path, '/') + 1;
    const char *folder = apr_pstrmemdup(look->scratch, path,
                                        (apr_size_t)(name - path));
    int i;

    merge_sections(&scope, look->directories, KIND_DIRECTORY, folder);
    merge_sections(&scope, find_core_conf(look->s->lookup_defaults)->sec_file,
                   KIND_FILES, name);
    for (i = 0; i < look->directories->nelts; i++) {
        const core_dir_config *directory =
            find_core_conf(APR_ARRAY_IDX(look->directories, i,
                                         ap_conf_vector_t *));

        if (holds_for(look->scratch, directory, KIND_DIRECTORY, folder)) {
            merge_sections(&scope, directory->sec_file, KIND_FILES, name);
        }
    }
    if (is_below(path, look->docroot)) {
        size_t length = strlen(look->docroot);

        while (length > 0 && look->docroot[length - 1] == '/') {
            length--;
        }
        merge_sections(&scope, core->sec_url, KIND_LOCATION, path + length);
    }
    return scope.conf;
}

/* Remembers a file that is too large, if it is the largest of its quota. */
static void find(struct look *look, const char *root, const struct file *file)
{
    const struct cq_dir_conf *conf = find_scope(look, file->path);
    int64_t grace_bytes = conf->grace_bytes != CQ_UNSET ? conf->grace_bytes
                                                        : 0;
    const struct cq_pool_decl *pool =
        cq_dir_conf_pool(conf, cq_server_conf(look->s));
    struct finding *finding;
    int i;

    if (cq_dir_conf_engine(conf) == CQ_ENGINE_OFF || conf->free == 1
        || conf->daily_bytes == CQ_UNSET
        || conf->daily_bytes + grace_bytes >= file->bytes) {
        return;
    }
    for (i = 0; i < look->findings->nelts; i++) {
        finding = &APR_ARRAY_IDX(look->findings, i, struct finding);
        if (finding->pool == pool
            && finding->daily_bytes == conf->daily_bytes
            && finding->grace_bytes == grace_bytes
            && (is_below(file->path, finding->root)
                || is_below(finding->file.path, root))) {
            if (file->bytes > finding->file.bytes) {
                finding->file = *file;
            }
            return;
        }
    }
    finding = apr_array_push(look->findings);
    finding->root = root;
    finding->pool = pool;
    finding->daily_bytes = conf->daily_bytes;
    finding->grace_bytes = grace_bytes;
    finding->file = *file;
}

static void check_below(struct look *look, const char *root)
{
    apr_array_header_t *files = apr_hash_get(look->listings, root,
                                             APR_HASH_KEY_STRING);
    int i;

    if (files == NULL) {
        files = large_files(look->walk, root);
        apr_hash_set(look->listings, root, APR_HASH_KEY_STRING, files);
    }
    for (i = 0; i < files->nelts && apr_time_now() <= look->walk->end; i++) {
        find(look, root, &APR_ARRAY_IDX(files, i, struct file));
        apr_pool_clear(look->scratch);
    }
}

/* without slashes at its end; "" is the root of all */
static const char *trimmed(apr_pool_t *p, const char *path)
{
    size_t length = strlen(path);

    while (length > 0 && path[length - 1] == '/') {
        length--;
    }
    return apr_pstrmemdup(p, path, length);
}

static void check_server(struct look *look)
{
    const core_server_config *core =
        ap_get_core_module_config(look->s->module_config);
    int i;

    look->docroot = core->ap_document_root != NULL
        ? trimmed(look->walk->p, core->ap_document_root) : "";
    look->directories = sorted_directories(look->walk->p, look->s);
    if (*look->docroot != '\0') {
        check_below(look, look->docroot);
    }
    for (i = 0; i < look->directories->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(look->directories, i,
                                                  ap_conf_vector_t *);
        const char *root = trimmed(look->walk->p, find_core_conf(section)->d);

        if (ap_get_module_config(section, &clamquota_module) != NULL
            && !is_pattern(find_core_conf(section)) && *root == '/'
            && !is_below(root, look->docroot)) {
            check_below(look, root);
        }
    }
}

/* ---- all of them ---- */

/* The next size that people write: whole M, else k, else bytes. */
static int64_t rounded_up(int64_t bytes)
{
    int64_t unit = bytes > (1 << 20) ? 1 << 20 : bytes > 1024 ? 1024 : 1;

    return (bytes + unit - 1) / unit * unit;
}

static void warn(apr_pool_t *p, server_rec *base,
                 const struct finding *finding)
{
    char daily[CQ_SIZE_TEXT_SIZE], grace[CQ_SIZE_TEXT_SIZE];
    char bytes[CQ_SIZE_TEXT_SIZE], enough[CQ_SIZE_TEXT_SIZE];

    cq_size_format_exact(finding->daily_bytes, daily, sizeof(daily));
    cq_size_format_exact(finding->grace_bytes, grace, sizeof(grace));
    cq_size_format_human(finding->file.bytes, bytes, sizeof(bytes));
    cq_size_format_exact(rounded_up(finding->file.bytes
                                    - finding->daily_bytes),
                         enough, sizeof(enough));
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, base, CQNO("0108")
                 "ClamQuotaDaily %s + ClamQuotaGrace %s is less than %s (%s): "
                 "on the first day of the period a new client that downloads "
                 "it is over quota at once; raise one of them, such as to "
                 "ClamQuotaGrace %s", daily, grace,
                 ap_escape_logitem(p, finding->file.path), bytes, enough);
}

/* The smallest Daily; 0: there is none. */
static int64_t least_daily(const struct cq_server_conf *conf)
{
    int64_t least_bytes = 0;
    int i;

    for (i = 0; i < conf->scopes->nelts; i++) {
        int64_t bytes = APR_ARRAY_IDX(conf->scopes, i,
                                      struct cq_dir_conf *)->daily_bytes;

        if (bytes != CQ_UNSET && (least_bytes == 0 || bytes < least_bytes)) {
            least_bytes = bytes;
        }
    }
    return least_bytes;
}

void cq_conf_check_files(apr_pool_t *ptemp, server_rec *base)
{
    struct walk walk = { ptemp, apr_time_now() + TIME_MAX, ENTRIES_MAX,
                         least_daily(cq_server_conf(base)) };
    struct look look = { .walk = &walk,
                         .listings = apr_hash_make(ptemp),
                         .findings = apr_array_make(ptemp, 4,
                                                    sizeof(struct finding)) };
    int i;

    if (ap_state_query(AP_SQ_RUN_MODE) != AP_SQ_RM_CONFIG_TEST
        || walk.least_bytes == 0
        || apr_pool_create(&look.scratch, ptemp) != APR_SUCCESS) {
        return;
    }
    for (look.s = base; look.s != NULL; look.s = look.s->next) {
        check_server(&look);
    }
    for (i = 0; i < look.findings->nelts; i++) {
        warn(ptemp, base, &APR_ARRAY_IDX(look.findings, i, struct finding));
    }
}
