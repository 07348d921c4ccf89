/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "gate/message.h"

#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct gate_request requests[] = {
    { .kind = GATE_LOG_IN,
      .log_in = { BYTES_INIT("anna"), BYTES_INIT("pass word"), BYTES_INIT("192.0.2.7"), true } },
    { .kind = GATE_LOG_OUT, .log_out = { BYTES_INIT(TOKEN) } },
    { .kind = GATE_OPEN_PACK, .open_pack = { BYTES_INIT(TOKEN), 7, INT64_MAX, false } },
    { .kind = GATE_SOURCE_SECRET, .source_secret = { 12, 3 } },
    { .kind = GATE_OPEN_PACK, .open_pack = { BYTES_INIT(TOKEN), 8, 9, true } },
    { .kind = GATE_SOURCE_SECRET,
      .source_secret = { 12, 3, BYTES_INIT("0123456789abcdef0123456789abcdef") } },
};

static const struct gate_reply replies[] = {
    { .kind = GATE_LOG_IN, .logged_in = { BYTES_INIT(TOKEN), 1, 2, 1900000000000000 } },
    { .kind = GATE_LOG_IN, .outcome = GATE_THROTTLED, .wait_seconds = 30 },
    { .kind = GATE_LOG_IN, .outcome = GATE_DENIED },
    { .kind = GATE_LOG_OUT },
    { .kind = GATE_OPEN_PACK },
    { .kind = GATE_OPEN_PACK, .outcome = GATE_ABSENT },
    { .kind = GATE_SOURCE_SECRET, .secret = { GATE_SECRET_TOKEN, 7, BYTES_INIT("s3\0cret") } },
    { .kind = GATE_SOURCE_SECRET, .outcome = GATE_GRANT_DENIED, .text = BYTES_INIT("consent") },
    { .kind = GATE_SOURCE_SECRET, .outcome = GATE_GRANT_RETRY, .text = BYTES_INIT("") },
    { .kind = GATE_SOURCE_SECRET, .outcome = GATE_CORRUPT },
};

TEST(every_request_is_read_as_it_was_written)
{
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct gate_datagram first = { 0 }, again = { 0 };
        struct gate_request got;
        struct err err = { 0 };

        CHECK(gate_write_request(&requests[i], &first, &err));
        CHECK(gate_read_request(gate_datagram_bytes(&first), &got, &err));
        CHECK_EQ_U64(got.kind, requests[i].kind);
        CHECK(gate_write_request(&got, &again, &err));
        CHECK_BYTES(gate_datagram_bytes(&again), gate_datagram_bytes(&first));
    }
}

TEST(every_reply_is_read_as_it_was_written)
{
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct gate_datagram first = { 0 }, again = { 0 };
        struct gate_reply got;
        struct err err = { 0 };

        CHECK(gate_write_reply(&replies[i], &first, &err));
        CHECK(gate_read_reply(gate_datagram_bytes(&first), &got, &err));
        CHECK_EQ_U64(got.kind, replies[i].kind);
        CHECK_EQ_U64(got.outcome, replies[i].outcome);
        CHECK(gate_write_reply(&got, &again, &err));
        CHECK_BYTES(gate_datagram_bytes(&again), gate_datagram_bytes(&first));
    }
}

TEST(the_octets_of_a_request_are_those_of_the_header_comment)
{
    struct gate_datagram datagram = { 0 };
    struct err err = { 0 };

    CHECK(gate_write_request(&requests[3], &datagram, &err));
    CHECK_BYTES(gate_datagram_bytes(&datagram),
                BYTES("\1\4\0\0\0\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0\3\0\0"));
}

