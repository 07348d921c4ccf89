/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/client.h"
#include "auth/desk.h"
#include "auth/office.h"
#include "auth/secret.h"
#include "base/fd.h"
#include "gate/client.h"
#include "gate/server.h"

#include <pthread.h>

struct gate {
    struct office office;
    struct crypto_key *master;
    struct auth_desk *imapd, *ingest;
    char dir[64];
};

static void close_gate(struct gate *gate)
{
    auth_free_desk(&gate->imapd);
    auth_free_desk(&gate->ingest);
    crypto_free_key(&gate->master);
    if (gate->dir[0] != '\0')
        test_remove_tree(gate->dir);
    close_office(&gate->office);
}

static struct auth_desk *open_desk(struct gate *gate, enum auth_door door)
{
    struct auth_desk_settings settings = {
        .door = door, .connections = 2, .master = gate->master, .data_dir = gate->dir, .max_kdfs = 1
    };
    struct db_target target;
    struct auth_desk *desk = NULL;
    struct err err = { 0 };

    CHECK(test_target(DB_ROLE_GATE, &target));
    settings.target = &target;
    CHECK(auth_create_desk(&settings, &desk, &err));
    return desk;
}

/* Account 1 has the secret "hush", account 2 none; job 1 of account 1 and job 2 of account 2 are
 * leased with fence 3. Auditor "anna", password "right", may read account 1. *gate stays in place:
 * the desks borrow from it. */
static void open_gate(struct gate *gate)
{
    CLEANUP(buf_free) struct buf sealed = buf_create(AUTH_SEALED_SECRET_MAX_BYTES);
    CLEANUP(secret_free) struct secret *secret = secret_of("hush");
    CLEANUP(buf_free) struct buf sql = buf_create(16384);
    struct err err = { 0 };

    *gate = (struct gate){ .office = open_office() };
    if (gate->office.owner == NULL)
        return;
    test_make_dir(gate->dir);
    CHECK(crypto_generate_key(&gate->master, &err));
    CHECK(auth_seal_source_secret(gate->master, 1, secret, &sealed, &err));
    buf_text(&sql, "INSERT INTO account_secret VALUES (1, 'password', '\\x");
    buf_hex(&sql, buf_bytes(&sealed));
    buf_text(&sql, "', 1)");
    buf_byte(&sql, 0);
    test_sql(gate->office.owner, (const char *)sql.ptr);
    test_sql(gate->office.owner,
             "INSERT INTO job (account_id, kind, fence, lease_owner, due_at) SELECT n, 'sync', 3, "
             "'test', now() + interval '1 minute' FROM generate_series(1, 2) AS n");
    add_auditor(&gate->office, "anna", "right");
    grant(&gate->office, "anna", "sales");
    gate->imapd = open_desk(gate, AUTH_DOOR_IMAPD);
    gate->ingest = open_desk(gate, AUTH_DOOR_INGEST);
}

static enum gate_outcome outcome_of(struct auth_desk *desk, struct gate_request request)
{
    CLEANUP(auth_free_answer) struct auth_answer answer = { .fd = -1 };
    struct err err = { 0 };

    (void)!auth_answer(desk, &request, deadline_after_ms(10000), &answer, &err);
    CHECK(answer.reply.outcome == GATE_DONE || (answer.secret == NULL && answer.fd == -1));
    return answer.reply.outcome;
}

static struct gate_request secret_request(int64_t job_id, int64_t fence)
{
    return (struct gate_request){ .kind = GATE_SOURCE_SECRET, .source_secret = { job_id, fence } };
}

