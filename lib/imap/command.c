/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/command.h"

#include "base/limits.h"
#include "base/secret.h"
#include "imap/command_framer.h"
#include "imap/internal.h"
#include "imap/token.h"

static bool is_name_char(uint8_t c)
{
    return imap_is_astring_char(c);
}

static bool read_nothing(struct bytes *in, struct arena *arena, struct imap_command *out,
                         struct err *err)
{
    (void)arena;
    (void)out;
    return in->len == 0 || err_fail(err, ERR_SYNTAX, "no arguments expected");
}

static bool read_login(struct bytes *in, struct arena *arena, struct imap_command *out,
                       struct err *err)
{
    struct imap_login_args args;

    if (!imap_read_astring(in, arena, &args.username, err) || !imap_read_space(in, err) ||
        !imap_read_astring(in, arena, &args.password, err))
        return false;
    out->login = args;
    return true;
}

static bool is_base64_char(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '+' || c == '/' || c == '=';
}

static bool read_authenticate(struct bytes *in, struct arena *arena, struct imap_command *out,
                              struct err *err)
{
    struct imap_authenticate_args args = { 0 };

    (void)arena;
    if (!imap_read_atom(in, &args.mechanism, err))
        return false;
    args.has_initial = imap_has_next(in);
    if (args.has_initial) {
        args.initial = imap_scan_while(in, is_base64_char);
        if (args.initial.len == 0)
            return err_fail(err, ERR_SYNTAX, "base64 expected");
        if (bytes_equal(args.initial, BYTES("=")))
            args.initial.len = 0;
    }
    out->authenticate = args;
    return true;
}

static bool read_id(struct bytes *in, struct arena *arena, struct imap_command *out,
                    struct err *err)
{
    struct imap_id_args args = { 0 };
    struct imap_id_field *fields = NULL;
    size_t room = 0;

    if (scan_text_nocase(in, BYTES("NIL"))) {
        out->id = args;
        return true;
    }
    if (!imap_open_list(in))
        return err_fail(err, ERR_SYNTAX, "NIL or list expected");
    for (; !scan_byte(in, ')'); (void)imap_scan_spaces(in)) {
        struct imap_id_field field;

        if (!imap_read_string(in, arena, &field.name, err) || !imap_read_space(in, err) ||
            !imap_read_nstring(in, arena, &field.value, &field.is_nil, err) ||
            !imap_grow_items(arena, &fields, sizeof *fields, args.count, &room, IMAP_ID_FIELDS_MAX,
                             err))
            return false;
        fields[args.count++] = field;
    }
    args.fields = fields;
    out->id = args;
    return true;
}

static bool read_enable(struct bytes *in, struct arena *arena, struct imap_command *out,
                        struct err *err)
{
    struct imap_enable_args args = { 0 };
    struct bytes *words = NULL;
    size_t room = 0;

    do {
        if (!imap_grow_items(arena, &words, sizeof *words, args.count, &room, IMAP_ENABLE_MAX,
                             err) ||
            !imap_read_atom(in, &words[args.count], err))
            return false;
        args.count++;
    } while (imap_has_next(in));
    args.capabilities = words;
    out->enable = args;
    return true;
}

static bool read_mailbox(struct bytes *in, struct arena *arena, struct imap_command *out,
                         struct err *err)
{
    struct imap_mailbox_args args = { 0 };

    if (!imap_read_astring(in, arena, &args.mailbox, err))
        return false;
    if (args.mailbox.len > LIMIT_MAILBOX_NAME_BYTES)
        return err_fail(err, ERR_LIMIT, "mailbox name of %zu bytes", args.mailbox.len);
    out->mailbox = args;
    return true;
}

static bool read_select(struct bytes *in, struct arena *arena, struct imap_command *out,
                        struct err *err)
{
    if (!read_mailbox(in, arena, out, err))
        return false;
    return !imap_has_next(in) ||
           imap_read_params(in, arena, &out->mailbox.params, &out->mailbox.param_count, err);
}

static bool read_status(struct bytes *in, struct arena *arena, struct imap_command *out,
                        struct err *err)
{
    return read_mailbox(in, arena, out, err) && imap_read_space(in, err) &&
           imap_read_status_items(in, &out->mailbox.status_items, err);
}

static bool read_listrights(struct bytes *in, struct arena *arena, struct imap_command *out,
                            struct err *err)
{
    return read_mailbox(in, arena, out, err) && imap_read_space(in, err) &&
           imap_read_astring(in, arena, &out->mailbox.identifier, err);
}

