/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/internal.h - what the files of lib/imap share.
 */
#pragma once

#include "imap/command.h"
#include "imap/response.h"

/* Takes CRLF or a bare LF. */
bool imap_scan_line_end(struct bytes *in);

/* Takes one or more SP. */
bool imap_scan_spaces(struct bytes *in);

/* Takes "(" and blanks behind it. */
bool imap_open_list(struct bytes *in);

/* Takes blanks; true when there were some and neither ")" nor the end follows. */
bool imap_has_next(struct bytes *in);

/* Takes the longest run of octets for which is_member holds; it may be empty. */
struct bytes imap_scan_while(struct bytes *in, bool (*is_member)(uint8_t c));

/* text without one line end at its end. */
struct bytes imap_trim_line_end(struct bytes text);

/*
 * Looks for a literal header, with its line end, at the end of `line`. False: there is none.
 * True with *is_too_large: its size is over 2^63-1; *out is then unset.
 */
bool imap_find_literal_header(struct bytes line, struct imap_literal *out, bool *is_too_large,
                              size_t *header_bytes);

/* Gives *items room for one item more than count, moving it to twice the room when it is full. */
bool imap_grow_items(struct arena *arena, void *items, size_t item_size, size_t count, size_t *room,
                     size_t max, struct err *err);

/* Appends one code point, which is valid, as UTF-8. */
void imap_append_utf8(struct buf *buf, uint32_t code_point);

/* Takes one valid code point. */
bool imap_scan_utf8(struct bytes *in, uint32_t *out);

/* Strings of ENVELOPE and BODYSTRUCTURE. write_envelope.c */
void imap_write_plain_string(struct buf *buf, struct bytes value);
void imap_write_unfolded(struct buf *buf, const struct bytes *value); /* NULL: NIL */

/* Arguments of commands, behind the SP that follows the name. command_<topic>.c */
bool imap_read_list_args(struct bytes *in, struct arena *arena, struct imap_command *out,
                         struct err *err);
bool imap_read_lsub_args(struct bytes *in, struct arena *arena, struct imap_command *out,
                         struct err *err);
bool imap_read_status_items(struct bytes *in, uint32_t *out, struct err *err);
bool imap_read_fetch_args(struct bytes *in, struct arena *arena, struct imap_command *out,
                          struct err *err);
bool imap_read_search_args(struct bytes *in, struct arena *arena, struct imap_command *out,
                           struct err *err);
/* "(" name [SP value] *(SP name [SP value]) ")" */
bool imap_read_params(struct bytes *in, struct arena *arena, const struct imap_param **out,
                      size_t *count, struct err *err);

/* Reading one response. `in` moves; the rest stays. */
struct response_reader {
    struct bytes in;
    const struct imap_received *received;
    struct arena *arena;
    struct err *err;
    bool is_peeking; /* the text ends in a literal header whose octets have not come yet */
};

/* A string as it came: in memory, or streamed by the caller. */
struct response_string {
    bool is_nil;
    bool is_streamed;
    bool is_pending; /* imap_peek_fetch: the literal whose header ends the text */
    struct bytes octets;
    uint64_t size_bytes;
};

bool imap_fail_response(struct response_reader *r, const char *what);
void imap_skip_spaces(struct response_reader *r);
struct bytes imap_take_word(struct response_reader *r); /* up to SP, "(", ")" or the end */
bool imap_take_u64(struct response_reader *r, uint64_t *out);
/* NIL, quoted or literal; with allow_word also a bare word (NIL is then a word). */
bool imap_take_string(struct response_reader *r, bool allow_word, struct response_string *out);
/* A string that must be in memory. */
bool imap_take_text(struct response_reader *r, bool allow_word, struct bytes *out);
bool imap_skip_value(struct response_reader *r); /* word, string or list, with limited nesting */
bool imap_take_words(struct response_reader *r, struct imap_words *out); /* to the end or ")" */
bool imap_take_texts(struct response_reader *r, struct imap_words *out); /* (strings and words) */
bool imap_take_delimiter(struct response_reader *r, uint8_t *out);

bool imap_parse_status(struct response_reader *r, struct bytes word, struct imap_response *out);
bool imap_parse_list(struct response_reader *r, struct imap_list_response *out);
bool imap_parse_mailbox_status(struct response_reader *r, struct imap_mailbox_status_response *out);
bool imap_parse_namespace(struct response_reader *r, struct imap_namespace_response *out);
bool imap_parse_id(struct response_reader *r, struct imap_id_response *out);
bool imap_parse_search(struct response_reader *r, struct imap_search_response *out);
bool imap_parse_esearch(struct response_reader *r, struct imap_search_response *out);
bool imap_parse_vanished(struct response_reader *r, struct imap_vanished_response *out);
/* With pending: stops, true, at the message literal whose header ends the text. */
bool imap_parse_fetch(struct response_reader *r, struct imap_fetch_response *out,
                      bool *is_pending_body);
bool imap_word_to_condition(struct bytes word, enum imap_condition *out);
