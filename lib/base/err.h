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

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

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

enum { ERR_TEXT_BYTES = 512 };

struct err {
    enum err_code code;
    char text[ERR_TEXT_BYTES]; /* one line, outermost context first, cut at the size */
};

/* Sets *err. Always false, so that a failing path is one line: return err_fail(...). */
bool err_fail(struct err *err, enum err_code code, const char *format, ...) PRINTF(3, 4);

/*
 * As err_fail, with the text of errno behind ": ". Reads errno at once. Connection and time-out
 * errnos become ERR_RETRY, EACCES and EPERM ERR_DENIED, ENOENT ERR_ABSENT, all others ERR_SYSTEM.
 */
bool err_errno(struct err *err, const char *format, ...) PRINTF(2, 3);

/* Puts "context: " in front of the text of an error that is already set. Always false. */
bool err_wrap(struct err *err, const char *format, ...) PRINTF(2, 3);

/* Forgets an error that was dealt with. */
void err_clear(struct err *err);

/* "SYNTAX", "RETRY", …: for logs and for columns that keep the code. Borrowed, constant. */
const char *err_code_name(enum err_code code);

/* Exit status of a command that ended with this error (DESIGN 9): 1, or 3 for ERR_RETRY. */
int err_exit_status(enum err_code code);
