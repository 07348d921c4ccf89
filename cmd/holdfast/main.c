/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast - the operator's command line: finds the command, runs it, says how it ended.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "holdfast/cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define GRANT_OPTIONS                                                                                    \
    "  --oauth KIND           get tokens by client-credentials, service-account, refresh-token, or by\n" \
    "                         the consent of a human, now: device (a code to enter in a browser), or\n"  \
    "                         authorization-code (a browser that comes back)\n"                          \
    "  --oauth-config F       how: a JSON object with token_url, client_id, scope, ...; a value may\n"   \
    "                         stand in a file (client_secret_file) or come from a command\n"             \
    "                         (client_secret_command); \"provider\": \"microsoft\" (with \"tenant\")\n"  \
    "                         or \"google\" (with \"google_key_file\") fills in the usual ones\n"

#define ACCOUNT_OPTIONS                                                                                    \
    "  --password-file F      the password is the first line of F; \"-\": of standard input\n"             \
    "  --password-command C   the password is the first line that the shell command C prints;\n"           \
    "                         it is run once, now\n" GRANT_OPTIONS                                         \
    "  --credential NAME      log in with this credential (see holdfast credential add)\n"                 \
    "  --client-certificate F, --client-key F   log in by TLS (EXTERNAL) with these PEM files\n"           \
    "  --login-as NAME        the password is NAME's, who may log in for USER (a master user)\n"           \
    "  --tls-ca F             trust the certificates in F (PEM) instead of the system's\n"                 \
    "  --tls-pin sha256/B     besides, one key of the certificates must have this SHA-256 (of its\n"       \
    "                         SubjectPublicKeyInfo, in base64); may be repeated\n"                         \
    "  --tls-pin-only         trust that key of the server and nothing else: no CA, name or date\n"        \
    "  --include P            archive only mailboxes that match P; may be repeated. P is a path (\"*\"\n"  \
    "                         any, \"%\" within a level, INBOX in any case) or a use (\\Sent, \\Junk)\n"   \
    "  --exclude P            leave these out, even if included; may be repeated\n"                        \
    "  --namespace WHICH      archive \"shared\" mailboxes too, or those of \"others\"; may be "           \
    "repeated\n"                                                                                           \
    "  --every T              look for new mail every 30s, 5m, 2h, 1d (5m)\n"                              \
    "  --watch P              hold a connection to this mailbox, so that its mail comes at once; may be\n" \
    "                         repeated; --no-watch ends it\n"                                              \
    "  --daily-bytes N        fetch at most so many octets a day (UTC): 500M, 2G, none, default\n"         \
    "  --max-connections N    to the source at one time: a large mailbox is fetched by several; or default\n"