TEST(the_holder_of_a_lease_gets_the_secret_of_its_account_and_that_is_audited)
{
    struct gate gate CLEANUP(close_gate);
    CLEANUP(auth_free_answer) struct auth_answer answer = { .fd = -1 };
    struct bytes detail;
    struct err err = { 0 };

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    struct gate_request request = secret_request(1, 3);
    CHECK(auth_answer(gate.ingest, &request, deadline_after_ms(10000), &answer, &err));
    CHECK_EQ_U64(answer.reply.outcome, GATE_DONE);
    CHECK_EQ_U64(answer.reply.secret.kind, GATE_SECRET_PASSWORD);
    CHECK_EQ_I64(answer.reply.secret.account_id, 1);
    CHECK_BYTES(answer.reply.secret.octets, BYTES("hush"));
    CHECK_EQ_U64(count_events(&gate.office, "secret_given", &detail), 1);
    CHECK_BYTES(detail, BYTES("{\"job\": 1, \"fence\": 3}"));
}

TEST(without_the_lease_there_is_no_secret)
{
    struct gate gate CLEANUP(close_gate);

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    CHECK_EQ_U64(outcome_of(gate.ingest, secret_request(1, 2)), GATE_DENIED);
    CHECK_EQ_U64(outcome_of(gate.ingest, secret_request(1, 4)), GATE_DENIED);
    CHECK_EQ_U64(outcome_of(gate.ingest, secret_request(9, 3)), GATE_DENIED);
    CHECK_EQ_U64(outcome_of(gate.ingest, secret_request(2, 3)), GATE_ABSENT);
    test_sql(gate.office.owner, "UPDATE job SET due_at = now()");
    CHECK_EQ_U64(outcome_of(gate.ingest, secret_request(1, 3)), GATE_DENIED);
    test_sql(gate.office.owner, "UPDATE job SET due_at = now() + interval '1 minute', "
                                "lease_owner = NULL");
    CHECK_EQ_U64(outcome_of(gate.ingest, secret_request(1, 3)), GATE_DENIED);
    CHECK_EQ_U64(count_events(&gate.office, "secret_given", NULL), 0);
    CHECK(count_events(&gate.office, "secret_refused", NULL) >= 1);
}

TEST(a_secret_of_another_account_or_under_another_key_does_not_open)
{
    struct gate gate CLEANUP(close_gate);

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    test_sql(gate.office.owner, "INSERT INTO account_secret SELECT 2, kind, sealed, key_id "
                                "FROM account_secret");
    CHECK_EQ_U64(outcome_of(gate.ingest, secret_request(2, 3)), GATE_CORRUPT);
    test_sql(gate.office.owner, "UPDATE account_secret SET sealed = 'garbage'");
    CHECK_EQ_U64(outcome_of(gate.ingest, secret_request(1, 3)), GATE_CORRUPT);
    CHECK_EQ_U64(count_events(&gate.office, "secret_given", NULL), 0);
}

TEST(no_secret_leaves_while_audit_cannot_be_written)
{
    struct gate gate CLEANUP(close_gate);

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    test_sql(gate.office.owner, "ALTER TABLE audit_event RENAME TO away");
    enum gate_outcome outcome = outcome_of(gate.ingest, secret_request(1, 3));
    test_sql(gate.office.owner, "ALTER TABLE away RENAME TO audit_event");
    CHECK_EQ_U64(outcome, GATE_RETRY);
}

TEST(a_request_at_the_wrong_door_is_refused_and_audited)
{
    struct gate gate CLEANUP(close_gate);
    struct gate_request log_in = { .kind = GATE_LOG_IN,
                                   .log_in = { BYTES("anna"), BYTES("right"), BYTES(""), true } };
    struct bytes detail;

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    CHECK_EQ_U64(outcome_of(gate.imapd, secret_request(1, 3)), GATE_REFUSED);
    CHECK_EQ_U64(outcome_of(gate.ingest, log_in), GATE_REFUSED);
    CHECK_EQ_U64(count_events(&gate.office, "gate_refused", &detail), 2);
    CHECK(bytes_find(detail, BYTES("\"door\": \"ingest\"")) >= 0);
}

