/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message gives a record that is well formed, the same however it is cut; every needle is found
 * in the record where it is found in the message; and what stands in the record is found. The first
 * octet says how the message is cut, the second and third which part of the record is looked for.
 */
#include "text/extract.h"
#include "text/match.h"
#include "text/signature.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void extract(struct text_extractor *extractor, const struct text_sink *sinks, size_t count,
                    struct bytes message, size_t chunk)
{
    text_begin(extractor, sinks, count);
    for (size_t at = 0; at < message.len; at += chunk)
        text_feed(extractor, bytes_slice(message, at, chunk));
    (void)text_end(extractor);
}

static bool may_hold(struct bytes record, struct bytes needle)
{
    struct text_signer *signer = text_create_signer();
    bool may;

    text_sign(signer, record);
    may = text_may_hold(text_end_signature(signer), needle);
    text_free_signer(&signer);
    return may;
}

/* Where pieces end, and so what may be a needle. */
static struct bytes choose_needle(struct bytes record, size_t from, size_t len)
{
    struct bytes needle = bytes_slice(record, from, len);
    size_t end = 0;

    while (needle.len > 0 && (needle.ptr[0] < 8 || (needle.ptr[0] & 0xc0) == 0x80))
        needle = bytes_slice(needle, 1, SIZE_MAX);
    while (end < needle.len && needle.ptr[end] >= 8)
        end++;
    while (end > 0 && end < needle.len && (needle.ptr[end] & 0xc0) == 0x80)
        end--;
    if (end == needle.len) /* it may end within a character */
        while (end > 0 && needle.ptr[end - 1] >= 0x80)
            end--;
    return bytes_slice(needle, 0, end);
}

static void check_matches(struct text_extractor *extractor, struct bytes message, size_t chunk,
                          struct bytes record, struct bytes needle)
{
    const size_t starts[] = { 0, record.len };

    for (int scope = TEXT_SCOPE_TEXT; scope <= TEXT_SCOPE_HEADER; scope++) {
        struct text_matcher *matcher;
        struct text_sink sink;
        struct err err = { 0 };
        bool found;

        assert(
            text_create_matcher((enum text_scope)scope, BYTES("Subject"), needle, &matcher, &err));
        sink = text_match_sink(matcher);
        text_reset_matcher(matcher);
        extract(extractor, &sink, 1, message, chunk);
        found = text_match_record(matcher, record);
        assert(text_has_matched(matcher) == found);
        assert((text_match_records(matcher, record, starts, 1, 0) == 0) == found);
        assert(found || scope != TEXT_SCOPE_TEXT);
        assert(!found || bytes_find(record, text_needle(matcher)) >= 0);
        assert(!found || may_hold(record, text_needle(matcher)));
        text_free_matcher(&matcher);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes message = bytes_slice(bytes_of(data, size), 3, SIZE_MAX);
    size_t chunk = size < 3 ? 1 : data[0] % 64 + 1u;
    struct text_extractor *extractor = text_create_extractor();
    struct text_record_writer *whole = text_create_record();
    struct text_record_writer *pieces = text_create_record();
    struct text_sink sink = text_record_sink(whole);
    struct bytes record, again;
    struct err err = { 0 };
    uint32_t notes;

    extract(extractor, &sink, 1, message, SIZE_MAX / 2);
    notes = text_notes(extractor);
    sink = text_record_sink(pieces);
    extract(extractor, &sink, 1, message, chunk);
    assert(text_notes(extractor) == notes);
    assert(text_record(whole, &record) == text_record(pieces, &again));
    if (text_record(whole, &record) && text_record(pieces, &again)) {
        assert(bytes_equal(record, again));
        assert(text_check_record(record, &err));
        if (size >= 3)
            check_matches(extractor, message, chunk, record,
                          choose_needle(record, data[1] * record.len / 256, data[2] / 4));
    }
    text_free_record(&whole);
    text_free_record(&pieces);
    text_free_extractor(&extractor);
    return 0;
}
