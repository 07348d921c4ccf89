/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "test.h"

#include <unistd.h>

/* One event through a pipe; what was written, in out. */
static size_t written(enum log_level level, const char *event, const struct log_field *fields,
                      char *out, size_t size)
{
    int ends[2];
    ssize_t got;
    struct log log = { .level = LOG_INFO, .process = "test" };

    CHECK(pipe(ends) == 0);
    log.fd = ends[1];
    log_event(&log, level, event, fields);
    (void)close(ends[1]);
    got = read(ends[0], out, size - 1);
    (void)close(ends[0]);
    CHECK(got >= 0);
    out[got] = '\0';
    return (size_t)got;
}

TEST(a_line_has_event_and_typed_fields)
{
    char line[LOG_LINE_BYTES + 1];

    (void)written(LOG_INFO, "message stored",
                  (const struct log_field[]){ F_U64("account", 7), F_TEXT("kind", "a\"b"), F_END },
                  line, sizeof line);
    CHECK(strstr(line, " level=info process=test event=\"message stored\" account=7 "
                       "kind=\"a\\\"b\"\n") != NULL);
}

TEST(a_field_cannot_forge_a_second_line)
{
    char line[LOG_LINE_BYTES + 1];

    (void)written(LOG_WARN, "x", (const struct log_field[]){ F_TEXT("t", "a\nts=fake"), F_END },
                  line, sizeof line);
    CHECK(strchr(line, '\n') == line + strlen(line) - 1);
}

TEST(an_overlong_line_is_cut_and_still_ends)
{
    char text[4000], line[LOG_LINE_BYTES + 1];
    size_t len;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    len = written(LOG_ERROR, "x", (const struct log_field[]){ F_TEXT("t", text), F_END }, line,
                  sizeof line);
    CHECK(len > 0 && len <= LOG_LINE_BYTES);
    CHECK(line[len - 1] == '\n');
}

TEST(lines_below_the_level_are_not_written)
{
    char line[64];

    CHECK_EQ_U64(written(LOG_DEBUG, "x", (const struct log_field[]){ F_END }, line, sizeof line),
                 0);
}
