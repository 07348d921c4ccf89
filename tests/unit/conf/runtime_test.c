/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/runtime.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* An installation in a temporary data directory. */
struct scene {
    struct conf conf;
    char data_dir[64];
    char record[80];
};

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){ .data_dir = "/tmp/holdfast-runtime-XXXXXX" };
    CHECK(mkdtemp(scene->data_dir) != NULL);
    scene->conf.holdfast.data_dir = scene->data_dir;
    (void)snprintf(scene->record, sizeof scene->record, "%s/run", scene->data_dir);
}

static void close_scene(struct scene *scene, const struct conf_runtime *runtime)
{
    CHECK(unlink(scene->record) == 0);
    if (runtime != NULL)
        CHECK(rmdir(runtime->dir) == 0);
    CHECK(rmdir(scene->data_dir) == 0);
}

TEST(the_folder_that_was_made_is_found_by_everybody)
{
    struct scene scene;
    struct conf_runtime made;
    struct conf_runtime found;
    struct stat st;
    struct err err = { 0 };

    open_scene(&scene);
    CHECK(!conf_find_runtime_dir(&scene.conf, &found, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK(conf_make_runtime_dir(&scene.conf, geteuid(), getegid(), &made, &err));
    CHECK(stat(made.dir, &st) == 0);
    CHECK_EQ_U64(st.st_mode & 07777, 0700);
    CHECK(conf_find_runtime_dir(&scene.conf, &found, &err));
    CHECK_STR(found.dir, made.dir);
    CHECK(setenv("XDG_RUNTIME_DIR", "/elsewhere", 1) == 0);
    CHECK(conf_make_runtime_dir(&scene.conf, geteuid(), getegid(), &found, &err));
    CHECK_STR(found.dir, made.dir);
    close_scene(&scene, &made);
}

TEST(a_folder_lost_in_a_restart_of_the_machine_is_made_again)
{
    struct scene scene;
    struct conf_runtime made;
    struct conf_runtime again;
    struct err err = { 0 };

    open_scene(&scene);
    CHECK(conf_make_runtime_dir(&scene.conf, geteuid(), getegid(), &made, &err));
    CHECK(rmdir(made.dir) == 0);
    CHECK(!conf_find_runtime_dir(&scene.conf, &again, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK(conf_make_runtime_dir(&scene.conf, geteuid(), getegid(), &again, &err));
    CHECK_STR(again.dir, made.dir);
    close_scene(&scene, &again);
}

TEST(a_folder_made_by_root_belongs_to_the_user_it_is_for)
{
    struct scene scene;
    struct conf_runtime made;
    struct stat st;
    struct err err = { 0 };

    if (geteuid() != 0)
        return;
    open_scene(&scene);
    CHECK(chown(scene.data_dir, 12345, 12345) == 0);
    CHECK(conf_make_runtime_dir(&scene.conf, 12345, 12345, &made, &err));
    CHECK(bytes_start_with(bytes_of_text(made.dir), BYTES("/run/holdfast/")));
    CHECK(stat(made.dir, &st) == 0);
    CHECK_EQ_U64(st.st_uid, 12345);
    CHECK(seteuid(12345) == 0);
    CHECK(conf_find_runtime_dir(&scene.conf, &made, &err));
    CHECK(seteuid(0) == 0);
    CHECK(conf_find_runtime_dir(&scene.conf, &made, &err));
    close_scene(&scene, &made);
}

TEST(a_folder_that_others_could_have_filled_is_refused)
{
    struct scene scene;
    struct conf_runtime made;
    struct conf_runtime found;
    struct err err = { 0 };

    open_scene(&scene);
    CHECK(conf_make_runtime_dir(&scene.conf, geteuid(), getegid(), &made, &err));
    CHECK(chmod(made.dir, 0770) == 0);
    CHECK(!conf_find_runtime_dir(&scene.conf, &found, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(!conf_make_runtime_dir(&scene.conf, geteuid(), getegid(), &found, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    if (geteuid() == 0) {
        CHECK(chmod(made.dir, 0700) == 0);
        CHECK(chown(made.dir, 4242, 4242) == 0);
        CHECK(!conf_find_runtime_dir(&scene.conf, &found, &err));
        CHECK_EQ_U64(err.code, ERR_DENIED);
    }
    close_scene(&scene, &made);
}

TEST(a_record_that_names_no_such_folder_is_refused)
{
    struct scene scene;
    struct conf_runtime found;
    char target[200];
    struct err err = { 0 };

    open_scene(&scene);
    CHECK(symlink("/dev/null", scene.record) == 0);
    CHECK(!conf_find_runtime_dir(&scene.conf, &found, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(unlink(scene.record) == 0);
    CHECK(symlink("relative", scene.record) == 0);
    CHECK(!conf_find_runtime_dir(&scene.conf, &found, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(unlink(scene.record) == 0);
    memset(target, 'x', sizeof target);
    target[0] = '/';
    target[sizeof target - 1] = '\0';
    CHECK(symlink(target, scene.record) == 0);
    CHECK(!conf_find_runtime_dir(&scene.conf, &found, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    close_scene(&scene, NULL);
}

TEST(a_socket_path_fits_where_the_kernel_wants_it)
{
    struct conf_runtime runtime;
    char path[CONF_SOCKET_PATH_BYTES];

    memset(runtime.dir, 'd', sizeof runtime.dir);
    runtime.dir[sizeof runtime.dir - 1] = '\0';
    conf_get_socket_path(&runtime, "a-name-of-thirty-one-octets.soc", path);
    CHECK_EQ_U64(strlen(path), CONF_RUNTIME_DIR_BYTES - 1 + 1 + CONF_SOCKET_NAME_BYTES - 1);
}
