/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/set.h"
#include "ingest/share.h"
#include "test.h"

enum {
    UIDS = 4000
};

/* A page of UIDs 1 … count. */
struct page {
    struct arena *arena;
    uint32_t uids[UIDS];
    struct ingest_share share;
};

static void open_page(struct page *page, size_t count)
{
    page->arena = arena_create(1 << 20);
    for (size_t i = 0; i < count; i++)
        page->uids[i] = (uint32_t)i + 1;
    ingest_open_share(page->uids, count, page->arena, &page->share);
}

static void close_page(struct page *page)
{
    ingest_close_share(&page->share);
    arena_free(&page->arena);
}

/* What a connection would ask for; "" for nothing. */
static const char *take(struct page *page, uint8_t who, size_t most, struct ingest_span *span)
{
    static char text[INGEST_SET_BYTES + 1];
    CLEANUP(buf_free) struct buf set = buf_create(INGEST_SET_BYTES + 64);
    size_t taken;
    struct bytes bytes;

    if (!ingest_take_set(&page->share, who, most, &set, span, &taken))
        return "";
    bytes = buf_bytes(&set);
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = '\0';
    return text;
}

static void settle(struct page *page, struct ingest_span span)
{
    for (size_t i = span.first; i < span.first + span.count; i++)
        ingest_settle_uid(&page->share, i, INGEST_FETCHED);
}

TEST(a_connection_alone_takes_as_much_as_fits_into_its_command)
{
    struct page page;
    struct ingest_span span;

    open_page(&page, UIDS);
    CHECK_STR(take(&page, INGEST_FIRST, 200, &span), "1:200");
    CHECK_STR(take(&page, INGEST_FIRST, 3200, &span), "201:3400");
    CHECK_STR(take(&page, INGEST_FIRST, 3200, &span), "3401:4000");
    CHECK(!ingest_has_more(&page.share, INGEST_FIRST));
    CHECK_STR(take(&page, INGEST_FIRST, 3200, &span), "");
    close_page(&page);
}

TEST(what_does_not_fit_into_the_command_stays_open)
{
    struct page page;
    struct ingest_span span;
    CLEANUP(buf_free) struct buf set = buf_create(INGEST_SET_BYTES + 64);
    size_t taken;

    open_page(&page, UIDS);
    for (size_t i = 0; i < UIDS; i++)
        page.uids[i] = (uint32_t)(1000000 + 2 * i);
    CHECK(ingest_take_set(&page.share, INGEST_FIRST, 200, &set, &span, &taken));
    CHECK(taken < 200);
    CHECK_EQ_U64(span.count, taken);
    CHECK_EQ_U64(page.share.open_count, UIDS - taken);
    close_page(&page);
}

TEST(no_uid_is_taken_by_two_connections)
{
    struct page page;
    struct ingest_span span;
    size_t times[UIDS] = { 0 };

    open_page(&page, UIDS);
    ingest_join_share(&page.share);
    ingest_join_share(&page.share);
    for (uint8_t who = INGEST_FIRST; take(&page, who, 200, &span)[0] != '\0'; who = who % 3 + 1)
        for (size_t i = span.first; i < span.first + span.count; i++)
            times[i] += ingest_awaits(&page.share, who, i);
    for (size_t i = 0; i < UIDS; i++)
        CHECK_EQ_U64(times[i], 1);
    close_page(&page);
}

TEST(several_connections_take_ever_smaller_parts_so_that_none_is_waited_for)
{
    struct page page;
    struct ingest_span span;

    open_page(&page, 1000);
    ingest_join_share(&page.share);
    CHECK_STR(take(&page, INGEST_FIRST, 3200, &span), "1:250");
    CHECK_STR(take(&page, 2, 3200, &span), "251:437");
    CHECK_STR(take(&page, 2, 3200, &span), "438:577");
    CHECK_STR(take(&page, 2, 10, &span), "578:587");
    while (take(&page, 2, 3200, &span)[0] != '\0')
        CHECK(span.count <= 140);
    CHECK_EQ_U64(span.first + span.count, 1000);
    close_page(&page);
}

TEST(what_a_lost_connection_had_not_got_is_taken_by_others)
{
    struct page page;
    struct ingest_span span;

    open_page(&page, 600);
    ingest_join_share(&page.share);
    CHECK_STR(take(&page, 2, 100, &span), "1:100");
    CHECK_STR(take(&page, INGEST_FIRST, 100, &span), "101:200");
    settle(&page, (struct ingest_span){ 0, 40 });
    ingest_leave_share(&page.share, 2);
    /* and not what others have behind it */
    CHECK_STR(take(&page, INGEST_FIRST, 100, &span), "41:100");
    CHECK_STR(take(&page, INGEST_FIRST, 500, &span), "201:600");
    close_page(&page);
}

TEST(what_a_helper_could_not_have_is_for_the_first_connection_when_nothing_else_is_left)
{
    struct page page;
    struct ingest_span span;

    open_page(&page, 50);
    ingest_join_share(&page.share);
    CHECK_STR(take(&page, 2, 25, &span), "1:25");
    ingest_leave_uid(&page.share, 4);
    CHECK(!ingest_awaits(&page.share, 2, 4));
    CHECK_STR(take(&page, INGEST_FIRST, 25, &span), "26:50");
    CHECK(!ingest_has_more(&page.share, 2));
    CHECK(ingest_has_more(&page.share, INGEST_FIRST));
    CHECK_STR(take(&page, 2, 25, &span), "");
    CHECK_STR(take(&page, INGEST_FIRST, 25, &span), "5");
    CHECK(!ingest_has_more(&page.share, INGEST_FIRST));
    close_page(&page);
}

TEST(between_the_uids_of_a_command_lie_only_those_that_are_settled)
{
    struct page page;
    struct ingest_span span;

    open_page(&page, 30);
    ingest_join_share(&page.share);
    ingest_join_share(&page.share);
    CHECK_STR(take(&page, 2, 10, &span), "1:10");
    CHECK_STR(take(&page, 3, 10, &span), "11:20");
    settle(&page, (struct ingest_span){ 3, 2 });
    ingest_leave_share(&page.share, 2);
    CHECK_STR(take(&page, INGEST_FIRST, 25, &span), "1:3,6:10");
    CHECK_EQ_U64(span.count, 10);
    CHECK_STR(take(&page, INGEST_FIRST, 25, &span), "21:30");
    close_page(&page);
}
