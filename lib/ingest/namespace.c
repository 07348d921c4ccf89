/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/namespace.h"

#include "base/limits.h"

struct asker {
    struct ingest_client *client;
    struct arena *arena;
    struct ingest_namespaces *out;
    bool has_answer;
};

static bool add_namespaces(struct asker *asker, struct ingest_namespace *rows,
                           const struct imap_namespace *sent, size_t count, enum ingest_owner owner,
                           struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct ingest_namespace *row = &rows[asker->out->count];

        if (!arena_try_copy(asker->arena, sent[i].prefix, LIMIT_MAILBOX_NAME_BYTES, &row->prefix,
                            err))
            return false;
        row->owner = owner;
        asker->out->count++;
    }
    return true;
}

static bool take_namespaces(struct asker *asker, const struct imap_namespace_response *sent,
                            struct err *err)
{
    size_t count = sent->personal_count + sent->others_count + sent->shared_count;
    struct ingest_namespace *rows;

    if (asker->has_answer) /* one is asked for: more would only fill the memory */
        return true;
    asker->has_answer = true;
    rows = arena_new_array(asker->arena, struct ingest_namespace, count);
    *asker->out = (struct ingest_namespaces){ rows, 0 };
    return add_namespaces(asker, rows, sent->personal, sent->personal_count, INGEST_PERSONAL,
                          err) &&
           add_namespaces(asker, rows, sent->others, sent->others_count, INGEST_OTHERS, err) &&
           add_namespaces(asker, rows, sent->shared, sent->shared_count, INGEST_SHARED, err);
}

static void take_id(struct asker *asker, const struct imap_id_response *sent)
{
    struct ingest_rules rules = ingest_rules_for(&(struct ingest_peer){
        .id_name = sent->name,
        .capabilities = ingest_capabilities(asker->client),
    });

    if (ingest_is_recognised(&rules) && !ingest_is_recognised(ingest_rules(asker->client)))
        ingest_set_rules(asker->client, &rules);
}

static bool take_answer(struct asker *asker, const struct imap_response *response, struct err *err)
{
    if (response->kind == IMAP_RESPONSE_NAMESPACE)
        return take_namespaces(asker, &response->namespace, err);
    if (response->kind == IMAP_RESPONSE_ID)
        take_id(asker, &response->id);
    return true;
}

static bool send(struct ingest_client *client, const char *text, struct ingest_tag *tag,
                 struct err *err)
{
    ingest_begin_command(client, text);
    return ingest_send_command(client, tag, err);
}

bool ingest_ask_namespaces(struct ingest_client *client, struct arena *arena,
                           struct ingest_namespaces *out, struct err *err)
{
    uint32_t can = ingest_capabilities(client);
    struct asker asker = { .client = client, .arena = arena, .out = out };
    struct ingest_tag tags[2] = { { 0 }, { 0 } };
    struct ingest_event event;
    size_t waiting = 0;

    *out = (struct ingest_namespaces){ NULL, 0 };
    /* Some servers let nobody into a mailbox before they have heard an ID. */
    if ((can & INGEST_ID) != 0 &&
        !send(client, "ID (\"name\" \"Holdfast\")", &tags[waiting++], err))
        return false;
    if ((can & INGEST_NAMESPACE) != 0 && !send(client, "NAMESPACE", &tags[waiting++], err))
        return false;
    while (waiting > 0) {
        if (!ingest_next_event(client, &event, err))
            return false;
        if (event.kind == INGEST_EVENT_BODY)
            return err_fail(err, ERR_SYNTAX, "message octets came that nobody asked for");
        if (ingest_event_ends(&event, tags[0]) || ingest_event_ends(&event, tags[1]))
            waiting--;
        else if (!take_answer(&asker, &event.response, err))
            return false;
    }
    return true;
}

static bool is_within(struct bytes wire_name, struct bytes prefix)
{
    if (bytes_start_with(wire_name, prefix))
        return true;
    /* "Shared", the name that only holds "Shared/…" */
    return wire_name.len + 1 == prefix.len && bytes_start_with(prefix, wire_name);
}

enum ingest_owner ingest_owner_of(const struct ingest_namespaces *namespaces,
                                  struct bytes wire_name)
{
    const struct ingest_namespace *best = NULL;

    if (bytes_equal_nocase(wire_name, BYTES("INBOX")))
        return INGEST_PERSONAL;
    for (size_t i = 0; i < namespaces->count; i++) {
        const struct ingest_namespace *row = &namespaces->rows[i];

        /* Of one prefix that is told twice the first counts: personal ones come first. */
        if (is_within(wire_name, row->prefix) &&
            (best == NULL || row->prefix.len > best->prefix.len))
            best = row;
    }
    return best == NULL ? INGEST_PERSONAL : best->owner;
}