TEST(a_flood_of_refusals_is_audited_by_its_count)
{
    struct gate gate CLEANUP(close_gate);
    struct err err = { 0 };
    struct bytes detail;

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    for (int i = 0; i < 500; i++)
        CHECK(auth_note_refusal(gate.imapd, "not a request", deadline_after_ms(5000), &err));
    CHECK(count_events(&gate.office, "gate_refused", &detail) <= 10);
    CHECK(bytes_find(detail, BYTES("\"count\": ")) >= 0);
    usleep(1100000); /* the meter lets one pass a second */
    CHECK(auth_tidy_desk(gate.imapd, deadline_after_ms(5000), &err));
    CHECK_EQ_I64(ask_number(&gate.office, "SELECT sum((detail->>'count')::int)::bigint "
                                          "FROM audit_event WHERE event = 'gate_refused'"),
                 500);
}

/* ---- packs --------------------------------------------------------------------------------------- */

#define PACK_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define PACK_2 "2222222222222222222222222222222222222222222222222222222222222222"

static void write_pack(struct gate *gate, int account, const char *name, const char *content)
{
    char path[200];
    struct err err = { 0 };

    snprintf(path, sizeof path, "%s/packs/%d", gate->dir, account);
    CHECK(dir_create(path, 0700, &err));
    snprintf(path, sizeof path, "%s/packs/%d/%s.tar.zst", gate->dir, account, name);
    CHECK(file_write_atomic(path, bytes_of_text(content), 0600, &err));
}

static struct secret *log_in(struct gate *gate)
{
    CLEANUP(auth_free_answer) struct auth_answer answer = { .fd = -1 };
    struct gate_request request = { .kind = GATE_LOG_IN,
                                    .log_in = { BYTES("anna"), BYTES("right"), BYTES(""), true } };
    struct secret *token = NULL;
    struct err err = { 0 };

    CHECK(auth_answer(gate->imapd, &request, deadline_after_ms(20000), &answer, &err));
    CHECK_EQ_U64(answer.reply.outcome, GATE_DONE);
    CHECK(secret_create(answer.reply.logged_in.token, &token, &err));
    return token;
}

static struct gate_request pack_request(const struct secret *token, int64_t account, int64_t pack)
{
    return (struct gate_request){ .kind = GATE_OPEN_PACK,
                                  .open_pack = { secret_bytes(token), account, pack, false } };
}

TEST(a_pack_of_a_granted_account_comes_read_only_and_no_other)
{
    struct gate gate CLEANUP(close_gate);
    CLEANUP(auth_free_answer) struct auth_answer answer = { .fd = -1 };
    struct err err = { 0 };
    uint8_t octets[8];

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    test_sql(gate.office.owner,
             "INSERT INTO pack (account_id, pack_id, sha256, stored_bytes, raw_bytes) OVERRIDING "
             "SYSTEM VALUE VALUES (1, 1, '\\x" PACK_1 "', 1, 1), (2, 2, '\\x" PACK_2 "', 1, 1), "
             "(1, 3, '\\x" PACK_2 "', 1, 1)");
    write_pack(&gate, 1, PACK_1, "first");
    write_pack(&gate, 2, PACK_2, "second");
    CLEANUP(secret_free) struct secret *token = log_in(&gate);

    struct gate_request request = pack_request(token, 1, 1);
    CHECK(auth_answer(gate.imapd, &request, deadline_after_ms(10000), &answer, &err));
    CHECK_EQ_U64(answer.reply.outcome, GATE_DONE);
    CHECK(read(answer.fd, octets, sizeof octets) == 5);
    CHECK((fcntl(answer.fd, F_GETFL) & O_ACCMODE) == O_RDONLY);

    CHECK_EQ_U64(outcome_of(gate.imapd, pack_request(token, 2, 2)), GATE_DENIED);
    CHECK_EQ_U64(outcome_of(gate.imapd, pack_request(token, 2, 9)), GATE_DENIED); /* says no more */
    CHECK_EQ_U64(outcome_of(gate.imapd, pack_request(token, 1, 2)), GATE_ABSENT);
    CHECK_EQ_U64(outcome_of(gate.imapd, pack_request(token, 1, 3)), GATE_ABSENT); /* file is gone */
    CHECK(count_events(&gate.office, "pack_refused", NULL) >= 1);
}

