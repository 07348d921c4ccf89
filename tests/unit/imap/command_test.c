/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "imap/command.h"
#include "test.h"

/* Parses and leaves the result in *out, or checks the code of the failure. */
static void parse(struct arena *arena, const char *text, struct imap_command *out)
{
    struct err err = { 0 };
    bool is_parsed = imap_parse_command(bytes_of_text(text), arena, out, &err);

    if (!is_parsed)
        CHECK_STR(err.text, "");
    CHECK_BYTES(out->tag, BYTES("a"));
}

static void check_refused(const char *const *texts, size_t count, enum err_code code)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_create(1u << 20);
        struct imap_command command;
        struct err err = { 0 };
        bool is_parsed = imap_parse_command(bytes_of_text(texts[i]), arena, &command, &err);

        if (is_parsed)
            CHECK_STR(texts[i], "refused");
        CHECK_EQ_U64(err.code, code);
        arena_free(&arena);
    }
}
#define CHECK_REFUSED(texts) check_refused(texts, ARRAY_LEN(texts), ERR_SYNTAX)

TEST(names_are_read_in_any_case_and_commands_without_arguments_have_none)
{
    static const char *const wrong[] = {
        "a NOOP x", "a IDLE (", "a",          "",       " NOOP",
        "a  NOOP",  "+ NOOP",   "a NO\001OP", "a UID ", "a (NOOP)"
    };
    struct arena *arena = arena_create(1000);
    struct imap_command command;

    parse(arena, "a noOp", &command);
    CHECK(command.kind == IMAP_COMMAND_NOOP);
    CHECK_BYTES(command.name, BYTES("NOOP"));
    parse(arena, "a logout ", &command);
    CHECK(command.kind == IMAP_COMMAND_LOGOUT);
    CHECK_REFUSED(wrong);
    arena_free(&arena);
}

TEST(commands_that_are_not_ours_give_tag_and_name)
{
    struct arena *arena = arena_create(1000);
    struct imap_command command;

    parse(arena, "a uid store 1:* +flags (\\Seen", &command);
    CHECK(command.kind == IMAP_COMMAND_OTHER && command.is_uid);
    CHECK_BYTES(command.name, BYTES("STORE"));
    parse(arena, "a XFOO", &command);
    CHECK(command.kind == IMAP_COMMAND_OTHER && !command.is_uid);
    parse(arena, "a UID NOOP", &command);
    CHECK(command.kind == IMAP_COMMAND_OTHER && command.is_uid);
    arena_free(&arena);
}

TEST(a_refused_command_still_tells_its_tag_and_name)
{
    struct arena *arena = arena_create(1000);
    struct imap_command command;
    struct err err = { 0 };

    CHECK(!imap_parse_command(BYTES("t9 uid fetch 0 FLAGS"), arena, &command, &err));
    CHECK_BYTES(command.tag, BYTES("t9"));
    CHECK_BYTES(command.name, BYTES("FETCH"));
    CHECK(command.kind == IMAP_COMMAND_FETCH && command.is_uid);
    CHECK(!imap_parse_command(BYTES("t9"), arena, &command, &err));
    CHECK_BYTES(command.tag, BYTES("t9"));
    CHECK(!imap_parse_command(BYTES("(t9 NOOP"), arena, &command, &err));
    CHECK_EQ_U64(command.tag.len, 0);
    arena_free(&arena);
}

TEST(login_takes_every_form_of_string)
{
    static const char *const wrong[] = { "a LOGIN",       "a LOGIN x",     "a LOGIN x ",
                                         "a LOGIN x y z", "a LOGIN (x) y", "a LOGIN \"x y" };
    struct arena *arena = arena_create(1000);
    struct imap_command command;
    uint8_t text[] = "a LOGIN joe {4}\r\np\\\"d";

    parse(arena, (char *)text, &command);
    CHECK_BYTES(command.login.username, BYTES("joe"));
    CHECK_BYTES(command.login.password, BYTES("p\\\"d"));
    imap_wipe_login(&command.login);
    CHECK_BYTES(bytes_of(text, 17), BYTES("a LOGIN joe {4}\r\n"));
    CHECK_BYTES(bytes_of(text + 17, 4), BYTES("\0\0\0\0"));
    parse(arena, "a LOGIN \"j \\\"oe\" \"p\303\244ss\"", &command);
    CHECK_BYTES(command.login.username, BYTES("j \"oe"));
    CHECK_BYTES(command.login.password, BYTES("p\303\244ss"));
    CHECK_REFUSED(wrong);
    arena_free(&arena);
}

