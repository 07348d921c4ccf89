/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "test.h"

#include <errno.h>

TEST(context_is_put_in_front)
{
    struct err err = { 0 };

    CHECK(!err_fail(&err, ERR_LIMIT, "%d parts", 3));
    CHECK(!err_wrap(&err, "message %d", 7));
    CHECK_STR(err.text, "message 7: 3 parts");
    CHECK(err.code == ERR_LIMIT);
}

TEST(errno_decides_what_the_caller_can_do)
{
    struct err err = { 0 };

    errno = ECONNREFUSED;
    (void)err_errno(&err, "connect");
    CHECK(err.code == ERR_RETRY);
    errno = ENOENT;
    (void)err_errno(&err, "open");
    CHECK(err.code == ERR_ABSENT);
    errno = ENOSPC;
    (void)err_errno(&err, "write");
    CHECK(err.code == ERR_SYSTEM);
    CHECK_STR(err.text, "write: No space left on device");
}

TEST(long_texts_are_cut_not_overrun)
{
    struct err err = { 0 };

    (void)err_fail(&err, ERR_SYNTAX, "%600s", "x");
    for (int i = 0; i < 20; i++)
        (void)err_wrap(&err, "layer");
    CHECK_EQ_U64(strlen(err.text), ERR_TEXT_BYTES - 1);
}

TEST(only_retry_is_temporary_for_a_command)
{
    CHECK_EQ_I64(err_exit_status(ERR_NONE), 0);
    CHECK_EQ_I64(err_exit_status(ERR_RETRY), 3);
    CHECK_EQ_I64(err_exit_status(ERR_DENIED), 1);
    CHECK_EQ_I64(err_exit_status(ERR_CORRUPT), 1);
}
