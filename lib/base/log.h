/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/log.h - one event and its typed fields per line, on one descriptor.
 *
 *     log_info(log, "message stored", F_U64("account", id), F_U64("uid", uid.n));
 *     ts=2026-11-22T22:17:55.123456Z level=info process=ingest event="message stored" account=7 uid=4211
 *
 * Never a format string. Ids, counts, durations and codes are facts and welcome; names, addresses,
 * subjects, search terms and credentials are content and stay out. A line is written by one write(2)
 * and is at most LOG_LINE_BYTES long, so that processes that share a descriptor do not mix lines.
 * Threads may share a struct log.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR
};

enum {
    LOG_LINE_BYTES = 2048
};

struct log {
    int fd;               /* borrowed */
    enum log_level level; /* lines below it are not written */
    const char *process;  /* borrowed: "ingest", "imapd", … */
};

enum log_field_kind {
    LOG_FIELD_U64,
    LOG_FIELD_I64,
    LOG_FIELD_TEXT,
    LOG_FIELD_ERR
};

struct log_field {
    const char *name;
    enum log_field_kind kind;
    uint64_t u64;
    int64_t i64;
    const char *text;
    const struct err *err;
};

#define F_U64(n, v) ((struct log_field){ .name = (n), .kind = LOG_FIELD_U64, .u64 = (v) })
#define F_I64(n, v) ((struct log_field){ .name = (n), .kind = LOG_FIELD_I64, .i64 = (v) })
#define F_TEXT(n, v) ((struct log_field){ .name = (n), .kind = LOG_FIELD_TEXT, .text = (v) })
#define F_ERR(e) ((struct log_field){ .name = "error", .kind = LOG_FIELD_ERR, .err = (e) })

#define F_END ((struct log_field){ .name = NULL }) /* put there by the macros */

/* fields: ends with F_END. */
void log_event(const struct log *log, enum log_level level, const char *event,
               const struct log_field *fields);

#define LOG_EVENT_(log, level, event, ...)                                                         \
    log_event((log), (level), (event), (const struct log_field[]){ __VA_ARGS__ })
#define log_debug(log, ...) LOG_EVENT_((log), LOG_DEBUG, __VA_ARGS__, F_END)
#define log_info(log, ...) LOG_EVENT_((log), LOG_INFO, __VA_ARGS__, F_END)
#define log_warn(log, ...) LOG_EVENT_((log), LOG_WARN, __VA_ARGS__, F_END)
#define log_error(log, ...) LOG_EVENT_((log), LOG_ERROR, __VA_ARGS__, F_END)