TEST(authenticate_may_carry_its_first_answer)
{
    static const char *const wrong[] = { "a AUTHENTICATE", "a AUTHENTICATE PLAIN (x)",
                                         "a AUTHENTICATE PLAIN a b" };
    struct arena *arena = arena_create(1000);
    struct imap_command command;

    parse(arena, "a AUTHENTICATE plain", &command);
    CHECK_BYTES(command.authenticate.mechanism, BYTES("plain"));
    CHECK(!command.authenticate.has_initial);
    parse(arena, "a AUTHENTICATE SCRAM-SHA-256 =", &command);
    CHECK(command.authenticate.has_initial && command.authenticate.initial.len == 0);
    parse(arena, "a AUTHENTICATE PLAIN AGEAYg==", &command);
    CHECK_BYTES(command.authenticate.initial, BYTES("AGEAYg=="));
    CHECK_REFUSED(wrong);
    arena_free(&arena);
}

TEST(id_takes_nil_or_pairs)
{
    static const char *const wrong[] = { "a ID", "a ID (\"x\")", "a ID (NIL \"x\")",
                                         "a ID (\"x\" y)", "a ID (\"x\" \"y\"" };
    struct arena *arena = arena_create(10000);
    struct imap_command command;

    parse(arena, "a ID NIL", &command);
    CHECK_EQ_U64(command.id.count, 0);
    parse(arena, "a id (\"name\" \"Thunder\" \"os\" NIL)", &command);
    CHECK_EQ_U64(command.id.count, 2);
    CHECK_BYTES(command.id.fields[0].value, BYTES("Thunder"));
    CHECK(command.id.fields[1].is_nil);
    CHECK_REFUSED(wrong);
    arena_free(&arena);
}

TEST(enable_lists_capabilities)
{
    struct arena *arena = arena_create(10000);
    struct imap_command command;

    parse(arena, "a ENABLE UTF8=ACCEPT condstore", &command);
    CHECK_EQ_U64(command.enable.count, 2);
    CHECK_BYTES(command.enable.capabilities[0], BYTES("UTF8=ACCEPT"));
    arena_free(&arena);
}

TEST(mailbox_arguments_come_as_sent)
{
    static const char *const wrong[] = { "a SELECT",      "a SELECT x y",   "a SELECT x (",
                                         "a SELECT x ()", "a EXAMINE %",    "a LISTRIGHTS x",
                                         "a SUBSCRIBE",   "a SELECT \"\n\"" };
    struct arena *arena = arena_create(10000);
    struct imap_command command;

    parse(arena, "a EXAMINE {7}\r\nA&APw-B", &command);
    CHECK_BYTES(command.mailbox.mailbox, BYTES("A&APw-B"));
    parse(arena, "a SELECT inbox (CONDSTORE QRESYNC (1 2 1:3 (1 \")\")) X 5)", &command);
    CHECK_EQ_U64(command.mailbox.param_count, 3);
    CHECK_BYTES(command.mailbox.params[0].name, BYTES("CONDSTORE"));
    CHECK_BYTES(command.mailbox.params[1].value, BYTES("(1 2 1:3 (1 \")\"))"));
    CHECK_BYTES(command.mailbox.params[2].value, BYTES("5"));
    parse(arena, "a LISTRIGHTS x joe", &command);
    CHECK_BYTES(command.mailbox.identifier, BYTES("joe"));
    parse(arena, "a MYRIGHTS nil", &command);
    CHECK_BYTES(command.mailbox.mailbox, BYTES("nil"));
    CHECK_REFUSED(wrong);
    arena_free(&arena);
}

