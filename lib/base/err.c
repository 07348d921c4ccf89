/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [ERR_NONE] = "NONE",       [ERR_SYNTAX] = "SYNTAX", [ERR_LIMIT] = "LIMIT",
    [ERR_ABSENT] = "ABSENT",   [ERR_DENIED] = "DENIED", [ERR_RETRY] = "RETRY",
    [ERR_CORRUPT] = "CORRUPT", [ERR_SYSTEM] = "SYSTEM",
};

const char *err_code_name(enum err_code code)
{
    return names[code];
}

int err_exit_status(enum err_code code)
{
    if (code == ERR_NONE)
        return 0;
    return code == ERR_RETRY ? 3 : 1;
}

void err_clear(struct err *err)
{
    err->code = ERR_NONE;
    err->text[0] = '\0';
}

void err_set(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;

    assert(code != ERR_NONE);
    err->code = code;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
}

static enum err_code code_of_errno(int number)
{
    switch (number) {
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ENOENT:
        return ERR_ABSENT;
    case EAGAIN:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case EINTR:
    case ENETDOWN:
    case ENETUNREACH:
    case EPIPE:
    case ETIMEDOUT:
        return ERR_RETRY;
    default:
        return ERR_SYSTEM;
    }
}

void err_set_errno(struct err *err, const char *format, ...)
{
    int number = errno;
    char reason[128];
    va_list args;
    size_t used;

    err->code = code_of_errno(number);
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s",
                   strerror_r(number, reason, sizeof reason));
}

void err_set_context(struct err *err, const char *format, ...)
{
    char inner[ERR_TEXT_BYTES];
    va_list args;
    size_t used;

    assert(err->code != ERR_NONE);
    memcpy(inner, err->text, sizeof inner);
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
}
