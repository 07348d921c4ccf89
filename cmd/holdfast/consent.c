/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a human for consent to read mail: by a device's code (RFC 8628), or in a browser (RFC 6749 §4.1),
 * whose answer comes to a listener on this machine or is pasted.
 */
#include "base/fd.h"
#include "holdfast/login_options.h"
#include "oauth/authorize.h"
#include "oauth/loopback.h"
#include "oauth/token.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    EXCHANGE_MS = 30000,
    SLOW_DOWN_SECONDS = 5, /* RFC 8628 §3.5 */
    BROWSER_MINUTES = 30,
    TICK_MS = 1000,
};

/* ---- by a device's code ---------------------------------------------------------------------------- */

static void show_device(const struct oauth_device *device)
{
    (void)fprintf(stderr, "To let Holdfast read this mail, open\n\n    ");
    cli_put_line(bytes_of_text(device->verification_uri), stderr);
    (void)fprintf(stderr, "\n\nand enter the code\n\n    ");
    cli_put_line(bytes_of_text(device->user_code), stderr);
    (void)fprintf(stderr, "\n\n");
    (void)fprintf(stderr, "Waiting until that is done, %jd minutes at most ...\n",
                  (intmax_t)(device->expires_in_seconds + 59) / 60);
}

/* A request that fails in passing is made again, more slowly (RFC 8628 §3.5). */
static bool await_device(struct cli *cli, const struct oauth_grant *grant,
                         const struct oauth_device *device, struct oauth_tokens *out)
{
    struct deadline end = deadline_after_ms(device->expires_in_seconds * 1000);
    int64_t interval_seconds = device->interval_seconds;

    while (!deadline_has_passed(end)) {
        (void)poll(NULL, 0, (int)(interval_seconds * 1000));
        switch (oauth_poll_device(grant, device, deadline_after_ms(EXCHANGE_MS), out, &cli->err)) {
        case OAUTH_DONE:
            return true;
        case OAUTH_PENDING:
            break;
        case OAUTH_SLOW_DOWN:
            interval_seconds += SLOW_DOWN_SECONDS;
            break;
        case OAUTH_FAILED:
        case OAUTH_INVALID:
            if (cli->err.code != ERR_RETRY)
                return false;
            err_clear(&cli->err);
            interval_seconds += SLOW_DOWN_SECONDS;
            break;
        }
    }
    return err_fail(&cli->err, ERR_DENIED, "nobody consented in time");
}

static bool ask_device(struct cli *cli, const struct oauth_grant *grant, struct oauth_tokens *out)
{
    CLEANUP(oauth_free_device) struct oauth_device device = { 0 };

    if (!oauth_begin_device(grant, deadline_after_ms(EXCHANGE_MS), &device, &cli->err))
        return false;
    show_device(&device);
    return await_device(cli, grant, &device, out);
}

/* ---- in a browser ---------------------------------------------------------------------------------- */

/* What the browser may come back by. */
struct answer {
    const char *redirect_url;
    struct oauth_loopback *loopback; /* NULL: the redirect URL is of no listener of ours */
    struct buf pasted;               /* lines of standard input */
    bool has_input;                  /* it has not ended */
    struct secret *code;             /* what it came with */
};

static void end_answer(struct answer *answer)
{
    oauth_close_loopback(&answer->loopback);
    secret_wipe(answer->pasted.ptr, answer->pasted.cap);
    buf_free(&answer->pasted);
    secret_free(&answer->code);
}

static bool open_answer(struct cli *cli, const struct oauth_grant *grant, struct answer *answer)
{
    const char *given = oauth_get_field(grant, OAUTH_REDIRECT_URL);

    answer->redirect_url = given == NULL ? OAUTH_LOOPBACK_URL : given;
    if (buf_reserve(&answer->pasted, OAUTH_REDIRECT_MAX_BYTES) == NULL)
        return err_fail(&cli->err, ERR_SYSTEM, "no memory for an answer");
    if (!oauth_is_loopback(answer->redirect_url))
        return true;
    if (!oauth_open_loopback(answer->redirect_url, &answer->loopback, &cli->err))
        return false;
    answer->redirect_url = oauth_loopback_url(answer->loopback);
    return true;
}

static void show_browser(const struct answer *answer, const struct oauth_authorization *request)
{
    (void)fprintf(stderr,
                  "To let Holdfast read this mail, open in a browser\n\n    %s\n\n"
                  "Waiting until that is done, %d minutes at most.\n",
                  (const char *)request->url.ptr, BROWSER_MINUTES);
    (void)fprintf(stderr,
                  "%s an address that begins with %s.\n"
                  "Paste that address here, all of it, and press return.\n",
                  answer->loopback != NULL ? "A browser on another machine ends with an error, at"
                                           : "In the end the browser shows",
                  answer->redirect_url);
}

/* A line that was pasted. One that is no answer is told, and the next one may be. */
static bool take_line(struct cli *cli, struct answer *answer, const char *state, struct bytes line)
{
    while (line.len > 0 && line.ptr[line.len - 1] <= ' ')
        line.len--;
    if (line.len == 0 || oauth_read_redirect(line, state, &answer->code, &cli->err))
        return true;
    if (cli->err.code != ERR_SYNTAX)
        return false;
    (void)fprintf(stderr, "%s. Paste the address at which the browser ended.\n", cli->err.text);
    err_clear(&cli->err);
    return true;
}