/* Takes "(" … ")", strings skipped as wholes. */
static bool read_parenthesised(struct bytes *in, struct arena *arena, struct bytes *out,
                               struct err *err)
{
    struct bytes rest = *in;
    size_t depth = 0;
    struct bytes ignored;

    do {
        if (rest.len == 0)
            return err_fail(err, ERR_SYNTAX, "list not closed");
        if (rest.ptr[0] == '"' || rest.ptr[0] == '{') {
            if (!imap_read_string(&rest, arena, &ignored, err))
                return false;
            continue;
        }
        if (rest.ptr[0] == '(' && ++depth > LIMIT_COMMAND_NESTING)
            return err_fail(err, ERR_LIMIT, "lists nested too deep");
        if (rest.ptr[0] == ')')
            depth--;
        rest = bytes_of(rest.ptr + 1, rest.len - 1);
    } while (depth > 0);
    *out = bytes_of(in->ptr, in->len - rest.len);
    *in = rest;
    return true;
}

static bool is_value_char(uint8_t c)
{
    return imap_is_astring_char(c) || c == '*';
}

/* The value of a parameter begins with a digit or "("; a word is the next parameter. */
static bool read_param(struct bytes *in, struct arena *arena, struct imap_param *out,
                       struct err *err)
{
    uint8_t c;

    *out = (struct imap_param){ 0 };
    if (!imap_read_atom(in, &out->name, err))
        return false;
    c = in->len > 1 && in->ptr[0] == ' ' ? in->ptr[1] : 0;
    if (!ascii_is_digit(c) && c != '(')
        return true;
    *in = bytes_of(in->ptr + 1, in->len - 1);
    if (c == '(')
        return read_parenthesised(in, arena, &out->value, err);
    out->value = imap_scan_while(in, is_value_char);
    return true;
}

bool imap_read_params(struct bytes *in, struct arena *arena, const struct imap_param **out,
                      size_t *count, struct err *err)
{
    struct imap_param *params = NULL;
    size_t used = 0;
    size_t room = 0;

    if (!imap_open_list(in))
        return err_fail(err, ERR_SYNTAX, "parameters expected");
    do {
        if (!imap_grow_items(arena, &params, sizeof *params, used, &room, IMAP_PARAMS_MAX, err) ||
            !read_param(in, arena, &params[used], err))
            return false;
        used++;
    } while (imap_has_next(in));
    if (!scan_byte(in, ')'))
        return err_fail(err, ERR_SYNTAX, "parameters not closed");
    *out = params;
    *count = used;
    return true;
}

// clang-format off
static const struct command_row {
    struct bytes name;
    enum imap_command_kind kind;
    bool may_be_uid; /* behind UID too */
    bool has_arguments;
    bool (*read)(struct bytes *in, struct arena *arena, struct imap_command *out, struct err *err);
} rows[] = {
    { BYTES_INIT("AUTHENTICATE"), IMAP_COMMAND_AUTHENTICATE, false, true,  read_authenticate },
    { BYTES_INIT("CAPABILITY"),   IMAP_COMMAND_CAPABILITY,   false, false, read_nothing },
    { BYTES_INIT("CHECK"),        IMAP_COMMAND_CHECK,        false, false, read_nothing },
    { BYTES_INIT("CLOSE"),        IMAP_COMMAND_CLOSE,        false, false, read_nothing },
    { BYTES_INIT("ENABLE"),       IMAP_COMMAND_ENABLE,       false, true,  read_enable },
    { BYTES_INIT("EXAMINE"),      IMAP_COMMAND_EXAMINE,      false, true,  read_select },
    { BYTES_INIT("FETCH"),        IMAP_COMMAND_FETCH,        true,  true,  imap_read_fetch_args },
    { BYTES_INIT("GETACL"),       IMAP_COMMAND_GETACL,       false, true,  read_mailbox },
    { BYTES_INIT("ID"),           IMAP_COMMAND_ID,           false, true,  read_id },
    { BYTES_INIT("IDLE"),         IMAP_COMMAND_IDLE,         false, false, read_nothing },
    { BYTES_INIT("LIST"),         IMAP_COMMAND_LIST,         false, true,  imap_read_list_args },
    { BYTES_INIT("LISTRIGHTS"),   IMAP_COMMAND_LISTRIGHTS,   false, true,  read_listrights },
    { BYTES_INIT("LOGIN"),        IMAP_COMMAND_LOGIN,        false, true,  read_login },
    { BYTES_INIT("LOGOUT"),       IMAP_COMMAND_LOGOUT,       false, false, read_nothing },
    { BYTES_INIT("LSUB"),         IMAP_COMMAND_LSUB,         false, true,  imap_read_lsub_args },
    { BYTES_INIT("MYRIGHTS"),     IMAP_COMMAND_MYRIGHTS,     false, true,  read_mailbox },
    { BYTES_INIT("NAMESPACE"),    IMAP_COMMAND_NAMESPACE,    false, false, read_nothing },
    { BYTES_INIT("NOOP"),         IMAP_COMMAND_NOOP,         false, false, read_nothing },
    { BYTES_INIT("SEARCH"),       IMAP_COMMAND_SEARCH,       true,  true,  imap_read_search_args },
    { BYTES_INIT("SELECT"),       IMAP_COMMAND_SELECT,       false, true,  read_select },
    { BYTES_INIT("STARTTLS"),     IMAP_COMMAND_STARTTLS,     false, false, read_nothing },
    { BYTES_INIT("STATUS"),       IMAP_COMMAND_STATUS,       false, true,  read_status },
    { BYTES_INIT("SUBSCRIBE"),    IMAP_COMMAND_SUBSCRIBE,    false, true,  read_mailbox },
    { BYTES_INIT("UNSELECT"),     IMAP_COMMAND_UNSELECT,     false, false, read_nothing },
    { BYTES_INIT("UNSUBSCRIBE"),  IMAP_COMMAND_UNSUBSCRIBE,  false, true,  read_mailbox },
};
// clang-format on

