/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "ingest/container.h"
#include "ingest/emlx.h"
#include "ingest/import_internal.h"
#include "ingest/import_tree.h"
#include "test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what a header says -------------------------------------------------------------------------- */

static void check_date(struct bytes head, const char *want)
{
    struct import_header header;
    char text[CLOCK_TEXT_BYTES] = "none";

    ingest_read_import_header(head, &header);
    if (header.has_date)
        clock_format_rfc3339(header.date.usec, text);
    CHECK_STR(text, want);
}

TEST(a_message_arrived_when_its_topmost_received_field_says_so)
{
    check_date(BYTES("Date: Mon, 1 Oct 2001 08:00:00 +0000\r\n"
                     "Received: from a; b\r\n by c; Tue, 2 Oct 2001 09:00:00 +0100\r\n"
                     "Received: from d; Wed, 3 Oct 2001 09:00:00 +0000\r\n\r\n"),
               "2001-10-02T08:00:00.000000Z");
}

TEST(without_a_date_in_received_the_date_field_counts)
{
    check_date(BYTES("Received: by c\nDate: Mon, 1 Oct 2001 08:00:00 +0000\n\n"),
               "2001-10-01T08:00:00.000000Z");
    check_date(BYTES("Subject: x\n\nDate: Mon, 1 Oct 2001 08:00:00 +0000\n"), "none");
}

TEST(flags_of_an_mbox_stand_in_the_header)
{
    struct import_header header;

    ingest_read_import_header(BYTES("Status: RO\nX-Status: AF\n\n"), &header);
    CHECK_EQ_U64(header.flags, VAULT_FLAG_SEEN | VAULT_FLAG_ANSWERED | VAULT_FLAG_FLAGGED);
    ingest_read_import_header(BYTES("X-Mozilla-Status: 100d\nX-Mozilla-Status2: 00000002\n\n"),
                              &header);
    CHECK_EQ_U64(header.flags, VAULT_FLAG_SEEN | VAULT_FLAG_FLAGGED | VAULT_FLAG_DELETED);
    ingest_read_import_header(BYTES("X-Mozilla-Status: one\n\n"), &header);
    CHECK_EQ_U64(header.flags, 0);
}

TEST(flags_of_a_maildir_stand_in_the_name_and_keywords_by_number)
{
    struct ingest_maildir_keywords keywords;
    struct ingest_maildir_flags flags;

    ingest_read_maildir_keywords(
        BYTES("0 $Forwarded\n2 Urgent\r\n26 Far\n4294967296 Big\nno\n3 two "
              "words\n4 \n25 Last\n5 no line end"),
        &keywords);
    ingest_read_maildir_flags(BYTES("cur/1.M2.host:2,DFPRSTzcabcdef"), &keywords, &flags);
    CHECK_EQ_U64(flags.system, VAULT_FLAGS_ALL);
    CHECK_EQ_U64(flags.keyword_count, 3);
    CHECK_BYTES(flags.keywords[0], BYTES("$Forwarded"));
    CHECK_BYTES(flags.keywords[1], BYTES("Urgent"));
    CHECK_BYTES(flags.keywords[2], BYTES("Last"));
    CHECK(flags.has_unnamed);
    ingest_read_maildir_flags(BYTES("old:2,DTa/cur/1.M2.host:2,S"), &keywords, &flags);
    CHECK_EQ_U64(flags.system, VAULT_FLAG_SEEN);
    CHECK_EQ_U64(flags.keyword_count, 0);
    ingest_read_maildir_flags(BYTES("new/1.M2.host"), &keywords, &flags);
    CHECK_EQ_U64(flags.system + flags.keyword_count, 0);
    CHECK(!flags.has_unnamed);
    ingest_read_maildir_flags(BYTES("cur/1.M2.host;2,FS"), &keywords, &flags);
    CHECK_EQ_U64(flags.system, VAULT_FLAG_SEEN | VAULT_FLAG_FLAGGED);
    ingest_read_maildir_flags(BYTES("cur/1!M2;host!2,R"), &keywords, &flags);
    CHECK_EQ_U64(flags.system, VAULT_FLAG_ANSWERED);
}

/* ---- what a file is -------------------------------------------------------------------------------- */

