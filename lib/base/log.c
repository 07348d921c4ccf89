/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <unistd.h>

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

/* Text of ours may still quote a server's answer: quotes and controls must not forge a line. */
static void append_quoted(struct buf *line, const char *text)
{
    buf_byte(line, '"');
    for (const char *at = text; *at != '\0'; at++) {
        uint8_t c = (uint8_t)*at;

        if (c == '"' || c == '\\')
            buf_byte(line, '\\');
        buf_byte(line, c < 0x20 || c == 0x7f ? '?' : c);
    }
    buf_byte(line, '"');
}

static void append_field(struct buf *line, const struct log_field *field)
{
    buf_byte(line, ' ');
    buf_text(line, field->name);
    buf_byte(line, '=');
    switch (field->kind) {
    case LOG_FIELD_U64:
        buf_u64(line, field->u64);
        return;
    case LOG_FIELD_I64:
        buf_i64(line, field->i64);
        return;
    case LOG_FIELD_TEXT:
        append_quoted(line, field->text == NULL ? "" : field->text);
        return;
    case LOG_FIELD_ERR:
        append_quoted(line, field->err->text);
        buf_text(line, " code=");
        buf_text(line, err_code_name(field->err->code));
        return;
    }
    UNREACHABLE();
}

void log_event(const struct log *log, enum log_level level, const char *event,
               const struct log_field *fields)
{
    CLEANUP(buf_free) struct buf line = buf_create(LOG_LINE_BYTES - 1);
    char now[CLOCK_TEXT_BYTES];
    struct bytes text;

    if (log == NULL || level < log->level)
        return;
    clock_format_rfc3339(clock_now_usec(), now);
    buf_text(&line, "ts=");
    buf_text(&line, now);
    buf_text(&line, " level=");
    buf_text(&line, level_names[level]);
    buf_text(&line, " process=");
    buf_text(&line, log->process);
    buf_text(&line, " event=");
    append_quoted(&line, event);
    for (; fields->name != NULL; fields++)
        append_field(&line, fields);

    /* A line that is too long is cut, but still ends as a line. */
    text = buf_bytes(&line);
    line.max_bytes = LOG_LINE_BYTES;
    line.has_failed = false;
    buf_byte(&line, '\n');
    text = buf_bytes(&line);
    if (write(log->fd, text.ptr, text.len) < 0)
        return; /* nowhere left to tell */
}