// clang-format off
static const struct cli_command commands[] = {
    { NULL, "init", "", "make or upgrade everything; safe to repeat", "", cmd_init },
    { "account", "add", "NAME --url URL (--password-file F | --password-command C | --oauth KIND --oauth-config F | "
      "--credential NAME | --client-certificate F --client-key F) [options]",
      "archive another mail account, and test it",
      "  --url URL              imaps://USER@HOST[:PORT]/, imap:// (STARTTLS), or imap+plain:// (loopback)\n"
      ACCOUNT_OPTIONS
      "  --no-test              do not log in now\n"
      "  --kind K               journal: a mailbox that gets journal reports; sender, recipients and Bcc of\n"
      "                         what they carry are searchable. import: no source and no --url, `holdfast\n"
      "                         import` fills it\n"
      "  --json                 what is said, as JSON\n"
      "First it logs in and shows every mailbox and whether it would be archived. If that fails, nothing is\n"
      "added.\n",
      cmd_account_add },
    { "account", "import", "FILE.csv [--dry-run] [--update] [--json]", "archive many mail accounts, as a list says",
      "  --dry-run              say what would be done\n"
      "  --update               change accounts that are there and differ from the list\n"
      "  --allow-plain          a column `password` may hold passwords, if the file is for you alone (0600)\n"
      "The first line names the columns: name, url, kind; password_file, password_command or credential;\n"
      "tls_ca, tls_pin, login_as, include, exclude (may stand more than once, or hold a pattern a line), namespace, every. What is empty\n"
      "is as without the option of `account add`. All accounts are added or, if a line is wrong, none; none is\n"
      "tested. The same list may be imported again.\n", cmd_account_import },
    { "account", "list", "[--all] [--json]", "all accounts",
      "  --all                  removed ones too\n", cmd_account_list },
    { "account", "show", "NAME [--json]", "one account, its limits and its mailboxes", "", cmd_account_show },
    { "account", "test", "NAME [--json]", "log in and show what would be archived", "", cmd_account_test },
    { "account", "edit", "NAME [options]", "change an account; what is not named stays",
      "  --name N               rename it\n"
      "  --url URL              where it is\n"
      ACCOUNT_OPTIONS
      "  --system-ca            trust the system's certificates again\n"
      "  --no-tls-pin, --no-login-as  forget pinned keys; the password is USER's own\n"
      "  --no-include, --no-exclude   forget the patterns\n"
      "  --no-namespace         the account's own mailboxes only\n", cmd_account_edit },
    { "account", "consent", "NAME", "ask a human anew for consent to read this mail (--oauth device, authorization-code)",
      "Shows an address to open, and waits until somebody has consented there.\n", cmd_account_consent },
    { "account", "pause", "NAME", "stop looking for mail until resumed", "", cmd_account_pause },
    { "account", "resume", "NAME", "go on after pause", "", cmd_account_resume },
    { "account", "remove", "NAME", "stop for good and forget the password; mail stays", "",
      cmd_account_remove },
    { "credential", "add", "NAME --oauth KIND --oauth-config F", "keep a grant for many accounts, as of a tenant",
      GRANT_OPTIONS "Accounts use it with `holdfast account add ... --credential NAME`.\n",
      cmd_credential_add },
    { "credential", "edit", "NAME --oauth KIND --oauth-config F", "replace it, for all accounts that use it",
      GRANT_OPTIONS, cmd_credential_edit },
    { "credential", "consent", "NAME", "ask a human anew for consent (--oauth device, authorization-code)", "",
      cmd_credential_consent },
    { "credential", "list", "[--json]", "all credentials", "", cmd_credential_list },
    { "credential", "show", "NAME [--json]", "one credential, as far as it may be shown", "",
      cmd_credential_show },
    { "credential", "remove", "NAME", "forget it; refused while an account uses it", "",
      cmd_credential_remove },
    { NULL, "sync", "[NAME...]", "ingest now and follow it; exit 0 only if complete",
      "Starts the workers (and the private PostgreSQL) for its duration when no holdfastd runs.\n",
      cmd_sync },
    { NULL, "import", "NAME PATH [options]", "archive an mbox, a Maildir, message files, or folders of them",
      "Message files: .eml, .emlx (Apple Mail), any that begins with a header. Not read, and told: compressed\n"
      "files, .pst, .dbx, dbox.\n"
      "What was imported before is passed over; an import that was interrupted goes on where it was.\n"
      "  --mailbox M            put everything below this mailbox (Imported, if the account has a source)\n"
      "  --mbox-format F        how mboxes are quoted: mboxrd (\">From \", \">>From \" lose a \">\"), mboxo\n"
      "                         (\">From \" alone), mboxcl, mboxcl2 (by Content-Length; cl2, which is\n"
      "                         Dovecot's, has no quoting)\n"
      "  --dry-run              read everything and count, archive nothing\n"
      "`holdfast account add NAME --kind import` makes an account for imports. Exit 0 only if every file\n"
      "could be read.\n",
      cmd_import },
    { NULL, "reconcile", "[NAME...] [--octets] [--json]", "count every UID at the source against the archive; heal what can be",
      "Enumerates every mailbox anew, tries what is pending again, and says for each mailbox what the\n"
      "source holds and what became of it. Exit 0 only if every UID is archived or left out by rule.\n"
      "  --octets               download also what was recognised without a download, and compare it\n",
      cmd_reconcile },
    { NULL, "failures", "[NAME...] [--retry] [--json]", "messages that are not archived yet, and why",
      "  --retry                try all of them again now\n", cmd_failures },
    { NULL, "status", "[--json]", "what runs and how far each account is", "", cmd_status },
    { "auditor", "add", "NAME --password-file F [--expires DATE] [--from CIDR]...",
      "let somebody log in to read",
      "  --password-file F      the password is the first line of F; \"-\": of standard input\n"
      "  --expires DATE         the last day (UTC) on which the login works, 2026-12-31\n"
      "  --from CIDR            only from this network; may be repeated\n", cmd_auditor_add },
    { "auditor", "passwd", "NAME --password-file F", "set another password, end the sessions", "",
      cmd_auditor_passwd },
    { "auditor", "list", "[--json]", "all auditors", "", cmd_auditor_list },
    { "auditor", "show", "NAME [--json]", "one auditor and what is granted", "", cmd_auditor_show },
    { "auditor", "grant", "NAME (--account A... | --all)", "let the auditor read accounts",
      "  --account A            this account; may be repeated\n"
      "  --all                  every account, also those to come\n", cmd_auditor_grant },
    { "auditor", "revoke", "NAME [--account A... | --all]", "take it back; without option, everything",
      "", cmd_auditor_revoke },
    { NULL, "search", "QUERY [--account A]... [--limit N] [--json]", "find messages in all mailboxes",
      "QUERY is words and fields, all of which a message must have:\n"
      "  from:alice subject:\"q3 forecast\" after:2001-05-01 -in:trash has:attachment\n"
      "  word, \"a phrase\"        anywhere in header or text\n"
      "  from: to: cc: bcc: subject: body: text: header:NAME=text id:\n"
      "  after: before: on:       day received, 2001-05-01, 2001-05 or 2001; after: and on: include it,\n"
      "                           before: does not; sent-after: sent-before: sent-on: the Date field\n"
      "  in: mailbox: account:    levels of a mailbox path, a whole path, an account; * is any text\n"
      "  is:                      read unread answered unanswered flagged unflagged draft deleted gone\n"
      "  has:attachment keyword: larger:10k smaller:2M sha256:\n"
      "  -x or NOT x, x OR y, ( ), from:(a OR b), * for every message\n"
      "  --account A              only in this account; may be repeated\n"
      "  --limit N                print so many hits, or \"all\" (100); all are counted\n"
      "  --json                   one object, with its hits\n",
      cmd_search },
    { NULL, "show", "ID [--raw | --headers | --json]", "one message",
      "ID is ACCOUNT/PATH;UID=N, the SHA-256 of the message in hex (8 digits or more of its front), or\n"
      "its Message-ID. Header and text are decoded and made harmless for a terminal; HTML is shown as\n"
      "its text, and nothing in it is fetched. `holdfast search` prints IDs.\n"
      "  --raw                  its octets alone, exactly\n"
      "  --headers              its header, line by line, not decoded\n"
      "  --json                 one object: places, flags, headers, parts, text\n", cmd_show },
    { NULL, "export", "QUERY -o FILE [options]", "write mail as evidence: a signed .tar.zst",
      "QUERY says which messages, as in `holdfast search`; '*': all.\n"
      "  -o, --output FILE      where to; FILE.sha256 and FILE.sig are written beside it\n"
      "  --account A            only this account; may be repeated\n"
      "  --format F             mbox (one mboxrd file a mailbox), eml or maildir\n"
      "  --at POSITION          the archive as it was then: the number an earlier export printed\n"
      "  --force                replace FILE if it exists\n"
      "Messages that are damaged or cannot be read are named in the manifest; the exit status is then 1.\n",
      cmd_export },
    { NULL, "key", "[--verify-script]", "the public key that exports are signed with",
      "  --verify-script        print the script that checks an export instead\n", cmd_key },
    { NULL, "seal", "[NAME...]", "move what waits in the database into packs now",
      "By itself an account is sealed when [store] seal_bytes wait, and each week.\n", cmd_seal },
    { NULL, "verify", "[--full] [--repair] [--json]", "prove that every pack is what it was; exit 1 if one is not",
      "Compares each file's size and index with the database.\n"
      "  --full                 read every octet, and compare every message with its SHA-256\n"
      "  --repair               and heal what can be healed: marks of files that were put back, octets that\n"
      "                         still lie in the database, what is derived; the rest is named\n",
      cmd_verify },
    { "pack", "list", "[--json]", "all packs", "", cmd_pack_list },
    { "pack", "cat", "SHA|PATH", "write a pack to standard output, as a .tar.zst",
      "SHA is the pack's name (8 digits or more of its front), PATH a file anywhere. It is read and checked\n"
      "as a whole first.\n", cmd_pack_cat },
    { NULL, "rebuild", "[--follow PACK]... [--old-installation]",
      "make the database again from the packs; exit 1 if any was bad",
      "For an empty database beside a data directory with packs and keys. Goes on where an interrupted\n"
      "one stopped; nothing is sealed until it has ended. What was not sealed is fetched again by the\n"
      "next sync. Two things it asks before it reads any mail (exit 1), and is told by the next call:\n"
      "  --follow PACK          where the packs of an account are forked: the last one of the branch to be\n"
      "                         followed (8 digits or more of its name)\n"
      "  --old-installation     take auditors and grants from an installation pack that is not the newest\n",
      cmd_rebuild },
    { NULL, "reindex", "[--account A]", "renew what is derived from messages, where it is missing or old",
      "  --account A            of this account only\n", cmd_reindex },
};
// clang-format on