TEST(the_text_segment_beside_a_pack_comes_when_it_is_asked_for_and_may_be_missing)
{
    struct gate gate CLEANUP(close_gate);
    CLEANUP(auth_free_answer) struct auth_answer answer = { .fd = -1 };
    struct err err = { 0 };
    uint8_t octets[8];
    char path[200];
    FILE *file;

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    test_sql(gate.office.owner,
             "INSERT INTO pack (account_id, pack_id, sha256, stored_bytes, raw_bytes) OVERRIDING "
             "SYSTEM VALUE VALUES (1, 1, '\\x" PACK_1 "', 1, 1), (2, 2, '\\x" PACK_2 "', 1, 1)");
    write_pack(&gate, 1, PACK_1, "first");
    CLEANUP(secret_free) struct secret *token = log_in(&gate);
    struct gate_request request = pack_request(token, 1, 1);

    request.open_pack.is_text = true;
    CHECK_EQ_U64(outcome_of(gate.imapd, request), GATE_ABSENT);
    (void)snprintf(path, sizeof path, "%s/packs/1/" PACK_1 ".text", gate.dir);
    file = fopen(path, "w");
    CHECK(file != NULL && fwrite("text", 1, 4, file) == 4 && fclose(file) == 0);
    CHECK(auth_answer(gate.imapd, &request, deadline_after_ms(10000), &answer, &err));
    CHECK_EQ_U64(answer.reply.outcome, GATE_DONE);
    CHECK(read(answer.fd, octets, sizeof octets) == 4 && memcmp(octets, "text", 4) == 0);
    request = pack_request(token, 2, 2);
    request.open_pack.is_text = true;
    CHECK_EQ_U64(outcome_of(gate.imapd, request), GATE_DENIED);
}

TEST(a_link_in_place_of_a_pack_is_not_followed)
{
    struct gate gate CLEANUP(close_gate);
    char path[200];

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    test_sql(gate.office.owner,
             "INSERT INTO pack (account_id, pack_id, sha256, stored_bytes, raw_bytes) OVERRIDING "
             "SYSTEM VALUE VALUES (1, 1, '\\x" PACK_1 "', 1, 1)");
    write_pack(&gate, 1, PACK_2, "x");
    snprintf(path, sizeof path, "%s/packs/1/" PACK_1 ".tar.zst", gate.dir);
    CHECK(symlink(PACK_2 ".tar.zst", path) == 0);
    CLEANUP(secret_free) struct secret *token = log_in(&gate);
    CHECK(outcome_of(gate.imapd, pack_request(token, 1, 1)) != GATE_DONE);
    CHECK(remove(path) == 0 && mkdir(path, 0700) == 0);
    CHECK(outcome_of(gate.imapd, pack_request(token, 1, 1)) != GATE_DONE);
}

TEST(packs_close_with_the_grant_and_with_the_session)
{
    struct gate gate CLEANUP(close_gate);
    struct gate_request out;

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    test_sql(gate.office.owner,
             "INSERT INTO pack (account_id, pack_id, sha256, stored_bytes, raw_bytes) OVERRIDING "
             "SYSTEM VALUE VALUES (1, 1, '\\x" PACK_1 "', 1, 1)");
    write_pack(&gate, 1, PACK_1, "first");
    CLEANUP(secret_free) struct secret *token = log_in(&gate);

    test_sql(gate.office.owner, "UPDATE access_grant SET revoked_at = now()");
    CHECK_EQ_U64(outcome_of(gate.imapd, pack_request(token, 1, 1)), GATE_DENIED);
    test_sql(gate.office.owner, "UPDATE access_grant SET revoked_at = NULL");
    CHECK_EQ_U64(outcome_of(gate.imapd, pack_request(token, 1, 1)), GATE_DONE);
    out = (struct gate_request){ .kind = GATE_LOG_OUT, .log_out = { secret_bytes(token) } };
    CHECK_EQ_U64(outcome_of(gate.imapd, out), GATE_DONE);
    CHECK_EQ_U64(outcome_of(gate.imapd, pack_request(token, 1, 1)), GATE_DENIED);
    CHECK_EQ_U64(count_events(&gate.office, "logout", NULL), 1);
}

