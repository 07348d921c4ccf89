/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/name.c - the names under which mailboxes are served.
 *
 *     INBOX                          empty, always there
 *     Accounts/<account>/<path>      the account's name as one component
 */
#include "imap/mailbox.h"
#include "serve/internal.h"

static const char hex_digits[] = "0123456789ABCDEF";

void serve_write_account(struct buf *buf, struct bytes account)
{
    for (size_t i = 0; i < account.len; i++) {
        uint8_t c = account.ptr[i];

        if (c == '/' || c == '%' || c == '*' || c == '\\' || c < ' ' || c == 0x7f) {
            buf_byte(buf, '%');
            buf_byte(buf, (uint8_t)hex_digits[c >> 4]);
            buf_byte(buf, (uint8_t)hex_digits[c & 15]);
        } else {
            buf_byte(buf, c);
        }
    }
}

static int hex_value(uint8_t c)
{
    for (int i = 0; i < 16; i++)
        if ((uint8_t)hex_digits[i] == c)
            return i;
    return -1;
}

/* Only what serve_write_account writes, so that a mailbox has one name. */
static bool read_account(struct bytes component, struct arena *arena, struct bytes *out)
{
    CLEANUP(buf_free) struct buf again = buf_create(3 * LIMIT_MAILBOX_NAME_BYTES);
    uint8_t *name;
    size_t len = 0;

    if (component.len > LIMIT_MAILBOX_NAME_BYTES)
        return false;
    name = arena_alloc(arena, component.len + 1);
    for (size_t i = 0; i < component.len; i++) {
        uint8_t c = component.ptr[i];

        if (c == '%') {
            int high = component.len - i > 2 ? hex_value(component.ptr[i + 1]) : -1;
            int low = component.len - i > 2 ? hex_value(component.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (c == 0) /* no name that can be stored has one */
            return false;
        name[len++] = c;
    }
    *out = bytes_of(name, len);
    serve_write_account(&again, *out);
    return bytes_equal(buf_bytes(&again), component);
}

static void split(struct bytes full, struct arena *arena, struct serve_name *out)
{
    struct bytes rest = full;
    struct bytes component;

    *out = (struct serve_name){ .kind = SERVE_NAME_OTHER, .full = full };
    if (bytes_equal(full, BYTES("INBOX"))) {
        out->kind = SERVE_NAME_INBOX;
        return;
    }
    if (bytes_equal(full, BYTES(SERVE_ROOT))) {
        out->kind = SERVE_NAME_ROOT;
        return;
    }
    if (!scan_text(&rest, BYTES(SERVE_ROOT "/")))
        return;
    component = rest;
    if (scan_until_byte(&rest, '/', &component)) {
        rest = bytes_slice(rest, 1, SIZE_MAX);
        out->path = rest;
    }
    if (!read_account(component, arena, &out->account) || out->account.len == 0)
        return;
    out->kind =
        component.len + sizeof SERVE_ROOT == full.len ? SERVE_NAME_ACCOUNT : SERVE_NAME_MAILBOX;
}

bool serve_read_name(struct serve_session *session, struct bytes encoded, struct serve_name *out,
                     struct err *err)
{
    CLEANUP(buf_free) struct buf path = buf_create(2 * LIMIT_MAILBOX_NAME_BYTES);
    struct bytes full;

    if (encoded.len > LIMIT_MAILBOX_NAME_BYTES)
        return err_fail(err, ERR_ABSENT, "mailbox name of %zu bytes", encoded.len);
    if (!imap_decode_mailbox(encoded, &path, err) ||
        !arena_try_copy(session->command, buf_bytes(&path), SIZE_MAX, &full, err))
        return false;
    split(full, session->command, out);
    return true;
}

bool serve_find_mailbox(struct serve_session *session, struct bytes encoded,
                        struct serve_name *name, struct vault_mailbox_row *out, struct err *err)
{
    if (!serve_read_name(session, encoded, name, err))
        return false;
    switch (name->kind) {
    case SERVE_NAME_INBOX:
        *out = (struct vault_mailbox_row){ .uidvalidity = 1, .uidnext = 1, .highestmodseq = 1 };
        return true;
    case SERVE_NAME_MAILBOX:
        if (!vault_find_mailbox(session->reader, name->account, name->path, session->command, out,
                                err))
            return false;
        return !out->is_noselect || err_fail(err, ERR_ABSENT, "no such mailbox");
    case SERVE_NAME_ROOT:
    case SERVE_NAME_ACCOUNT:
    case SERVE_NAME_OTHER:
        return err_fail(err, ERR_ABSENT, "no such mailbox");
    }
    UNREACHABLE();
}
