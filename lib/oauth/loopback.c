/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/loopback.h"

#include "base/fd.h"
#include "oauth/internal.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BROWSERS_MAX = 8, /* connections; browsers open some in advance */
    BROWSER_SECONDS = 10,
    REQUEST_BYTES = 32 << 10, /* more than OAUTH_REDIRECT_MAX_BYTES */
    HOST_BYTES = 64,
};

struct oauth_loopback {
    struct MHD_Daemon *daemon;
    char *url;
    const char *state;   /* while serving */
    struct secret *code; /* what the browser brought, or: */
    struct err refusal;
    bool is_told; /* the browser has its page */
};

/* What a browser shows. */
static const struct page {
    unsigned status;
    bool is_last;
    const char *text;
} received = { MHD_HTTP_OK, true, "Holdfast has the answer. This window can be closed.\n" },
  declined = { MHD_HTTP_OK, true, "Consent was not given. This window can be closed.\n" },
  unknown = { MHD_HTTP_NOT_FOUND, false, "This is not what Holdfast waits for.\n" };

/* ---- the redirect URL --------------------------------------------------------------------------- */

static void free_url(CURLU **url)
{
    curl_url_cleanup(*url);
}

/* False: not http, or not to this machine. port 0: none is given. */
static bool read_place(const char *text, char host[HOST_BYTES], uint16_t *port)
{
    CLEANUP(free_url) CURLU *url = curl_url();
    char *scheme = NULL, *name = NULL, *digits = NULL;
    struct err ignored = { 0 };
    bool is_ours = url != NULL && oauth_check_url(text, &ignored) &&
                   curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_HOST, &name, 0) == CURLUE_OK &&
                   strcmp(scheme, "http") == 0 && oauth_is_local_host(name) &&
                   strlen(name) < HOST_BYTES;

    *port = 0;
    if (is_ours) {
        (void)snprintf(host, HOST_BYTES, "%s", name);
        if (curl_url_get(url, CURLUPART_PORT, &digits, 0) == CURLUE_OK)
            *port = (uint16_t)strtoul(digits, NULL, 10); /* libcurl has checked it */
    }
    curl_free(scheme);
    curl_free(name);
    curl_free(digits);
    return is_ours;
}

bool oauth_is_loopback(const char *redirect_url)
{
    char host[HOST_BYTES];
    uint16_t port;

    return read_place(redirect_url, host, &port);
}

/* As it is, but for the port: servers compare the rest octet for octet (RFC 8252 §7.3). */
static bool write_url(const char *url, bool has_port, uint16_t port, char **out, struct err *err)
{
    const char *host = strstr(url, "://") + 3; /* read_place has accepted it */
    size_t before = (size_t)(host - url) + strcspn(host, "/?");

    if ((has_port ? asprintf(out, "%s", url)
                  : asprintf(out, "%.*s:%u%s", (int)before, url, port, url + before)) >= 0)
        return true;
    *out = NULL;
    return err_fail(err, ERR_SYSTEM, "no memory for a redirect URL");
}

/* ---- the socket --------------------------------------------------------------------------------- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t make_address(const char *host, uint16_t port, union address *out)
{
    *out = (union address){ 0 };
    if (strcmp(host, "[::1]") == 0) {
        out->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                         .sin6_port = htons(port),
                                         .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        return sizeof out->v6;
    }
    out->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) != 1) /* "localhost" */
        out->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof out->v4;
}

/* *port: in, the wanted one or 0; out, the one it became. */
static bool listen_at(const char *host, uint16_t *port, int *out, struct err *err)
{
    union address address;
    socklen_t size = make_address(host, *port, &address);
    CLEANUP(fd_close) int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, &address.any, size) != 0 || listen(fd, BROWSERS_MAX) != 0 ||
        getsockname(fd, &address.any, &size) != 0)
        return err_errno(err, "listen for the browser at %s, port %u", host, *port);
    *port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    *out = fd_take(&fd);
    return true;
}

/* ---- browsers ----------------------------------------------------------------------------------- */

