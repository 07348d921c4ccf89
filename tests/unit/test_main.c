/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/test_main.c - main() of every unit test binary; see test.h.
 *
 * The last line on standard output is "counts: N passed, N failed", which run.sh adds up.
 */
#include "test.h"

/* cmocka.h needs the others above it. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

static struct test_case *first_test;
static struct test_case **next_link = &first_test;
static size_t started_count;

void test_register(struct test_case *test)
{
    *next_link = test;
    next_link = &test->next;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    char text[8192];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_error("%s:%d: %s\n", file, line, text);
    _fail(file, line);
    abort(); /* not reached: _fail jumps back into cmocka */
}

void test_check_u64(const char *file, int line, const char *text, uint64_t got, uint64_t want)
{
    if (got != want)
        test_fail(file, line, "%s\n  got  %ju (0x%jx)\n  want %ju (0x%jx)", text, (uintmax_t)got,
                  (uintmax_t)got, (uintmax_t)want, (uintmax_t)want);
}

void test_check_i64(const char *file, int line, const char *text, int64_t got, int64_t want)
{
    if (got != want)
        test_fail(file, line, "%s\n  got  %jd\n  want %jd", text, (intmax_t)got, (intmax_t)want);
}

/* As much of in, from octet start on, as fits, the way a C string literal would spell it. */
static void escape(struct bytes in, size_t start, char *out, size_t out_size)
{
    size_t used = 0;

    for (size_t i = start; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        char *at = out + used;
        size_t room = out_size - used;

        if (room < 8) {
            snprintf(at, room, "...");
            return;
        }
        if (c == '\r')
            snprintf(at, room, "\\r");
        else if (c == '\n')
            snprintf(at, room, "\\n");
        else if (c == '"' || c == '\\')
            snprintf(at, room, "\\%c", c);
        else if (c >= 0x20 && c < 0x7f)
            snprintf(at, room, "%c", c);
        else
            snprintf(at, room, "\\%03o", c);
        used += strlen(at);
    }
    out[used] = '\0';
}

void test_check_bytes(const char *file, int line, const char *text, struct bytes got,
                      struct bytes want)
{
    char got_text[1200];
    char want_text[1200];
    size_t same = 0;
    size_t start;

    while (same < got.len && same < want.len && got.ptr[same] == want.ptr[same])
        same++;
    if (same == got.len && same == want.len)
        return;
    start = same > 200 ? same - 100 : 0;
    escape(got, start, got_text, sizeof got_text);
    escape(want, start, want_text, sizeof want_text);
    test_fail(file, line,
              "%s\n  first difference at octet %zu; shown from octet %zu\n"
              "  got  (%zu) \"%s\"\n  want (%zu) \"%s\"",
              text, same, start, got.len, got_text, want.len, want_text);
}

void test_check_str(const char *file, int line, const char *text, const char *got, const char *want)
{
    if (got == NULL || want == NULL) {
        if (got != want)
            test_fail(file, line, "%s\n  got  %s\n  want %s", text, got == NULL ? "NULL" : got,
                      want == NULL ? "NULL" : want);
        return;
    }
    test_check_bytes(file, line, text, (struct bytes){ (const uint8_t *)got, strlen(got) },
                     (struct bytes){ (const uint8_t *)want, strlen(want) });
}

static void run_one(void **state)
{
    const struct test_case *test = *state;

    started_count++;
    test->run();
}

int main(int argc, char **argv)
{
    size_t count = 0;
    size_t i = 0;
    int failed;

    for (struct test_case *test = first_test; test != NULL; test = test->next)
        count++;

    struct CMUnitTest *tests = calloc(count + 1, sizeof *tests);

    if (tests == NULL)
        return 2;
    for (struct test_case *test = first_test; test != NULL; test = test->next)
        tests[i++] = (struct CMUnitTest){ test->name, run_one, NULL, NULL, test };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);

    failed = _cmocka_run_group_tests(argv[0], tests, count, NULL, NULL);
    free(tests);
    if (failed < 0 || (size_t)failed > started_count)
        return 2;
    fflush(stderr);
    printf("counts: %zu passed, %d failed\n", started_count - (size_t)failed, failed);
    return failed == 0 ? 0 : 1;
}
