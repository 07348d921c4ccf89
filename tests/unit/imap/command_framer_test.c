/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "imap/command_framer.h"
#include "test.h"

static const struct imap_framer_limits small = {
    .command_bytes = 64,
    .literal_bytes = 32,
    .dropped_line_bytes = 200,
    .dropped_octet_bytes = 5000,
};

/*
 * What a session sees of a stream: one line per event. Literals of APPEND are refused, others
 * accepted; "+" stands for a continuation.
 */
static void watch(struct imap_framer *framer, struct bytes octets, size_t step, struct buf *seen)
{
    size_t done = 0;
    bool is_closed = false;

    while (done < octets.len && !is_closed) {
        struct bytes in = bytes_slice(octets, done, step);

        done += in.len;
        while (!is_closed) {
            enum imap_frame frame = imap_framer_feed(framer, &in);
            struct imap_frame_head head;

            if (frame == IMAP_FRAME_MORE)
                break;
            head = imap_framer_head(framer);
            switch (frame) {
            case IMAP_FRAME_LITERAL:
                if (bytes_equal(head.name, BYTES("APPEND"))) {
                    imap_framer_refuse(framer);
                } else {
                    imap_framer_accept(framer);
                    if (imap_framer_literal(framer).awaits_continuation)
                        buf_text(seen, "+|");
                }
                break;
            case IMAP_FRAME_COMMAND:
                buf_text(seen, "C:");
                buf_append(seen, imap_framer_text(framer));
                buf_text(seen, "|");
                break;
            case IMAP_FRAME_REFUSED:
                buf_text(seen, "R:");
                buf_append(seen, head.tag);
                buf_text(seen, head.is_uid ? " UID " : " ");
                buf_append(seen, head.name);
                buf_byte(seen, ' ');
                buf_u64(seen, imap_framer_fault(framer));
                buf_text(seen, "|");
                break;
            case IMAP_FRAME_CLOSE:
                buf_text(seen, "X");
                is_closed = true;
                break;
            case IMAP_FRAME_MORE:
            case IMAP_FRAME_LINE:
                CHECK(false);
            }
        }
        CHECK(is_closed || in.len == 0);
    }
}

static void check_seen(struct bytes octets, struct imap_framer_limits limits, const char *want)
{
    static const size_t steps[] = { 1, 2, 3, 7, 100000 };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct imap_framer *framer = imap_framer_create(limits);
        struct buf seen = buf_create(100000);

        watch(framer, octets, steps[i], &seen);
        CHECK_BYTES(buf_bytes(&seen), bytes_of_text(want));
        buf_free(&seen);
        imap_framer_free(&framer);
        CHECK(framer == NULL);
    }
}

TEST(pipelined_commands_come_one_by_one_however_the_octets_arrive)
{
    check_seen(BYTES("a NOOP\r\nb CHECK\nc LOGOUT\r\n"), small, "C:a NOOP|C:b CHECK|C:c LOGOUT|");
}

TEST(a_literal_is_asked_for_and_its_octets_are_not_scanned)
{
    check_seen(BYTES("a LOGIN {4}\r\nx\r\ny {9}\r\n{1}\r\nx\r\n2\r\nb NOOP\r\n"), small,
               "+|+|C:a LOGIN {4}\r\nx\r\ny {9}\r\n{1}\r\nx\r\n2|C:b NOOP|");
}

TEST(a_literal_plus_is_not_asked_for)
{
    check_seen(BYTES("a LOGIN {1+}\r\nx {0+}\r\n\r\n"), small, "C:a LOGIN {1+}\r\nx {0+}\r\n|");
}

TEST(a_refused_literal_ends_its_command_at_once)
{
    check_seen(BYTES("a APPEND x {500}\r\nb NOOP\r\n"), small, "R:a APPEND 2|C:b NOOP|");
    check_seen(BYTES("a APPEND x {5}\r\nb NOOP\r\n"), small, "R:a APPEND 0|C:b NOOP|");
}

TEST(the_octets_of_a_refused_literal_plus_never_run_as_commands)
{
    check_seen(BYTES("a APPEND x {10+}\r\nb DELETE\r\n y {4+}\r\nc D\n\r\nd NOOP\r\n"), small,
               "R:a APPEND 0|C:d NOOP|");
}

TEST(a_refused_command_with_both_kinds_of_literal_is_answered_once)
{
    check_seen(BYTES("a APPEND x {3+}\r\nxyz {7}\r\nb NOOP\r\n"), small, "R:a APPEND 0|C:b NOOP|");
}

TEST(literal_minus_refuses_4097_octets_and_drops_them)
{
    struct imap_framer_limits limits = { 10000, 10000, 1000, 5000 };
    struct buf octets = buf_create(10000);

    buf_text(&octets, "a SEARCH BODY {4096+}\r\n");
    for (int i = 0; i < 4096; i++)
        buf_byte(&octets, 'x');
    buf_text(&octets, "\r\nb SEARCH BODY {4097+}\r\n");
    for (int i = 0; i < 4097; i++)
        buf_byte(&octets, '\n');
    buf_text(&octets, "\r\nc NOOP\r\n");

    struct imap_framer *framer = imap_framer_create(limits);
    struct bytes in = buf_bytes(&octets);

    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_LITERAL);
    imap_framer_accept(framer);
    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_COMMAND);
    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_REFUSED);
    CHECK(imap_framer_fault(framer) == IMAP_FAULT_LITERAL_MINUS);
    CHECK_BYTES(imap_framer_head(framer).tag, BYTES("b"));
    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_COMMAND);
    CHECK_BYTES(imap_framer_text(framer), BYTES("c NOOP"));
    imap_framer_free(&framer);
    buf_free(&octets);
}