/* The address that was asked for, before libmicrohttpd takes it apart; gives the page that answers it. */
static void *judge(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct oauth_loopback *loopback = context;
    const struct page *page = &unknown;
    struct err err = { 0 };

    (void)connection;
    if (loopback->code != NULL || loopback->refusal.code != ERR_NONE) {
        page = loopback->code != NULL ? &received : &declined; /* loaded again */
    } else if (oauth_read_redirect(bytes_of_text(uri), loopback->state, &loopback->code, &err)) {
        page = &received;
    } else if (err.code != ERR_SYNTAX) {
        loopback->refusal = err;
        page = &declined;
    }
    return (void *)(uintptr_t)page;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    const struct page *page = *request;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(page->text), (void *)(uintptr_t)page->text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_NO;

    (void)context, (void)url, (void)method, (void)version, (void)upload, (void)upload_size;
    if (response == NULL)
        return MHD_NO;
    if (MHD_add_response_header(response, "Content-Type", "text/plain") == MHD_YES &&
        MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
        MHD_add_response_header(response, "Connection", "close") == MHD_YES)
        result = MHD_queue_response(connection, page->status, response);
    MHD_destroy_response(response);
    return result;
}

static void note_end(void *context, struct MHD_Connection *connection, void **request,
                     enum MHD_RequestTerminationCode how)
{
    struct oauth_loopback *loopback = context;
    const struct page *page = *request;

    (void)connection, (void)how;
    loopback->is_told |= page != NULL && page->is_last;
}

/* Owns *fd when it has started. */
static struct MHD_Daemon *start_daemon(struct oauth_loopback *loopback, int *fd)
{
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, answer, loopback, MHD_OPTION_LISTEN_SOCKET, *fd,
        MHD_OPTION_URI_LOG_CALLBACK, judge, loopback, MHD_OPTION_NOTIFY_COMPLETED, note_end,
        loopback, MHD_OPTION_CONNECTION_LIMIT, (unsigned)BROWSERS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)BROWSER_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES, MHD_OPTION_END);

    if (daemon != NULL)
        *fd = -1;
    return daemon;
}

/* ---- the listener ------------------------------------------------------------------------------- */

bool oauth_open_loopback(const char *redirect_url, struct oauth_loopback **out, struct err *err)
{
    CLEANUP(oauth_close_loopback) struct oauth_loopback *loopback = calloc(1, sizeof *loopback);
    CLEANUP(fd_close) int fd = -1;
    char host[HOST_BYTES];
    uint16_t wanted, port;

    if (loopback == NULL)
        return err_errno(err, "listener for the browser");
    if (!read_place(redirect_url, host, &wanted))
        return err_fail(err, ERR_SYNTAX, "no redirect URL of this machine");
    port = wanted;
    if (!listen_at(host, &port, &fd, err) ||
        !write_url(redirect_url, wanted != 0, port, &loopback->url, err))
        return false;
    loopback->daemon = start_daemon(loopback, &fd);
    if (loopback->daemon == NULL)
        return err_fail(err, ERR_SYSTEM, "the listener for the browser does not start");
    *out = loopback;
    loopback = NULL; /* the caller's now */
    return true;
}

void oauth_close_loopback(struct oauth_loopback **loopback)
{
    if (*loopback == NULL)
        return;
    if ((*loopback)->daemon != NULL)
        MHD_stop_daemon((*loopback)->daemon);
    secret_free(&(*loopback)->code);
    free((*loopback)->url);
    free(*loopback);
    *loopback = NULL;
}

const char *oauth_loopback_url(const struct oauth_loopback *loopback)
{
    return loopback->url;
}

int oauth_loopback_fd(const struct oauth_loopback *loopback)
{
    return MHD_get_daemon_info(loopback->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

bool oauth_serve_loopback(struct oauth_loopback *loopback, const char *state, struct secret **code,
                          struct err *err)
{
    loopback->state = state;
    if (MHD_run(loopback->daemon) != MHD_YES)
        return err_fail(err, ERR_SYSTEM, "the listener for the browser failed");
    if (!loopback->is_told)
        return true;
    if (loopback->refusal.code != ERR_NONE) {
        *err = loopback->refusal;
        return false;
    }
    *code = loopback->code;
    loopback->code = NULL; /* the caller's now */
    return true;
}
