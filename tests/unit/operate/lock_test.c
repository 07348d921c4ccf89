/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "operate/lock.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* A folder of its own, removed with what the locks left in it. */
struct folder {
    char path[64];
};

static struct folder make_folder(void)
{
    struct folder folder = { "/tmp/holdfast-lock-XXXXXX" };

    CHECK(mkdtemp(folder.path) != NULL);
    return folder;
}

static void remove_folder(struct folder *folder)
{
    char path[96];

    (void)snprintf(path, sizeof path, "%s/holdfastd.lock", folder->path);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/commands.lock", folder->path);
    (void)unlink(path);
    (void)rmdir(folder->path);
}

TEST(services_are_read_as_they_are_written)
{
    char text[OPERATE_SERVICES_TEXT_BYTES];
    unsigned services = 0;
    struct err err = { 0 };

    operate_write_services(OPERATE_SERVICE_ALL, text);
    CHECK_STR(text, "database,gate,keeper,ingest,imapd,watch");
    CHECK(operate_read_services(text, &services, &err));
    CHECK_EQ_U64(services, OPERATE_SERVICE_ALL);
    CHECK(operate_read_services("gate", &services, &err));
    CHECK_EQ_U64(services, OPERATE_SERVICE_GATE);
}

TEST(a_word_that_is_no_service_is_named)
{
    unsigned services = 77;
    struct err err = { 0 };

    CHECK(!operate_read_services("gate,smtpd", &services, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK(strstr(err.text, "'smtpd'") != NULL);
    CHECK_EQ_U64(services, 77);
    CHECK(!operate_read_services("", &services, &err));
    CHECK(!operate_read_services("gate,", &services, &err));
}

TEST(the_second_holdfastd_is_told_who_the_first_is)
{
    CLEANUP(remove_folder) struct folder folder = make_folder();
    CLEANUP(fd_close) int first = -1;
    CLEANUP(fd_close) int second = -1;
    struct err err = { 0 };
    char pid[32];

    (void)snprintf(pid, sizeof pid, "process %d", (int)getpid());
    CHECK(operate_take_lock(folder.path, OPERATE_SERVICE_ALL, &first, &err));
    CHECK(!operate_take_lock(folder.path, OPERATE_SERVICE_ALL, &second, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(strstr(err.text, pid) != NULL);
}

TEST(the_holder_is_found_with_its_services_and_only_while_it_holds)
{
    CLEANUP(remove_folder) struct folder folder = make_folder();
    int lock = -1;
    struct operate_holder holder;
    struct err err = { 0 };

    CHECK(operate_find_holder(folder.path, &holder, &err));
    CHECK(!holder.is_running);
    CHECK(operate_take_lock(folder.path, OPERATE_SERVICE_DATABASE, &lock, &err));
    CHECK(operate_find_holder(folder.path, &holder, &err));
    CHECK(holder.is_running);
    CHECK_EQ_I64(holder.pid, getpid());
    CHECK_EQ_U64(holder.services, OPERATE_SERVICE_DATABASE);
    fd_close(&lock);
    CHECK(operate_find_holder(folder.path, &holder, &err));
    CHECK(!holder.is_running);
}

TEST(a_lock_ends_with_its_process)
{
    CLEANUP(remove_folder) struct folder folder = make_folder();
    CLEANUP(fd_close) int lock = -1;
    struct err err = { 0 };
    pid_t pid = fork();

    if (pid == 0)
        _exit(operate_take_lock(folder.path, OPERATE_SERVICE_ALL, &lock, &err) ? 0 : 1);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(operate_take_lock(folder.path, OPERATE_SERVICE_ALL, &lock, &err));
}

TEST(commands_share_and_are_waited_for)
{
    CLEANUP(remove_folder) struct folder folder = make_folder();
    CLEANUP(fd_close) int one = -1;
    CLEANUP(fd_close) int other = -1;
    struct deadline deadline;
    struct err err = { 0 };

    CHECK(operate_take_share(folder.path, &one, &err));
    CHECK(operate_take_share(folder.path, &other, &err));
    deadline = deadline_after_ms(100);
    operate_await_shares(folder.path, deadline); /* in vain */
    CHECK(deadline_has_passed(deadline));
    fd_close(&one);
    fd_close(&other);
    deadline = deadline_after_ms(10000);
    operate_await_shares(folder.path, deadline);
    CHECK(!deadline_has_passed(deadline));
}

/* A file as another version wrote it, locked as that one would. */
static struct operate_holder holder_saying(const struct folder *folder, const char *text)
{
    CLEANUP(fd_close) int lock = -1;
    struct operate_holder holder = { .is_running = false };
    struct err err = { 0 };
    char path[96];

    CHECK(operate_take_lock(folder->path, OPERATE_SERVICE_ALL, &lock, &err));
    (void)snprintf(path, sizeof path, "%s/holdfastd.lock", folder->path);
    if (text != NULL) {
        CHECK(truncate(path, 0) == 0);
        CHECK(pwrite(lock, text, strlen(text), 0) == (ssize_t)strlen(text));
    }
    CHECK(operate_find_holder(folder->path, &holder, &err));
    CHECK(holder.is_running);
    return holder;
}

TEST(a_holdfastd_of_an_older_version_is_told_from_one_that_is_starting)
{
    CLEANUP(remove_folder) struct folder folder = make_folder();
    struct operate_holder holder = holder_saying(&folder, NULL);

    CHECK_EQ_I64(holder.pid, getpid());
    CHECK_EQ_U64(holder.services, OPERATE_SERVICE_ALL);
    CHECK(!operate_holder_is_older(&holder));
    holder = holder_saying(&folder, "17 database,gate\nschema 1\n");
    CHECK_EQ_I64(holder.pid, 17);
    CHECK(operate_holder_is_older(&holder));
    holder = holder_saying(&folder, "17 database\n"); /* before the second line was written */
    CHECK_EQ_U64(holder.services, OPERATE_SERVICE_DATABASE);
    CHECK(operate_holder_is_older(&holder));
    holder = holder_saying(&folder, ""); /* it has the lock and did not write yet */
    CHECK(!operate_holder_is_older(&holder));
    holder = holder_saying(&folder, "17 database\nschema 4000000000\n");
    CHECK(!operate_holder_is_older(&holder));
}
