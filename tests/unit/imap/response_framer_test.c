/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "imap/response_framer.h"
#include "test.h"

/*
 * Literals over 8 octets are streamed, others kept. "S(…)" are streamed octets, "L:" the text when
 * a literal's header was read, "R:" a whole response.
 */
static void watch(struct imap_receiver *receiver, struct bytes octets, size_t step,
                  struct buf *seen)
{
    struct err err = { 0 };
    size_t done = 0;
    bool is_streaming = false;

    while (done < octets.len) {
        struct bytes in = bytes_slice(octets, done, step);

        done += in.len;
        for (;;) {
            enum imap_received_kind kind;

            if (is_streaming) {
                buf_append(seen, imap_receive_octets(receiver, &in));
                is_streaming = imap_receiver_left(receiver) > 0;
                if (is_streaming)
                    break;
                buf_text(seen, ")|");
            }
            kind = imap_receive(receiver, &in, &err);
            if (kind == IMAP_RECEIVED_MORE)
                break;
            if (kind == IMAP_RECEIVED_FAILED) {
                buf_text(seen, "F");
                return;
            }
            if (kind == IMAP_RECEIVED_RESPONSE) {
                buf_text(seen, "R:");
                buf_append(seen, imap_received(receiver).text);
                buf_text(seen, "|");
            } else if (imap_receiver_literal(receiver).size_bytes > 8) {
                imap_receiver_stream(receiver);
                buf_text(seen, "S(");
                is_streaming = true;
            } else {
                imap_receiver_keep(receiver);
            }
        }
        CHECK_EQ_U64(in.len, 0);
    }
}

static void check_seen(struct bytes octets, const char *want)
{
    for (size_t step = 1; step < 40; step += 3) {
        struct imap_receiver *receiver = imap_receiver_create(100);
        struct buf seen = buf_create(10000);

        watch(receiver, octets, step, &seen);
        CHECK_BYTES(buf_bytes(&seen), bytes_of_text(want));
        buf_free(&seen);
        imap_receiver_free(&receiver);
    }
}

TEST(a_message_is_streamed_and_the_rest_of_its_response_follows)
{
    check_seen(BYTES("* 1 FETCH (BODY[] {13}\r\n)\r\na OK {9}\r\n UID 7)\r\na OK done\r\n"),
               "S()\r\na OK {9}\r\n)|R:* 1 FETCH (BODY[] {13}\r\n UID 7)|R:a OK done|");
}

TEST(a_small_literal_is_kept_in_the_text)
{
    check_seen(BYTES("* LIST () \"/\" {7}\r\nx\r\ny\r\nz\r\n* OK\r\n"),
               "R:* LIST () \"/\" {7}\r\nx\r\ny\r\nz|R:* OK|");
}

TEST(text_for_humans_holds_no_literals)
{
    check_seen(BYTES("* OK see {5}\r\n* BYE {3}\r\na NO not {4}\r\n+ go {2}\r\n* PREAUTH {1}\n"),
               "R:* OK see {5}|R:* BYE {3}|R:a NO not {4}|R:+ go {2}|R:* PREAUTH {1}|");
}

TEST(a_brace_that_ends_a_name_is_no_literal)
{
    check_seen(BYTES("* LIST () \"/\" foo{5}\r\n* 1 EXISTS\r\n"),
               "R:* LIST () \"/\" foo{5}|R:* 1 EXISTS|");
}

TEST(literal8_and_empty_literals_are_literals)
{
    check_seen(BYTES("* 1 FETCH (BINARY[] ~{9}\r\n123456789 BODY[] {0}\r\n)\r\n"),
               "S(123456789)|R:* 1 FETCH (BINARY[] ~{9}\r\n BODY[] {0}\r\n)|");
}

TEST(a_line_over_the_limit_fails)
{
    struct imap_receiver *receiver = imap_receiver_create(10);
    struct bytes in = BYTES("* OK long enough\r\n");
    struct err err = { 0 };

    CHECK(imap_receive(receiver, &in, &err) == IMAP_RECEIVED_FAILED);
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    imap_receiver_free(&receiver);
}

TEST(a_kept_literal_over_the_limit_fails_before_it_is_in_memory)
{
    struct imap_receiver *receiver = imap_receiver_create(40);
    struct bytes in = BYTES("* LIST () \"/\" {8}\r\n");
    struct bytes octets = BYTES("12345678901234567890123456789012345678901234567890");
    struct err err = { 0 };

    CHECK(imap_receive(receiver, &in, &err) == IMAP_RECEIVED_LITERAL);
    imap_receiver_keep(receiver);
    CHECK(imap_receive(receiver, &octets, &err) == IMAP_RECEIVED_FAILED);
    imap_receiver_free(&receiver);
}

TEST(an_announced_size_that_does_not_fit_fails)
{
    struct imap_receiver *receiver = imap_receiver_create(100);
    struct bytes in = BYTES("* 1 FETCH (BODY[] {9223372036854775808}\r\n");
    struct err err = { 0 };

    CHECK(imap_receive(receiver, &in, &err) == IMAP_RECEIVED_FAILED);
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    imap_receiver_free(&receiver);
}

/* Each makes the reader of FETCH look at all that came before: without an end that is quadratic. */
TEST(literals_beyond_their_limit_fail_though_each_is_empty)
{
    struct imap_receiver *receiver = imap_receiver_create(1 << 20);
    struct bytes in = BYTES("* 1 FETCH (");
    struct err err = { 0 };
    size_t kept = 0;

    CHECK(imap_receive(receiver, &in, &err) == IMAP_RECEIVED_MORE);
    for (in = BYTES("X {0}\r\n "); imap_receive(receiver, &in, &err) == IMAP_RECEIVED_LITERAL;
         in = BYTES(" X {0}\r\n ")) {
        imap_receiver_keep(receiver);
        if (++kept > 2 * IMAP_LITERALS_MAX)
            break;
    }
    CHECK_EQ_U64(kept, IMAP_LITERALS_MAX);
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    imap_receiver_free(&receiver);
}
