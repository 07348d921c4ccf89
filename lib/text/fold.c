/* SPDX-License-Identifier: Apache-2.0 */
#include "text/fold.h"

#include "text/internal.h"

#include <utf8proc.h>

enum {
    REPLACEMENT = 0xfffd,
    HAN_FIRST = 0x4e00, /* characters that fold to themselves, and are many */
    HAN_LAST = 0x9fff,
    BLOCK_BYTES = 2048, /* folded at a time */
    LANE_BYTES = 16,    /* of ASCII, together: compilers make vectors of it */
    MEMO_SLOTS = 64,    /* a power of two: the letters of one script beyond ASCII */
    MEMO_OCTETS = 6,    /* of what a letter folds to; longer ones are rare */
};

/* ---- characters ---------------------------------------------------------------------------- */

size_t text_encode(uint32_t character, uint8_t *out)
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    if (character < 0x800) {
        out[0] = (uint8_t)(0xc0 | character >> 6);
        out[1] = (uint8_t)(0x80 | (character & 0x3f));
        return 2;
    }
    if (character < 0x10000) {
        out[0] = (uint8_t)(0xe0 | character >> 12);
        out[1] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (character & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | character >> 18);
    out[1] = (uint8_t)(0x80 | (character >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (character & 0x3f));
    return 4;
}

size_t text_fold_character(uint32_t character, uint8_t out[TEXT_FOLDED_CHARACTER_MAX])
{
    utf8proc_int32_t decomposed[TEXT_FOLDED_CHARACTER_MAX];
    utf8proc_ssize_t count;
    size_t len = 0;

    if (character >= HAN_FIRST && character <= HAN_LAST)
        return text_encode(character, out);
    count = utf8proc_decompose_char(utf8proc_totitle((utf8proc_int32_t)character), decomposed,
                                    TEXT_FOLDED_CHARACTER_MAX, UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE,
                                    NULL);
    assert(count >= 0 && count <= TEXT_FOLDED_CHARACTER_MAX);
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        utf8proc_int32_t c = utf8proc_tolower(utf8proc_totitle(decomposed[i]));

        assert(len + 4 <= TEXT_FOLDED_CHARACTER_MAX);
        len += text_encode((uint32_t)c, out + len);
    }
    return len;
}

enum read_result {
    READ_WHOLE,
    READ_CUT, /* the beginning of a character is all there is */
    READ_BAD, /* none begins here */
};

/* The character at the front, which is not ASCII. */
static enum read_result read_character(struct bytes in, uint32_t *character, size_t *len)
{
    uint8_t c = in.ptr[0];
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;

