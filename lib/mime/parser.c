/* SPDX-License-Identifier: Apache-2.0 */
/*
 *            begin_part
 *                |
 *                v       empty line, boundary line, end
 *   +--------> HEADER --finish_header--> BODY <-------------------+
 *   |            ^                        |  handle_boundary      | epilogue
 *   | begin_part |  the message within    v                       |
 *   +------------+--------------------- BOUNDARY_LINE ------------+
 *
 *   HEADER: the header of parser->part, whose lines go to parser->header.
 *   BODY: octets of parser->part; with open boundaries, each line's start is looked at first.
 *   BOUNDARY_LINE: the rest of a line that was found to be a boundary.
 */
#include "mime/parser.h"

#include "mime/internal.h"

#include <stdlib.h>

enum {
    /* "--", the longest boundary, "--", CRLF: no decision needs more of a line. */
    LINE_START_MAX = MIME_BOUNDARY_MAX + 6,
    KEEP_BYTES = 64 << 10, /* of the header buffers, between two messages */
};

enum state {
    IN_HEADER,
    IN_BODY,
    IN_BOUNDARY_LINE,
};

struct boundary {
    struct mime_part *part;
    struct bytes text;
};

struct mime_parser {
    struct arena *arena;
    struct mime_part *root;
    struct mime_part *part; /* being read */
    uint32_t part_count;
    uint32_t notes;
    enum state state;

    uint64_t offset;       /* octets consumed */
    uint64_t lines;        /* line feeds among them */
    uint64_t eol_offset;   /* where the last line end began: at its CR or LF */
    uint64_t body_start;   /* offset behind the last header or boundary line */
    bool is_behind_header; /* body_start is the end of a header with its empty line */
    uint8_t last_byte;
    bool is_at_line_start;
    uint8_t line_start[LINE_START_MAX]; /* of a line that is not decided on yet */
    size_t line_start_len;

    struct buf header; /* of the part being read */
    bool is_header_cut;
    bool is_header_end;    /* the line being read is the empty line */
    struct buf own_header; /* the message's own */
    struct buf scratch;
    struct boundary boundaries[MIME_NESTING_MAX]; /* outermost first */
    size_t boundary_count;

    struct mime_listener listener;
    bool has_listener;
    struct bytes run; /* body octets, one behind the other, that the listener has not had yet */
    uint8_t eol[2];   /* a line end behind what it had: it may belong to a boundary */
    size_t eol_len;
};

struct mime_parser *mime_create_parser(void)
{
    struct mime_parser *parser = calloc(1, sizeof *parser);

    assert(parser != NULL);
    parser->arena = arena_create(MIME_VALUES_MAX);
    parser->header = buf_create(MIME_HEADER_KEPT_MAX);
    parser->own_header = buf_create(MIME_HEADER_KEPT_MAX);
    parser->scratch = buf_create(2 * MIME_HEADER_KEPT_MAX);
    mime_reset_parser(parser);
    return parser;
}

void mime_free_parser(struct mime_parser **parser)
{
    if (*parser == NULL)
        return;
    arena_free(&(*parser)->arena);
    buf_free(&(*parser)->header);
    buf_free(&(*parser)->own_header);
    buf_free(&(*parser)->scratch);
    free(*parser);
    *parser = NULL;
}

void mime_listen(struct mime_parser *parser, const struct mime_listener *listener)
{
    parser->listener = *listener;
    parser->has_listener = true;
}

/* ---- the listener ------------------------------------------------------------------------------- */

static void tell_body(struct mime_parser *parser, struct bytes octets)
{
    if (octets.len > 0)
        parser->listener.body(parser->listener.context, parser->part, octets);
}

static size_t line_end_length(struct bytes octets)
{
    bool has_cr;

    if (octets.len == 0)
        return 0;
    if (octets.ptr[octets.len - 1] == '\r')
        return 1;
    has_cr = octets.len > 1 && octets.ptr[octets.len - 2] == '\r';
    return octets.ptr[octets.len - 1] != '\n' ? 0 : has_cr ? 2 : 1;
}

/* Gives the run to the listener, all but a line end at its end. */
static void tell_run(struct mime_parser *parser)
{
    struct bytes run = parser->run;
    size_t eol_len = line_end_length(run);

    if (run.len == 0)
        return;
    parser->run = bytes_of(NULL, 0);
    if (run.len == 1 && run.ptr[0] == '\n' && parser->eol_len == 1 && parser->eol[0] == '\r') {
        parser->eol[parser->eol_len++] = '\n';
        return;
    }
    tell_body(parser, bytes_of(parser->eol, parser->eol_len));
    tell_body(parser, bytes_slice(run, 0, run.len - eol_len));
    memcpy(parser->eol, run.ptr + run.len - eol_len, eol_len);
    parser->eol_len = eol_len;
}