TEST(more_refused_octets_than_are_worth_dropping_close_the_connection)
{
    check_seen(BYTES("a APPEND x {5001+}\r\n"), small, "X");
    check_seen(BYTES("a APPEND x {99999999999999999999+}\r\n"), small, "X");
    check_seen(BYTES("a NOOP {20000000000+}\r\n"), small, "X");
}

TEST(a_literal_whose_size_does_not_fit_64_bits_is_refused_not_believed)
{
    check_seen(BYTES("a NOOP {99999999999999999999}\r\nb NOOP\r\n"), small, "R:a NOOP 2|C:b NOOP|");
}

TEST(a_line_over_the_limit_is_refused_with_its_tag_and_skipped_to_its_end)
{
    check_seen(
        BYTES("a UID FETCH 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25 "
              "FLAGS\r\nb NOOP\r\n"),
        small, "R:a UID FETCH 1|C:b NOOP|");
}

TEST(a_literal_behind_a_skipped_line_is_dropped_too)
{
    check_seen(BYTES("a FETCH 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26 "
                     "{9+}\r\nb CREATE\n x\r\nc NOOP\r\n"),
               small, "R:a FETCH 1|C:c NOOP|");
}

TEST(an_endless_line_closes_the_connection)
{
    struct buf octets = buf_create(1000);

    for (int i = 0; i < 1000; i++)
        buf_byte(&octets, 'x');
    check_seen(buf_bytes(&octets), small, "X");
    buf_free(&octets);
}

TEST(a_literal_that_does_not_fit_into_the_command_is_refused)
{
    check_seen(BYTES("a SEARCH TEXT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa {32}\r\nb NOOP\r\n"), small,
               "R:a SEARCH 2|C:b NOOP|");
}

TEST(an_invalid_tag_is_no_tag)
{
    check_seen(BYTES("a+b APPEND x {500}\r\n"), small, "R:  2|");
    check_seen(BYTES("\"a\" APPEND x {500}\r\n"), small, "R:  2|");
}

TEST(an_empty_line_is_a_command_that_the_grammar_refuses)
{
    check_seen(BYTES("\r\na NOOP\r\n"), small, "C:|C:a NOOP|");
}

TEST(the_head_is_known_before_the_continuation_is_sent)
{
    struct imap_framer *framer = imap_framer_create(small);
    struct bytes in = BYTES("x7 uid store {3}\r\n");
    struct imap_frame_head head;

    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_LITERAL);
    head = imap_framer_head(framer);
    CHECK_BYTES(head.tag, BYTES("x7"));
    CHECK_BYTES(head.name, BYTES("STORE"));
    CHECK(head.is_uid);
    CHECK_EQ_U64(imap_framer_literal(framer).size_bytes, 3);
    imap_framer_refuse(framer);
    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_REFUSED);
    imap_framer_free(&framer);
}

TEST(what_follows_a_command_stays_in_the_callers_buffer)
{
    struct imap_framer *framer = imap_framer_create(small);
    struct bytes in = BYTES("a STARTTLS\r\nb LOGIN evil evil\r\n");

    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_COMMAND);
    CHECK_BYTES(in, BYTES("b LOGIN evil evil\r\n"));
    imap_framer_free(&framer);
}

TEST(a_bare_line_knows_no_literals_and_the_next_command_may_follow_in_one_packet)
{
    struct imap_framer *framer = imap_framer_create(small);
    struct bytes first = BYTES("DO");
    struct bytes in = BYTES("NE{5}\r\na NOOP\r\n");

    CHECK(imap_framer_feed_line(framer, &first) == IMAP_FRAME_MORE);
    CHECK(imap_framer_feed_line(framer, &in) == IMAP_FRAME_LINE);
    CHECK_BYTES(imap_framer_text(framer), BYTES("DONE{5}"));
    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_COMMAND);
    CHECK_BYTES(imap_framer_text(framer), BYTES("a NOOP"));
    imap_framer_shrink(framer);
    imap_framer_free(&framer);
}

TEST(a_bare_line_over_the_limit_closes_the_connection)
{
    struct imap_framer *framer = imap_framer_create((struct imap_framer_limits){ 4, 4, 4, 4 });
    struct bytes in = BYTES("DONE\r\n");

    CHECK(imap_framer_feed_line(framer, &in) == IMAP_FRAME_CLOSE);
    imap_framer_free(&framer);
}

TEST(limits_change_between_two_commands)
{
    struct imap_framer *framer = imap_framer_create((struct imap_framer_limits){ 8, 8, 100, 100 });
    struct bytes in = BYTES("a CAPABILITY\r\nb CAPABILITY\r\n");

    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_REFUSED);
    imap_framer_set_limits(framer, imap_limits_after_login());
    CHECK(imap_framer_feed(framer, &in) == IMAP_FRAME_COMMAND);
    imap_framer_free(&framer);
}
