/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/show_find.c - which message an ID names.
 */
#include "holdfast/headline.h"
#include "holdfast/show.h"
#include "search/everywhere.h"

#include <string.h>

enum {
    HASH_DIGITS_MIN = 8,
    PLACES_MAX = 100,
    ID_BYTES_MAX = 1000,
};

/* ---- IDs ----------------------------------------------------------------------------------------- */

static bool is_hex(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = ascii_lower(text.ptr[i]);

        if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
            return false;
    }
    return text.len >= HASH_DIGITS_MIN && text.len <= 2 * CRYPTO_SHA256_BYTES;
}

/* "<a@b>", "a@b" */
static bool read_message_id(struct bytes text, struct show_wanted *out)
{
    bool has_brackets = text.len > 2 && text.ptr[0] == '<' && text.ptr[text.len - 1] == '>';

    if (has_brackets)
        text = bytes_slice(text, 1, text.len - 2);
    if (text.len > ID_BYTES_MAX || (!has_brackets && bytes_find_byte(text, '@') < 0))
        return false;
    out->message_id = text;
    return true;
}

/* ACCOUNT/PATH;UID=N */
static bool read_place(const char *text, const char *mark, struct show_wanted *out, struct err *err)
{
    struct bytes rest = bytes_of(text, (size_t)(mark - text));
    struct bytes number = bytes_of_text(mark + 5);

    if (!scan_until_byte(&rest, '/', &out->account) || !scan_byte(&rest, '/') || rest.len == 0 ||
        !scan_u32(&number, &out->uid) || number.len > 0 || out->uid == 0)
        return err_fail(err, ERR_SYNTAX, "'%s': a place is written ACCOUNT/PATH;UID=N", text);
    out->path = rest;
    return true;
}

bool show_read_id(const char *text, struct show_wanted *out, struct err *err)
{
    const char *mark = NULL;

    for (const char *at = text; (at = strstr(at, ";UID=")) != NULL; at++)
        mark = at;
    if (mark != NULL)
        return read_place(text, mark, out, err);
    if (is_hex(bytes_of_text(text))) {
        out->hash = bytes_of_text(text);
        return true;
    }
    return read_message_id(bytes_of_text(text), out) ||
           err_fail(err, ERR_SYNTAX,
                    "'%s' is no SHA-256 (8 to 64 hex digits of its front), no ACCOUNT/PATH;UID=N "
                    "and no Message-ID",
                    text);
}

/* ---- looking them up ------------------------------------------------------------------------------- */

static bool find_hash(struct cli_reader *reader, struct bytes hash, struct show_message *out)
{
    struct err *err = &reader->cli->err;
    struct bytes first;

    if (!vault_find_hash(reader->vault, hash, PLACES_MAX, reader->cli->arena, &out->places,
                         &out->place_count, err))
        return false;
    if (out->place_count == 0)
        return err_fail(err, ERR_ABSENT, "no message has this SHA-256");
    first = crypto_sha256_bytes(&out->places[0].placement.sha256);
    for (size_t i = 1; i < out->place_count; i++) {
        if (!bytes_equal(first, crypto_sha256_bytes(&out->places[i].placement.sha256)))
            return err_fail(err, ERR_LIMIT, "more than one message begins so: give more digits");
    }
    out->has_more_places = out->place_count == PLACES_MAX;
    return true;
}

static bool find_place(struct cli_reader *reader, const struct show_wanted *wanted,
                       struct show_message *out)
{
    struct vault_mailbox_row row;
    struct vault_found *place = arena_new(reader->cli->arena, struct vault_found);

    if (!vault_find_mailbox(reader->vault, wanted->account, wanted->path, reader->cli->arena, &row,
                            &reader->cli->err))
        return err_wrap(&reader->cli->err, "mailbox");
    *place = (struct vault_found){
        .account_id = row.account_id,
        .mailbox_id = row.mailbox_id,
        .account_name = row.account_name,
        .path = row.path,
        .placement = { .uid = wanted->uid },
    };
    out->places = place;
    out->place_count = 1;
    return true;
}

/* The row and its index; false with ERR_ABSENT when the place is empty. */
static bool load_row(struct cli_reader *reader, const struct vault_found *place,
                     struct vault_placement *out)
{
    struct vault_uid_range range = { place->placement.uid, place->placement.uid };
    struct vault_placement_page page;
    struct vault_placement_query query = {
        .account_id = place->account_id,
        .mailbox_id = place->mailbox_id,
        .ranges = &range,
        .range_count = 1,
        .columns = VAULT_WITH_INDEX,
        .limit = 1,
    };

    if (!vault_read_placements(reader->vault, &query, reader->cli->arena, &page, &reader->cli->err))
        return false;
    if (page.count == 0)
        return err_fail(&reader->cli->err, ERR_ABSENT, "no message has UID %u there", range.first);
    *out = page.rows[0];
    return true;
}

