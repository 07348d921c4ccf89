/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/err.h - the one error type: what the caller can do, and why it is needed.
 *
 * Passed in by the caller, never allocated, valid for as long as the caller keeps it. A struct err
 * starts as { 0 }. Whoever fails sets it once and returns false; outputs are then untouched.
 * Error text names ids and sizes, never subjects, addresses or secrets. Any thread may call these
 * functions on its own struct err.
 */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

enum err_code {
    ERR_NONE = 0,
    ERR_SYNTAX,  /* the grammar forbids this input: answer BAD, go on */
    ERR_LIMIT,   /* over a named limit: refuse this item, go on */
    ERR_ABSENT,  /* no such mailbox, message, pack: answer NO, go on */
    ERR_DENIED,  /* credentials or policy forbid it */
    ERR_RETRY,   /* the same call may work later: network, serialization failure */
    ERR_CORRUPT, /* stored data fails its own check: stop, tell a human */
    ERR_SYSTEM,  /* the machine refused (disk full, no descriptors): stop this worker */
};

enum {
    ERR_TEXT_BYTES = 512
};

struct err {
    enum err_code code;
    char text[ERR_TEXT_BYTES]; /* one line, outermost context first, cut at the size */
};

/*
 * err_fail sets *err; err_errno and err_wrap are described with their functions below. All three are
 * false, so that a failing path is one line: return err_fail(...). They are macros so that compiler
 * and analyzer see it, and know which outputs are set on the path that goes on.
 */
#define err_fail(err, code, ...) (err_set((err), (code), __VA_ARGS__), err_is_set())
#define err_errno(err, ...) (err_set_errno((err), __VA_ARGS__), err_is_set())
#define err_wrap(err, ...) (err_set_context((err), __VA_ARGS__), err_is_set())

static inline bool err_is_set(void) /* a constant would warn where the value is not used */
{
    return false;
}

void err_set(struct err *err, enum err_code code, const char *format, ...) PRINTF(3, 4);

/*
 * As err_set, with the text of errno behind ": ". Reads errno at once. Connection and time-out
 * errnos become ERR_RETRY, EACCES and EPERM ERR_DENIED, ENOENT ERR_ABSENT, all others ERR_SYSTEM.
 */
void err_set_errno(struct err *err, const char *format, ...) PRINTF(2, 3);

/* Puts "context: " in front of the text of an error that is already set. */
void err_set_context(struct err *err, const char *format, ...) PRINTF(2, 3);

/* Forgets an error that was dealt with. */
void err_clear(struct err *err);

/* "SYNTAX", "RETRY", …: for logs and for columns that keep the code. Borrowed, constant. */
const char *err_code_name(enum err_code code);

/* Exit status of a command that ended with this error (DESIGN 9): 1, or 3 for ERR_RETRY. */
int err_exit_status(enum err_code code);
