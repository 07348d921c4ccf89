/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/address.h"

#include "mime/internal.h"

/* A piece of the scratch buffer, which may move while it grows. */
struct span {
    size_t from, to;
    bool is_set;
};

/* One mailbox while it is read. */
struct draft {
    struct mime_lexer lex;
    struct buf *scratch;
    struct span name, route, mailbox, domain;
    bool is_broken;
};

static struct span start_span(const struct draft *draft)
{
    return (struct span){ .from = draft->scratch->len };
}

static void end_span(const struct draft *draft, struct span *span)
{
    span->to = draft->scratch->len;
    span->is_set = true;
}

static bool is_empty(const struct span *span)
{
    return !span->is_set || span->to == span->from;
}

static void set_text(struct draft *draft, struct span *span, const char *text)
{
    *span = start_span(draft);
    buf_text(draft->scratch, text);
    end_span(draft, span);
}

static enum mime_scan read_local_part(struct draft *draft)
{
    struct span span = start_span(draft);
    enum mime_scan scan = mime_lexer_is_at(&draft->lex, '"')
                              ? mime_scan_quoted(&draft->lex, draft->scratch)
                              : mime_scan_loose_dot_atom(&draft->lex, draft->scratch);

    if (scan == MIME_SCAN_BAD)
        return scan;
    end_span(draft, &span);
    draft->mailbox = span;
    return scan;
}

static enum mime_scan read_domain(struct draft *draft)
{
    struct span span = start_span(draft);
    enum mime_scan scan = mime_scan_domain(&draft->lex, draft->scratch);

    if (scan == MIME_SCAN_BAD)
        return scan;
    end_span(draft, &span);
    draft->domain = span;
    return scan;
}

/* obs-domain-list = "@" domain *(*(CFWS / ",") [CFWS] "@" domain) */
static enum mime_scan read_route(struct draft *draft)
{
    struct span span = start_span(draft);

    while (mime_lexer_is_at(&draft->lex, '@')) {
        enum mime_scan scan;

        if (draft->scratch->len > span.from)
            buf_byte(draft->scratch, ',');
        buf_byte(draft->scratch, '@');
        scan = mime_scan_domain(&draft->lex, draft->scratch);
        if (scan != MIME_SCAN_MORE)
            return scan;
        while (mime_skip_cfws(&draft->lex) == MIME_SCAN_MORE && *draft->lex.at == ',')
            draft->lex.at++;
    }
    if (draft->lex.at == draft->lex.end)
        return MIME_SCAN_END;
    end_span(draft, &span);
    draft->route = span;
    return MIME_SCAN_MORE;
}

/* "<" [ "@" route ":" ] local-part "@" domain ">" */
static bool read_angle_address(struct draft *draft)
{
    struct mime_lexer *lex = &draft->lex;

    lex->at++;
    if (mime_skip_cfws(lex) != MIME_SCAN_MORE)
        return false;
    if (*lex->at == '@') {
        if (read_route(draft) == MIME_SCAN_MORE && *lex->at == ':') {
            lex->at++;
        } else {
            set_text(draft, &draft->route, "INVALID_ROUTE");
            if (lex->at == lex->end)
                return false;
        }
        if (mime_skip_cfws(lex) != MIME_SCAN_MORE)
            return false;
    }
    if (*lex->at != '>') {
        if (read_local_part(draft) != MIME_SCAN_MORE)
            return false;
        if (*lex->at == '@' && read_domain(draft) != MIME_SCAN_MORE)
            return false;
    }
    if (*lex->at != '>')
        return false;
    lex->at++;
    return mime_skip_cfws(lex) != MIME_SCAN_BAD;
}

/* [display-name] "<" … ">"; false: not of that form, nothing was read. */
static bool read_name_address(struct draft *draft)
{
    struct mime_lexer start = draft->lex;
    struct span name = start_span(draft);

    if (mime_scan_phrase(&draft->lex, draft->scratch) != MIME_SCAN_MORE || *draft->lex.at != '<') {
        draft->lex = start;
        draft->scratch->len = name.from;
        return false;
    }
    end_span(draft, &name);
    if (!is_empty(&name))
        draft->name = name;
    if (!read_angle_address(draft)) {
        set_text(draft, &draft->domain, "SYNTAX_ERROR");
        draft->is_broken = true;
    }
    return true;
}

/* A word without "@" and without a comment is a mailbox when it stands alone; with words behind it,
 * it is a display name. */
