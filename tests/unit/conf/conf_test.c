/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"
#include "conf/internal.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct conf *load(const char *text)
{
    struct conf *conf = NULL;
    struct err err = { 0 };

    if (!conf_load_text(bytes_of_text(text), "test.conf", &conf, &err))
        CHECK_STR(err.text, "");
    return conf;
}

static void check_refused(const char *text, const char *why)
{
    struct conf *conf = NULL;
    struct err err = { 0 };

    CHECK(!conf_load_text(bytes_of_text(text), "test.conf", &conf, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK_STR(err.text, why);
    CHECK(conf == NULL);
}

TEST(without_a_file_every_setting_has_its_default)
{
    CLEANUP(conf_free) struct conf *conf = load("");

    CHECK_STR(conf->file, "");
    CHECK_STR(conf->holdfast.user, "holdfast");
    CHECK(conf->holdfast.data_dir[0] == '/');
    CHECK(conf->holdfast.log_level == LOG_INFO);
    CHECK_STR(conf->database.url, "");
    CHECK_EQ_U64(conf->ingest.workers, 2);
    CHECK_EQ_U64(conf->ingest.host_connections, 8);
    CHECK_EQ_I64(conf->ingest.stall_ms, 60000);
    CHECK_EQ_I64(conf->ingest.slice_ms, 30000);
    CHECK(conf->ingest.compress == CONF_COMPRESS_AUTO);
    CHECK(conf->ingest.watch);
    CHECK_EQ_U64(conf->imapd.listen_tls.count, 1);
    CHECK_STR(conf->imapd.listen_tls.at[0].host, "127.0.0.1");
    CHECK_EQ_U64(conf->imapd.listen_tls.at[0].port, 1993);
    CHECK(conf->imapd.flags == CONF_FLAGS_SOURCE);
    CHECK(!conf->imapd.plain_loopback);
    CHECK(!conf->store.encryption);
    CHECK_EQ_U64(conf->store.seal_bytes, 64 << 20);
    CHECK_EQ_U64(conf->metrics.listen.count, 0);
}

TEST(a_file_sets_every_type)
{
    CLEANUP(conf_free)
    struct conf *conf = load("\xef\xbb\xbf# comment\n"
                             "; another\r\n"
                             "[holdfast]\n"
                             "  data_dir = /srv/mail/ \r\n"
                             "log_level=WARN\n"
                             "[database]\n"
                             "url = \"postgresql://a@b/c ; not a comment # nor this\"\n"
                             "[ingest]\n"
                             "workers = 16\n"
                             "[imapd]\n"
                             "listen = *:143, [::1]:1143 mail.example:144\n"
                             "listen_tls =\n"
                             "flags = seen\n"
                             "[store]\n"
                             "encryption = on\n"
                             "seal_bytes = 1 GiB");

    CHECK_STR(conf->holdfast.data_dir, "/srv/mail");
    CHECK(conf->holdfast.log_level == LOG_WARN);
    CHECK_STR(conf->database.url, "postgresql://a@b/c ; not a comment # nor this");
    CHECK_EQ_U64(conf->ingest.workers, 16);
    CHECK_EQ_U64(conf->imapd.listen.count, 3);
    CHECK_STR(conf->imapd.listen.at[0].host, "");
    CHECK_STR(conf->imapd.listen.at[1].host, "::1");
    CHECK_EQ_U64(conf->imapd.listen.at[1].port, 1143);
    CHECK_STR(conf->imapd.listen.at[2].host, "mail.example");
    CHECK_EQ_U64(conf->imapd.listen_tls.count, 0);
    CHECK(conf->imapd.flags == CONF_FLAGS_SEEN);
    CHECK(conf->store.encryption);
    CHECK_EQ_U64(conf->store.seal_bytes, 1 << 30);
}

TEST(a_value_may_be_longer_than_200_octets)
{
    char text[1100] = "[database]\nurl = postgresql://h/d?x=";
    CLEANUP(conf_free) struct conf *conf = NULL;

    memset(text + strlen(text), 'y', 1000);
    conf = load(text);
    CHECK_EQ_U64(strlen(conf->database.url), strlen("postgresql://h/d?x=") + 1000);
}

TEST(a_name_that_does_not_exist_is_an_error_with_the_nearest_that_does)
{
    check_refused("[imapd]\n\nlisen = *:1\n",
                  "test.conf line 3: [imapd] has no key \"lisen\"; did you mean \"listen\"?");
    check_refused(
        "[holdfast]\ndatadir = /x\n",
        "test.conf line 2: [holdfast] has no key \"datadir\"; did you mean \"data_dir\"?");
    check_refused("[store]\nseal = 1\n",
                  "test.conf line 2: [store] has no key \"seal\"; did you mean \"seal_bytes\"?");
    check_refused("[imap]\n", "test.conf line 1: unknown section [imap]; did you mean [imapd]?");
    check_refused("[Database]\n",
                  "test.conf line 1: unknown section [Database]; did you mean [database]?");
    check_refused("[zebra]\n", "test.conf line 1: unknown section [zebra]");
    check_refused("[store]\nzebra = 1\n", "test.conf line 2: [store] has no key \"zebra\"");
}

TEST(a_value_that_is_not_accepted_is_an_error_that_says_what_is)
{
    check_refused("[imapd]\nflags = both\n",
                  "test.conf line 2: [imapd] flags: expected source or seen");
    check_refused("[holdfast]\nlog_level = loud\n", "test.conf line 2: [holdfast] log_level: "
                                                    "expected debug, info, warn or error");
    check_refused("[ingest]\nworkers = many\n",
                  "test.conf line 2: [ingest] workers: expected a number from 0 to 1024");
    check_refused("[ingest]\nworkers = 1025\n",
                  "test.conf line 2: [ingest] workers: expected a number from 0 to 1024");
    check_refused("[store]\nseal_bytes = 99999999999GiB\n",
                  "test.conf line 2: [store] seal_bytes: expected a size such as 64MiB, from 1MiB "
                  "to 4GiB");
    check_refused("[store]\nseal_bytes = 64 apples\n",
                  "test.conf line 2: [store] seal_bytes: expected a size such as 64MiB, from 1MiB "
                  "to 4GiB");
    check_refused("[store]\nencryption = perhaps\n",
                  "test.conf line 2: [store] encryption: expected on or off");
    check_refused("[holdfast]\ndata_dir = here\n",
                  "test.conf line 2: [holdfast] data_dir: expected an absolute path, or one that "
                  "begins with ~/");
    check_refused("[imapd]\nlisten = ::1:143\n",
                  "test.conf line 2: [imapd] listen: expected addresses as HOST:PORT, [IPV6]:PORT "
                  "or *:PORT, separated by commas");
}

TEST(what_is_no_address_is_refused)
{
    static const char *const wrong[] = { "143",     "*",       ":143",    "h:0",
                                         "h:65536", "h:1x",    "[::1]",   "[::1:143",
                                         "[h]:143", "a b:143", "h:1;h:2", "*:143,,x" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[100];
        struct conf *conf = NULL;
        struct err err = { 0 };

        (void)snprintf(text, sizeof text, "[metrics]\nlisten = %s\n", wrong[i]);
        if (conf_load_text(bytes_of_text(text), "t", &conf, &err))
            CHECK_STR(wrong[i], "refused");
    }
}

TEST(addresses_at_the_limit_fit_and_one_more_does_not)
{
    char text[400] = "[metrics]\nlisten = ";
    CLEANUP(conf_free) struct conf *conf = NULL;

    for (int i = 0; i < CONF_ADDRESSES_MAX; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "h:%d,", i + 1);
    conf = load(text);
    CHECK_EQ_U64(conf->metrics.listen.count, CONF_ADDRESSES_MAX);
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "h:99");
    check_refused(text, "test.conf line 2: [metrics] listen: at most 16 addresses");
}

TEST(lines_that_are_no_settings_are_errors)
{
    check_refused("workers = 1\n", "test.conf line 1: a key before the first [section]");
    check_refused("[ingest]\nworkers\n",
                  "test.conf line 2: expected key = value, [section] or # comment");
    check_refused("[ingest]\nworkers: 2\n",
                  "test.conf line 2: expected key = value, [section] or # comment");
    check_refused("[ingest\n", "test.conf line 1: expected [section] and nothing else on the line");
    check_refused("[ingest] # x\n",
                  "test.conf line 1: expected [section] and nothing else on the line");
    check_refused("[ingest]\n= 2\n", "test.conf line 2: a key has letters, digits and _ only");
    check_refused("[ingest]\nworkers = 1\n[imapd]\n\n[ingest]\nstall = 2m\n",
                  "test.conf line 5: [ingest] is there already, in line 1: put its keys together");
    check_refused("[ingest]\nworkers = 1\nworkers = 2\n",
                  "test.conf line 3: [ingest] workers is set already in line 2");
    check_refused("[ingest]\nworkers = 1\x01\n", "test.conf line 2: control character");
}

TEST(a_certificate_without_its_key_is_refused)
{
    check_refused("[imapd]\ntls_cert = /x.crt\n",
                  "test.conf: [imapd] tls_cert and tls_key are set both or neither of them");
}

/* ---- files and environment ---- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK(fclose(file) == 0);
}

TEST(the_environment_is_over_the_file_and_the_file_over_the_default)
{
    char path[] = "/tmp/holdfast-conf-XXXXXX";
    CLEANUP(conf_free) struct conf *conf = NULL;
    struct conf *other = NULL;
    struct err err = { 0 };

    CHECK(close(mkstemp(path)) == 0);
    write_file(path, "[ingest]\nworkers = 5\n[store]\nseal_bytes = 2MiB\n");
    CHECK(setenv("HOLDFAST_INGEST_WORKERS", "9", 1) == 0);
    CHECK(conf_load(path, &conf, &err));
    CHECK_STR(conf->file, path);
    CHECK_EQ_U64(conf->ingest.workers, 9);
    CHECK_EQ_U64(conf->store.seal_bytes, 2 << 20);
    conf_free(&conf);

    CHECK(setenv("HOLDFAST_CONFIG", path, 1) == 0);
    CHECK(unsetenv("HOLDFAST_INGEST_WORKERS") == 0);
    CHECK(conf_load(NULL, &conf, &err));
    CHECK_EQ_U64(conf->ingest.workers, 5);

    CHECK(setenv("HOLDFAST_INGEST_WORKERS", "x", 1) == 0);
    CHECK(!conf_load(NULL, &other, &err));
    CHECK_STR(err.text, "environment variable HOLDFAST_INGEST_WORKERS: expected a number from 0 to "
                        "1024");
    CHECK(unsetenv("HOLDFAST_INGEST_WORKERS") == 0);
    CHECK(unlink(path) == 0);
    CHECK(!conf_load(NULL, &other, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK(strstr(err.text, path) != NULL);
    CHECK(unsetenv("HOLDFAST_CONFIG") == 0);
    CHECK(other == NULL);
}

TEST(a_path_may_begin_with_the_home_directory)
{
    CLEANUP(conf_free) struct conf *conf = NULL;
    const char *before = getenv("HOME");
    char *kept = before != NULL ? strdup(before) : NULL;

    CHECK(setenv("HOME", "/home/x", 1) == 0);
    conf = load("[holdfast]\ndata_dir = ~/mail\n");
    CHECK_STR(conf->holdfast.data_dir, "/home/x/mail");
    CHECK(unsetenv("HOME") == 0);
    check_refused("[holdfast]\ndata_dir = ~/mail\n",
                  "test.conf line 2: [holdfast] data_dir: ~/ needs $HOME");
    if (kept != NULL)
        CHECK(setenv("HOME", kept, 1) == 0);
    free(kept);
}

/* ---- printing ---- */

TEST(the_manual_is_a_file_that_loads_and_holds_every_setting)
{
    CLEANUP(buf_free) struct buf manual = buf_create(64 << 10);
    CLEANUP(conf_free) struct conf *conf = NULL;
    struct err err = { 0 };

    conf_print_manual(&manual);
    CHECK(conf_load_text(buf_bytes(&manual), "manual", &conf, &err));
    for (size_t i = 0; i < conf_setting_count; i++) {
        char wanted[64];

        (void)snprintf(wanted, sizeof wanted, "\n#%s =", conf_settings[i].key);
        CHECK(bytes_find(buf_bytes(&manual), bytes_of_text(wanted)) >= 0);
    }
    for (struct bytes rest = buf_bytes(&manual), line; scan_until_byte(&rest, '\n', &line);) {
        CHECK(line.len <= 80 || bytes_start_with(line, BYTES("# Accepts")));
        rest = bytes_slice(rest, 1, SIZE_MAX);
    }
}

TEST(every_setting_of_the_manual_loads_when_its_comment_sign_is_taken_away)
{
    for (size_t i = 0; i < conf_setting_count; i++) {
        char text[300];
        CLEANUP(conf_free) struct conf *conf = NULL;

        (void)snprintf(
            text, sizeof text, "[%s]\n%s = %s\n", conf_settings[i].section, conf_settings[i].key,
            strcmp(conf_settings[i].key, "data_dir") == 0 ? "/x" : conf_settings[i].usual);
        conf = load(text);
    }
}

TEST(settings_that_are_printed_load_back_the_same)
{
    CLEANUP(conf_free)
    struct conf *conf = load("[imapd]\nlisten = *:143, [::1]:99\nslice = 5000\n"
                             "[store]\nencryption = yes\nseal_bytes = 1536KiB\n"
                             "[database]\nurl = \"\"quoted\"\"\n");
    CLEANUP(conf_free) struct conf *back = NULL;
    CLEANUP(buf_free) struct buf first = buf_create(64 << 10);
    CLEANUP(buf_free) struct buf second = buf_create(64 << 10);
    struct err err = { 0 };

    conf_print_settings(conf, &first);
    CHECK(conf_load_text(buf_bytes(&first), "printed", &back, &err));
    conf_print_settings(back, &second);
    CHECK_BYTES(buf_bytes(&second), buf_bytes(&first));
    CHECK_EQ_U64(back->store.seal_bytes, 1536 << 10);
    CHECK_STR(back->database.url, "\"quoted\"");
}

TEST(passwords_are_not_printed)
{
    CLEANUP(conf_free)
    struct conf *conf = load("[database]\nurl = postgresql://u:sec@ret@h/d\n"
                             "read_url = host=h Password = secret\n");
    CLEANUP(buf_free) struct buf out = buf_create(64 << 10);

    conf_print_settings(conf, &out);
    CHECK(bytes_find(buf_bytes(&out), BYTES("url = postgresql://u:***@h/d\n")) >= 0);
    CHECK(bytes_find(buf_bytes(&out), BYTES("sec")) < 0);
}

TEST(a_duration_has_a_unit)
{
    static const struct conf_setting every = { .type = CONF_DURATION, .max = INT64_MAX };
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = { { "5m", 300000 },  { "90 s", 90000 },  { "250ms", 250 },
                  { "2h", 7200000 }, { "1d", 86400000 }, { "0", 0 } };
    struct conf conf = { 0 };
    struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK(conf_set_value(&conf, &every, bytes_of_text(cases[i].text), &err));
        CHECK_EQ_I64(*(int64_t *)(void *)&conf, cases[i].ms);
    }
    CHECK(!conf_set_value(&conf, &every, BYTES("5"), &err));
    CHECK(!conf_set_value(&conf, &every, BYTES("5 weeks"), &err));
    CHECK(!conf_set_value(&conf, &every, BYTES("-5m"), &err));
}
