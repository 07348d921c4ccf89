/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "base/fd.h"
#include "gate/client.h"
#include "gate/server.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct gate_request open_pack = { .kind = GATE_OPEN_PACK,
                                               .open_pack = { BYTES_INIT(TOKEN), 7, 9, false } };
static const struct gate_request source_secret = { .kind = GATE_SOURCE_SECRET,
                                                   .source_secret = { 12, 3 } };

struct place {
    char dir[64];
    char path[96];
    int listener;
};

static void open_place(struct place *place)
{
    struct err err = { 0 };

    *place = (struct place){ .dir = "/tmp/holdfast-gate-XXXXXX" };
    CHECK(mkdtemp(place->dir) != NULL);
    snprintf(place->path, sizeof place->path, "%s/gate.sock", place->dir);
    CHECK(gate_listen(place->path, 4, &place->listener, &err));
}

static void close_place(struct place *place)
{
    fd_close(&place->listener);
    unlink(place->path);
    rmdir(place->dir);
}

/* Answers one request as told; what went wrong is handed back. */
struct answerer {
    struct place *place;
    struct gate_reply reply;
    int fd;
    const char *raw; /* instead of the reply */
    size_t raw_len;
    bool is_good;
    enum gate_kind asked;
};

static void *answer(void *context)
{
    struct answerer *a = context;
    struct pollfd pfd = { .fd = a->place->listener, .events = POLLIN };
    CLEANUP(gate_wipe) struct gate_datagram store = { 0 };
    CLEANUP(fd_close) int fd = -1;
    struct gate_request request;
    struct err err = { 0 };
    struct deadline deadline = deadline_after_ms(5000);

    if (poll(&pfd, 1, 5000) != 1 || !gate_accept(a->place->listener, geteuid(), &fd, &err) ||
        !gate_receive(fd, &store, &request, deadline, &err))
        return NULL;
    a->asked = request.kind;
    if (a->raw != NULL)
        a->is_good = send(fd, a->raw, a->raw_len, 0) == (ssize_t)a->raw_len;
    else
        a->is_good = gate_send(fd, &a->reply, a->fd, deadline, &err);
    return NULL;
}

static bool call(struct answerer *a, const struct gate_request *request,
                 struct gate_datagram *store, struct gate_reply *reply, int *fd, struct err *err)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, answer, a) == 0);
    bool is_done =
        gate_call(a->place->path, request, store, reply, fd, deadline_after_ms(5000), err);
    CHECK(pthread_join(thread, NULL) == 0);
    return is_done;
}

TEST(a_reply_brings_its_secret_and_the_request_is_wiped)
{
    struct place place;
    open_place(&place);
    struct answerer a = { .place = &place,
                          .fd = -1,
                          .reply = { .kind = GATE_SOURCE_SECRET,
                                     .secret = { GATE_SECRET_PASSWORD, 7, BYTES_INIT("hush") } } };
    struct gate_datagram store = { 0 };
    struct gate_reply reply;
    struct err err = { 0 };

    CHECK(call(&a, &source_secret, &store, &reply, NULL, &err));
    CHECK(a.is_good);
    CHECK_EQ_U64(a.asked, GATE_SOURCE_SECRET);
    CHECK_BYTES(reply.secret.octets, BYTES("hush"));
    CHECK(gate_check_done(&reply, &err));
    gate_wipe(&store);
    close_place(&place);
}

