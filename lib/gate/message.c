/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate/message.c - requests and replies as octets, both directions.
 *
 * To add a kind: the enum and structs in message.h, its row in read_request_fields and
 * read_reply_fields and their write mirrors (the switches do not compile without it), who may ask in
 * auth/desk.c, and the fuzz targets' dictionaries.
 */
#include "gate/message.h"

#include "base/secret.h"

enum {
    HEADER_BYTES = 4
};

/* ---- writing: a plain list of appends that tells once, at the end ------------------------------ */

struct writer {
    struct gate_datagram *to;
    bool has_failed; /* a field was over its limit */
};

static void put_number(struct writer *w, uint64_t value, unsigned octets)
{
    if (w->to->len + octets > sizeof w->to->octets) {
        w->has_failed = true;
        return;
    }
    for (unsigned i = octets; i > 0; i--)
        w->to->octets[w->to->len++] = (uint8_t)(value >> (8 * (i - 1)));
}

static void put_i64(struct writer *w, int64_t value)
{
    put_number(w, (uint64_t)value, 8);
}

static void put_octets(struct writer *w, struct bytes octets, size_t max_bytes)
{
    if (octets.len > max_bytes || w->to->len + 2 + octets.len > sizeof w->to->octets) {
        w->has_failed = true;
        return;
    }
    put_number(w, octets.len, 2);
    if (octets.len > 0)
        memcpy(w->to->octets + w->to->len, octets.ptr, octets.len);
    w->to->len += octets.len;
}

static bool finish(struct writer *w, struct err *err)
{
    if (!w->has_failed)
        return true;
    gate_wipe(w->to);
    return err_fail(err, ERR_LIMIT, "gate message: a field is over its limit");
}

static struct writer begin(struct gate_datagram *out, enum gate_kind kind,
                           enum gate_outcome outcome)
{
    struct writer w = { .to = out };

    out->len = 0;
    put_number(&w, GATE_VERSION, 1);
    put_number(&w, kind, 1);
    put_number(&w, outcome, 1);
    put_number(&w, 0, 1);
    return w;
}

bool gate_write_request(const struct gate_request *request, struct gate_datagram *out,
                        struct err *err)
{
    struct writer w = begin(out, request->kind, GATE_DONE);

    switch (request->kind) {
    case GATE_LOG_IN:
        put_octets(&w, request->log_in.name, GATE_NAME_MAX_BYTES);
        put_octets(&w, request->log_in.password, GATE_PASSWORD_MAX_BYTES);
        put_octets(&w, request->log_in.remote, GATE_REMOTE_MAX_BYTES);
        put_number(&w, request->log_in.is_tls, 1);
        break;
    case GATE_LOG_OUT:
        put_octets(&w, request->log_out.token, GATE_TOKEN_BYTES);
        break;
    case GATE_OPEN_PACK:
        put_octets(&w, request->open_pack.token, GATE_TOKEN_BYTES);
        put_i64(&w, request->open_pack.account_id);
        put_i64(&w, request->open_pack.pack_id);
        put_number(&w, request->open_pack.is_text, 1);
        break;
    case GATE_SOURCE_SECRET:
        put_i64(&w, request->source_secret.job_id);
        put_i64(&w, request->source_secret.fence);
        put_octets(&w, request->source_secret.refused, GATE_HASH_BYTES);
        break;
    }
    return finish(&w, err);
}

bool gate_write_reply(const struct gate_reply *reply, struct gate_datagram *out, struct err *err)
{
    struct writer w = begin(out, reply->kind, reply->outcome);

    if (reply->outcome == GATE_THROTTLED)
        put_number(&w, reply->wait_seconds, 4);
    if (reply->outcome == GATE_GRANT_DENIED || reply->outcome == GATE_GRANT_RETRY)
        put_octets(&w, reply->text, GATE_TEXT_MAX_BYTES);
    if (reply->outcome != GATE_DONE)
        return finish(&w, err);

    switch (reply->kind) {
    case GATE_LOG_IN:
        put_octets(&w, reply->logged_in.token, GATE_TOKEN_BYTES);
        put_i64(&w, reply->logged_in.auditor_id);
        put_i64(&w, reply->logged_in.session_id);
        put_i64(&w, reply->logged_in.expires_at_usec);
        break;
    case GATE_SOURCE_SECRET:
        put_number(&w, reply->secret.kind, 1);
        put_i64(&w, reply->secret.account_id);
        put_octets(&w, reply->secret.octets, GATE_SECRET_MAX_BYTES);
        break;
    case GATE_LOG_OUT:
    case GATE_OPEN_PACK:
        break;
    }
    return finish(&w, err);
}

