/* SPDX-License-Identifier: Apache-2.0 */
#include "process/process.h"
#include "test.h"

#include <sys/resource.h>

TEST(who_holds_a_descriptor_for_each_peer_gets_as_many_as_the_system_bears)
{
    struct process process = { .log = { .fd = -1 } };
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 64;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    process_allow_descriptors(&process, 1000);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_EQ_U64(limit.rlim_cur, limit.rlim_max);
}