TEST(a_descriptor_travels_with_the_reply_and_is_close_on_exec)
{
    struct place place;
    open_place(&place);
    struct answerer a = { .place = &place,
                          .fd = open("/dev/zero", O_RDONLY | O_CLOEXEC),
                          .reply = { .kind = GATE_OPEN_PACK } };
    struct gate_datagram store = { 0 };
    struct gate_reply reply;
    struct err err = { 0 };
    uint8_t octet = 1;
    int fd = -1;

    CHECK(call(&a, &open_pack, &store, &reply, &fd, &err));
    CHECK(fd >= 0);
    CHECK(read(fd, &octet, 1) == 1 && octet == 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    fd_close(&fd);
    fd_close(&a.fd);
    close_place(&place);
}

TEST(a_reply_without_the_promised_descriptor_or_to_another_request_is_refused)
{
    struct place place;
    open_place(&place);
    struct answerer a = { .place = &place, .fd = -1, .reply = { .kind = GATE_OPEN_PACK } };
    struct gate_datagram store = { 0 };
    struct gate_reply reply;
    struct err err = { 0 };
    int fd = -1;

    CHECK(!call(&a, &open_pack, &store, &reply, &fd, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    a.reply.kind = GATE_LOG_OUT;
    CHECK(!call(&a, &open_pack, &store, &reply, &fd, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    a.raw = "garbage";
    a.raw_len = 7;
    CHECK(!call(&a, &open_pack, &store, &reply, &fd, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK_EQ_I64(fd, -1);
    close_place(&place);
}

TEST(a_gate_that_is_absent_or_silent_is_a_reason_to_try_again)
{
    struct place place;
    open_place(&place);
    struct gate_datagram store = { 0 };
    struct gate_reply reply;
    struct err err = { 0 };

    CHECK(
        !gate_call(place.path, &source_secret, &store, &reply, NULL, deadline_after_ms(50), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    fd_close(&place.listener);
    CHECK(
        !gate_call(place.path, &source_secret, &store, &reply, NULL, deadline_after_ms(50), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    close_place(&place);
    CHECK(
        !gate_call(place.path, &source_secret, &store, &reply, NULL, deadline_after_ms(50), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
}

TEST(a_full_backlog_is_waited_for_until_the_deadline)
{
    struct place place;
    open_place(&place);
    struct gate_datagram store = { 0 };
    struct gate_reply reply;
    struct err err = { 0 };

    for (int i = 0; i < 8; i++) {
        CHECK(!gate_call(place.path, &source_secret, &store, &reply, NULL, deadline_after_ms(20),
                         &err));
        CHECK_EQ_U64(err.code, ERR_RETRY);
    }
    close_place(&place);
}

TEST(the_socket_is_for_its_owner_alone_and_a_left_over_one_is_replaced)
{
    struct place place;
    open_place(&place);
    struct stat st;
    struct err err = { 0 };
    int second = -1;

    CHECK(stat(place.path, &st) == 0);
    CHECK_EQ_U64(st.st_mode & 0777, 0600);
    CHECK(!gate_listen(place.path, 4, &second, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    fd_close(&place.listener);
    CHECK(gate_listen(place.path, 4, &place.listener, &err));
    close_place(&place);
}

TEST(what_is_not_a_socket_is_never_removed)
{
    struct place place;
    open_place(&place);
    struct err err = { 0 };
    int fd;

    close_place(&place);
    CHECK(mkdir(place.dir, 0700) == 0);
    fd = open(place.path, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0);
    fd_close(&fd);
    CHECK(!gate_listen(place.path, 4, &place.listener, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(access(place.path, F_OK) == 0);
    close_place(&place);
}

static int connect_raw(const struct place *place)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, place->path, strlen(place->path) + 1);
    CHECK(fd >= 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

TEST(a_peer_of_another_user_is_sent_away)
{
    struct place place;
    open_place(&place);
    struct err err = { 0 };
    uint8_t octet;
    int peer, fd = -1;

    CHECK(!gate_accept(place.listener, geteuid(), &fd, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    peer = connect_raw(&place);
    CHECK(!gate_accept(place.listener, geteuid() + 1, &fd, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_EQ_I64(fd, -1);
    CHECK(recv(peer, &octet, 1, 0) <= 0);
    fd_close(&peer);
    close_place(&place);
}

TEST(garbage_silence_oversize_and_hang_up_are_told_apart)
{
    struct place place;
    open_place(&place);
    static const uint8_t octets[GATE_DATAGRAM_BYTES + 1];
    static const struct {
        size_t len;
        enum err_code code;
    } cases[] = { { 3, ERR_SYNTAX }, { sizeof octets, ERR_LIMIT }, { 0, ERR_RETRY } };
    struct gate_datagram store;
    struct gate_request request;
    struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int peer = connect_raw(&place), fd = -1;

        CHECK(gate_accept(place.listener, geteuid(), &fd, &err));
        CHECK(!gate_receive(fd, &store, &request, deadline_after_ms(20), &err));
        CHECK_EQ_U64(err.code, ERR_RETRY); /* silence */
        if (cases[i].len > 0)
            CHECK(send(peer, octets, cases[i].len, 0) == (ssize_t)cases[i].len);
        else
            fd_close(&peer);
        CHECK(!gate_receive(fd, &store, &request, deadline_after_ms(1000), &err));
        CHECK_EQ_U64(err.code, cases[i].code);
        fd_close(&peer);
        fd_close(&fd);
    }
    close_place(&place);
}

TEST(descriptors_sent_uninvited_are_closed)
{
    struct place place;
    open_place(&place);
    struct gate_datagram datagram = { 0 }, store;
    struct gate_request request;
    struct err err = { 0 };
    int peer = connect_raw(&place), fd = -1, pipes[2];
    uint8_t octet;
    union {
        struct cmsghdr header;
        uint8_t room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };

    CHECK(pipe(pipes) == 0);
    CHECK(gate_write_request(&source_secret, &datagram, &err));
    struct iovec iov = { datagram.octets, datagram.len };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.room,
                          .msg_controllen = sizeof control.room };
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
    *header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
    memcpy(CMSG_DATA(header), &pipes[1], sizeof(int));
    CHECK(sendmsg(peer, &msg, 0) == (ssize_t)datagram.len);
    fd_close(&pipes[1]);

    CHECK(gate_accept(place.listener, geteuid(), &fd, &err));
    CHECK(gate_receive(fd, &store, &request, deadline_after_ms(1000), &err));
    CHECK_EQ_I64(request.source_secret.job_id, 12);
    CHECK(read(pipes[0], &octet, 1) == 0); /* the last writing end is closed */
    fd_close(&pipes[0]);
    fd_close(&peer);
    fd_close(&fd);
    close_place(&place);
}
