/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auditor.h"
#include "auth/office.h"

static bool request_is_refused(struct office *office, struct auth_grant_request request,
                               enum err_code code)
{
    struct err err = { 0 };
    int64_t id = -1;

    return !auth_grant(office->owner, &request, &id, &err) && err.code == code && id == -1;
}

TEST(an_auditor_is_shown_as_he_was_added)
{
    CLEANUP(close_office) struct office office = open_office();
    CLEANUP(secret_free) struct secret *password = secret_of("correct horse");
    const struct bytes networks[] = { BYTES_INIT("192.0.2.0/24"), BYTES_INIT("2001:db8::/32") };
    const struct auth_grant_row *grants;
    struct auth_auditor shown;
    struct err err = { 0 };
    size_t count;
    int64_t id;

    if (office.owner == NULL)
        return;
    struct auth_new_auditor auditor = { .name = BYTES("Zo\xc3\xab"),
                                        .password = password,
                                        .expires_at_usec = 1900000000000000,
                                        .networks = networks,
                                        .network_count = 2 };
    CHECK(auth_add_auditor(office.owner, &auditor, &id, &err));
    CHECK(
        auth_show_auditor(office.owner, auditor.name, office.arena, &shown, &grants, &count, &err));
    CHECK_EQ_I64(shown.auditor_id, id);
    CHECK_BYTES(shown.name, auditor.name);
    CHECK_EQ_I64(shown.expires_at_usec, 1900000000000000);
    CHECK_EQ_I64(shown.disabled_at_usec, 0);
    CHECK_EQ_U64(shown.network_count, 2);
    CHECK_BYTES(shown.networks[0], networks[0]);
    CHECK_BYTES(shown.networks[1], networks[1]);
    CHECK_EQ_U64(count, 0);
    CHECK_EQ_U64(count_events(&office, "auditor_add", NULL), 1);
}

TEST(auditors_are_listed_by_name_with_counts)
{
    CLEANUP(close_office) struct office office = open_office();
    const struct auth_auditor *list;
    struct err err = { 0 };
    size_t count;

    if (office.owner == NULL)
        return;
    add_auditor(&office, "berta", "b");
    add_auditor(&office, "anna", "a");
    grant(&office, "berta", "sales");
    grant(&office, "berta", "legal");
    CHECK(auth_list_auditors(office.owner, office.arena, &list, &count, &err));
    CHECK_EQ_U64(count, 2);
    CHECK_BYTES(list[0].name, BYTES("anna"));
    CHECK_EQ_I64(list[0].expires_at_usec, 0);
    CHECK_EQ_U64(list[0].network_count, 0);
    CHECK_EQ_I64(list[0].grant_count, 0);
    CHECK_EQ_I64(list[1].grant_count, 2);
    CHECK_EQ_I64(list[1].last_login_usec, 0);
}