static void settle_bare_words(struct draft *draft, bool is_quoted, struct span words)
{
    size_t len;

    buf_byte(draft->scratch, ' ');
    len = draft->scratch->len;
    (void)mime_scan_phrase(&draft->lex, draft->scratch);
    if (draft->scratch->len != len) {
        end_span(draft, &words);
        draft->mailbox = (struct span){ 0 };
        draft->name = words;
    } else if (!is_quoted) {
        draft->domain = (struct span){ .from = len, .to = len, .is_set = true };
    }
    draft->is_broken = true;
}

/* local-part "@" domain; the comment behind it is the display name of old mail. */
static void read_address_spec(struct draft *draft)
{
    struct mime_lexer *lex = &draft->lex;
    bool is_quoted = mime_lexer_is_at(lex, '"');
    bool has_domain = false;
    bool has_bad_domain = false;
    struct span words = start_span(draft);
    enum mime_scan scan;

    lex->comment = bytes_of(NULL, 0);
    scan = read_local_part(draft);
    if (scan != MIME_SCAN_MORE)
        draft->is_broken = true;
    if (scan != MIME_SCAN_END && mime_lexer_is_at(lex, '@')) {
        has_domain = true;
        has_bad_domain = read_domain(draft) == MIME_SCAN_BAD;
    }
    if (lex->comment.len > 0) {
        struct span name = start_span(draft);

        mime_unescape(lex->comment, draft->scratch);
        end_span(draft, &name);
        draft->name = name;
    } else if (!has_domain) {
        settle_bare_words(draft, is_quoted, words);
    }
    if (draft->is_broken && !draft->name.is_set && draft->mailbox.is_set && !draft->domain.is_set) {
        draft->name = draft->mailbox;
        draft->mailbox = (struct span){ 0 };
    }
    draft->is_broken = draft->is_broken || has_bad_domain;
}

static struct bytes resolve(const struct draft *draft, const struct span *span)
{
    return bytes_slice(buf_bytes(draft->scratch), span->from, span->to - span->from);
}

static void finish_mailbox(struct draft *draft, struct mime_address *out)
{
    if (!draft->mailbox.is_set) {
        set_text(draft, &draft->mailbox, "MISSING_MAILBOX");
        draft->is_broken = true;
    }
    if (is_empty(&draft->domain)) {
        set_text(draft, &draft->domain, "MISSING_DOMAIN");
        draft->is_broken = true;
    }
    *out = (struct mime_address){
        .kind = MIME_ADDRESS_MAILBOX,
        .name = resolve(draft, &draft->name),
        .route = resolve(draft, &draft->route),
        .mailbox = resolve(draft, &draft->mailbox),
        .domain = resolve(draft, &draft->domain),
        .has_name = draft->name.is_set,
        .has_route = draft->route.is_set,
        .is_broken = draft->is_broken,
    };
}

struct mime_address_reader mime_read_addresses(struct bytes value, struct buf *scratch)
{
    struct mime_lexer lex = mime_lex(value);

    if (mime_skip_cfws(&lex) != MIME_SCAN_MORE)
        return (struct mime_address_reader){ .is_done = true, .scratch = scratch };
    return (struct mime_address_reader){
        .rest = bytes_of(lex.at, (size_t)(lex.end - lex.at)),
        .is_at_start = true,
        .scratch = scratch,
    };
}

static void keep_rest(struct mime_address_reader *reader, const struct mime_lexer *lex)
{
    reader->rest = bytes_of(lex->at, (size_t)(lex->end - lex->at));
}

/* phrase ":" starts a group. */
static bool try_group(struct mime_address_reader *reader, struct mime_address *out)
{
    struct mime_lexer lex = mime_lex(reader->rest);
    enum mime_scan scan = mime_scan_phrase(&lex, reader->scratch);

    if (scan != MIME_SCAN_MORE || *lex.at != ':') {
        reader->scratch->len = 0;
        return false;
    }
    lex.at++;
    scan = mime_skip_cfws(&lex);
    *out = (struct mime_address){ .kind = MIME_ADDRESS_GROUP_START,
                                  .mailbox = buf_bytes(reader->scratch),
                                  .is_broken = scan != MIME_SCAN_MORE };
    keep_rest(reader, &lex);
    reader->is_in_group = true;
    reader->is_at_start = scan == MIME_SCAN_MORE && *lex.at != ';';
    return true;
}

static void read_mailbox(struct mime_address_reader *reader, struct mime_address *out)
{
    struct draft draft = { .lex = mime_lex(reader->rest), .scratch = reader->scratch };

    if (!read_name_address(&draft))
        read_address_spec(&draft);
    finish_mailbox(&draft, out);
    keep_rest(reader, &draft.lex);
    reader->is_at_start = false;
}