TEST(a_file_is_judged_by_its_first_octets)
{
    CHECK(ingest_judge_file(BYTES("1."), BYTES("Message-ID: <x>\nDate: y\n\n")) == IMPORT_MESSAGE);
    CHECK(ingest_judge_file(BYTES("box"), BYTES("From a Mon Oct  1 08:00:00 2001\n")) ==
          IMPORT_MBOX);
    CHECK(ingest_judge_file(BYTES("x.eml"), BYTES("From a\nSubject: x\n")) == IMPORT_MESSAGE);
    CHECK(ingest_judge_file(BYTES("x.EML"), BYTES("anything")) == IMPORT_MESSAGE);
    CHECK(ingest_judge_file(BYTES("x.eml"), BYTES("")) == IMPORT_NOTHING);
    CHECK(ingest_judge_file(BYTES("box"), BYTES("From nobody\r\nSubject: x\r\n")) == IMPORT_MBOX);
    CHECK(ingest_judge_file(BYTES("box"), BYTES("From \r\nX-Mozilla-Status: 0001\r\n")) ==
          IMPORT_MBOX);
    CHECK(ingest_judge_file(BYTES("x.txt"), BYTES("From here to there\nis far\n")) ==
          IMPORT_NOTHING);
    CHECK(ingest_judge_file(BYTES("x.txt"), BYTES("From ")) == IMPORT_NOTHING);
    CHECK(ingest_judge_file(BYTES("x.txt"), BYTES("http://example.org/\n")) == IMPORT_NOTHING);
    CHECK(ingest_judge_file(BYTES("x.pdf"), BYTES("%PDF-1.4\nSubject: x\n")) == IMPORT_NOTHING);
}

TEST(what_keeps_mail_in_a_form_that_is_not_read_is_known)
{
    CHECK(ingest_find_container(BYTES("\x1f\x8b\x08\0\0"))->is_packed);
    CHECK(ingest_find_container(BYTES("BZh91AY&SY"))->is_failure);
    CHECK(ingest_find_container(BYTES("!BDN"))->is_failure);
    CHECK(!ingest_find_container(BYTES("\0\x05\x16\x07\0\x02"))->is_failure);
    CHECK(!ingest_find_container(BYTES("2 Million"))->is_packed);
    CHECK(ingest_find_container(BYTES("\x1f\x8b")) == NULL);
    CHECK(ingest_find_container(BYTES("Subject: x\n")) == NULL);
    CHECK(ingest_find_container(BYTES("")) == NULL);
}

TEST(a_time_of_change_beyond_what_a_number_says_is_the_last_second)
{
    CHECK_EQ_I64(ingest_modified_ns((struct timespec){ 1, 5 }), 1000000005);
    CHECK_EQ_I64(ingest_modified_ns((struct timespec){ -1, 5 }), -999999995);
    CHECK_EQ_I64(ingest_modified_ns((struct timespec){ INT64_MAX, 5 }) % 1000000000, 0);
    CHECK(ingest_modified_ns((struct timespec){ 15032385535, 5 }) > 0);
    CHECK(ingest_modified_ns((struct timespec){ INT64_MIN, 5 }) < 0);
}

/* ---- Apple Mail ------------------------------------------------------------------------------------- */

static void check_emlx(struct bytes head, uint64_t file_bytes, uint64_t want_offset,
                       uint64_t want_bytes)
{
    struct err err = { 0 };
    uint64_t offset = 0, bytes = 0;

    CHECK(ingest_read_emlx(head, file_bytes, &offset, &bytes, &err) == (want_bytes > 0));
    CHECK_EQ_U64(offset, want_offset);
    CHECK_EQ_U64(bytes, want_bytes);
}

TEST(an_emlx_says_where_its_message_lies)
{
    check_emlx(BYTES("12        \nSubject: x\n\n<?xml"), 99, 11, 12);
    check_emlx(BYTES("12\r\nSubject: x\n\n"), 16, 4, 12);
    check_emlx(BYTES("12\nSubject: x\n"), 14, 0, 0); /* cut */
    check_emlx(BYTES("0\n"), 2, 0, 0);
    check_emlx(BYTES("18446744073709551615\nx"), 22, 0, 0);
    check_emlx(BYTES("18446744073709551616\nx"), 22, 0, 0);
    check_emlx(BYTES("12 Subject: x\n"), 99, 0, 0);
    check_emlx(BYTES("Subject: x\n"), 99, 0, 0);
    check_emlx(BYTES("12"), 2, 0, 0);
    CHECK(ingest_is_emlx(BYTES("1.emlx")) && !ingest_is_emlx(BYTES(".emlx")) &&
          !ingest_is_emlx(BYTES("1.eml")));
    CHECK(ingest_is_partial_emlx(BYTES("1.partial.emlx")) &&
          !ingest_is_partial_emlx(BYTES("1.emlx")));
}

