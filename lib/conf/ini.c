/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of an INI file: [section], key = value, comments after # or ; at the start of a line. */
#include "conf/internal.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct bytes trim(struct bytes in)
{
    while (in.len > 0 && is_blank(in.ptr[0]))
        in = bytes_slice(in, 1, SIZE_MAX);
    while (in.len > 0 && is_blank(in.ptr[in.len - 1]))
        in.len--;
    return in;
}

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alpha(name.ptr[i]) && !ascii_is_digit(name.ptr[i]) && name.ptr[i] != '_')
            return false;
    return name.len > 0;
}

static bool read_section(struct bytes line, struct conf_line *out, struct err *err)
{
    struct conf_line section = { .kind = CONF_LINE_SECTION };

    if (!scan_byte(&line, '[') || !scan_until_byte(&line, ']', &section.name) ||
        !scan_byte(&line, ']') || line.len > 0 || !is_name(section.name))
        return err_fail(err, ERR_SYNTAX, "expected [section] and nothing else on the line");
    *out = section;
    return true;
}

static bool read_setting(struct bytes line, struct conf_line *out, struct err *err)
{
    struct conf_line setting = { .kind = CONF_LINE_SETTING };

    if (!scan_until_byte(&line, '=', &setting.name) || !scan_byte(&line, '='))
        return err_fail(err, ERR_SYNTAX, "expected key = value, [section] or # comment");
    setting.name = trim(setting.name);
    setting.value = trim(line);
    if (!is_name(setting.name))
        return err_fail(err, ERR_SYNTAX, "a key has letters, digits and _ only");
    if (setting.value.len >= 2 && setting.value.ptr[0] == '"' &&
        setting.value.ptr[setting.value.len - 1] == '"')
        setting.value = bytes_slice(setting.value, 1, setting.value.len - 2);
    *out = setting;
    return true;
}

bool conf_read_line(struct bytes *in, struct conf_line *out, struct err *err)
{
    struct bytes line = *in;

    if (scan_until_byte(in, '\n', &line))
        *in = bytes_slice(*in, 1, SIZE_MAX);
    else
        *in = bytes_slice(*in, in->len, 0);
    line = trim(line);
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] < 0x20 && line.ptr[i] != '\t')
            return err_fail(err, ERR_SYNTAX, "control character");
    if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';') {
        *out = (struct conf_line){ .kind = CONF_LINE_EMPTY };
        return true;
    }
    if (line.ptr[0] == '[')
        return read_section(line, out, err);
    return read_setting(line, out, err);
}
