/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include "base/fd.h"
#include "conf/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FILE_MAX_BYTES = 256 << 10,
    VARIABLE_NAME_BYTES = 96,
    ARENA_BYTES = 1 << 20,
    SETTINGS_MAX = 64,
};

/* Where each section and each setting stands in the file, so that a second time is told. 0: not yet. */
struct seen {
    size_t section_line[SETTINGS_MAX]; /* by the section's first setting */
    size_t line[SETTINGS_MAX];
};

/* ---- life ---- */

static bool create(struct conf **out, struct err *err)
{
    struct conf *conf = calloc(1, sizeof *conf);

    if (conf == NULL)
        return err_errno(err, "settings");
    conf->arena = arena_create(ARENA_BYTES);
    conf->file = "";
    *out = conf;
    return true;
}

void conf_free(struct conf **conf)
{
    if (*conf != NULL)
        arena_free(&(*conf)->arena);
    free(*conf);
    *conf = NULL;
}

/* ---- the three sources ---- */

static bool set_defaults(struct conf *conf, struct err *err)
{
    const char *data_dir = geteuid() == 0 ? "/var/lib/holdfast" : "~/.local/share/holdfast";
    const char *home = getenv("HOME");
    const struct conf_setting *setting = conf_find_setting(BYTES("holdfast"), BYTES("data_dir"));

    for (size_t i = 0; i < conf_setting_count; i++)
        if (!conf_set_value(conf, &conf_settings[i], bytes_of_text(conf_settings[i].usual), err))
            return err_wrap(err, "default of [%s] %s", conf_settings[i].section,
                            conf_settings[i].key);
    /* Without a home it must be set: check_whole says so. */
    if (geteuid() != 0 && (home == NULL || home[0] != '/'))
        return true;
    return conf_set_value(conf, setting, bytes_of_text(data_dir), err);
}

static bool refuse_section(struct bytes section, struct err *err)
{
    const char *nearest = conf_suggest_section(section);

    return err_fail(err, ERR_SYNTAX, "unknown section [%.*s]%s%s%s", (int)section.len,
                    (const char *)section.ptr, nearest[0] != '\0' ? "; did you mean [" : "",
                    nearest, nearest[0] != '\0' ? "]?" : "");
}

static bool refuse_key(struct bytes section, struct bytes key, struct err *err)
{
    const char *nearest = conf_suggest_key(section, key);

    return err_fail(err, ERR_SYNTAX, "[%.*s] has no key \"%.*s\"%s%s%s", (int)section.len,
                    (const char *)section.ptr, (int)key.len, (const char *)key.ptr,
                    nearest[0] != '\0' ? "; did you mean \"" : "", nearest,
                    nearest[0] != '\0' ? "\"?" : "");
}

static bool apply_setting(struct conf *conf, struct bytes section, const struct conf_line *line,
                          size_t number, struct seen *seen, struct err *err)
{
    const struct conf_setting *setting = conf_find_setting(section, line->name);
    size_t index;

    if (section.len == 0)
        return err_fail(err, ERR_SYNTAX, "a key before the first [section]");
    if (setting == NULL)
        return refuse_key(section, line->name, err);
    index = (size_t)(setting - conf_settings);
    assert(index < SETTINGS_MAX);
    if (seen->line[index] != 0)
        return err_fail(err, ERR_SYNTAX, "[%s] %s is set already in line %zu", setting->section,
                        setting->key, seen->line[index]);
    seen->line[index] = number;
    if (!conf_set_value(conf, setting, line->value, err))
        return err_wrap(err, "[%s] %s", setting->section, setting->key);
    return true;
}

static bool apply_section(struct bytes name, size_t number, struct seen *seen, struct err *err)
{
    const struct conf_setting *first = conf_find_section(name);
    size_t index;

    if (first == NULL)
        return refuse_section(name, err);
    index = (size_t)(first - conf_settings);
    assert(index < SETTINGS_MAX);
    if (seen->section_line[index] != 0)
        return err_fail(err, ERR_SYNTAX,
                        "[%s] is there already, in line %zu: put its keys together", first->section,
                        seen->section_line[index]);
    seen->section_line[index] = number;
    return true;
}

static bool apply_line(struct conf *conf, struct bytes *section, const struct conf_line *line,
                       size_t number, struct seen *seen, struct err *err)
{
    switch (line->kind) {
    case CONF_LINE_EMPTY:
        return true;
    case CONF_LINE_SECTION:
        *section = line->name;
        return apply_section(line->name, number, seen, err);
    case CONF_LINE_SETTING:
        return apply_setting(conf, *section, line, number, seen, err);
    }
    UNREACHABLE();
}

static bool apply_text(struct conf *conf, struct bytes text, const char *name, struct err *err)
{
    struct bytes section = BYTES("");
    struct seen seen = { 0 };
    struct conf_line line;

    if (bytes_start_with(text, BYTES("\xef\xbb\xbf"))) /* a byte order mark */
        text = bytes_slice(text, 3, SIZE_MAX);
    for (size_t number = 1; text.len > 0; number++)
        if (!conf_read_line(&text, &line, err) ||
            !apply_line(conf, &section, &line, number, &seen, err))
            return err_wrap(err, "%s line %zu", name, number);
    return true;
}

static bool apply_environment(struct conf *conf, struct err *err)
{
    for (size_t i = 0; i < conf_setting_count; i++) {
        const struct conf_setting *setting = &conf_settings[i];
        char name[VARIABLE_NAME_BYTES];
        const char *value;

        (void)snprintf(name, sizeof name, "HOLDFAST_%s_%s", setting->section, setting->key);
        for (char *c = name; *c != '\0'; c++)
            *c = (char)ascii_upper((uint8_t)*c);
        value = getenv(name);
        if (value != NULL && !conf_set_value(conf, setting, bytes_of_text(value), err))
            return err_wrap(err, "environment variable %s", name);
    }
    return true;
}