TEST(a_mailbox_name_over_the_limit_is_refused)
{
    struct arena *arena = arena_create(10000);
    struct buf text = buf_create(10000);
    struct imap_command command;
    struct err err = { 0 };

    buf_text(&text, "a SELECT ");
    for (unsigned i = 0; i <= LIMIT_MAILBOX_NAME_BYTES; i++)
        buf_byte(&text, 'x');
    CHECK(!imap_parse_command(buf_bytes(&text), arena, &command, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    buf_free(&text);
    arena_free(&arena);
}

TEST(status_items_are_bits)
{
    static const char *const wrong[] = { "a STATUS x", "a STATUS x ()", "a STATUS x (FOO)",
                                         "a STATUS x (MESSAGES", "a STATUS x MESSAGES" };
    struct arena *arena = arena_create(10000);
    struct imap_command command;

    parse(arena, "a STATUS blurdybloop (UIDNEXT messages SIZE)", &command);
    CHECK_EQ_U64(command.mailbox.status_items,
                 IMAP_STATUS_UIDNEXT | IMAP_STATUS_MESSAGES | IMAP_STATUS_SIZE);
    CHECK_BYTES(imap_status_name(IMAP_STATUS_UIDNEXT), BYTES("UIDNEXT"));
    CHECK_REFUSED(wrong);
    arena_free(&arena);
}

TEST(list_takes_its_plain_and_its_extended_form)
{
    static const char *const wrong[] = {
        "a LIST",
        "a LIST \"\"",
        "a LIST \"\" ()",
        "a LIST (FOO) \"\" *",
        "a LIST (RECURSIVEMATCH) \"\" *",
        "a LIST (CHILDREN) \"\" *",
        "a LIST \"\" * RETURN",
        "a LIST \"\" * RETURN (REMOTE)",
        "a LIST \"\" * RETURN (STATUS)",
        "a LIST \"\" * RETURN (STATUS ())",
        "a LIST \"\" (a b",
        "a LIST \"\" * FOO",
    };
    struct arena *arena = arena_create(10000);
    struct imap_command command;

    parse(arena, "a LIST \"\" \"\"", &command);
    CHECK(!command.list.is_extended && command.list.pattern_count == 1);
    CHECK_EQ_U64(command.list.patterns[0].len, 0);
    parse(arena, "a list Accounts/ %/*", &command);
    CHECK_BYTES(command.list.reference, BYTES("Accounts/"));
    CHECK_BYTES(command.list.patterns[0], BYTES("%/*"));
    parse(arena,
          "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (INBOX \"a b%\" {1}\r\n*) RETURN (CHILDREN "
          "STATUS (MESSAGES UNSEEN) SPECIAL-USE)",
          &command);
    CHECK(command.list.is_extended);
    CHECK_EQ_U64(command.list.select, IMAP_LIST_SUBSCRIBED | IMAP_LIST_RECURSIVEMATCH);
    CHECK_EQ_U64(command.list.returns,
                 IMAP_LIST_CHILDREN | IMAP_LIST_STATUS | IMAP_LIST_SPECIAL_USE);
    CHECK_EQ_U64(command.list.status_items, IMAP_STATUS_MESSAGES | IMAP_STATUS_UNSEEN);
    CHECK_EQ_U64(command.list.pattern_count, 3);
    CHECK_BYTES(command.list.patterns[2], BYTES("*"));
    parse(arena, "a LIST () \"\" % RETURN ()", &command);
    CHECK(command.list.is_extended && command.list.select == 0);
    parse(arena, "a LSUB \"\" *", &command);
    CHECK(command.kind == IMAP_COMMAND_LSUB && command.list.pattern_count == 1);
    parse(arena, "a LIST % ( a  b )  RETURN  ( CHILDREN ) ", &command);
    CHECK(command.list.pattern_count == 2 && command.list.returns == IMAP_LIST_CHILDREN);
    parse(arena, "a LIST \"\" * ", &command);
    CHECK(!command.list.is_extended);
    CHECK_REFUSED(wrong);
    arena_free(&arena);
}

TEST(done_is_done_in_any_case_and_nothing_else)
{
    CHECK(imap_is_done(BYTES("DONE")) && imap_is_done(BYTES("done")));
    CHECK(!imap_is_done(BYTES("DONE ")) && !imap_is_done(BYTES("")));
}

TEST(an_arena_that_is_full_is_a_limit_not_a_crash)
{
    struct arena *arena = arena_create(16);
    struct imap_command command;
    struct err err = { 0 };

    CHECK(!imap_parse_command(BYTES("a FETCH 1,2,3,4,5,6,7,8,9 FLAGS"), arena, &command, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    arena_free(&arena);
}