/* Behind an address, outside of groups: "," and the next one, or the end of what can be read. */
static bool go_to_next(struct mime_address_reader *reader, struct mime_address *out)
{
    struct mime_lexer lex = mime_lex(reader->rest);
    struct draft nothing = { .scratch = reader->scratch };
    enum mime_scan scan;

    reader->is_done = true;
    if (!mime_lexer_is_at(&lex, ','))
        return false;
    lex.at++;
    scan = mime_skip_cfws(&lex);
    if (scan == MIME_SCAN_MORE) {
        reader->is_done = false;
        keep_rest(reader, &lex);
        reader->is_at_start = true;
        return false;
    }
    if (scan == MIME_SCAN_END)
        return false;
    finish_mailbox(&nothing, out); /* ends in garbage */
    return true;
}

/* Within a group, behind a mailbox or at once: the next mailbox, or the end of the group. */
static bool is_group_going_on(struct mime_address_reader *reader, bool *is_broken)
{
    struct mime_lexer lex = mime_lex(reader->rest);
    bool goes_on = false;

    *is_broken = true;
    if (mime_lexer_is_at(&lex, ',')) {
        lex.at++;
        goes_on = mime_skip_cfws(&lex) == MIME_SCAN_MORE;
    } else if (mime_lexer_is_at(&lex, ';')) {
        lex.at++;
        *is_broken = mime_skip_cfws(&lex) == MIME_SCAN_BAD;
    }
    keep_rest(reader, &lex);
    return goes_on;
}

bool mime_next_address(struct mime_address_reader *reader, struct mime_address *out)
{
    bool is_broken;

    buf_reset(reader->scratch, SIZE_MAX);
    if (reader->is_done)
        return false;
    if (!reader->is_in_group && !reader->is_at_start && go_to_next(reader, out))
        return true;
    if (reader->is_done)
        return false;
    if (!reader->is_in_group) {
        if (!try_group(reader, out))
            read_mailbox(reader, out);
        return true;
    }
    if (!reader->is_at_start && !is_group_going_on(reader, &is_broken)) {
        *out = (struct mime_address){ .kind = MIME_ADDRESS_GROUP_END, .is_broken = is_broken };
        reader->is_in_group = false;
        return true;
    }
    read_mailbox(reader, out);
    return true;
}

/* ---- as one text ---------------------------------------------------------------------------- */

/* Quoted unless all of it is atoms, or it has an encoded word, which may not be quoted. */
static void write_word(struct bytes text, bool may_have_dots, struct buf *out)
{
    bool is_atom = text.len > 0;

    for (size_t i = 0; i < text.len && is_atom; i++)
        is_atom = mime_is_atext(text.ptr[i]) || (may_have_dots && text.ptr[i] == '.');
    if (is_atom || bytes_find(text, BYTES("=?")) >= 0) {
        buf_append(out, text);
        return;
    }
    buf_byte(out, '"');
    buf_append(out, text);
    buf_byte(out, '"');
}

static void write_mailbox(const struct mime_address *address, struct buf *out)
{
    if (address->name.len > 0) {
        write_word(address->name, false, out);
        buf_byte(out, ' ');
    }
    buf_byte(out, '<');
    if (address->has_route) {
        buf_append(out, address->route);
        buf_byte(out, ':');
    }
    write_word(address->mailbox, true, out);
    buf_byte(out, '@');
    buf_append(out, address->domain);
    buf_byte(out, '>');
}

void mime_write_address_list(struct bytes value, struct buf *out)
{
    CLEANUP(buf_free) struct buf scratch = buf_create(mime_address_scratch_bytes(value));
    struct mime_address_reader reader = mime_read_addresses(value, &scratch);
    struct mime_address address;
    struct mime_lexer lex;
    size_t start = out->len;
    const char *before = ""; /* the next address */
    bool is_broken = false;

    while (mime_next_address(&reader, &address)) {
        is_broken = is_broken || address.is_broken;
        if (address.kind != MIME_ADDRESS_GROUP_END)
            buf_text(out, before);
        if (address.kind == MIME_ADDRESS_MAILBOX)
            write_mailbox(&address, out);
        else if (address.kind == MIME_ADDRESS_GROUP_START)
            write_word(address.mailbox, false, out);
        if (address.kind != MIME_ADDRESS_MAILBOX)
            buf_byte(out, address.kind == MIME_ADDRESS_GROUP_START ? ':' : ';');
        before = address.kind == MIME_ADDRESS_GROUP_START ? " " : ", ";
    }
    lex = mime_lex(reader.rest);
    if (!is_broken && out->len > start && mime_skip_cfws(&lex) == MIME_SCAN_END)
        return;
    if (out->len > start)
        buf_byte(out, ' ');
    buf_append(out, value);
}