/* A part ends, or is interrupted by another: by a boundary line, which owns the line end before it. */
static void end_run(struct mime_parser *parser, bool is_boundary)
{
    tell_run(parser);
    if (!is_boundary)
        tell_body(parser, bytes_of(parser->eol, parser->eol_len));
    parser->eol_len = 0;
}

static void add_to_run(struct mime_parser *parser, struct bytes piece)
{
    struct bytes *run = &parser->run;

    if (run->len == 0 || run->ptr + run->len != piece.ptr) {
        tell_run(parser);
        *run = piece;
    } else {
        run->len += piece.len;
    }
}

/* ---- parts -------------------------------------------------------------------------------------- */

static void append_child(struct mime_part *parent, struct mime_part *part)
{
    struct mime_part *last = parent->last_child;

    part->parent = parent;
    part->depth = parent->depth + 1;
    parent->child_count++;
    if (last == NULL)
        parent->children = part;
    else
        last->next = part;
    parent->last_child = part;
}

/* A new part, whose header begins at offset; it becomes the one being read. */
static void begin_part(struct mime_parser *parser, struct mime_part *parent, uint64_t offset,
                       uint64_t lines)
{
    struct mime_part *part = arena_new(parser->arena, struct mime_part);

    if (parent != NULL)
        append_child(parent, part);
    part->header_offset = offset;
    part->header_lines = lines; /* until the header ends: line feeds before it */
    parser->part = part;
    parser->part_count++;
    parser->state = IN_HEADER;
    parser->is_header_end = false;
    parser->is_header_cut = false;
    buf_reset(&parser->header, KEEP_BYTES);
}

void mime_reset_parser(struct mime_parser *parser)
{
    arena_reset(parser->arena);
    buf_reset(&parser->own_header, KEEP_BYTES);
    buf_reset(&parser->scratch, KEEP_BYTES);
    parser->part_count = 0;
    parser->notes = 0;
    parser->offset = 0;
    parser->lines = 0;
    parser->eol_offset = 0;
    parser->body_start = 0;
    parser->last_byte = 0;
    parser->is_at_line_start = true;
    parser->line_start_len = 0;
    parser->boundary_count = 0;
    parser->run = bytes_of(NULL, 0);
    parser->eol_len = 0;
    begin_part(parser, NULL, 0, 0);
    parser->root = parser->part;
}

static bool has_room_below(struct mime_parser *parser, const struct mime_part *part)
{
    if (part->depth + 1 >= MIME_NESTING_MAX)
        parser->notes |= MIME_NOTE_NESTING_CUT;
    else if (parser->part_count >= MIME_PARTS_MAX)
        parser->notes |= MIME_NOTE_PARTS_CUT;
    else
        return true;
    return false;
}

static bool is_type(const struct mime_content *content, struct bytes type, struct bytes subtype)
{
    return content->type != NULL && bytes_equal_nocase(*content->type, type) &&
           (subtype.len == 0 || bytes_equal_nocase(content->subtype, subtype));
}

static void settle_kind(struct mime_parser *parser, struct mime_part *part)
{
    const struct mime_content *content = &part->content;

    part->is_message = is_type(content, BYTES("message"), BYTES("rfc822")) ||
                       (content->type == NULL && part->parent != NULL && part->parent->is_digest);
    part->is_multipart =
        is_type(content, BYTES("multipart"), BYTES("")) && content->subtype.len > 0;
    if ((part->is_message || part->is_multipart) && !has_room_below(parser, part)) {
        part->is_opaque = true;
        part->is_message = false;
        part->is_multipart = false;
    }
    part->is_digest = part->is_multipart && bytes_equal_nocase(content->subtype, BYTES("digest"));
}

static void push_boundary(struct mime_parser *parser, struct mime_part *part)
{
    const struct mime_content *content = &part->content;
    const struct mime_param *param =
        mime_find_param(content->params, content->param_count, BYTES("boundary"));

    if (param == NULL) {
        parser->notes |= MIME_NOTE_NO_BOUNDARY;
        return;
    }
    assert(parser->boundary_count < ARRAY_LEN(parser->boundaries));
    parser->boundaries[parser->boundary_count++] = (struct boundary){
        .part = part,
        .text = bytes_slice(param->value, 0, MIME_BOUNDARY_MAX),
    };
}

