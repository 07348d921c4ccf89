/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "base/buf.h"
#include "mime/parser.h"

struct parsed {
    struct mime_parser *parser;
    struct mime_part *root;
    struct bytes message;
};

static struct parsed parse(const char *text, size_t chunk)
{
    struct parsed parsed = { mime_create_parser(), NULL, bytes_of_text(text) };

    for (size_t at = 0; at < parsed.message.len; at += chunk)
        mime_feed_parser(parsed.parser, bytes_slice(parsed.message, at, chunk));
    parsed.root = mime_finish_parser(parsed.parser);
    return parsed;
}

static void done(struct parsed *parsed)
{
    mime_free_parser(&parsed->parser);
}

static struct bytes header_of(const struct parsed *parsed, const struct mime_part *part)
{
    return bytes_slice(parsed->message, (size_t)part->header_offset, (size_t)part->header_bytes);
}

static struct bytes body_of(const struct parsed *parsed, const struct mime_part *part)
{
    return bytes_slice(parsed->message, (size_t)mime_body_offset(part), (size_t)part->body_bytes);
}

TEST(a_message_is_its_header_with_the_empty_line_and_its_body)
{
    struct parsed p = parse("A: b\r\n\r\nbody\r\nend", 1);

    CHECK_BYTES(header_of(&p, p.root), BYTES("A: b\r\n\r\n"));
    CHECK_BYTES(body_of(&p, p.root), BYTES("body\r\nend"));
    CHECK_EQ_U64(p.root->header_lines, 2);
    CHECK_EQ_U64(p.root->body_lines, 1);
    CHECK(mime_part_is(p.root, BYTES("text"), BYTES("plain")));
    done(&p);
}

TEST(a_message_without_an_empty_line_is_all_header)
{
    struct parsed p = parse("just words", 3);

    CHECK_EQ_U64(p.root->header_bytes, 10);
    CHECK_EQ_U64(p.root->body_bytes, 0);
    CHECK_EQ_U64(mime_parser_notes(p.parser), MIME_NOTE_HEADER_OPEN);
    done(&p);
}

TEST(an_empty_message_is_one_empty_part)
{
    struct parsed p = parse("", 1);

    CHECK_EQ_U64(mime_parser_part_count(p.parser), 1);
    CHECK_EQ_U64(p.root->header_bytes + p.root->body_bytes, 0);
    done(&p);
}

static const char mixed[] = "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"
                            "preamble\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n"
                            "--b\r\n\r\nsecond\r\n\r\n--b--\r\nepilogue";

TEST(parts_end_in_front_of_the_line_end_before_the_boundary)
{
    for (size_t chunk = 1; chunk < sizeof mixed; chunk++) {
        struct parsed p = parse(mixed, chunk);
        const struct mime_part *first = p.root->children;

        CHECK_EQ_U64(p.root->child_count, 2);
        CHECK_BYTES(header_of(&p, first), BYTES("Content-Type: text/html\r\n\r\n"));
        CHECK_BYTES(body_of(&p, first), BYTES("<p>"));
        CHECK_BYTES(header_of(&p, first->next), BYTES("\r\n"));
        CHECK_BYTES(body_of(&p, first->next), BYTES("second\r\n"));
        CHECK_EQ_U64(first->next->body_lines, 1);
        CHECK_EQ_U64(mime_parser_notes(p.parser), 0);
        done(&p);
    }
}

TEST(a_message_within_has_one_child_with_its_envelope)
{
    struct parsed p = parse("Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx", 2);
    const struct mime_part *inner = p.root->children;

    CHECK(p.root->is_message);
    CHECK_BYTES(header_of(&p, inner), BYTES("Subject: inner\r\n\r\n"));
    CHECK_BYTES(*inner->envelope->subject, BYTES("inner"));
    CHECK_BYTES(body_of(&p, inner), BYTES("x"));
    CHECK_EQ_U64(p.root->body_bytes, inner->header_bytes + inner->body_bytes);
    done(&p);
}