static bool take_input(struct cli *cli, struct answer *answer, const char *state)
{
    struct buf *pasted = &answer->pasted;
    uint8_t *room;
    ssize_t got, end;

    if (pasted->len == pasted->cap) /* no address is so long */
        buf_consume(pasted, pasted->len);
    room = buf_reserve(pasted, 1);
    got = room == NULL ? 0 : read(STDIN_FILENO, room, pasted->cap - pasted->len);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got <= 0)
        answer->has_input = false;
    else
        buf_commit(pasted, (size_t)got);
    while (answer->code == NULL && (end = bytes_find_byte(buf_bytes(pasted), '\n')) >= 0) {
        if (!take_line(cli, answer, state, bytes_slice(buf_bytes(pasted), 0, (size_t)end)))
            return false;
        buf_consume(pasted, (size_t)end + 1);
    }
    return answer->has_input || answer->code != NULL ||
           take_line(cli, answer, state, buf_bytes(pasted));
}

static bool await_browser(struct cli *cli, struct answer *answer, const char *state)
{
    struct deadline end = deadline_after_ms(BROWSER_MINUTES * INT64_C(60000));

    while (answer->code == NULL) {
        struct pollfd fds[] = {
            { .fd = answer->has_input ? STDIN_FILENO : -1, .events = POLLIN },
            { .fd = answer->loopback == NULL ? -1 : oauth_loopback_fd(answer->loopback),
              .events = POLLIN },
        };

        if (deadline_has_passed(end))
            return err_fail(&cli->err, ERR_DENIED, "nobody consented in time");
        if (!answer->has_input && answer->loopback == NULL)
            return err_fail(&cli->err, ERR_DENIED, "standard input ended without an answer");
        if (poll(fds, ARRAY_LEN(fds), TICK_MS) < 0 && errno != EINTR)
            return err_errno(&cli->err, "wait for the browser");
        if (fds[0].revents != 0 && !take_input(cli, answer, state))
            return false;
        if (answer->code == NULL && answer->loopback != NULL &&
            !oauth_serve_loopback(answer->loopback, state, &answer->code, &cli->err))
            return false;
    }
    return true;
}

static bool ask_browser(struct cli *cli, const struct oauth_grant *grant, struct oauth_tokens *out)
{
    CLEANUP(oauth_free_authorization) struct oauth_authorization request = { 0 };
    CLEANUP(end_answer)
    struct answer answer = { .pasted = buf_create(OAUTH_REDIRECT_MAX_BYTES), .has_input = true };

    if (!open_answer(cli, grant, &answer) ||
        !oauth_begin_authorization(grant, answer.redirect_url, &request, &cli->err))
        return false;
    show_browser(&answer, &request);
    return await_browser(cli, &answer, request.state) &&
           oauth_redeem_code(grant, answer.code, request.verifier, answer.redirect_url,
                             deadline_after_ms(EXCHANGE_MS), out, &cli->err);
}

/* ---- either ---------------------------------------------------------------------------------------- */

static bool ask_consent(struct cli *cli, const struct oauth_grant *grant, struct secret **renewed)
{
    CLEANUP(oauth_free_tokens) struct oauth_tokens tokens = { 0 };

    /* of an endpoint or a browser that hangs up: an error like others */
    (void)signal(SIGPIPE, SIG_IGN);
    if (!(oauth_grant_kind(grant) == OAUTH_DEVICE ? ask_device(cli, grant, &tokens)
                                                  : ask_browser(cli, grant, &tokens)))
        return false;
    if (tokens.refresh == NULL)
        return err_fail(
            &cli->err, ERR_DENIED,
            "the endpoint gave no refresh token: \"scope\" needs offline_access, or what "
            "this provider calls it");
    (void)fprintf(stderr, "Consent was given.\n");
    return oauth_renew_grant(grant, tokens.refresh, renewed, &cli->err);
}

bool login_renew_consent(struct cli *cli, struct secret **grant)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *read = NULL;

    if (!oauth_start(&cli->err) || !oauth_read_grant(secret_bytes(*grant), &read, &cli->err))
        return false;
    return oauth_asks_human(oauth_grant_kind(read))
               ? login_get_consent(cli, grant)
               : err_fail(&cli->err, ERR_DENIED, "a grant of kind %s asks nobody for consent",
                          oauth_kind_name(oauth_grant_kind(read)));
}

bool login_get_consent(struct cli *cli, struct secret **grant)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *read = NULL;
    struct secret *renewed;

    if (!oauth_start(&cli->err) || !oauth_read_grant(secret_bytes(*grant), &read, &cli->err))
        return false;
    if (!oauth_asks_human(oauth_grant_kind(read)))
        return true;
    if (!ask_consent(cli, read, &renewed))
        return err_wrap(&cli->err, "consent");
    secret_free(grant);
    *grant = renewed;
    return true;
}
