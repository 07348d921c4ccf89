/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "ingest/internal.h"
#include "peer.h"

#include <pthread.h>
#include <sys/socket.h>

enum {
    MESSAGES = 100,
};

struct writer {
    int fd;
    struct bytes script;
};

static void *write_script(void *context)
{
    const struct writer *writer = context;
    struct err err = { 0 };

    return fd_write_all(writer->fd, writer->script, &err) ? context : NULL;
}

/* Longer than what a socket holds. */
static struct ingest_client *connect_to(struct writer *writer, pthread_t *thread)
{
    struct net_options net = { .stall_ms = 5000 };
    struct ingest_client_options options = { .stop_fd = -1, .stall_ms = 5000 };
    struct net_stream *stream = NULL;
    struct ingest_client *client = NULL;
    struct err err = { 0 };
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    writer->fd = fds[0];
    CHECK(pthread_create(thread, NULL, write_script, writer) == 0);
    CHECK(net_open_fd(&fds[1], &net, &stream, &err));
    CHECK(ingest_open_client(&stream, &options, &client, &err));
    return client;
}

static void add_message(struct buf *script, uint32_t uid, size_t keywords)
{
    buf_text(script, "* 1 FETCH (UID ");
    buf_u64(script, uid);
    buf_text(script, " RFC822.SIZE 5 INTERNALDATE \"01-Jan-2001 00:00:00 +0000\" FLAGS (\\Seen");
    for (size_t i = 0; i < keywords; i++) {
        buf_text(script, " k");
        buf_u64(script, i);
    }
    buf_text(script, "))\r\n");
}

TEST(messages_whose_keywords_have_no_room_are_as_if_nothing_were_said_of_them)
{
    CLEANUP(buf_free) struct buf script = buf_create(16 << 20);
    struct ingest_run run = { .window_arena = arena_create(INGEST_WINDOW_ARENA_BYTES) };
    const struct ingest_fact *facts;
    struct err err = { 0 };
    struct writer writer;
    uint32_t uids[MESSAGES];
    pthread_t thread;
    void *is_written;

    for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
        uids[uid - 1] = uid;
        add_message(&script, uid, uid == 1 || uid == MESSAGES ? 2 : LIMIT_KEYWORDS_PER_MAILBOX);
    }
    buf_text(&script, "h1 OK done\r\n");
    writer.script = buf_bytes(&script);
    run.client = connect_to(&writer, &thread);
    CHECK(ingest_ask_facts(&run, uids, MESSAGES, INGEST_IDENTITY_NONE, &facts, &err));
    CHECK(facts != NULL && facts[0].is_told && facts[MESSAGES - 1].is_told);
    CHECK_EQ_U64(facts[0].keyword_count, 2);
    CHECK_BYTES(facts[0].keywords[1], BYTES("k1"));
    CHECK_EQ_U64(facts[1].keyword_count, LIMIT_KEYWORDS_PER_MAILBOX);
    CHECK(!facts[MESSAGES - 2].is_told);
    ingest_close_client(&run.client);
    CHECK(pthread_join(thread, &is_written) == 0 && is_written != NULL);
    fd_close(&writer.fd);
    arena_free(&run.window_arena);
}