TEST(the_property_list_of_an_emlx_has_flags_and_the_time_of_arrival)
{
    struct ingest_emlx_facts facts;

    ingest_read_emlx_facts(
        BYTES("<plist><dict>\n\t<key>date-received</key>\n\t<integer>1001923200</integer>\n"
              "\t<key>flags</key>\n\t<integer>8590195733</integer>\n</dict></plist>"),
        &facts);
    CHECK_EQ_U64(facts.flags, VAULT_FLAG_SEEN | VAULT_FLAG_ANSWERED | VAULT_FLAG_FLAGGED);
    CHECK(facts.has_date);
    CHECK_EQ_I64(facts.received_usec, 1001923200000000);
    ingest_read_emlx_facts(
        BYTES("<key>date-received</key><real>18446744073709551615.5</real><key>flags</key>"),
        &facts);
    CHECK(!facts.has_date && facts.flags == 0);
}

/* ---- the feed -------------------------------------------------------------------------------------- */

static void open_feed(int ends[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
}

TEST(a_record_arrives_as_it_was_sent_with_its_descriptor)
{
    CLEANUP(fd_close) int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    static uint8_t room[INGEST_FEED_RECORD_BYTES];
    struct ingest_feed_record sent = {
        .kind = INGEST_FEED_FILE,
        .mbox_format = INGEST_MBOXCL,
        .is_dry = true,
        .job_id = 77,
        .folder = BYTES("a/b"),
        .name = BYTES("caf\xe9"),
        .path = BYTES("a/b/caf\xe9"),
        .fd = file,
    };
    struct ingest_feed_record got;
    struct err err = { 0 };
    int ends[2];

    open_feed(ends);
    CHECK(ingest_send_record(ends[0], &sent, &err));
    CHECK(ingest_receive_record(ends[1], -1, deadline_after_ms(1000), room, &got, &err));
    CHECK(got.kind == INGEST_FEED_FILE && got.mbox_format == INGEST_MBOXCL && got.is_dry);
    CHECK_EQ_I64(got.job_id, 77);
    CHECK_BYTES(got.folder, sent.folder);
    CHECK_BYTES(got.name, sent.name);
    CHECK_BYTES(got.stem, BYTES(""));
    CHECK_BYTES(got.path, sent.path);
    CHECK(got.fd >= 0 && got.fd != file);
    fd_close(&got.fd);
    fd_close(&ends[0]);
    CHECK(!ingest_receive_record(ends[1], -1, deadline_after_ms(1000), room, &got, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    fd_close(&ends[1]);
}

TEST(what_is_no_record_is_refused)
{
    static const struct bytes records[] = {
        BYTES_INIT("x"),
        BYTES_INIT("\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),       /* a text is missing */
        BYTES_INIT("\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),   /* one octet too many */
        BYTES_INIT("\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),     /* no such kind */
        BYTES_INIT("\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),     /* a file without descriptor */
        BYTES_INIT("\x05\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0\0\0"), /* a text that is too long */
        BYTES_INIT("\x05\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0"), /* a negative job */
    };
    static uint8_t room[INGEST_FEED_RECORD_BYTES];
    int ends[2];

    open_feed(ends);
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        struct ingest_feed_record got;
        struct err err = { 0 };

        CHECK(send(ends[0], records[i].ptr, records[i].len, 0) == (ssize_t)records[i].len);
        CHECK(!ingest_receive_record(ends[1], -1, deadline_after_ms(1000), room, &got, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
    }
    fd_close(&ends[0]);
    fd_close(&ends[1]);
}

/* ---- the tree -------------------------------------------------------------------------------------- */

static char root[] = "/tmp/holdfast-import-XXXXXX";

static void make_file(const char *path)
{
    char whole[512], *slash;
    FILE *file;

    (void)snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (slash = whole + sizeof root; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(whole, 0700);
        *slash = '/';
    }
    if (whole[strlen(whole) - 1] == '/')
        return;
    file = fopen(whole, "w");
    CHECK(file != NULL);
    (void)fclose(file);
}

/* Each record as a line: "folder|name|stem|path", those of a Maildir with "M" before it; "!path|why". Of
 * keywords "K" or, when there is no file, "-" and the folder. */
static void walk(struct buf *out)
{
    CLEANUP(fd_close) int top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    static uint8_t room[INGEST_FEED_RECORD_BYTES];
    struct ingest_feed_record record = { .kind = INGEST_FEED_ORDER };
    struct err err = { 0 };
    int ends[2];
    pid_t feeder;

    open_feed(ends);
    feeder = fork();
    if (feeder == 0)
        _exit(ingest_feed_tree(top, "top", ends[0], &err) ? 0 : 1);
    fd_close(&ends[0]);
    while (ingest_receive_record(ends[1], -1, deadline_after_ms(10000), room, &record, &err) &&
           record.kind != INGEST_FEED_END) {
        bool is_file = record.kind <= INGEST_FEED_MAILDIR;
        const struct bytes texts[] = { record.folder, record.name, record.stem, record.path };

        buf_text(out, record.kind == INGEST_FEED_MAILDIR ? "M" : "");
        for (size_t i = 0; is_file && i < ARRAY_LEN(texts); i++) {
            buf_text(out, i > 0 ? "|" : "");
            buf_append(out, texts[i]);
        }
        if (record.kind == INGEST_FEED_KEYWORDS) {
            buf_byte(out, record.fd >= 0 ? 'K' : '-');
            buf_append(out, record.folder);
        } else if (!is_file) {
            buf_byte(out, '!');
            buf_append(out, record.path);
            buf_byte(out, '|');
            buf_append(out, record.name);
        }
        buf_byte(out, '\n');
        fd_close(&record.fd);
    }
    CHECK(record.kind == INGEST_FEED_END);
    CHECK(waitpid(feeder, NULL, 0) == feeder);
    fd_close(&ends[1]);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

TEST(folders_and_maildirs_are_fed_with_the_mailboxes_they_are)
{
    CLEANUP(buf_free) struct buf out = buf_create(1 << 20);
    char link[512];

    CHECK(mkdtemp(root) != NULL);
    make_file("b.eml");
    make_file("a.mbox");
    make_file("Mail/cur/2.x:2,S");
    make_file("Mail/new/1.x");
    make_file("Mail/tmp/3.x");
    make_file("Mail/dovecot-uidlist");
    make_file("Mail/stray");
    make_file("Mail/dovecot-keywords");
    make_file("Mail/.Sent.2001/new/");
    make_file("Mail/.Sent.2001/cur/4.x");
    make_file("Mail/Entw&APw-rfe/cur/5.x");
    make_file("Mail/Entw&APw-rfe/new/");
    make_file("Post.sbd/Sub");
    make_file("Apple.mbox/mbox");
    make_file("Apple.mbox/Sub.mbox/01234567-89AB-CDEF-0123-456789abcdef/Data/1/Messages/9.emlx");
    make_file("Copy/cur/6.x;2,S");
    make_file("Copy/.Sub/cur/7.x:2,");
    make_file("Plain/cur/8.eml");
    make_file(".KMail.directory/Sub/cur/9.x:2,");
    (void)snprintf(link, sizeof link, "%s/link", root);
    CHECK(symlink(root, link) == 0);
    walk(&out);
    CHECK_BYTES(
        buf_bytes(&out),
        BYTES(
            "|a.mbox|a|a.mbox\n"
            "|b.eml|b.eml|b.eml\n"
            "!link|a symbolic link: not followed\n"
            "-KMail/Sub\n"
            "MKMail/Sub|9.x|9.x:2,|.KMail.directory/Sub/cur/9.x:2,\n"
            "Apple|mbox||Apple.mbox/mbox\n"
            "Apple/Sub|9.emlx|9.emlx|Apple.mbox/Sub.mbox/01234567-89AB-CDEF-0123-456789abcdef/Data/"
            "1/Messages/9.emlx\n"
            "-Copy\n"
            "MCopy|6.x|6.x;2,S|Copy/cur/6.x;2,S\n"
            "-Copy/Sub\n"
            "MCopy/Sub|7.x|7.x:2,|Copy/.Sub/cur/7.x:2,\n"
            "KMail\n"
            "MMail|1.x|1.x|Mail/new/1.x\n"
            "MMail|2.x|2.x:2,S|Mail/cur/2.x:2,S\n"
            "Mail|stray|stray|Mail/stray\n"
            "-Mail/Sent/2001\n"
            "MMail/Sent/2001|4.x|4.x|Mail/.Sent.2001/cur/4.x\n"
            "-Mail/Entw\xc3\xbcrfe\n"
            "MMail/Entw\xc3\xbcrfe|5.x|5.x|Mail/Entw&APw-rfe/cur/5.x\n"
            "Plain/cur|8.eml|8.eml|Plain/cur/8.eml\n"
            "Post|Sub|Sub|Post.sbd/Sub\n"));
    CHECK(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}