TEST(a_message_cut_short_or_with_one_octet_too_many_is_refused_and_leaves_the_output_alone)
{
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct gate_datagram datagram = { 0 };
        struct gate_request got = { .kind = GATE_LOG_OUT };
        struct err err = { 0 };

        CHECK(gate_write_request(&requests[i], &datagram, &err));
        for (size_t len = 0; len < datagram.len; len++) {
            CHECK(!gate_read_request(bytes_of(datagram.octets, len), &got, &err));
            CHECK_EQ_U64(err.code, ERR_SYNTAX);
        }
        CHECK(!gate_read_request(bytes_of(datagram.octets, datagram.len + 1), &got, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        CHECK_EQ_U64(got.kind, GATE_LOG_OUT);
        CHECK_EQ_U64(got.log_out.token.len, 0);
    }
}

TEST(fields_at_their_limit_pass_and_one_octet_more_does_not)
{
    uint8_t octets[GATE_SECRET_MAX_BYTES + 1] = { 'x' };
    struct gate_datagram datagram = { 0 };
    struct gate_request request = { .kind = GATE_LOG_IN }, got;
    struct gate_reply reply = { .kind = GATE_SOURCE_SECRET }, answer;
    struct err err = { 0 };

    request.log_in.name = bytes_of(octets, GATE_NAME_MAX_BYTES);
    request.log_in.password = bytes_of(octets, GATE_PASSWORD_MAX_BYTES);
    request.log_in.remote = bytes_of(octets, GATE_REMOTE_MAX_BYTES);
    CHECK(gate_write_request(&request, &datagram, &err));
    CHECK(gate_read_request(gate_datagram_bytes(&datagram), &got, &err));
    request.log_in.password.len++;
    CHECK(!gate_write_request(&request, &datagram, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    CHECK_EQ_U64(datagram.len, 0);

    reply.secret =
        (struct gate_secret){ GATE_SECRET_PASSWORD, 1, bytes_of(octets, GATE_SECRET_MAX_BYTES) };
    CHECK(gate_write_reply(&reply, &datagram, &err));
    CHECK(gate_read_reply(gate_datagram_bytes(&datagram), &answer, &err));
    reply.secret.octets.len++;
    CHECK(!gate_write_reply(&reply, &datagram, &err));
}

TEST(a_length_over_the_limit_is_told_from_a_cut_message)
{
    struct gate_request got;
    struct err err = { 0 };

    CHECK(!gate_read_request(BYTES("\1\1\0\0\x00\x81"), &got, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
}

TEST(tokens_are_64_lower_case_hex_digits_and_ids_are_positive)
{
    struct gate_datagram datagram = { 0 };
    struct gate_request request = requests[2], got;
    struct err err = { 0 };

    request.open_pack.account_id = 0;
    CHECK(gate_write_request(&request, &datagram, &err));
    CHECK(!gate_read_request(gate_datagram_bytes(&datagram), &got, &err));
    request.open_pack.account_id = -1;
    CHECK(gate_write_request(&request, &datagram, &err));
    CHECK(!gate_read_request(gate_datagram_bytes(&datagram), &got, &err));
    request = requests[2];
    request.open_pack.token =
        BYTES("AA112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    CHECK(gate_write_request(&request, &datagram, &err));
    CHECK(!gate_read_request(gate_datagram_bytes(&datagram), &got, &err));
    request.open_pack.token = BYTES("aa");
    CHECK(gate_write_request(&request, &datagram, &err));
    CHECK(!gate_read_request(gate_datagram_bytes(&datagram), &got, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
}

TEST(another_version_kind_or_outcome_is_refused)
{
    struct gate_request request;
    struct gate_reply reply;
    struct err err = { 0 };

    CHECK(!gate_read_request(BYTES("\2\4\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1"), &request, &err));
    CHECK(!gate_read_request(BYTES("\1\5\0\0"), &request, &err));
    CHECK(!gate_read_request(BYTES("\1\0\0\0"), &request, &err));
    CHECK(!gate_read_request(BYTES("\1\4\1\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1"), &request, &err));
    CHECK(!gate_read_request(BYTES("\1\4\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1"), &request, &err));
    CHECK(!gate_read_reply(BYTES("\1\3\7\0"), &reply, &err));
    CHECK(gate_read_reply(BYTES("\1\3\6\0"), &reply, &err));
    CHECK_EQ_U64(reply.outcome, GATE_REFUSED);
}
