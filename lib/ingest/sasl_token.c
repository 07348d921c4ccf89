/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/sasl_token.h"

#include "crypto/base64.h"

#define SEPARATOR "\001" /* both mechanisms' */

/* RFC 5801 §4: "," and "=" of the name in a GS2 header. */
static void add_saslname(struct buf *out, struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == ',')
            buf_text(out, "=2C");
        else if (name.ptr[i] == '=')
            buf_text(out, "=3D");
        else
            buf_byte(out, name.ptr[i]);
    }
}

static void add_token(struct buf *message, const struct ingest_subject *subject)
{
    buf_text(message, "auth=Bearer ");
    buf_append(message, secret_bytes(subject->identity->secret));
    buf_text(message, SEPARATOR SEPARATOR);
}

static void finish(struct buf *message, struct buf *out)
{
    if (message->has_failed)
        out->has_failed = true; /* told by buf_done */
    crypto_write_base64(out, buf_bytes(message));
    secret_wipe(message->ptr, message->cap);
    buf_free(message);
}

static struct buf begin(void)
{
    struct buf message = buf_create(INGEST_TOKEN_MESSAGE_BYTES);

    (void)buf_reserve(&message, INGEST_TOKEN_MESSAGE_BYTES);
    return message;
}

void ingest_write_xoauth2(struct buf *out, const struct ingest_subject *subject)
{
    struct buf message = begin();

    buf_text(&message, "user=");
    buf_append(&message, subject->login);
    buf_text(&message, SEPARATOR);
    add_token(&message, subject);
    finish(&message, out);
}

void ingest_write_oauthbearer(struct buf *out, const struct ingest_subject *subject)
{
    struct buf message = begin();

    buf_text(&message, "n,a=");
    add_saslname(&message, subject->login);
    buf_text(&message, "," SEPARATOR "host=");
    buf_append(&message, subject->host);
    buf_text(&message, SEPARATOR "port=");
    buf_u64(&message, subject->port);
    buf_text(&message, SEPARATOR);
    add_token(&message, subject);
    finish(&message, out);
}

void ingest_read_token_refusal(struct bytes challenge, char out[INGEST_REFUSAL_BYTES])
{
    CLEANUP(buf_free) struct buf text = buf_create(INGEST_CHALLENGE_MAX);
    struct err ignored = { 0 };
    size_t len = 0;

    if (crypto_read_base64(challenge, &text, &ignored))
        for (size_t i = 0; i < text.len && len < INGEST_REFUSAL_BYTES - 1; i++)
            out[len++] = (char)(text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? text.ptr[i] : '?');
    out[len] = '\0';
}