static void print_command(FILE *out, const struct cli_command *command)
{
    char name[128];

    (void)snprintf(name, sizeof name, "%s%s%s", command->group == NULL ? "" : command->group,
                   command->group == NULL ? "" : " ", command->name);
    (void)fprintf(out, "  %-18s %s\n", name, command->summary);
}

static int print_help(FILE *out)
{
    (void)fputs("usage: holdfast [-c FILE] COMMAND [ARGUMENTS]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        print_command(out, &commands[i]);
    (void)fputs(
        "\n`holdfast COMMAND --help` says more. -c FILE: settings; else $HOLDFAST_CONFIG, "
        "else " CONF_DEFAULT_FILE ".\n"
        "Exit status: 0 done; 1 something is wrong with the archive or the source; 2 usage; "
        "3 temporary, try again.\n",
        out);
    return out == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

int cli_help(const struct cli *cli)
{
    const struct cli_command *c = cli->command;

    (void)printf("usage: holdfast %s%s%s %s\n\n%s.\n%s", c->group == NULL ? "" : c->group,
                 c->group == NULL ? "" : " ", c->name, c->arguments, c->summary, c->details);
    return EXIT_SUCCESS;
}

/* All commands of a group, after a wrong or missing second word. */
static int list_group(const char *group, const char *word, FILE *out)
{
    if (word != NULL)
        (void)fprintf(out, "holdfast: unknown command '%s %s'; there is:\n", group, word);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].group != NULL && strcmp(commands[i].group, group) == 0)
            print_command(out, &commands[i]);
    }
    return out == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].group != NULL && strcmp(commands[i].group, word) == 0)
            return true;
    }
    return false;
}

