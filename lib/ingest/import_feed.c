/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/import_feed.h"

#include "base/buf.h"
#include "base/fd.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* Room for one descriptor, aligned as the macros want it. */
union control {
    struct cmsghdr header;
    uint8_t room[CMSG_SPACE(sizeof(int))];
};

/* ---- octets of a record: kind, format, is_dry, job (8), four texts with their lengths (2) ---- */

static void write_number(struct buf *out, uint64_t number, int octets)
{
    while (octets-- > 0)
        buf_byte(out, (uint8_t)(number >> (8 * octets)));
}

static void write_text(struct buf *out, struct bytes text)
{
    text = bytes_slice(text, 0, INGEST_FEED_TEXT_BYTES);
    write_number(out, text.len, 2);
    buf_append(out, text);
}

static void write_record(struct buf *out, const struct ingest_feed_record *record)
{
    buf_byte(out, (uint8_t)record->kind);
    buf_byte(out, (uint8_t)record->mbox_format);
    buf_byte(out, record->is_dry ? 1 : 0);
    write_number(out, (uint64_t)record->job_id, 8);
    write_text(out, record->folder);
    write_text(out, record->name);
    write_text(out, record->stem);
    write_text(out, record->path);
}

static bool read_number(struct bytes *in, size_t octets, uint64_t *out)
{
    struct bytes number;

    if (!scan_octets(in, octets, &number))
        return false;
    *out = 0;
    for (size_t i = 0; i < octets; i++)
        *out = *out << 8 | number.ptr[i];
    return true;
}

static bool read_text(struct bytes *in, struct bytes *out)
{
    uint64_t length;

    return read_number(in, 2, &length) && length <= INGEST_FEED_TEXT_BYTES &&
           scan_octets(in, (size_t)length, out);
}

static bool read_record(struct bytes in, struct ingest_feed_record *out)
{
    uint64_t kind, format, is_dry, job;

    if (!read_number(&in, 1, &kind) || kind > INGEST_FEED_END || !read_number(&in, 1, &format) ||
        format > INGEST_MBOXCL2 || !read_number(&in, 1, &is_dry) || is_dry > 1 ||
        !read_number(&in, 8, &job) || job > INT64_MAX)
        return false;
    out->kind = (enum ingest_feed_kind)kind;
    out->mbox_format = (enum ingest_mbox_format)format;
    out->is_dry = is_dry == 1;
    out->job_id = (int64_t)job;
    return read_text(&in, &out->folder) && read_text(&in, &out->name) &&
           read_text(&in, &out->stem) && read_text(&in, &out->path) && in.len == 0;
}

/* ---- the socket ------------------------------------------------------------------------------ */

bool ingest_send_record(int socket, const struct ingest_feed_record *record, struct err *err)
{
    CLEANUP(buf_free) struct buf octets = buf_create(INGEST_FEED_RECORD_BYTES);
    union control control = { 0 };
    struct iovec iov;
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

    write_record(&octets, record);
    iov = (struct iovec){ .iov_base = octets.ptr, .iov_len = octets.len };
    if (record->fd >= 0) {
        struct cmsghdr *header;

        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof record->fd);
        memcpy(CMSG_DATA(header), &record->fd, sizeof record->fd);
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return err_errno(err, "feed the import");
    return true;
}

static bool await(int socket, int stop_fd, struct deadline deadline, struct err *err)
{
    struct pollfd polls[2] = { { .fd = socket, .events = POLLIN },
                               { .fd = stop_fd, .events = POLLIN } };

    for (;;) {
        int ready = poll(polls, ARRAY_LEN(polls), deadline_poll_ms(deadline));

        if (ready < 0 && errno != EINTR)
            return err_errno(err, "wait for files");
        if (ready > 0 && polls[1].revents != 0)
            return err_fail(err, ERR_RETRY, "asked to stop");
        if (ready > 0)
            return true;
        if (deadline_has_passed(deadline))
            return err_fail(err, ERR_RETRY, "no file came in time");
    }
}

static int take_descriptor(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd;

    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof fd))
        return -1;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

bool ingest_receive_record(int socket, int stop_fd, struct deadline deadline,
                           uint8_t room[INGEST_FEED_RECORD_BYTES], struct ingest_feed_record *out,
                           struct err *err)
{
    struct iovec iov = { .iov_base = room, .iov_len = INGEST_FEED_RECORD_BYTES };
    struct ingest_feed_record record = { 0 };
    CLEANUP(fd_close) int fd = -1;
    union control control;
    struct msghdr message;
    ssize_t got;

    do {
        if (!await(socket, stop_fd, deadline, err))
            return false;
        message = (struct msghdr){ .msg_iov = &iov,
                                   .msg_iovlen = 1,
                                   .msg_control = control.room,
                                   .msg_controllen = sizeof control.room };
        got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN));
    if (got < 0)
        return err_errno(err, "receive files");
    if (got == 0)
        return err_fail(err, ERR_ABSENT, "nobody feeds the import any more");
    fd = take_descriptor(&message);
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        !read_record(bytes_of(room, (size_t)got), &record) ||
        (record.kind != INGEST_FEED_KEYWORDS &&
         (fd >= 0) != (record.kind == INGEST_FEED_FILE || record.kind == INGEST_FEED_MAILDIR)))
        return err_fail(err, ERR_SYNTAX, "the import is fed with what is no record");
    record.fd = fd_take(&fd);
    *out = record;
    return true;
}
