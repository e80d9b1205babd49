/* The store's door: opening and closing it, the pool of readers, and handing changes to the writer.
 */
/* SPDX-License-Identifier: ISC */
#include "store_private.h"

#include "base/memory.h"
#include "change.h"
#include "claim.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static const char file_name[] = "store.sqlite";

/* ---- opening and closing ---- */

/* The directory may be reached by links, as systemd's private state directories are; the file
 * itself may not be one (see connection_open). */
static bool find_path(const char *directory, char **path, struct error *why)
{
    char real[PATH_MAX];

    if (!realpath(directory, real))
        return error_system(why, errno, "cannot find the store's directory");
    size_t size = strlen(real) + sizeof "/" + sizeof file_name;
    *path = memory_allocate(size);
    if (!*path)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    snprintf(*path, size, "%s/%s", real, file_name);
    return true;
}

static bool open_first_reader(struct store *store, struct error *why)
{
    struct connection *connection;

    if (!store_reader_take(store, &connection, why))
        return false;
    store_reader_give(store, connection);
    return true;
}

bool store_open(const char *directory, enum store_mode mode, struct store_shared *shared,
                const struct clock *clock, const struct entropy *entropy, struct store **out,
                struct error *why)
{
    struct store *store = memory_allocate(sizeof *store);

    if (!store)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->returned, NULL);
    store->mode = mode;
    bool is_open = find_path(directory, &store->path, why);
    if (is_open && mode == STORE_READ_WRITE)
        is_open = writer_start(store->path, shared, clock, entropy, &store->writer, why);
    if (!is_open || !open_first_reader(store, why)) {
        store_close(store);
        return error_within(why, directory);
    }
    *out = store;
    return true;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    writer_stop(store->writer);
    for (size_t i = 0; i < STORE_READERS_MAX; i++) {
        assert(!store->readers[i].is_taken);
        connection_close(&store->readers[i].connection);
    }
    pthread_cond_destroy(&store->returned);
    pthread_mutex_destroy(&store->lock);
    memory_release(store->path);
    memory_release(store);
}

/* ---- readers ---- */

/* An open one if possible: its statements are prepared and its pages are in memory. */
static struct reader *free_reader(struct store *store)
{
    struct reader *closed = NULL;

    for (size_t i = 0; i < STORE_READERS_MAX; i++) {
        struct reader *reader = &store->readers[i];
        if (reader->is_taken)
            continue;
        if (reader->connection.database)
            return reader;
        if (!closed)
            closed = reader;
    }
    return closed;
}

bool store_reader_take(struct store *store, struct connection **connection, struct error *why)
{
    struct reader *reader;

    pthread_mutex_lock(&store->lock);
    while (!(reader = free_reader(store)))
        pthread_cond_wait(&store->returned, &store->lock);
    reader->is_taken = true;
    pthread_mutex_unlock(&store->lock);

    enum connection_mode mode =
        store->mode == STORE_READ_ONLY ? CONNECTION_READ_ONLY : CONNECTION_READER;
    if (!reader->connection.database &&
        !connection_open(&reader->connection, store->path, mode, why)) {
        store_reader_give(store, &reader->connection);
        return false;
    }
    *connection = &reader->connection;
    return true;
}

void store_reader_give(struct store *store, struct connection *connection)
{
    if (connection->is_broken)
        connection_close(connection);
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < STORE_READERS_MAX; i++) {
        if (&store->readers[i].connection == connection)
            store->readers[i].is_taken = false;
    }
    pthread_mutex_unlock(&store->lock);
    pthread_cond_signal(&store->returned);
}

bool store_reader_begin(struct connection *connection, struct error *why)
{
    struct query query;

    query_begin(&query, connection, SQL_BEGIN_READ);
    return query_run(&query, why);
}

void store_reader_end(struct connection *connection)
{
    struct query query;
    struct error ignored; /* a reader that cannot end is broken, and closed when it is given back */

    query_begin(&query, connection, SQL_COMMIT);
    if (!query_run(&query, &ignored))
        connection->is_broken = true;
}

/* ---- to the writer ---- */

bool store_writer(struct store *store, struct writer **writer, struct error *why)
{
    if (!store->writer)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the store was opened for reading only");
    *writer = store->writer;
    return true;
}

bool store_commit(struct store *store, const struct store_batch *batch, struct error *why)
{
    struct store_batch same = *batch;
    struct writer *writer;

    return store_writer(store, &writer, why) &&
           writer_do(writer, change_apply_batch, &same, batch->count, why);
}

void store_post(struct store *store, struct store_posting *posting)
{
    assert(store->mode == STORE_READ_WRITE);
    writer_post(store->writer, posting);
}

bool store_claim(struct store *store, const struct store_claim *claim, struct arena *arena,
                 struct store_claimed **out, size_t *count, struct error *why)
{
    struct claim_job job = {.claim = claim, .arena = arena};
    struct writer *writer;

    if (claim->lease == 0 || claim->limit > STORE_CLAIM_MAX ||
        claim->lease_until_ms <= claim->now_ms)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "a claim without a lease or out of bounds");
    job.claimed = arena_take_array(arena, claim->limit ? claim->limit : 1, sizeof *job.claimed);
    if (!job.claimed)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    if (!store_writer(store, &writer, why) ||
        !writer_do(writer, claim_apply, &job, claim->limit, why))
        return false;
    *out = job.claimed;
    *count = job.count;
    return true;
}

bool store_leases_renew(struct store *store, const struct store_renewal *renewal, struct error *why)
{
    struct store_renewal job = *renewal;
    struct writer *writer;

    return store_writer(store, &writer, why) &&
           writer_do(writer, claim_apply_renewal, &job, 1, why);
}

bool store_leases_end(struct store *store, uint64_t living_lease, int64_t now_ms, struct error *why)
{
    struct lease_job job = {.lease = living_lease, .at_ms = now_ms};
    struct writer *writer;

    return store_writer(store, &writer, why) && writer_do(writer, claim_apply_end, &job, 1, why);
}