/* What no single setting can know. */
static bool check_whole(const struct conf *conf, struct err *err)
{
    if (conf->holdfast.data_dir[0] == '\0')
        return err_fail(err, ERR_SYNTAX,
                        "[holdfast] data_dir is not set, and without $HOME it has no default");
    if ((conf->imapd.tls_cert[0] == '\0') != (conf->imapd.tls_key[0] == '\0'))
        return err_fail(err, ERR_SYNTAX,
                        "[imapd] tls_cert and tls_key are set both or neither of them");
    if (conf->holdfast.user[0] == '\0')
        return err_fail(err, ERR_SYNTAX, "[holdfast] user may not be empty");
    return true;
}

/* What is decided and not built yet must not look as if it were in force. */
static bool check_built(const struct conf *conf, struct err *err)
{
    const struct {
        bool is_set;
        const char *name;
    } unbuilt[] = {
        { conf->database.read_url[0] != '\0', "[database] read_url" },
        { conf->imapd.slice_messages > 0, "[imapd] slice" },
        { conf->store.url[0] != '\0', "[store] url" },
        { conf->store.encryption, "[store] encryption" },
        { conf->metrics.listen.count > 0, "[metrics] listen" },
    };

    for (size_t i = 0; i < ARRAY_LEN(unbuilt); i++)
        if (unbuilt[i].is_set)
            return err_fail(err, ERR_SYNTAX,
                            "%s is not built yet and would have no effect: leave it out",
                            unbuilt[i].name);
    return true;
}

/* ---- loading ---- */

static bool apply_file(struct conf *conf, const char *path, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(FILE_MAX_BYTES);
    struct bytes octets;

    if (!file_read(path, FILE_MAX_BYTES, &text, err) || !buf_done(&text, &octets, err))
        return err_wrap(err, "settings");
    conf->file = arena_text(conf->arena, path);
    return apply_text(conf, octets, path, err);
}

static const char *choose_file(const char *path)
{
    const char *variable = getenv("HOLDFAST_CONFIG");

    if (path != NULL)
        return path;
    if (variable != NULL && variable[0] != '\0')
        return variable;
    /* Any other failure than its absence is told when it is read. */
    return access(CONF_DEFAULT_FILE, F_OK) == 0 || errno != ENOENT ? CONF_DEFAULT_FILE : NULL;
}

bool conf_load(const char *path, struct conf **out, struct err *err)
{
    CLEANUP(conf_free) struct conf *conf = NULL;
    const char *file = choose_file(path);

    if (!create(&conf, err) || !set_defaults(conf, err))
        return false;
    if (file != NULL && !apply_file(conf, file, err))
        return false;
    if (!apply_environment(conf, err) || !check_whole(conf, err) || !check_built(conf, err))
        return false;
    *out = conf;
    conf = NULL;
    return true;
}

bool conf_load_text(struct bytes text, const char *name, struct conf **out, struct err *err)
{
    CLEANUP(conf_free) struct conf *conf = NULL;

    if (!create(&conf, err) || !set_defaults(conf, err) || !apply_text(conf, text, name, err))
        return false;
    if (!check_whole(conf, err))
        return err_wrap(err, "%s", name);
    *out = conf;
    conf = NULL;
    return true;
}

/* ---- printing ---- */

static bool is_first_of_section(size_t i)
{
    return i == 0 || strcmp(conf_settings[i].section, conf_settings[i - 1].section) != 0;
}

/* Help in lines of at most 78 characters behind "# ". */
static void print_wrapped(struct buf *out, const char *help)
{
    struct bytes rest = bytes_of_text(help);

    while (rest.len > 0) {
        size_t len = rest.len;

        if (len > 76) {
            len = 76;
            while (len > 0 && rest.ptr[len] != ' ')
                len--;
        }
        buf_text(out, "# ");
        buf_append(out, bytes_slice(rest, 0, len));
        buf_byte(out, '\n');
        rest = bytes_slice(rest, len + 1, SIZE_MAX); /* without the blank */
    }
}

void conf_print_manual(struct buf *out)
{
    buf_text(out, "# Holdfast's settings. Those that are commented out show their defaults. Each\n"
                  "# may be overridden by an environment variable: HOLDFAST_<SECTION>_<KEY>.\n");
    for (size_t i = 0; i < conf_setting_count; i++) {
        const struct conf_setting *setting = &conf_settings[i];

        if (is_first_of_section(i)) {
            buf_text(out, "\n[");
            buf_text(out, setting->section);
            buf_text(out, "]\n");
        }
        buf_byte(out, '\n');
        print_wrapped(out, setting->help);
        buf_text(out, "# Accepts ");
        conf_describe_type(setting, out);
        buf_text(out, ".\n#");
        buf_text(out, setting->key);
        buf_text(out, setting->usual[0] != '\0' ? " = " : " =");
        buf_text(out, setting->usual);
        buf_byte(out, '\n');
    }
}

void conf_print_settings(const struct conf *conf, struct buf *out)
{
    for (size_t i = 0; i < conf_setting_count; i++) {
        if (is_first_of_section(i)) {
            buf_text(out, i == 0 ? "[" : "\n[");
            buf_text(out, conf_settings[i].section);
            buf_text(out, "]\n");
        }
        buf_text(out, conf_settings[i].key);
        buf_text(out, " = ");
        conf_write_value(conf, &conf_settings[i], out);
        buf_byte(out, '\n');
    }
}
