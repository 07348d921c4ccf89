/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/carry.c - the thread that frames, derives and commits batches while the next one fills.
 *
 * One batch at a time goes over and its outcome comes back; nothing else is shared (vault/internal.h
 * says who owns the writer meanwhile). The thread begins with the first batch and ends with the writer.
 */
#include "base/locks.h"
#include "vault/internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct vault_carrier {
    struct vault_writer *writer;
    pthread_t thread;

    pthread_mutex_t lock; /* LOCK_VAULT_CARRIER: all below */
    pthread_cond_t has_moved;
    enum vault_carrier_state state;
    const struct vault_batch *batch; /* CARRYING */
    struct vault_counts counts;      /* CARRIED: what vault_carry said */
    struct err err;
    bool is_done;
};

static void lock(struct vault_carrier *carrier)
{
    int status = pthread_mutex_lock(&carrier->lock);

    assert(status == 0);
    (void)status;
}

static void unlock(struct vault_carrier *carrier)
{
    (void)pthread_mutex_unlock(&carrier->lock);
}

/* Under the lock. */
static void move(struct vault_carrier *carrier, enum vault_carrier_state state)
{
    carrier->state = state;
    (void)pthread_cond_broadcast(&carrier->has_moved);
}

/* ---- the thread -------------------------------------------------------------------------------- */

static void *run(void *context)
{
    struct vault_carrier *carrier = context;

    lock(carrier);
    for (;;) {
        const struct vault_batch *batch = carrier->batch;
        struct vault_counts counts = { 0 };
        struct err err = { 0 };
        bool is_done;

        switch (carrier->state) {
        case VAULT_CARRIER_IDLE:
        case VAULT_CARRIER_CARRIED:
            (void)pthread_cond_wait(&carrier->has_moved, &carrier->lock);
            continue;
        case VAULT_CARRIER_CARRYING:
            unlock(carrier);
            is_done = vault_carry(carrier->writer, batch, &counts, &err);
            lock(carrier);
            carrier->counts = counts;
            carrier->err = err;
            carrier->is_done = is_done;
            move(carrier, VAULT_CARRIER_CARRIED);
            continue;
        case VAULT_CARRIER_LEAVING:
            unlock(carrier);
            return NULL;
        }
        UNREACHABLE();
    }
}

/* Signals are for the thread that waits for the network: they end its wait. */
static int start_thread(struct vault_carrier *carrier)
{
    sigset_t all, before;
    int status;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(&carrier->thread, NULL, run, carrier);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* ---- the caller's side ------------------------------------------------------------------------- */

static bool create_carrier(struct vault_writer *writer, struct err *err)
{
    struct vault_carrier *carrier = calloc(1, sizeof *carrier);
    int status;

    if (carrier == NULL)
        return err_errno(err, "vault writer");
    carrier->writer = writer;
    (void)pthread_mutex_init(&carrier->lock, NULL);
    (void)pthread_cond_init(&carrier->has_moved, NULL);
    status = start_thread(carrier);
    if (status == 0) {
        writer->carrier = carrier;
        return true;
    }
    (void)pthread_cond_destroy(&carrier->has_moved);
    (void)pthread_mutex_destroy(&carrier->lock);
    free(carrier);
    errno = status;
    return err_errno(err, "vault writer: thread");
}

bool vault_give_batch(struct vault_writer *writer, const struct vault_batch *batch, struct err *err)
{
    struct vault_carrier *carrier;

    if (writer->carrier == NULL && !create_carrier(writer, err))
        return false;
    carrier = writer->carrier;
    lock(carrier);
    assert(carrier->state == VAULT_CARRIER_IDLE && "one batch at a time");
    carrier->batch = batch;
    move(carrier, VAULT_CARRIER_CARRYING);
    unlock(carrier);
    return true;
}

bool vault_await_batch(struct vault_writer *writer, struct vault_counts *counts, struct err *err)
{
    struct vault_carrier *carrier = writer->carrier;
    bool is_done;

    lock(carrier);
    assert(carrier->state != VAULT_CARRIER_IDLE && "no batch was given");
    while (carrier->state != VAULT_CARRIER_CARRIED)
        (void)pthread_cond_wait(&carrier->has_moved, &carrier->lock);
    is_done = carrier->is_done;
    if (is_done)
        *counts = carrier->counts;
    else
        *err = carrier->err;
    carrier->batch = NULL;
    move(carrier, VAULT_CARRIER_IDLE);
    unlock(carrier);
    return is_done;
}

void vault_free_carrier(struct vault_carrier **carrier)
{
    struct vault_carrier *c = *carrier;

    if (c == NULL)
        return;
    lock(c);
    assert(c->state == VAULT_CARRIER_IDLE && "a batch is carried");
    move(c, VAULT_CARRIER_LEAVING);
    unlock(c);
    (void)pthread_join(c->thread, NULL);
    (void)pthread_cond_destroy(&c->has_moved);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
    *carrier = NULL;
}