void gate_wipe(struct gate_datagram *datagram)
{
    secret_wipe(datagram, sizeof *datagram);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static bool take_number(struct bytes *in, size_t octets, uint64_t *out)
{
    struct bytes field;
    uint64_t value = 0;

    if (!scan_octets(in, octets, &field))
        return false;
    for (size_t i = 0; i < octets; i++)
        value = value << 8 | field.ptr[i];
    *out = value;
    return true;
}

/* An id or a fence of the database, or a time. */
static bool take_positive(struct bytes *in, int64_t *out)
{
    uint64_t value;

    if (!take_number(in, 8, &value) || value == 0 || value > INT64_MAX)
        return false;
    *out = (int64_t)value;
    return true;
}

static bool take_bool(struct bytes *in, bool *out)
{
    uint64_t value;

    if (!take_number(in, 1, &value) || value > 1)
        return false;
    *out = value == 1;
    return true;
}

static bool take_octets(struct bytes *in, size_t max_bytes, struct bytes *out, struct err *err)
{
    uint64_t len;

    if (!take_number(in, 2, &len))
        return err_fail(err, ERR_SYNTAX, "gate message: cut short");
    if (len > max_bytes)
        return err_fail(err, ERR_LIMIT, "gate message: a field of %ju octets, at most %zu",
                        (uintmax_t)len, max_bytes);
    if (!scan_octets(in, (size_t)len, out))
        return err_fail(err, ERR_SYNTAX, "gate message: cut short");
    return true;
}

static bool take_token(struct bytes *in, struct bytes *out, struct err *err)
{
    struct bytes token;

    if (!take_octets(in, GATE_TOKEN_BYTES, &token, err))
        return false;
    for (size_t i = 0; i < token.len; i++)
        if (!ascii_is_digit(token.ptr[i]) && !(token.ptr[i] >= 'a' && token.ptr[i] <= 'f'))
            return err_fail(err, ERR_SYNTAX, "gate message: not a token");
    if (token.len != GATE_TOKEN_BYTES)
        return err_fail(err, ERR_SYNTAX, "gate message: not a token");
    *out = token;
    return true;
}

static bool is_cut_short(struct err *err)
{
    return err_fail(err, ERR_SYNTAX, "gate message: cut short, or a number out of its range");
}

static bool take_kind(uint64_t number, enum gate_kind *out)
{
    switch ((enum gate_kind)number) {
    case GATE_LOG_IN:
    case GATE_LOG_OUT:
    case GATE_OPEN_PACK:
    case GATE_SOURCE_SECRET:
        *out = (enum gate_kind)number;
        return true;
    }
    return false;
}

static bool take_header(struct bytes *in, enum gate_kind *kind, uint64_t *outcome, struct err *err)
{
    uint64_t version, number, zero;

    if (in->len > GATE_DATAGRAM_BYTES)
        return err_fail(err, ERR_LIMIT, "gate message: over %d octets", GATE_DATAGRAM_BYTES);
    if (!take_number(in, 1, &version) || !take_number(in, 1, &number) ||
        !take_number(in, 1, outcome) || !take_number(in, 1, &zero))
        return err_fail(err, ERR_SYNTAX, "gate message: shorter than %d octets", HEADER_BYTES);
    if (version != GATE_VERSION)
        return err_fail(err, ERR_SYNTAX, "gate message: version %u, we speak %d", (unsigned)version,
                        GATE_VERSION);
    if (zero != 0 || !take_kind(number, kind))
        return err_fail(err, ERR_SYNTAX, "gate message: kind %u is not known", (unsigned)number);
    return true;
}

static bool take_source_secret(struct bytes *in, struct gate_source_secret *out, struct err *err)
{
    if (!take_positive(in, &out->job_id) || !take_positive(in, &out->fence))
        return is_cut_short(err);
    if (!take_octets(in, GATE_HASH_BYTES, &out->refused, err))
        return false;
    return out->refused.len == 0 || out->refused.len == GATE_HASH_BYTES ||
           err_fail(err, ERR_SYNTAX, "gate message: not a hash");
}

static bool read_request_fields(struct bytes *in, struct gate_request *request, struct err *err)
{
    switch (request->kind) {
    case GATE_LOG_IN:
        return take_octets(in, GATE_NAME_MAX_BYTES, &request->log_in.name, err) &&
               take_octets(in, GATE_PASSWORD_MAX_BYTES, &request->log_in.password, err) &&
               take_octets(in, GATE_REMOTE_MAX_BYTES, &request->log_in.remote, err) &&
               (take_bool(in, &request->log_in.is_tls) || is_cut_short(err));
    case GATE_LOG_OUT:
        return take_token(in, &request->log_out.token, err);
    case GATE_OPEN_PACK:
        return take_token(in, &request->open_pack.token, err) &&
               ((take_positive(in, &request->open_pack.account_id) &&
                 take_positive(in, &request->open_pack.pack_id) &&
                 take_bool(in, &request->open_pack.is_text)) ||
                is_cut_short(err));
    case GATE_SOURCE_SECRET:
        return take_source_secret(in, &request->source_secret, err);
    }
    UNREACHABLE();
}

bool gate_read_request(struct bytes octets, struct gate_request *out, struct err *err)
{
    struct gate_request request = { 0 };
    struct bytes in = octets;
    uint64_t outcome;

    if (!take_header(&in, &request.kind, &outcome, err))
        return false;
    if (outcome != 0)
        return err_fail(err, ERR_SYNTAX, "gate message: a request has no outcome");
    if (!read_request_fields(&in, &request, err))
        return false;
    if (in.len != 0)
        return err_fail(err, ERR_SYNTAX, "gate message: %zu octets too many", in.len);
    *out = request;
    return true;
}

static bool take_secret(struct bytes *in, struct gate_secret *out, struct err *err)
{
    uint64_t kind;

    if (!take_number(in, 1, &kind) || kind < GATE_SECRET_PASSWORD ||
        kind > GATE_SECRET_CERTIFICATE || !take_positive(in, &out->account_id))
        return is_cut_short(err);
    out->kind = (enum gate_secret_kind)kind;
    return take_octets(in, GATE_SECRET_MAX_BYTES, &out->octets, err);
}

static bool read_reply_fields(struct bytes *in, struct gate_reply *reply, struct err *err)
{
    switch (reply->kind) {
    case GATE_LOG_IN:
        return take_token(in, &reply->logged_in.token, err) &&
               ((take_positive(in, &reply->logged_in.auditor_id) &&
                 take_positive(in, &reply->logged_in.session_id) &&
                 take_positive(in, &reply->logged_in.expires_at_usec)) ||
                is_cut_short(err));
    case GATE_SOURCE_SECRET:
        return take_secret(in, &reply->secret, err);
    case GATE_LOG_OUT:
    case GATE_OPEN_PACK:
        return true;
    }
    UNREACHABLE();
}

static bool read_outcome_fields(struct bytes *in, uint64_t outcome, struct gate_reply *reply,
                                struct err *err)
{
    uint64_t wait_seconds;

    reply->outcome = (enum gate_outcome)outcome;
    switch (reply->outcome) {
    case GATE_DONE:
        return read_reply_fields(in, reply, err);
    case GATE_THROTTLED:
        if (!take_number(in, 4, &wait_seconds))
            return is_cut_short(err);
        reply->wait_seconds = (uint32_t)wait_seconds;
        return true;
    case GATE_GRANT_DENIED:
    case GATE_GRANT_RETRY:
        return take_octets(in, GATE_TEXT_MAX_BYTES, &reply->text, err);
    case GATE_DENIED:
    case GATE_ABSENT:
    case GATE_RETRY:
    case GATE_CORRUPT:
    case GATE_REFUSED:
        return true;
    }
    return err_fail(err, ERR_SYNTAX, "gate message: outcome %u is not known", (unsigned)outcome);
}

bool gate_read_reply(struct bytes octets, struct gate_reply *out, struct err *err)
{
    struct gate_reply reply = { 0 };
    struct bytes in = octets;
    uint64_t outcome;

    if (!take_header(&in, &reply.kind, &outcome, err) ||
        !read_outcome_fields(&in, outcome, &reply, err))
        return false;
    if (in.len != 0)
        return err_fail(err, ERR_SYNTAX, "gate message: %zu octets too many", in.len);
    *out = reply;
    return true;
}
