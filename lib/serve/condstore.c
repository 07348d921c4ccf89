/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/condstore.c - MODSEQ as clients see it: enabling it, CHANGEDSINCE, SELECT (CONDSTORE).
 *
 * Of RFC 7162 what a reader needs; STORE (UNCHANGEDSINCE) is refused like every STORE. A mailbox's
 * MODSEQs are the vault's (63 bits, one for each transaction); every mailbox has them.
 */
#include "serve/internal.h"

struct serve_reply serve_do_enable(struct serve_session *session,
                                   const struct imap_command *command)
{
    bool asks_condstore = false;

    for (size_t i = 0; i < command->enable.count; i++)
        asks_condstore = asks_condstore ||
                         bytes_equal_nocase(command->enable.capabilities[i], BYTES("CONDSTORE"));
    session->has_condstore = session->has_condstore || asks_condstore;
    /* mutt asks for UTF8=ACCEPT unseen: that is OK with an empty answer. */
    buf_text(&session->out, asks_condstore ? "* ENABLED CONDSTORE\r\n" : "* ENABLED\r\n");
    return serve_ok("Done");
}

bool serve_read_select_params(struct serve_session *session, const struct imap_mailbox_args *args,
                              struct err *err)
{
    for (size_t i = 0; i < args->param_count; i++) {
        if (!bytes_equal_nocase(args->params[i].name, BYTES("CONDSTORE")) ||
            args->params[i].value.len > 0)
            return err_fail(err, ERR_SYNTAX, "No such parameter of SELECT is offered");
        session->has_condstore = true;
    }
    return true;
}

/* mod-sequence-value: 63 bits (RFC 7162 §7). 0 is what is greater than nothing. */
static bool read_modseq(struct bytes value, uint64_t *out, struct err *err)
{
    if (!scan_u64(&value, out) || value.len > 0 || *out > INT64_MAX)
        return err_fail(err, ERR_SYNTAX, "MODSEQ expected");
    return true;
}

bool serve_read_fetch_params(struct serve_session *session, const struct imap_fetch_args *args,
                             struct serve_fetch *out, struct err *err)
{
    for (size_t i = 0; i < args->param_count; i++) {
        if (out->has_changed_since ||
            !bytes_equal_nocase(args->params[i].name, BYTES("CHANGEDSINCE")))
            return err_fail(err, ERR_SYNTAX, "No such modifier of FETCH is offered");
        if (!read_modseq(args->params[i].value, &out->changed_since, err))
            return false;
        out->has_changed_since = true;
        session->has_condstore = true;
    }
    for (size_t i = 0; i < args->item_count; i++)
        session->has_condstore = session->has_condstore || args->items[i].kind == IMAP_FETCH_MODSEQ;
    return true;
}