static void read_fields(struct mime_parser *parser, struct mime_part *part)
{
    bool is_root = part->parent == NULL;
    struct mime_content_reader reader = {
        .arena = parser->arena,
        .scratch = &parser->scratch,
        .part = part,
        .wants_envelope = is_root || part->parent->is_message,
    };

    part->is_mime = !is_root && part->parent->is_multipart;
    mime_read_content(&reader, buf_bytes(&parser->header));
    if (reader.has_lost_values)
        parser->notes |= MIME_NOTE_VALUES_LOST;
    if (parser->is_header_cut)
        parser->notes |= MIME_NOTE_HEADER_CUT;
    if (is_root) {
        struct buf swapped = parser->own_header;

        parser->own_header = parser->header;
        parser->header = swapped;
    }
}

/* The header of the part being read ends at offset; is_whole: with its empty line. A message within
 * begins at once. */
static void finish_header(struct mime_parser *parser, uint64_t offset, uint64_t lines,
                          bool is_whole)
{
    struct mime_part *part = parser->part;

    part->header_bytes = offset - part->header_offset;
    part->header_lines = lines - part->header_lines;
    part->body_lines = lines; /* until the part is closed: line feeds before it */
    read_fields(parser, part);
    settle_kind(parser, part);
    if (parser->has_listener)
        parser->listener.header(
            parser->listener.context, part,
            buf_bytes(part == parser->root ? &parser->own_header : &parser->header));
    parser->state = IN_BODY;
    parser->body_start = offset;
    parser->is_behind_header = is_whole;
    if (part->is_multipart && is_whole)
        push_boundary(parser, part);
    if (!part->is_message)
        return;
    begin_part(parser, part, offset, lines);
    if (!is_whole)
        finish_header(parser, offset, lines, false); /* a child of a message: no deeper */
}

static void close_part(struct mime_parser *parser, struct mime_part *part, uint64_t offset,
                       uint64_t lines)
{
    part->body_bytes = offset - mime_body_offset(part);
    part->body_lines = lines - part->body_lines;
    if (parser->has_listener)
        parser->listener.end(parser->listener.context, part);
}

/* ---- boundaries --------------------------------------------------------------------------------- */

/*
 * The boundary that a line begins with, behind its "--"; -1: none. line: without its line end. Of
 * several that match, the longest; of equals the innermost. One that is the whole line, or all but
 * closing dashes, is the one meant.
 */
static ssize_t find_boundary(const struct mime_parser *parser, struct bytes line)
{
    bool has_dashes = line.len > 2 && memcmp(line.ptr + line.len - 2, "--", 2) == 0;
    ssize_t best = -1;
    size_t best_len = 0;

    for (size_t i = parser->boundary_count; i-- > 0;) {
        struct bytes text = parser->boundaries[i].text;

        if (!bytes_start_with(line, text) || (best >= 0 && best_len >= text.len))
            continue;
        best = (ssize_t)i;
        best_len = text.len;
        if (text.len == line.len || (has_dashes && text.len == line.len - 2))
            break;
    }
    return best;
}

/* The header that ended just now loses its last line end to the boundary behind it. */
static void shorten_header(struct mime_parser *parser, struct mime_part *part)
{
    part->header_bytes -= parser->offset - parser->eol_offset;
    part->header_lines--;
    part->body_lines--; /* line feeds before it, until it is closed */
}

/*
 * A boundary stands in the header of the part being read, or at once behind it. The line end before
 * belongs to the boundary, not to the header. Returns the part that lost it, NULL when there was
 * none to lose.
 */
static struct mime_part *cut_header(struct mime_parser *parser)
{
    struct mime_part *part = parser->part;
    struct mime_part *cut = part;

    if (parser->state == IN_BODY) {
        shorten_header(parser, part);
        return part;
    }
    if (parser->offset == part->header_offset) {
        if (part->parent == NULL || !part->parent->is_message) {
            finish_header(parser, parser->offset, parser->lines, false);
            return NULL;
        }
        cut = part->parent;
        shorten_header(parser, cut);
        part->header_offset = parser->eol_offset;
        part->header_lines--; /* line feeds before it, until its header ends */
    }
    finish_header(parser, parser->eol_offset, parser->lines - 1, false);
    return cut;
}