/* ---- through the socket -------------------------------------------------------------------------- */

struct porter {
    struct gate *gate;
    int listener;
    int visits;
};

static void *open_the_door(void *context)
{
    struct porter *porter = context;

    for (int i = 0; i < porter->visits; i++) {
        struct pollfd waiting = { .fd = porter->listener, .events = POLLIN };
        CLEANUP(gate_wipe) struct gate_datagram store = { 0 };
        CLEANUP(auth_free_answer) struct auth_answer answer = { .fd = -1 };
        CLEANUP(fd_close) int fd = -1;
        struct gate_request request;
        struct err err = { 0 };

        if (poll(&waiting, 1, 20000) != 1 || !gate_accept(porter->listener, geteuid(), &fd, &err) ||
            !gate_receive(fd, &store, &request, deadline_after_ms(5000), &err))
            return NULL;
        (void)!auth_answer(porter->gate->imapd, &request, deadline_after_ms(20000), &answer, &err);
        if (!gate_send(fd, &answer.reply, answer.fd, deadline_after_ms(5000), &err))
            return NULL;
    }
    return NULL;
}

TEST(the_client_logs_in_opens_a_pack_and_logs_out)
{
    struct gate gate CLEANUP(close_gate);
    CLEANUP(secret_free) struct secret *right = secret_of("right");
    CLEANUP(secret_free) struct secret *wrong = secret_of("wrong");
    CLEANUP(auth_free_login) struct auth_login login = { 0 };
    struct auth_client client;
    struct err err = { 0 };
    pthread_t thread;
    int fd = -1;

    open_gate(&gate);
    if (gate.office.owner == NULL)
        return;
    test_sql(gate.office.owner,
             "INSERT INTO pack (account_id, pack_id, sha256, stored_bytes, raw_bytes) OVERRIDING "
             "SYSTEM VALUE VALUES (1, 1, '\\x" PACK_1 "', 1, 1)");
    write_pack(&gate, 1, PACK_1, "first");
    CHECK(auth_init_client(gate.dir, &client, &err));
    struct porter porter = { .gate = &gate, .listener = -1, .visits = 5 };
    CHECK(gate_listen(client.socket_path, 8, &porter.listener, &err));
    CHECK(pthread_create(&thread, NULL, open_the_door, &porter) == 0);
    struct deadline soon = deadline_after_ms(30000);

    CHECK(!auth_log_in(&client, BYTES("anna"), wrong, "192.0.2.7", true, soon, &login, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(auth_log_in(&client, BYTES("anna"), right, "unix", true, soon, &login, &err));
    CHECK_EQ_U64(secret_bytes(login.token).len, 64);
    CHECK(login.session_id > 0 && login.auditor_id > 0);
    CHECK(auth_open_pack(&client, login.token, 1, 1, false, soon, &fd, &err));
    fd_close(&fd);
    CHECK(!auth_open_pack(&client, login.token, 2, 1, false, soon, &fd, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_EQ_I64(fd, -1);
    CHECK(auth_log_out(&client, login.token, soon, &err));
    CHECK(pthread_join(thread, NULL) == 0);
    fd_close(&porter.listener);
    CHECK(!auth_log_out(&client, login.token, deadline_after_ms(100), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
}