TEST(parts_of_a_digest_are_messages_unless_they_say_otherwise)
{
    struct parsed p = parse("Content-Type: multipart/digest; boundary=d\r\n\r\n"
                            "--d\r\n\r\nSubject: a\r\n\r\nx\r\n"
                            "--d\r\nContent-Type: text/plain\r\n\r\ny\r\n--d--\r\n",
                            5);

    CHECK(p.root->children->is_message);
    CHECK(!p.root->children->next->is_message);
    done(&p);
}

TEST(a_boundary_in_a_header_ends_it_and_takes_its_last_line_end)
{
    struct parsed p =
        parse("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nA: b\r\n--b--\r\n", 1);
    const struct mime_part *part = p.root->children;

    CHECK_BYTES(header_of(&p, part), BYTES("A: b"));
    CHECK_EQ_U64(part->body_bytes, 0);
    done(&p);
}

TEST(a_boundary_at_once_behind_a_header_takes_its_empty_line)
{
    struct parsed p =
        parse("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nA: b\r\n\r\n--b--\r\n", 1);

    CHECK_BYTES(header_of(&p, p.root->children), BYTES("A: b\r\n"));
    CHECK_EQ_U64(p.root->children->body_bytes, 0);
    done(&p);
}

TEST(of_boundaries_that_begin_alike_the_longest_is_meant)
{
    struct parsed p =
        parse("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
              "Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n\r\nx\r\n--b1--\r\n"
              "--b\r\n\r\ny\r\n--b--\r\n",
              7);

    CHECK_EQ_U64(p.root->child_count, 2);
    CHECK_EQ_U64(p.root->children->child_count, 1);
    done(&p);
}

TEST(an_outer_boundary_ends_the_multiparts_within_that_are_open)
{
    struct parsed p =
        parse("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
              "Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--o--\r\n",
              4);

    CHECK_BYTES(body_of(&p, p.root->children->children), BYTES("x"));
    CHECK((mime_parser_notes(p.parser) & MIME_NOTE_UNTERMINATED) != 0);
    done(&p);
}

TEST(a_multipart_without_a_boundary_has_no_parts)
{
    struct parsed p = parse("Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx", 9);

    CHECK(p.root->is_multipart && p.root->children == NULL);
    CHECK_EQ_U64(mime_parser_notes(p.parser), MIME_NOTE_NO_BOUNDARY);
    done(&p);
}

TEST(content_fields_count_only_in_mime_messages_and_their_parts)
{
    struct parsed p = parse("Content-ID: <a>\r\n\r\nx", 3);

    CHECK(p.root->content.id == NULL);
    done(&p);
    p = parse("Mime-Version: 1.0\r\nContent-ID: <a>\r\n\r\nx", 3);
    CHECK_BYTES(*p.root->content.id, BYTES("<a>"));
    done(&p);
}

TEST(a_broken_content_type_is_an_empty_one_and_read_as_text)
{
    struct parsed p = parse("Content-Type: text plain\r\n\r\nx", 3);

    CHECK_BYTES(*p.root->content.type, BYTES(""));
    CHECK(mime_part_is(p.root, BYTES("text"), BYTES("plain")));
    done(&p);
}

TEST(parameters_in_pieces_are_joined_and_stay_encoded)
{
    struct parsed p =
        parse("Content-Type: a/b; t*1=\"y\"; t*0*=utf-8''%41; n=\"q\\\"\"; n2*=x''%42\r\n\r\n", 8);
    const struct mime_content *content = &p.root->content;

    CHECK_EQ_U64(content->param_count, 3);
    CHECK_BYTES(content->params[0].name, BYTES("n"));
    CHECK_BYTES(content->params[0].value, BYTES("q\""));
    CHECK_BYTES(mime_find_param(content->params, 3, BYTES("T*"))->value, BYTES("utf-8''%41y"));
    done(&p);
}