/*
 * The line that starts here is that boundary: the parts within its multipart end, in front of the
 * line end before it. When a header lost that line end, those around its part keep it.
 */
static void handle_boundary(struct mime_parser *parser, size_t index, struct bytes line)
{
    struct boundary *boundary = &parser->boundaries[index];
    bool is_last = bytes_start_with(bytes_slice(line, boundary->text.len, 2), BYTES("--"));
    bool is_first_line = parser->offset == parser->body_start;
    struct mime_part *cut = NULL;
    bool is_short = !is_first_line;

    if (parser->has_listener)
        end_run(parser, true);
    if (parser->state == IN_HEADER ||
        (is_first_line && parser->is_behind_header && boundary->part != parser->part)) {
        cut = cut_header(parser);
        is_short = cut != NULL;
    }
    for (struct mime_part *part = parser->part; part != boundary->part; part = part->parent) {
        close_part(parser, part, is_short ? parser->eol_offset : parser->offset,
                   is_short ? parser->lines - 1 : parser->lines);
        if (part == cut)
            is_short = false;
    }
    if (index + 1 < parser->boundary_count)
        parser->notes |= MIME_NOTE_UNTERMINATED;
    parser->part = boundary->part;
    parser->boundary_count = is_last ? index : index + 1;
    parser->state = IN_BOUNDARY_LINE;
}

static void end_boundary_line(struct mime_parser *parser)
{
    if (parser->boundary_count > 0 &&
        parser->boundaries[parser->boundary_count - 1].part == parser->part) {
        begin_part(parser, parser->part, parser->offset, parser->lines);
    } else {
        parser->state = IN_BODY; /* epilogue */
        parser->body_start = parser->offset;
        parser->is_behind_header = false;
    }
}

/* ---- lines -------------------------------------------------------------------------------------- */

/* Is enough of the line there to say what it is? */
static bool is_decidable(const struct mime_parser *parser, struct bytes start)
{
    if (start.ptr[0] == '\r' && parser->state == IN_HEADER)
        return start.len >= 2;
    if (start.ptr[0] != '-' || parser->boundary_count == 0)
        return true;
    if (start.len < 2 || start.ptr[1] != '-')
        return start.len >= 2;
    return start.len == LINE_START_MAX || bytes_find_byte(start, '\n') >= 0;
}

/* Parts are not looked for behind the last one that is allowed. */
static bool may_be_boundary(struct mime_parser *parser)
{
    if (parser->boundary_count == 0)
        return false;
    if (parser->part_count < MIME_PARTS_MAX)
        return true;
    parser->notes |= MIME_NOTE_PARTS_CUT;
    return false;
}

static void decide(struct mime_parser *parser, struct bytes start)
{
    struct bytes line = start;
    ssize_t found;

    parser->is_at_line_start = false;
    if (parser->state == IN_HEADER &&
        (start.ptr[0] == '\n' || bytes_start_with(start, BYTES("\r\n"))))
        parser->is_header_end = true;
    if (!scan_text(&line, BYTES("--")) || !may_be_boundary(parser))
        return;
    if (line.len > 0 && line.ptr[line.len - 1] == '\n')
        line.len -= line.len > 1 && line.ptr[line.len - 2] == '\r' ? 2 : 1;
    found = find_boundary(parser, line);
    if (found >= 0)
        handle_boundary(parser, (size_t)found, line);
}

static void keep_header(struct mime_parser *parser, struct bytes piece)
{
    if (parser->is_header_cut)
        return;
    if (piece.len > MIME_HEADER_KEPT_MAX - parser->header.len) {
        parser->is_header_cut = true;
        piece.len = MIME_HEADER_KEPT_MAX - parser->header.len;
    }
    buf_append(&parser->header, piece);
}

/* A piece of one line, which is decided on; with its line feed it is the last piece. */
static void consume(struct mime_parser *parser, struct bytes piece)
{
    bool is_end = piece.ptr[piece.len - 1] == '\n';

    if (is_end) {
        uint8_t before = piece.len > 1 ? piece.ptr[piece.len - 2] : parser->last_byte;

        parser->eol_offset = parser->offset + piece.len - (before == '\r' ? 2 : 1);
        parser->lines++;
    }
    parser->last_byte = piece.ptr[piece.len - 1];
    parser->offset += piece.len;
    if (parser->state == IN_HEADER)
        keep_header(parser, piece);
    else if (parser->state == IN_BODY && parser->has_listener)
        add_to_run(parser, piece);
    if (!is_end)
        return;
    parser->is_at_line_start = true;
    if (parser->state == IN_BOUNDARY_LINE)
        end_boundary_line(parser);
    else if (parser->state == IN_HEADER && parser->is_header_end)
        finish_header(parser, parser->offset, parser->lines, true);
}

