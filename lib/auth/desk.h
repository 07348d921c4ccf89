/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/desk.h - what holdfast-gate answers, and to whom.
 *
 * There is one desk behind each of the gate's sockets, with database connections of its own, so that
 * a flood of one kind of client leaves the other's work alone. The sockets and threads are the
 * program's (cmd/holdfast-gate). Shared between threads.
 */
#pragma once

#include "auth/verify.h"
#include "crypto/seal.h"
#include "gate/message.h"

enum auth_door {
    AUTH_DOOR_IMAPD,  /* LOG_IN, LOG_OUT, OPEN_PACK */
    AUTH_DOOR_INGEST, /* SOURCE_SECRET */
};

struct auth_desk;

struct auth_desk_settings {
    enum auth_door door;
    const struct db_target *target; /* role holdfast_gate; copied */
    size_t connections;
    const struct crypto_key *master; /* borrowed: outlives the desk */
    const char *data_dir;            /* borrowed; packs lie in data_dir/packs/<account_id>/ */
    uint32_t max_kdfs;
};

MUST_USE bool auth_create_desk(const struct auth_desk_settings *settings, struct auth_desk **out,
                               struct err *err);
void auth_free_desk(struct auth_desk **desk); /* nobody may be using it */

/* For CLEANUP: auth_free_answer. The reply borrows from secret and text: never copy it. */
struct auth_answer {
    struct gate_reply reply;
    struct secret *secret;     /* of the reply, or NULL */
    char text[ERR_TEXT_BYTES]; /* of the reply: why a grant gives no token */
    int fd;                    /* to be passed along, or -1 */
};
void auth_free_answer(struct auth_answer *answer);

/*
 * Always sets *out to an answer that can be sent. False: something went wrong that should be
 * logged; *err says what. Whatever gives something away (a token, a secret) has its audit event
 * committed before; if that cannot be, the answer is GATE_RETRY.
 */
MUST_USE bool auth_answer(struct auth_desk *desk, const struct gate_request *request,
                          struct deadline deadline, struct auth_answer *out, struct err *err);

/*
 * Something came that is no request. reason: a constant word. Audited at once, and when more come
 * than one a second, as their count with the next or by auth_tidy_desk.
 */
MUST_USE bool auth_note_refusal(struct auth_desk *desk, const char *reason,
                                struct deadline deadline, struct err *err);

/* To be called every minute or so: audits refusals that were only counted, and forgets what is too
 * old to matter. */
MUST_USE bool auth_tidy_desk(struct auth_desk *desk, struct deadline deadline, struct err *err);