TEST(nesting_and_parts_beyond_the_limits_are_opaque_and_noted)
{
    struct mime_parser *parser = mime_create_parser();
    uint32_t depth = 0;

    for (unsigned i = 0; i < MIME_NESTING_MAX + 5; i++)
        mime_feed_parser(parser, BYTES("Content-Type: message/rfc822\r\n\r\n"));
    for (const struct mime_part *part = mime_finish_parser(parser); part != NULL;
         part = part->children)
        depth = part->depth;
    CHECK_EQ_U64(depth, MIME_NESTING_MAX - 1);
    CHECK((mime_parser_notes(parser) & MIME_NOTE_NESTING_CUT) != 0);

    mime_reset_parser(parser);
    mime_feed_parser(parser, BYTES("Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
    for (unsigned i = 0; i < MIME_PARTS_MAX + 5; i++)
        mime_feed_parser(parser, BYTES("--b\r\n\r\nx\r\n"));
    (void)mime_finish_parser(parser);
    CHECK_EQ_U64(mime_parser_part_count(parser), MIME_PARTS_MAX);
    CHECK((mime_parser_notes(parser) & MIME_NOTE_PARTS_CUT) != 0);
    mime_free_parser(&parser);
}

TEST(of_a_huge_header_the_first_mebibyte_is_read_and_all_is_measured)
{
    struct mime_parser *parser = mime_create_parser();
    const struct mime_part *root;
    uint64_t fed = 0;

    mime_feed_parser(parser, BYTES("Subject: first\r\n"));
    for (fed = 16; fed < 3 * (uint64_t)MIME_HEADER_KEPT_MAX; fed += 16)
        mime_feed_parser(parser, BYTES("X: 0123456789ab\n"));
    mime_feed_parser(parser, BYTES("Subject: last\r\n\r\nbody"));
    root = mime_finish_parser(parser);
    CHECK_EQ_U64(root->header_bytes, fed + 17);
    CHECK_BYTES(*root->envelope->subject, BYTES("first"));
    CHECK((mime_parser_notes(parser) & MIME_NOTE_HEADER_CUT) != 0);
    mime_free_parser(&parser);
}

TEST(addresses_of_repeated_fields_are_a_list_and_of_other_fields_the_last_counts)
{
    struct parsed p = parse("To: a@b\r\nSubject: 1\r\nto: c@d\r\nSubject:  2\r\n x\r\n\r\n", 1);
    const struct mime_envelope *envelope = p.root->envelope;

    CHECK_BYTES(envelope->to->octets, BYTES("a@b"));
    CHECK_BYTES(envelope->to->next->octets, BYTES("c@d"));
    CHECK_BYTES(*envelope->subject, BYTES("2\n x"));
    done(&p);
}

static void hear_header(void *context, const struct mime_part *part, struct bytes header)
{
    (void)part;
    buf_text(context, "[");
    buf_append(context, bytes_slice(header, 0, 1));
}

static void hear_body(void *context, const struct mime_part *part, struct bytes octets)
{
    (void)part;
    buf_append(context, octets);
}

static void hear_end(void *context, const struct mime_part *part)
{
    (void)part;
    buf_text(context, "]");
}

TEST(a_listener_hears_headers_bodies_and_ends_however_the_octets_are_cut)
{
    static const char text[] =
        "A: b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n"
        "B: c\r\n\r\none\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        "C: d\r\n\r\ntwo\n-b\r--b\r\n--b--\r\nepi\r\n";

    for (size_t chunk = 1; chunk < sizeof text; chunk++) {
        CLEANUP(buf_free) struct buf heard = buf_create(1000);
        struct mime_listener listener = { &heard, hear_header, hear_body, hear_end };
        struct mime_parser *parser = mime_create_parser();
        struct bytes in = bytes_of_text(text);

        mime_listen(parser, &listener);
        for (size_t at = 0; at < in.len; at += chunk)
            mime_feed_parser(parser, bytes_slice(in, at, chunk));
        (void)mime_finish_parser(parser);
        mime_free_parser(&parser);
        CHECK_BYTES(buf_bytes(&heard), BYTES("[Apre[Bone\r\n][C[Ctwo\n-b\r--b]]epi\r\n]"));
    }
}
