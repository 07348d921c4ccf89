/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/account_facts.h"

#include "source/account.h"
#include "source/limits.h"

#include <stdio.h>

struct facts {
    const struct bytes *watched;
    size_t watched_count;
    struct source_left_out_list left_out;
    const struct source_distrust *distrust;
    size_t distrust_count;
};

static const char *const reasons[SOURCE_LEFT_OUT_REASONS] = {
    [SOURCE_LEFT_OUT_BY_PATTERN] = "pattern",
    [SOURCE_LEFT_OUT_OTHERS] = "others",
    [SOURCE_LEFT_OUT_SHARED] = "shared",
};

static bool load(struct cli *cli, int64_t account_id, struct facts *out)
{
    struct db *db = cli->session.db;

    return source_list_watched(db, account_id, cli->arena, &out->watched, &out->watched_count,
                               &cli->err) &&
           source_list_left_out(db, account_id, cli->arena, &out->left_out, &cli->err) &&
           source_list_distrust(db, account_id, cli->arena, &out->distrust, &out->distrust_count,
                                &cli->err);
}

/* ---- for a human ---------------------------------------------------------------------------------- */

static void print_left_out(const struct source_left_out_list *left_out)
{
    static const char *const words[SOURCE_LEFT_OUT_REASONS] = {
        [SOURCE_LEFT_OUT_BY_PATTERN] = "no --include matches it",
        [SOURCE_LEFT_OUT_OTHERS] = "another user's: --namespace others",
        [SOURCE_LEFT_OUT_SHARED] = "shared: --namespace shared",
    };
    char time[CLI_TEXT_BYTES];

    for (size_t i = 0; i < left_out->count; i++) {
        const struct source_left_out_mailbox *m = &left_out->rows[i];

        (void)fputs("left out:       ", stdout);
        cli_print_text(m->path);
        (void)fputs(m->rule.len > 0 ? " (by --exclude " : " (", stdout);
        cli_print_text(m->rule);
        (void)printf("%s; since %s)\n", m->rule.len > 0 ? "" : words[m->reason],
                     cli_write_time(m->since_usec, time));
    }
}

bool account_print_facts(struct cli *cli, int64_t account_id)
{
    struct facts facts;
    char time[CLI_TEXT_BYTES];

    if (!load(cli, account_id, &facts))
        return false;
    for (size_t i = 0; i < facts.watched_count; i++) {
        (void)fputs("watched:        ", stdout);
        cli_print_text(facts.watched[i]);
        (void)fputc('\n', stdout);
    }
    print_left_out(&facts.left_out);
    for (size_t i = 0; i < facts.distrust_count; i++) {
        const struct source_distrust *d = &facts.distrust[i];

        (void)fputs("not trusted:    ", stdout);
        cli_print_text(d->kind);
        (void)fputs(" of ", stdout);
        cli_print_text(d->login);
        (void)fputs(" at ", stdout);
        cli_print_text(d->host);
        (void)printf(" since %s: one id stood for two messages, so every octet is downloaded\n",
                     cli_write_time(d->since_usec, time));
    }
    return true;
}

/* ---- for a program --------------------------------------------------------------------------------- */

static json_t *json_left_out(const struct source_left_out_list *left_out)
{
    json_t *list = json_array();

    for (size_t i = 0; i < left_out->count; i++) {
        const struct source_left_out_mailbox *m = &left_out->rows[i];

        (void)json_array_append_new(
            list, json_pack("{s:o, s:s, s:o, s:o}", "path", cli_json_text(m->path), "reason",
                            reasons[m->reason], "rule",
                            m->rule.len > 0 ? cli_json_text(m->rule) : json_null(), "since",
                            cli_json_time(m->since_usec)));
    }
    return list;
}

static json_t *json_distrust(const struct facts *facts)
{
    json_t *list = json_array();

    for (size_t i = 0; i < facts->distrust_count; i++) {
        const struct source_distrust *d = &facts->distrust[i];

        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o}", "kind", cli_json_text(d->kind), "host",
                            cli_json_text(d->host), "login", cli_json_text(d->login), "since",
                            cli_json_time(d->since_usec)));
    }
    return list;
}

bool account_add_facts(struct cli *cli, int64_t account_id, json_t *value)
{
    struct facts facts;
    json_t *watch = json_array();

    if (!load(cli, account_id, &facts)) {
        json_decref(watch);
        return false;
    }
    for (size_t i = 0; i < facts.watched_count; i++)
        (void)json_array_append_new(watch, cli_json_text(facts.watched[i]));
    (void)json_object_set_new(value, "watch", watch);
    (void)json_object_set_new(value, "left_out", json_left_out(&facts.left_out));
    (void)json_object_set_new(value, "distrusted_ids", json_distrust(&facts));
    return true;
}