/* The places among the hits whose Message-ID is just this one. */
static bool take_same_id(struct cli_reader *reader, const struct show_wanted *wanted,
                         const struct search_page *page, struct vault_found *places, size_t *count)
{
    for (size_t i = 0; i < page->count && *count < PLACES_MAX; i++) {
        struct vault_found *place = &places[*count];
        struct cli_headline headline;
        struct bytes id;

        *place = (struct vault_found){ .account_id = page->mailbox->account_id,
                                       .mailbox_id = page->mailbox->mailbox_id,
                                       .placement = { .uid = page->uids[i] } };
        if (!load_row(reader, place, &place->placement) ||
            !cli_read_headline(reader->vault, &place->placement, reader->cli->arena, &headline,
                               &reader->cli->err))
            return false;
        id = headline.message_id;
        if (id.len > 2 && id.ptr[0] == '<' && id.ptr[id.len - 1] == '>')
            id = bytes_slice(id, 1, id.len - 2);
        if (!bytes_equal(id, wanted->message_id))
            continue;
        if (!arena_try_copy(reader->cli->arena, page->mailbox->account_name, SIZE_MAX,
                            &place->account_name, &reader->cli->err) ||
            !arena_try_copy(reader->cli->arena, page->mailbox->path, SIZE_MAX, &place->path,
                            &reader->cli->err))
            return false;
        ++*count;
    }
    return true;
}

static bool walk_for_id(struct cli_reader *reader, const struct show_wanted *wanted,
                        const struct search_query *query, struct vault_found *places, size_t *count)
{
    CLEANUP(search_close_walk) struct search_walk *walk = NULL;
    struct search_walk_request request = {
        .pool = reader->pool,
        .token = reader->token,
        .reader = reader->vault,
        .query = query,
    };
    struct search_page page;
    bool has_page = true;

    if (!search_open_walk(&request, &walk, &reader->cli->err))
        return false;
    while (has_page && *count < PLACES_MAX) {
        if (!search_next_page(walk, &page, &has_page, &reader->cli->err) ||
            (has_page && !take_same_id(reader, wanted, &page, places, count)))
            return false;
    }
    return true;
}

/* By search: the header of every message that may hold it. */
static bool search_message_id(struct cli_reader *reader, const struct show_wanted *wanted,
                              struct show_message *out)
{
    struct err *err = &reader->cli->err;
    CLEANUP(buf_free) struct buf text = buf_create(4 * ID_BYTES_MAX);
    struct vault_found *places =
        arena_new_array(reader->cli->arena, struct vault_found, PLACES_MAX);
    struct search_query *query;

    buf_text(&text, "id:\"");
    for (size_t i = 0; i < wanted->message_id.len; i++) {
        if (wanted->message_id.ptr[i] == '"' || wanted->message_id.ptr[i] == '\\')
            buf_byte(&text, '\\');
        buf_byte(&text, wanted->message_id.ptr[i]);
    }
    buf_byte(&text, '"');
    if (!search_parse_query(buf_bytes(&text), reader->cli->arena, &query, NULL, err) ||
        !walk_for_id(reader, wanted, query, places, &out->place_count))
        return false;
    out->places = places;
    return true;
}

/*
 * By the index, which knows journal reports by the message in them; what it does not know, by search.
 * Several different messages may bear one Message-ID, and then their hashes tell them apart.
 */
static bool find_message_id(struct cli_reader *reader, const struct show_wanted *wanted,
                            struct show_message *out)
{
    struct err *err = &reader->cli->err;

    if (!vault_find_message_id(reader->vault, wanted->message_id, PLACES_MAX, reader->cli->arena,
                               &out->places, &out->place_count, err) ||
        (out->place_count == 0 && !search_message_id(reader, wanted, out)))
        return false;
    if (out->place_count == 0)
        return err_fail(err, ERR_ABSENT, "no message has this Message-ID");
    for (size_t i = 1; i < out->place_count; i++) {
        if (!bytes_equal(crypto_sha256_bytes(&out->places[0].placement.sha256),
                         crypto_sha256_bytes(&out->places[i].placement.sha256)))
            return err_fail(err, ERR_LIMIT,
                            "different messages have this Message-ID: holdfast search id:… lists "
                            "them");
    }
    out->has_more_places = out->place_count == PLACES_MAX;
    return true;
}

bool show_find(struct cli_reader *reader, const struct show_wanted *wanted,
               struct show_message *out)
{
    struct cli *cli = reader->cli;
    const struct vault_found *place;
    bool is_found;

    if (wanted->hash.len > 0)
        is_found = find_hash(reader, wanted->hash, out);
    else if (wanted->message_id.len > 0)
        is_found = find_message_id(reader, wanted, out);
    else
        is_found = find_place(reader, wanted, out);
    if (!is_found)
        return false;
    place = &out->places[0];
    return load_row(reader, place, &out->row) &&
           vault_load_mailbox(reader->vault, place->account_id, place->mailbox_id, cli->arena,
                              &out->mailbox, &cli->err) &&
           vault_read_notes(reader->vault, place->account_id, out->row.message_id, cli->arena,
                            &out->notes, &cli->err);
}
