/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/locks.h - every lock of Holdfast in one ordered list.
 *
 * A thread takes locks downward only: while it holds one, it may take only locks that stand further
 * down. A struct that is shared between threads names its lock here.
 *
 *   rank  lock                         guards
 *   10    serve_server.lock            the list of sessions, parked and active; per-auditor counts
 *   20    audit_writer.lock            the queue of events that await the committing thread
 *   30    db_pool.lock                 the idle database connections
 *   40    auth_desk.lock               the gate: how many refusals await their audit row
 *   45    auth_issuers.lock            the gate: who asks which token endpoint, and which of them rest
 *   46    auth_refusals.lock           the gate: what token endpoints refuse again and again
 *   50    auth_verifier.lock           the gate: turns at the KDF, hashes of last good passwords
 *   60    hall.lock                    the gate: visitors at each door (cmd/holdfast-gate)
 *   62    ingest_crew.turn             one run's writer and its database connection, for a message or a statement
 *   64    ingest_crew.lock             the connections that help a run
 *   66    ingest_share.lock            which of them fetches which UIDs
 *   68    ingest_logins.lock           which logins of watches are running
 *   70    vault_line.lock              batches: which thread has each of them now
 */
#pragma once

enum lock_rank {
    LOCK_SERVE_SERVER = 10,
    LOCK_AUDIT_WRITER = 20,
    LOCK_DB_POOL = 30,
    LOCK_AUTH_DESK = 40,
    LOCK_AUTH_ISSUERS = 45,
    LOCK_AUTH_REFUSALS = 46,
    LOCK_AUTH_VERIFIER = 50,
    LOCK_GATE_HALL = 60,
    LOCK_INGEST_TURN = 62,
    LOCK_INGEST_CREW = 64,
    LOCK_INGEST_SHARE = 66,
    LOCK_INGEST_LOGINS = 68,
    LOCK_VAULT_LINE = 70,
};
