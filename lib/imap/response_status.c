/* SPDX-License-Identifier: Apache-2.0 */
/* OK, NO, BAD, BYE, PREAUTH and their codes. RFC 9051 §7.1, RFC 5530. */
#include "imap/internal.h"

/* What stands behind the name of a code. */
enum code_argument {
    NOTHING,
    NUMBER,
    WORDS,
    FLAGS,
    ID
};

static const struct {
    struct bytes name;
    enum imap_code code;
    enum code_argument argument;
} codes[] = {
    { BYTES_INIT("ALERT"), IMAP_CODE_ALERT, NOTHING },
    { BYTES_INIT("ALREADYEXISTS"), IMAP_CODE_ALREADYEXISTS, NOTHING },
    { BYTES_INIT("AUTHENTICATIONFAILED"), IMAP_CODE_AUTHENTICATIONFAILED, NOTHING },
    { BYTES_INIT("AUTHORIZATIONFAILED"), IMAP_CODE_AUTHORIZATIONFAILED, NOTHING },
    { BYTES_INIT("CAPABILITY"), IMAP_CODE_CAPABILITY, WORDS },
    { BYTES_INIT("CLOSED"), IMAP_CODE_CLOSED, NOTHING },
    { BYTES_INIT("CONTACTADMIN"), IMAP_CODE_CONTACTADMIN, NOTHING },
    { BYTES_INIT("EXPIRED"), IMAP_CODE_EXPIRED, NOTHING },
    { BYTES_INIT("EXPUNGEISSUED"), IMAP_CODE_EXPUNGEISSUED, NOTHING },
    { BYTES_INIT("HIGHESTMODSEQ"), IMAP_CODE_HIGHESTMODSEQ, NUMBER },
    { BYTES_INIT("INUSE"), IMAP_CODE_INUSE, NOTHING },
    { BYTES_INIT("LIMIT"), IMAP_CODE_LIMIT, NOTHING },
    { BYTES_INIT("MAILBOXID"), IMAP_CODE_MAILBOXID, ID },
    { BYTES_INIT("NOMODSEQ"), IMAP_CODE_NOMODSEQ, NOTHING },
    { BYTES_INIT("NONEXISTENT"), IMAP_CODE_NONEXISTENT, NOTHING },
    { BYTES_INIT("NOPERM"), IMAP_CODE_NOPERM, NOTHING },
    { BYTES_INIT("OVERQUOTA"), IMAP_CODE_OVERQUOTA, NOTHING },
    { BYTES_INIT("PERMANENTFLAGS"), IMAP_CODE_PERMANENTFLAGS, FLAGS },
    { BYTES_INIT("PRIVACYREQUIRED"), IMAP_CODE_PRIVACYREQUIRED, NOTHING },
    { BYTES_INIT("READ-ONLY"), IMAP_CODE_READ_ONLY, NOTHING },
    { BYTES_INIT("READ-WRITE"), IMAP_CODE_READ_WRITE, NOTHING },
    { BYTES_INIT("SERVERBUG"), IMAP_CODE_SERVERBUG, NOTHING },
    { BYTES_INIT("THROTTLED"), IMAP_CODE_THROTTLED, NOTHING },
    { BYTES_INIT("TRYCREATE"), IMAP_CODE_TRYCREATE, NOTHING },
    { BYTES_INIT("UIDNEXT"), IMAP_CODE_UIDNEXT, NUMBER },
    { BYTES_INIT("UIDNOTSTICKY"), IMAP_CODE_UIDNOTSTICKY, NOTHING },
    { BYTES_INIT("UIDVALIDITY"), IMAP_CODE_UIDVALIDITY, NUMBER },
    { BYTES_INIT("UNAVAILABLE"), IMAP_CODE_UNAVAILABLE, NOTHING },
    { BYTES_INIT("UNSEEN"), IMAP_CODE_UNSEEN, NUMBER },
};

static const struct {
    struct bytes name;
    enum imap_condition condition;
} conditions[] = {
    { BYTES_INIT("OK"), IMAP_OK },           { BYTES_INIT("NO"), IMAP_NO },
    { BYTES_INIT("BAD"), IMAP_BAD },         { BYTES_INIT("BYE"), IMAP_BYE },
    { BYTES_INIT("PREAUTH"), IMAP_PREAUTH },
};

bool imap_word_to_condition(struct bytes word, enum imap_condition *out)
{
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        if (bytes_equal_nocase(word, conditions[i].name)) {
            *out = conditions[i].condition;
            return true;
        }
    }
    return false;
}

/* Takes "[…]": up to the first "]" outside quotes and parentheses, for keywords may hold one. */
static bool take_brackets(struct bytes *in, struct bytes *out)
{
    size_t depth = 0;
    bool is_quoted = false;

    if (in->len == 0 || in->ptr[0] != '[')
        return false;
    for (size_t i = 1; i < in->len; i++) {
        uint8_t c = in->ptr[i];

        if (is_quoted && c == '\\')
            i++;
        else if (c == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && c == '(')
            depth++;
        else if (!is_quoted && c == ')' && depth > 0)
            depth--;
        else if (!is_quoted && c == ']' && depth == 0) {
            *out = bytes_of(in->ptr + 1, i - 1);
            *in = bytes_of(in->ptr + i + 1, in->len - i - 1);
            return true;
        }
    }
    return false;
}

static bool take_id(struct response_reader *r, struct bytes *out)
{
    if (!scan_byte(&r->in, '('))
        return false;
    *out = imap_take_word(r);
    return out->len > 0 && scan_byte(&r->in, ')');
}

static bool take_argument(struct response_reader *r, enum code_argument argument,
                          struct imap_status_response *out)
{
    switch (argument) {
    case NOTHING:
        return true;
    case NUMBER:
        return scan_u64(&r->in, &out->number);
    case WORDS:
        return imap_take_words(r, &out->words);
    case FLAGS:
        return imap_read_flags(&r->in, r->arena, &out->flags, r->err);
    case ID:
        return take_id(r, &out->code_text);
    }
    UNREACHABLE();
}

/* A code whose argument is not as it should be is IMAP_CODE_OTHER. */
static void read_code(struct response_reader *outer, struct bytes inside,
                      struct imap_status_response *out)
{
    struct err ignored;
    struct response_reader r = { inside, outer->received, outer->arena, &ignored, false };

    out->code = IMAP_CODE_OTHER;
    out->code_name = imap_take_word(&r);
    imap_skip_spaces(&r);
    out->code_text = r.in;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (bytes_equal_nocase(out->code_name, codes[i].name)) {
            if (take_argument(&r, codes[i].argument, out))
                out->code = codes[i].code;
            break;
        }
    }
}

bool imap_parse_status(struct response_reader *r, struct bytes word, struct imap_response *out)
{
    struct imap_status_response status = { 0 };
    struct bytes inside;

    if (!imap_word_to_condition(word, &status.condition))
        return imap_fail_response(r, "OK, NO or BAD");
    imap_skip_spaces(r);
    if (take_brackets(&r->in, &inside)) {
        read_code(r, inside, &status);
        imap_skip_spaces(r);
    }
    status.text = r->in;
    out->kind = IMAP_RESPONSE_STATUS;
    out->status = status;
    return true;
}