/* words: from the first word on. *used: how many words name the command. */
static const struct cli_command *find_command(int count, char **words, int *used)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct cli_command *c = &commands[i];

        if (c->group == NULL && strcmp(c->name, words[0]) == 0) {
            *used = 1;
            return c;
        }
        if (c->group != NULL && count > 1 && strcmp(c->group, words[0]) == 0 &&
            strcmp(c->name, words[1]) == 0) {
            *used = 2;
            return c;
        }
    }
    return NULL;
}

static int run_command(struct cli *cli, int count, char **words)
{
    int used;
    int status;

    cli->command = find_command(count, words, &used);
    if (cli->command == NULL && is_group(words[0])) {
        bool wants_help = count > 1 && strcmp(words[1], "--help") == 0;

        return list_group(words[0], wants_help || count == 1 ? NULL : words[1],
                          wants_help ? stdout : stderr);
    }
    if (cli->command == NULL) {
        (void)fprintf(stderr, "holdfast: unknown command '%s': see holdfast help\n", words[0]);
        return EXIT_USAGE;
    }
    cli->arena = arena_create(CLI_ARENA_BYTES);
    status = cli->command->run(cli, count - used + 1, words + used - 1);
    operate_close_session(&cli->session);
    operate_close_programs(&cli->programs);
    fd_close(&cli->settings_fd);
    conf_free(&cli->conf);
    arena_free(&cli->arena);
    return status;
}

/* One that was closed (`>&-`) would become a file of ours, and be written into. Writing fails. */
static void occupy_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
            exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "help", no_argument, NULL, CLI_HELP },
        { NULL, 0, NULL, 0 },
    };
    struct cli cli = {
        .programs = OPERATE_NO_PROGRAMS,
        .settings_fd = -1,
        .session = OPERATE_NO_SESSION,
        .began_usec = clock_now_usec(),
    };
    int option;
    int status;

    occupy_descriptors();
    (void)prctl(PR_SET_NAME, "holdfast", 0, 0, 0);
    secret_protect_process();
    while ((option = getopt_long(argc, argv, "+c:h", known, NULL)) != -1) {
        if (option == 'c')
            cli.conf_path = optarg;
        else
            return print_help(option == CLI_HELP || option == 'h' ? stdout : stderr);
    }
    argc -= optind;
    argv += optind;
    if (argc == 0)
        return print_help(stderr);
    if (strcmp(argv[0], "help") == 0 && argc == 1)
        return print_help(stdout);
    if (strcmp(argv[0], "help") == 0) {
        argv[argc] = (char *)(uintptr_t) "--help"; /* argv ends with NULL: that place is free */
        argc--;
        memmove(argv, argv + 1, (size_t)(argc + 1) * sizeof *argv);
        argc++;
    }
    status = run_command(&cli, argc, argv);
    return cli_end_output() || status != EXIT_SUCCESS ? status : EXIT_FAILURE;
}