    if (c < 0xc2 || c > 0xf4)
        return READ_BAD;
    if (c < 0xe0 && in.len > 1 && (in.ptr[1] & 0xc0) == 0x80) { /* as most are */
        *len = 2;
        *character = (uint32_t)(c & 0x1f) << 6 | (in.ptr[1] & 0x3f);
        return READ_WHOLE;
    }
    *len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    *character = c & (0x7fu >> *len);
    for (size_t i = 1; i < *len; i++) {
        if (i == in.len)
            return READ_CUT;
        if (in.ptr[i] < low || in.ptr[i] > high)
            return READ_BAD;
        *character = *character << 6 | (in.ptr[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    return READ_WHOLE;
}

bool text_read_character(struct bytes in, uint32_t *character, size_t *len)
{
    return read_character(in, character, len) == READ_WHOLE;
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* A to Z made small. False when one is no ASCII from TEXT_FIRST_KEPT on; out then holds nothing of use. */
static bool fold_lane(const uint8_t *restrict in, uint8_t *restrict out)
{
    uint8_t is_other = 0;

    for (size_t i = 0; i < LANE_BYTES; i++) {
        uint8_t c = in[i];

        is_other |= (uint8_t)(c < TEXT_FIRST_KEPT) | (uint8_t)(c >= 0x80);
        out[i] = (uint8_t)(c + ((uint8_t)(c - 'A') <= 'Z' - 'A' ? 'a' - 'A' : 0));
    }
    return is_other == 0;
}

/* Folds ASCII from the front of *in, until something else comes or out is full. Returns how much. */
static size_t fold_ascii(struct bytes *in, uint8_t *out, size_t room)
{
    size_t end = in->len < room ? in->len : room;
    size_t len = 0;

    while (len + LANE_BYTES <= end && in->ptr[len] < 0x80 && fold_lane(in->ptr + len, out + len))
        len += LANE_BYTES;
    while (len < end && in->ptr[len] < 0x80 && in->ptr[len] >= TEXT_FIRST_KEPT) {
        out[len] = ascii_lower(in->ptr[len]);
        len++;
    }
    *in = bytes_slice(*in, len, SIZE_MAX);
    return len;
}

/* What characters beyond ASCII folded to: a text has few of them, again and again. */
struct memo {
    bool is_ready; /* most texts need none, and pay for none */
    struct memo_slot {
        uint32_t character; /* 0: none */
        uint8_t len;
        uint8_t octets[MEMO_OCTETS];
    } slots[MEMO_SLOTS];
};

/* As text_fold_character. */
static size_t fold_remembered(struct memo *memo, uint32_t character, uint8_t *out)
{
    struct memo_slot *slot = &memo->slots[character % MEMO_SLOTS];
    size_t len;

    if (!memo->is_ready)
        *memo = (struct memo){ .is_ready = true };
    if (slot->character == character) {
        memcpy(out, slot->octets, MEMO_OCTETS);
        return slot->len;
    }
    len = text_fold_character(character, out);
    if (len > MEMO_OCTETS)
        return len;
    slot->character = character;
    slot->len = (uint8_t)len;
    memcpy(slot->octets, out, len);
    return len;
}

/*
 * Takes one character that is not plain ASCII, or an octet that belongs to none, from the front of
 * *in. False: what is there is the beginning of one. out: room for TEXT_FOLDED_CHARACTER_MAX.
 */
static bool fold_one(struct text_folder *folder, struct memo *memo, struct bytes *in, bool is_end,
                     uint8_t *out, size_t *out_len)
{
    uint32_t character = in->ptr[0];
    size_t len = 1;
    enum read_result result = character < TEXT_FIRST_KEPT ? READ_BAD : READ_WHOLE;

    if (character >= 0x80)
        result = read_character(*in, &character, &len);
    if (result == READ_CUT && !is_end)
        return false;
    if (result == READ_WHOLE && character != REPLACEMENT) {
        *out_len = fold_remembered(memo, character, out);
        folder->is_behind_replacement = false;
    } else {
        *out_len = folder->is_behind_replacement ? 0 : text_encode(REPLACEMENT, out);
        folder->is_behind_replacement = true;
    }
    *in = bytes_slice(*in, result == READ_WHOLE ? len : 1, SIZE_MAX);
    return true;
}

/* Takes all but a character that is cut from the front of *in. */
static void fold_run(struct text_folder *folder, struct bytes *in, bool is_end, struct buf *out)
{
    uint8_t block[BLOCK_BYTES + TEXT_FOLDED_CHARACTER_MAX];
    struct memo memo;
    size_t used = 0;

    memo.is_ready = false;
    while (in->len > 0) {
        size_t len = fold_ascii(in, block + used, BLOCK_BYTES - used);

        if (len > 0)
            folder->is_behind_replacement = false;
        used += len;
        if (used < BLOCK_BYTES && in->len > 0) {
            if (!fold_one(folder, &memo, in, is_end, block + used, &len))
                break;
            used += len;
        }
        if (used >= BLOCK_BYTES) {
            buf_append(out, bytes_of(block, used));
            used = 0;
        }
    }
    buf_append(out, bytes_of(block, used));
}

/* ---- texts --------------------------------------------------------------------------------- */

void text_fold_chunk(struct text_folder *folder, struct bytes chunk, struct buf *out)
{
    struct bytes rest;

    /* Octet by octet behind a character that was cut, until it is whole. */
    while (folder->held_len > 0 && chunk.len > 0) {
        folder->held[folder->held_len++] = chunk.ptr[0];
        chunk = bytes_slice(chunk, 1, SIZE_MAX);
        rest = bytes_of(folder->held, folder->held_len);
        fold_run(folder, &rest, false, out);
        memmove(folder->held, folder->held + folder->held_len - rest.len, rest.len);
        folder->held_len = (uint8_t)rest.len;
    }
    fold_run(folder, &chunk, false, out);
    if (chunk.len == 0)
        return;
    assert(chunk.len < sizeof folder->held);
    memcpy(folder->held, chunk.ptr, chunk.len);
    folder->held_len = (uint8_t)chunk.len;
}

void text_finish_fold(struct text_folder *folder, struct buf *out)
{
    struct bytes rest = bytes_of(folder->held, folder->held_len);

    fold_run(folder, &rest, true, out);
    *folder = (struct text_folder){ 0 };
}

void text_fold(struct bytes text, struct buf *out)
{
    struct text_folder folder = { 0 };

    fold_run(&folder, &text, true, out);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void text_fold_line(struct bytes text, struct buf *out)
{
    size_t from = out->len;
    size_t to = from;
    bool is_behind_blank = false;

    text_fold(text, out);
    for (size_t at = from; at < out->len; at++) {
        bool is_blank_here = is_blank(out->ptr[at]);

        if (!is_blank_here || !is_behind_blank)
            out->ptr[to++] = is_blank_here ? ' ' : out->ptr[at];
        is_behind_blank = is_blank_here;
    }
    out->len = to;
}