/* Takes octets of a line's start until it can be decided on; false: they did not suffice. */
static bool take_line_start(struct mime_parser *parser, struct bytes *chunk)
{
    struct bytes start;

    if (parser->line_start_len == 0 &&
        is_decidable(parser, bytes_slice(*chunk, 0, LINE_START_MAX))) {
        ssize_t end;

        start = bytes_slice(*chunk, 0, LINE_START_MAX);
        end = bytes_find_byte(start, '\n');
        if (end >= 0)
            start.len = (size_t)end + 1;
        *chunk = bytes_slice(*chunk, start.len, SIZE_MAX);
        decide(parser, start);
        consume(parser, start);
        return true;
    }
    do {
        if (chunk->len == 0)
            return false;
        parser->line_start[parser->line_start_len++] = chunk->ptr[0];
        *chunk = bytes_slice(*chunk, 1, SIZE_MAX);
        start = bytes_of(parser->line_start, parser->line_start_len);
    } while (!is_decidable(parser, start));
    parser->line_start_len = 0;
    decide(parser, start);
    consume(parser, start);
    tell_run(parser); /* before others take its place */
    return true;
}

/* Whole lines of a body without open boundaries need only be counted. */
static void skip_body(struct mime_parser *parser, struct bytes *chunk)
{
    while (chunk->len > 0) {
        ssize_t end = bytes_find_byte(*chunk, '\n');
        size_t len = end < 0 ? chunk->len : (size_t)end + 1;

        consume(parser, bytes_slice(*chunk, 0, len));
        *chunk = bytes_slice(*chunk, len, SIZE_MAX);
    }
}

void mime_feed_parser(struct mime_parser *parser, struct bytes chunk)
{
    while (chunk.len > 0) {
        if (parser->state == IN_BODY && parser->boundary_count == 0) {
            skip_body(parser, &chunk);
        } else if (parser->is_at_line_start) {
            if (!take_line_start(parser, &chunk))
                break;
        } else {
            ssize_t end = bytes_find_byte(chunk, '\n');
            size_t len = end < 0 ? chunk.len : (size_t)end + 1;

            consume(parser, bytes_slice(chunk, 0, len));
            chunk = bytes_slice(chunk, len, SIZE_MAX);
        }
    }
    tell_run(parser);
}

struct mime_part *mime_finish_parser(struct mime_parser *parser)
{
    if (parser->line_start_len > 0) {
        struct bytes start = bytes_of(parser->line_start, parser->line_start_len);

        parser->line_start_len = 0;
        decide(parser, start);
        consume(parser, start);
    }
    if (parser->state == IN_HEADER) {
        if (parser->part == parser->root)
            parser->notes |= MIME_NOTE_HEADER_OPEN;
        finish_header(parser, parser->offset, parser->lines, false);
    }
    if (parser->has_listener)
        end_run(parser, false);
    if (parser->boundary_count > 0)
        parser->notes |= MIME_NOTE_UNTERMINATED;
    for (struct mime_part *part = parser->part; part != NULL; part = part->parent)
        close_part(parser, part, parser->offset, parser->lines);
    return parser->root;
}

uint32_t mime_parser_notes(const struct mime_parser *parser)
{
    return parser->notes;
}

uint32_t mime_parser_part_count(const struct mime_parser *parser)
{
    return parser->part_count;
}

struct bytes mime_parser_header(const struct mime_parser *parser)
{
    return buf_bytes(&parser->own_header);
}

const char *mime_note_name(uint32_t note)
{
    static const struct {
        uint32_t note;
        const char *name;
    } names[] = {
        { MIME_NOTE_HEADER_CUT, "header-cut" },        { MIME_NOTE_VALUES_LOST, "values-lost" },
        { MIME_NOTE_NESTING_CUT, "nesting-cut" },      { MIME_NOTE_PARTS_CUT, "parts-cut" },
        { MIME_NOTE_HEADER_OPEN, "header-open" },      { MIME_NOTE_UNTERMINATED, "unterminated" },
        { MIME_NOTE_NO_BOUNDARY, "boundary-missing" },
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].note == note)
            return names[i].name;
    return NULL;
}
