/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/index.c - ENVELOPE, BODYSTRUCTURE and the tree of parts of a message.
 *
 * They come from its row of message_index. A row that is missing, of another parser version, larger
 * than a page gives or damaged costs a pass over the octets, which gives the same values: what is
 * derived is never a reason to refuse a message. Memory: what mime/parser.h states and TEXT_MAX.
 */
#include "imap/structure.h"
#include "mime/parser.h"
#include "mime/structure.h"
#include "serve/internal.h"

#include <stdlib.h>

enum {
    TEXT_MAX = 16 << 20,   /* imap/structure.h: ENVELOPE is never larger */
    KEPT_BYTES = 64 << 10, /* of each buffer, from one message to the next */
    TREE_BYTES = 16 << 20, /* MIME_PARTS_MAX parts */
};

static struct serve_index *create_index(void)
{
    struct serve_index *index = calloc(1, sizeof *index);

    assert(index != NULL);
    index->envelope_text = buf_create(TEXT_MAX);
    index->bodystructure_text = buf_create(TEXT_MAX);
    index->body_text = buf_create(TEXT_MAX);
    index->arena = arena_create(TREE_BYTES);
    return index;
}

void serve_free_index(struct serve_index **index)
{
    if (*index == NULL)
        return;
    mime_free_parser(&(*index)->parser);
    buf_free(&(*index)->envelope_text);
    buf_free(&(*index)->bodystructure_text);
    buf_free(&(*index)->body_text);
    arena_free(&(*index)->arena);
    free(*index);
    *index = NULL;
}

static void reset_index(struct serve_index *index)
{
    index->envelope = index->bodystructure = index->body = (struct bytes){ 0 };
    index->tree = NULL;
    buf_reset(&index->envelope_text, KEPT_BYTES);
    buf_reset(&index->bodystructure_text, KEPT_BYTES);
    buf_reset(&index->body_text, KEPT_BYTES);
    arena_reset(index->arena);
}

/* ---- from the octets ----------------------------------------------------------------------- */

static bool feed(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    mime_feed_parser(context, octets);
    return true;
}

static bool parse(struct serve_fetch *fetch, const struct vault_placement *row, struct err *err)
{
    struct serve_index *index = fetch->index;

    if (index->parser == NULL)
        index->parser = mime_create_parser();
    else
        mime_reset_parser(index->parser);
    if (!vault_stream_octets(fetch->session->reader, &row->octets, 0, row->octets.size_bytes, feed,
                             index->parser, err))
        return false;
    index->tree = mime_finish_parser(index->parser);
    if ((fetch->index_needs & SERVE_NEEDS_ENVELOPE) != 0) {
        imap_write_envelope(&index->envelope_text, index->tree->envelope);
        if (!buf_done(&index->envelope_text, &index->envelope, err))
            return false;
    }
    if ((fetch->index_needs & (SERVE_NEEDS_BODYSTRUCTURE | SERVE_NEEDS_BODY)) != 0) {
        (void)imap_write_limited_bodystructure(&index->bodystructure_text, index->tree);
        return buf_done(&index->bodystructure_text, &index->bodystructure, err);
    }
    return true;
}

/* ---- from the row -------------------------------------------------------------------------- */

/* Takes what the row has; false: something that is needed is not there. */
static bool take_row(struct serve_fetch *fetch, const struct vault_index_row *row)
{
    struct serve_index *index = fetch->index;
    unsigned needs = fetch->index_needs;
    struct err ignored = { 0 };

    if (row->parser_version != MIME_PARSER_VERSION)
        return false;
    index->envelope = row->envelope;
    index->bodystructure = row->bodystructure;
    if ((needs & SERVE_NEEDS_ENVELOPE) != 0 && row->envelope.len == 0)
        return false;
    if ((needs & (SERVE_NEEDS_BODYSTRUCTURE | SERVE_NEEDS_BODY)) != 0 &&
        row->bodystructure.len == 0)
        return false;
    return (needs & SERVE_NEEDS_TREE) == 0 ||
           mime_read_structure(row->structure, index->arena, &index->tree, &ignored);
}

/* BODY is what BODYSTRUCTURE says without its extensions. */
static bool make_body(struct serve_index *index, struct err *err)
{
    buf_reset(&index->body_text, KEPT_BYTES);
    return imap_write_body_of_bodystructure(&index->body_text, index->bodystructure, err) &&
           buf_done(&index->body_text, &index->body, err);
}

bool serve_prepare_index(struct serve_fetch *fetch, const struct vault_placement *row,
                         struct err *err)
{
    bool needs_body = (fetch->index_needs & SERVE_NEEDS_BODY) != 0;
    struct serve_index *index;

    if (fetch->index == NULL)
        fetch->index = create_index();
    index = fetch->index;
    reset_index(index);
    if (take_row(fetch, &row->index) && (!needs_body || make_body(index, err)))
        return true;
    err_clear(err);
    reset_index(index);
    return parse(fetch, row, err) && (!needs_body || make_body(index, err));
}
