/* SPDX-License-Identifier: Apache-2.0 */
#include "db/internal.h"
#include "test.h"

TEST(conditions_that_pass_are_retried)
{
    static const char *const states[] = { "40001", "40P01", "57P01", "57P02", "57P03",
                                          "08006", "08001", "53300", "55P03", "57014",
                                          "25006", "26000", "0A000", "25P03" };

    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        CHECK_STR(err_code_name(db_code_of_sqlstate(states[i])), "RETRY");
}

TEST(what_the_machine_refuses_stops_the_worker)
{
    static const char *const states[] = { "53100", "53200", "58030", "58P01", "42601", "42P01",
                                          "23505", "P0001", "XX000", "99999", "" };

    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        CHECK_STR(err_code_name(db_code_of_sqlstate(states[i])), "SYSTEM");
}

TEST(the_rest_has_codes_of_its_own)
{
    CHECK_STR(err_code_name(db_code_of_sqlstate("42501")), "DENIED");
    CHECK_STR(err_code_name(db_code_of_sqlstate("28P01")), "DENIED");
    CHECK_STR(err_code_name(db_code_of_sqlstate("3D000")), "ABSENT");
    CHECK_STR(err_code_name(db_code_of_sqlstate("22021")), "SYNTAX");
    CHECK_STR(err_code_name(db_code_of_sqlstate("54000")), "LIMIT");
    CHECK_STR(err_code_name(db_code_of_sqlstate("XX001")), "CORRUPT");
    CHECK_STR(err_code_name(db_code_of_sqlstate("XX002")), "CORRUPT");
}
