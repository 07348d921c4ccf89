/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/event.h"

#include "audit/internal.h"

#include <jansson.h>

/* To add one: the enum in event.h and its row here. Names stay for good. */
// clang-format off
static const struct bytes names[AUDIT_KIND_COUNT] = {
    [AUDIT_LOGIN]            = BYTES_INIT("login"),
    [AUDIT_LOGIN_FAILED]     = BYTES_INIT("login_failed"),
    [AUDIT_LOGOUT]           = BYTES_INIT("logout"),
    [AUDIT_EXAMINE]          = BYTES_INIT("examine"),
    [AUDIT_LIST]             = BYTES_INIT("list"),
    [AUDIT_FETCH]            = BYTES_INIT("fetch"),
    [AUDIT_SEARCH]           = BYTES_INIT("search"),
    [AUDIT_REFUSED_WRITE]    = BYTES_INIT("refused_write"),
    [AUDIT_SHOW]             = BYTES_INIT("show"),
    [AUDIT_EXPORT]           = BYTES_INIT("export"),
    [AUDIT_SECRET_GIVEN]     = BYTES_INIT("secret_given"),
    [AUDIT_SECRET_REFUSED]   = BYTES_INIT("secret_refused"),
    [AUDIT_PACK_REFUSED]     = BYTES_INIT("pack_refused"),
    [AUDIT_GATE_REFUSED]     = BYTES_INIT("gate_refused"),
    [AUDIT_INIT]             = BYTES_INIT("init"),
    [AUDIT_ACCOUNT_ADD]      = BYTES_INIT("account_add"),
    [AUDIT_ACCOUNT_EDIT]     = BYTES_INIT("account_edit"),
    [AUDIT_ACCOUNT_PAUSE]    = BYTES_INIT("account_pause"),
    [AUDIT_ACCOUNT_RESUME]   = BYTES_INIT("account_resume"),
    [AUDIT_ACCOUNT_REMOVE]   = BYTES_INIT("account_remove"),
    [AUDIT_ACCOUNT_CONSENT]  = BYTES_INIT("account_consent"),
    [AUDIT_CREDENTIAL_ADD]   = BYTES_INIT("credential_add"),
    [AUDIT_CREDENTIAL_EDIT]  = BYTES_INIT("credential_edit"),
    [AUDIT_CREDENTIAL_REMOVE] = BYTES_INIT("credential_remove"),
    [AUDIT_TOKEN_FETCHED]    = BYTES_INIT("token_fetched"),
    [AUDIT_TOKEN_REFUSED]    = BYTES_INIT("token_refused"),
    [AUDIT_RECONCILE]        = BYTES_INIT("reconcile"),
    [AUDIT_RETRY]            = BYTES_INIT("retry"),
    [AUDIT_IMPORT]           = BYTES_INIT("import"),
    [AUDIT_AUDITOR_ADD]      = BYTES_INIT("auditor_add"),
    [AUDIT_AUDITOR_PASSWD]   = BYTES_INIT("auditor_passwd"),
    [AUDIT_GRANT]            = BYTES_INIT("grant"),
    [AUDIT_REVOKE]           = BYTES_INIT("revoke"),
    [AUDIT_OPERATOR_SESSION] = BYTES_INIT("operator_session"),
    [AUDIT_MATTER]           = BYTES_INIT("matter"),
    [AUDIT_HOLD]             = BYTES_INIT("hold"),
    [AUDIT_RETENTION]        = BYTES_INIT("retention"),
    [AUDIT_DISPOSE]          = BYTES_INIT("dispose"),
    [AUDIT_SEAL]             = BYTES_INIT("seal"),
    [AUDIT_VERIFY]           = BYTES_INIT("verify"),
    [AUDIT_REBUILD]          = BYTES_INIT("rebuild"),
};
// clang-format on

const char *audit_kind_name(enum audit_kind kind)
{
    assert((size_t)kind < ARRAY_LEN(names));
    return (const char *)names[kind].ptr;
}

bool audit_find_kind(struct bytes name, enum audit_kind *out)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_equal(names[i], name)) {
            *out = (enum audit_kind)i;
            return true;
        }
    return false;
}

bool audit_check_token(struct bytes token, struct err *err)
{
    bool is_good = token.len == 0 || token.len == AUDIT_TOKEN_BYTES;

    for (size_t i = 0; i < token.len && is_good; i++)
        is_good = ascii_is_digit(token.ptr[i]) || (token.ptr[i] >= 'a' && token.ptr[i] <= 'f');
    return is_good || err_fail(err, ERR_SYNTAX, "audit: not a token");
}

/* U+0080 … U+009F are controls too: C2 and 80 … 9F. */
static bool begins_c1(struct bytes text, size_t at)
{
    return at + 1 < text.len && text.ptr[at] == 0xc2 && text.ptr[at + 1] <= 0x9f;
}

static bool is_printable(struct bytes text, size_t at)
{
    return text.ptr[at] >= 0x20 && text.ptr[at] != 0x7f && !begins_c1(text, at) &&
           !(at > 0 && begins_c1(text, at - 1));
}

/* What a peer said may stand in the trail, but not so that it breaks a terminal or the JSON: text as it
 * is when it is UTF-8, else its ASCII. */
static json_t *printable(struct bytes text)
{
    char shown[AUDIT_TEXT_BYTES] = "";
    size_t len = text.len < sizeof shown ? text.len : sizeof shown;
    json_t *value;

    while (len < text.len && len > 0 && (text.ptr[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    for (size_t i = 0; i < len; i++)
        shown[i] = (char)(is_printable(text, i) ? text.ptr[i] : '?');
    value = json_stringn(shown, len);
    if (value != NULL)
        return value;
    for (size_t i = 0; i < len; i++)
        shown[i] = (char)(text.ptr[i] >= 0x20 && text.ptr[i] <= 0x7e ? text.ptr[i] : '?');
    return json_stringn(shown, len);
}

static json_t *field_value(const struct audit_field *field)
{
    switch (field->type) {
    case AUDIT_FIELD_I64:
        return json_integer(field->number);
    case AUDIT_FIELD_BOOL:
        return json_boolean(field->number != 0);
    case AUDIT_FIELD_TEXT:
        return printable(field->text);
    case AUDIT_FIELD_END:
        break;
    }
    UNREACHABLE();
}

static int append_json(const char *piece, size_t size, void *context)
{
    buf_append(context, bytes_of(piece, size));
    return 0;
}

bool audit_write_detail(const struct audit_field *fields, struct buf *out, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(AUDIT_DETAIL_BYTES);
    json_t *object = json_object();
    struct bytes octets;
    bool is_made = object != NULL;

    for (const struct audit_field *f = fields; f != NULL && f->type != AUDIT_FIELD_END; f++)
        is_made = is_made && json_object_set_new(object, f->name, field_value(f)) == 0;
    is_made = is_made && json_dump_callback(object, append_json, &text, JSON_COMPACT) == 0;
    json_decref(object);
    if (!is_made)
        return err_fail(err, ERR_SYSTEM, "audit: no memory for an event");
    if (!buf_done(&text, &octets, err))
        return err_wrap(err, "audit detail");
    buf_append(out, octets);
    return true;
}
