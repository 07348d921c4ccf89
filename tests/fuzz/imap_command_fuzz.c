/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's octets: framing and command grammar.
 *
 * The first octet chooses limits, what is refused, and in which pieces the stream arrives; the same
 * stream in one piece must give the same events.
 */
#include "base/limits.h"
#include "imap/command.h"
#include "imap/command_framer.h"

#include <stdlib.h>

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A running hash of what a session would have seen. */
struct events {
    uint64_t hash;
    size_t count;
};

static void note(struct events *events, enum imap_frame frame, struct bytes text)
{
    events->count++;
    events->hash = events->hash * 31 + (uint64_t)frame;
    for (size_t i = 0; i < text.len; i++)
        events->hash = events->hash * 1099511628211u + text.ptr[i];
}

static void check_key(const struct imap_search_key *key, size_t depth, size_t *count)
{
    PROMISE(depth <= 3 * LIMIT_COMMAND_NESTING); /* NOT of NEW and the like add a level each */
    PROMISE(++*count <= 4 * LIMIT_SEARCH_KEYS + 1);
    if (key->kind == IMAP_SEARCH_OR)
        PROMISE(key->children != NULL && key->children->next != NULL);
    if (key->kind == IMAP_SEARCH_NOT)
        PROMISE(key->children != NULL && key->children->next == NULL);
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next)
        check_key(child, depth + 1, count);
}

static void check_fetch(const struct imap_fetch_args *args, struct arena *arena)
{
    struct buf names = buf_create(1u << 20);
    struct imap_set set = imap_resolve_set(&args->set, 1000, arena);

    PROMISE(args->item_count > 0 && args->item_count <= IMAP_FETCH_ITEMS_MAX);
    for (size_t i = 0; i < args->item_count; i++)
        imap_write_fetch_item_name(&names, &args->items[i]);
    for (size_t i = 0; i < set.count; i++) {
        PROMISE(set.ranges[i].first > 0 && set.ranges[i].first <= set.ranges[i].last);
        PROMISE(i == 0 || set.ranges[i - 1].last < set.ranges[i].first - 1);
    }
    PROMISE(bytes_find_byte(buf_bytes(&names), '\0') < 0);
    buf_free(&names);
}

static void parse(struct bytes text, struct imap_frame_head head)
{
    struct arena *arena = arena_create(1u << 20);
    struct imap_command command;
    struct err err = { 0 };
    size_t count = 0;

    if (!imap_parse_command(text, arena, &command, &err)) {
        PROMISE(err.code == ERR_SYNTAX || err.code == ERR_LIMIT);
    } else {
        PROMISE(command.tag.len > 0 && command.name.len > 0 && err.code == ERR_NONE);
        PROMISE(bytes_equal(command.tag, head.tag) && bytes_equal(command.name, head.name));
        PROMISE(command.is_uid == head.is_uid);
        if (command.kind == IMAP_COMMAND_SEARCH)
            check_key(&command.search.key, 0, &count);
        if (command.kind == IMAP_COMMAND_FETCH)
            check_fetch(&command.fetch, arena);
        if (command.kind == IMAP_COMMAND_LIST)
            PROMISE(command.list.pattern_count > 0);
    }
    arena_free(&arena);
}

static struct events run(struct bytes stream, struct imap_framer_limits limits, uint8_t mode,
                         size_t step)
{
    struct imap_framer *framer = imap_framer_create(limits);
    struct events events = { 0, 0 };
    size_t done = 0;
    enum imap_frame frame = IMAP_FRAME_MORE;

    while (done < stream.len && frame != IMAP_FRAME_CLOSE) {
        struct bytes in = bytes_slice(stream, done, step);

        done += in.len;
        for (;;) {
            struct imap_frame_head head;

            frame = imap_framer_feed(framer, &in);
            if (frame == IMAP_FRAME_MORE || frame == IMAP_FRAME_CLOSE)
                break;
            head = imap_framer_head(framer);
            PROMISE(head.tag.len <= IMAP_TAG_BYTES && head.name.len <= IMAP_COMMAND_NAME_BYTES);
            note(&events, frame, head.tag);
            if (frame == IMAP_FRAME_LITERAL) {
                PROMISE(imap_framer_literal(framer).size_bytes <= limits.literal_bytes);
                if ((mode & 1) != 0 && head.name.len % 2 == 0)
                    imap_framer_refuse(framer);
                else
                    imap_framer_accept(framer);
            }
            if (frame != IMAP_FRAME_COMMAND)
                continue;
            PROMISE(imap_framer_text(framer).len <= limits.command_bytes);
            note(&events, frame, imap_framer_text(framer));
            parse(imap_framer_text(framer), head);
        }
        PROMISE(frame == IMAP_FRAME_CLOSE || in.len == 0);
    }
    note(&events, frame, BYTES(""));
    imap_framer_free(&framer);
    return events;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = { 1, 2, 3, 5, 17, 100, 1000, SIZE_MAX };
    struct imap_framer_limits limits = { 200, 60, 300, 100 };
    struct events whole, pieces;
    uint8_t mode = size > 0 ? data[0] : 0;
    struct bytes stream = size > 0 ? bytes_of(data + 1, size - 1) : bytes_of(NULL, 0);

    if ((mode & 2) != 0)
        limits = (mode & 4) != 0 ? imap_limits_after_login() : imap_limits_before_login();
    whole = run(stream, limits, mode, SIZE_MAX);
    pieces = run(stream, limits, mode, steps[mode >> 3 & 7]);
    PROMISE(whole.hash == pieces.hash && whole.count == pieces.count);
    return 0;
}
