/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/test.h - what a unit test is written with.
 *
 *     TEST(literal_over_the_limit_is_refused_and_nothing_is_consumed)
 *     {
 *         CHECK(!imap_read_literal(&in, 4096, &lit, &err));
 *         CHECK_EQ_U64(err.code, ERR_LIMIT);
 *     }
 *
 * A file of tests holds nothing else: TEST registers itself, and main() is in test_main.c, which
 * runs the tests in the order of the file (cmocka does the running). The first failed CHECK ends
 * its test. CHECK in the test's own thread only; a thread under test hands its result back.
 * A test binary takes one argument: a pattern of test names, such as '*literal*'.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
};

void test_register(struct test_case *test);
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void test_check_u64(const char *file, int line, const char *text, uint64_t got, uint64_t want);
void test_check_i64(const char *file, int line, const char *text, int64_t got, int64_t want);
void test_check_bytes(const char *file, int line, const char *text, struct bytes got,
                      struct bytes want);
void test_check_str(const char *file, int line, const char *text, const char *got,
                    const char *want);

#define TEST(test_name)                                                                            \
    static void test_name(void);                                                                   \
    __attribute__((constructor)) static void register_##test_name(void)                            \
    {                                                                                              \
        static struct test_case test = { #test_name, test_name, NULL };                            \
        test_register(&test);                                                                      \
    }                                                                                              \
    static void test_name(void)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail(__FILE__, __LINE__, "CHECK(%s)", #condition);                                \
    } while (0)

/* got first, then what was expected; both are printed, octets escaped. */
#define CHECK_EQ_U64(got, want)                                                                    \
    test_check_u64(__FILE__, __LINE__, #got " == " #want, (uint64_t)(got), (uint64_t)(want))
#define CHECK_EQ_I64(got, want)                                                                    \
    test_check_i64(__FILE__, __LINE__, #got " == " #want, (int64_t)(got), (int64_t)(want))
#define CHECK_BYTES(got, want)                                                                     \
    test_check_bytes(__FILE__, __LINE__, #got " == " #want, (got), (want))
#define CHECK_STR(got, want) test_check_str(__FILE__, __LINE__, #got " == " #want, (got), (want))