TEST(a_name_that_is_taken_or_not_a_name_and_a_network_that_is_none_are_refused)
{
    CLEANUP(close_office) struct office office = open_office();
    CLEANUP(secret_free) struct secret *password = secret_of("p");
    static const struct bytes bad_names[] = {
        BYTES_INIT(""),         BYTES_INIT("a\nb"),         BYTES_INIT("\xff"),
        BYTES_INIT("\xc0\x80"), BYTES_INIT("\xed\xa0\x80"), BYTES_INIT("a\0b"),
        BYTES_INIT("\xe2\x82")
    };
    static const struct bytes bad_networks[] = { BYTES_INIT("192.0.2.7/24"), BYTES_INIT("here") };
    struct auth_new_auditor auditor = { .password = password };
    struct err err = { 0 };
    int64_t id;

    if (office.owner == NULL)
        return;
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++) {
        auditor.name = bad_names[i];
        CHECK(!auth_add_auditor(office.owner, &auditor, &id, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
    }
    auditor.name = BYTES("anna");
    for (size_t i = 0; i < ARRAY_LEN(bad_networks); i++) {
        auditor.networks = &bad_networks[i];
        auditor.network_count = 1;
        CHECK(!auth_add_auditor(office.owner, &auditor, &id, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
    }
    auditor.network_count = 0;
    CHECK(auth_add_auditor(office.owner, &auditor, &id, &err));
    CHECK(!auth_add_auditor(office.owner, &auditor, &id, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_EQ_U64(count_events(&office, "auditor_add", NULL), 1);
}

TEST(a_grant_said_twice_is_one_grant)
{
    CLEANUP(close_office) struct office office = open_office();
    const struct auth_grant_row *grants;
    struct auth_auditor auditor;
    struct err err = { 0 };
    size_t count;

    if (office.owner == NULL)
        return;
    add_auditor(&office, "anna", "a");
    grant(&office, "anna", "legal");
    grant(&office, "anna", "legal");
    grant(&office, "anna", "");
    grant(&office, "anna", "");
    CHECK(auth_show_auditor(office.owner, BYTES("anna"), office.arena, &auditor, &grants, &count,
                            &err));
    CHECK_EQ_U64(count, 2);
    CHECK_EQ_I64(grants[0].account_id, 0);
    CHECK_EQ_U64(grants[0].account_name.len, 0);
    CHECK_EQ_I64(grants[1].account_id, 2);
    CHECK_BYTES(grants[1].account_name, BYTES("legal"));
    CHECK_EQ_U64(count_events(&office, "grant", NULL), 2);
}

TEST(a_grant_names_one_auditor_and_one_account_or_all)
{
    CLEANUP(close_office) struct office office = open_office();
    struct bytes anna = BYTES("anna"), sales = BYTES("sales");

    if (office.owner == NULL)
        return;
    add_auditor(&office, "anna", "a");
    CHECK(request_is_refused(&office, (struct auth_grant_request){ .auditor = anna }, ERR_SYNTAX));
    CHECK(request_is_refused(
        &office, (struct auth_grant_request){ .auditor = anna, .account = sales, .is_all = true },
        ERR_SYNTAX));
    CHECK(request_is_refused(
        &office, (struct auth_grant_request){ .auditor = BYTES("x"), .is_all = true }, ERR_ABSENT));
    CHECK(request_is_refused(&office,
                             (struct auth_grant_request){ .auditor = anna, .account = BYTES("x") },
                             ERR_ABSENT));
}

TEST(a_grant_that_needs_a_view_is_refused_and_says_so)
{
    CLEANUP(close_office) struct office office = open_office();
    struct bytes anna = BYTES("anna"), some = BYTES("2020-01-01");
    struct auth_grant_request requests[] = {
        { .auditor = anna, .is_all = true, .since = some },
        { .auditor = anna, .is_all = true, .until = some },
        { .auditor = anna, .is_all = true, .query = some },
        { .auditor = anna, .matter = some },
    };
    struct err err = { 0 };
    int64_t id;

    if (office.owner == NULL)
        return;
    add_auditor(&office, "anna", "a");
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        CHECK(!auth_grant(office.owner, &requests[i], &id, &err));
        CHECK_EQ_U64(err.code, ERR_DENIED);
        CHECK(strstr(err.text, "not available yet") != NULL);
    }
}

TEST(a_revocation_takes_one_grant_or_everything_and_everything_ends_the_sessions)
{
    CLEANUP(close_office) struct office office = open_office();
    struct auth_grant_request request = { .auditor = BYTES("anna"), .account = BYTES("sales") };
    struct err err = { 0 };
    uint64_t revoked = 0;

    if (office.owner == NULL)
        return;
    add_auditor(&office, "anna", "a");
    grant(&office, "anna", "sales");
    grant(&office, "anna", "legal");
    test_sql(office.owner, "INSERT INTO login_session (token_hash, auditor_id, expires_at) "
                           "SELECT sha256('x'), auditor_id, now() + '1 day' FROM auditor");
    CHECK(auth_revoke(office.owner, &request, &revoked, &err));
    CHECK_EQ_U64(revoked, 1);
    CHECK(!auth_revoke(office.owner, &request, &revoked, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK_EQ_I64(ask_number(&office, "SELECT count(*) FROM login_session WHERE revoked_at IS NULL"),
                 1);
    request.account = BYTES("");
    CHECK(auth_revoke(office.owner, &request, &revoked, &err));
    CHECK_EQ_U64(revoked, 1);
    CHECK_EQ_I64(ask_number(&office, "SELECT count(*) FROM login_session WHERE revoked_at IS NULL"),
                 0);
    CHECK_EQ_U64(count_events(&office, "revoke", NULL), 2);
}

TEST(a_new_password_ends_the_sessions_and_keeps_only_a_verifier)
{
    CLEANUP(close_office) struct office office = open_office();
    CLEANUP(secret_free) struct secret *password = secret_of("second password");
    struct err err = { 0 };

    if (office.owner == NULL)
        return;
    add_auditor(&office, "anna", "first password");
    test_sql(office.owner, "INSERT INTO login_session (token_hash, auditor_id, expires_at) "
                           "SELECT sha256('x'), auditor_id, now() + '1 day' FROM auditor");
    CHECK(!auth_set_password(office.owner, BYTES("nobody"), password, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK(auth_set_password(office.owner, BYTES("anna"), password, &err));
    CHECK_EQ_I64(ask_number(&office, "SELECT count(*) FROM login_session WHERE revoked_at IS NULL"),
                 0);
    CHECK_EQ_I64(ask_number(&office, "SELECT count(*) FROM auditor_verifier "
                                     "WHERE verifier LIKE 'SCRAM-SHA-256$100000:%'"),
                 1);
    CHECK_EQ_I64(ask_number(&office,
                            "SELECT count(*) FROM audit_event e "
                            "WHERE e::text LIKE '%password%' AND event <> 'auditor_passwd'"),
                 0);
}