static const struct command_row *find_row(const struct imap_command *command)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (bytes_equal(command->name, rows[i].name) && (!command->is_uid || rows[i].may_be_uid))
            return &rows[i];
    return NULL;
}

static bool read_name(struct bytes *in, struct arena *arena, struct imap_command *out,
                      struct err *err)
{
    struct bytes name = imap_scan_while(in, is_name_char);
    uint8_t *upper;

    if (bytes_equal_nocase(name, BYTES("UID")) && scan_byte(in, ' ')) {
        out->is_uid = true;
        name = imap_scan_while(in, is_name_char);
    }
    if (name.len == 0 || name.len > IMAP_COMMAND_NAME_BYTES)
        return err_fail(err, ERR_SYNTAX, "command name expected");
    if (in->len > 0 && in->ptr[0] != ' ')
        return err_fail(err, ERR_SYNTAX, "space expected after the command name");
    upper = arena_alloc(arena, IMAP_COMMAND_NAME_BYTES);
    for (size_t i = 0; i < name.len; i++)
        upper[i] = ascii_upper(name.ptr[i]);
    out->name = bytes_of(upper, name.len);
    return true;
}

static bool read_arguments(struct bytes *in, const struct command_row *row, struct arena *arena,
                           struct imap_command *out, struct err *err)
{
    if (row->has_arguments && !imap_scan_spaces(in))
        return err_fail(err, ERR_SYNTAX, "arguments expected");
    (void)imap_scan_spaces(in); /* some clients leave a blank at the end */
    if (!row->read(in, arena, out, err))
        return false;
    (void)imap_scan_spaces(in);
    return in->len == 0 || err_fail(err, ERR_SYNTAX, "more than the command's arguments");
}

bool imap_parse_command(struct bytes text, struct arena *arena, struct imap_command *out,
                        struct err *err)
{
    struct imap_command command = { 0 };
    const struct command_row *row;

    *out = command;
    if (!imap_read_tag(&text, &command.tag, err))
        return false;
    if (text.len > 0 && text.ptr[0] != ' ')
        return err_fail(err, ERR_SYNTAX, "space expected after the tag");
    *out = command;
    /* One SP and no more in the head: as the framer reads it, which decides on literals. */
    if (!scan_byte(&text, ' '))
        return err_fail(err, ERR_SYNTAX, "command name expected");
    if (!read_name(&text, arena, &command, err))
        return false;
    row = find_row(&command);
    command.kind = row == NULL ? IMAP_COMMAND_OTHER : row->kind;
    *out = command;
    if (row == NULL)
        return true;
    if (!read_arguments(&text, row, arena, &command, err))
        return false;
    *out = command;
    return true;
}

void imap_wipe_login(struct imap_login_args *login)
{
    /* The framer's buffer and the arena are ours to write; only the view on them is const. */
    secret_wipe((void *)(uintptr_t)login->password.ptr, login->password.len);
    login->password = (struct bytes){ NULL, 0 };
}

bool imap_is_done(struct bytes line)
{
    return bytes_equal_nocase(line, BYTES("DONE"));
}
