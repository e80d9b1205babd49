/* Group commit: one transaction and one flush for all that wait, first come, first written. */
/* SPDX-License-Identifier: ISC */
#include "writer.h"

#include "base/log.h"
#include "base/memory.h"
#include "change.h"
#include "fair_lock.h"
#include "futex.h"

#include <pthread.h>
#include <signal.h>

/* A thread that waits, on its own stack. */
struct waiter {
    _Atomic uint32_t is_answered;
    struct error *why;
    bool is_done;
};

struct entry {
    writer_job *job;
    void *self;
    size_t changes;
    struct waiter *waiter; /* one of these two */
    struct store_posting *posting;
};
/* An entry whose turn it is. */
struct member {
    struct entry entry;
    bool has_failed;
    struct error why;
};

enum { QUEUE_SLOTS = STORE_POSTED_MAX + STORE_WAITING_MAX };

struct writer {
    struct ledger ledger;
    struct store_shared *shared;
    char *path;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;  /* the writer sleeps on it, alone */
    pthread_cond_t room;
    size_t first, queued,
        posted; /* the queue is a ring; posted: those of it that nobody waits for */
    bool is_asleep, is_stopping;
    struct entry queue[QUEUE_SLOTS];

    struct member group[STORE_GROUP_MAX]; /* the thread's own, as are the ledger and these: */
    size_t grouped;
    size_t log_pages, log_limit; /* of SQLite's log, and when it is copied next */
};

/* ---- the queue ---- */

static bool has_room(const struct writer *writer, bool is_posting)
{
    return writer->queued < QUEUE_SLOTS && (!is_posting || writer->posted < STORE_POSTED_MAX);
}

static void enqueue(struct writer *writer, const struct entry *entry)
{
    bool is_posting = entry->posting != NULL;

    pthread_mutex_lock(&writer->lock);
    while (!has_room(writer, is_posting))
        pthread_cond_wait(&writer->room, &writer->lock);
    writer->queue[(writer->first + writer->queued) % QUEUE_SLOTS] = *entry;
    writer->queued++;
    writer->posted += is_posting;
    bool must_wake = writer->is_asleep;
    writer->is_asleep = false; /* whoever comes next need not call again */
    pthread_mutex_unlock(&writer->lock);
    if (must_wake)
        pthread_cond_signal(&writer->work);
}

/* Takes the oldest jobs; false when there are none and never will be. */
static bool gather(struct writer *writer)
{
    size_t changes = 0;

    writer->grouped = 0;
    pthread_mutex_lock(&writer->lock);
    while (writer->queued == 0 && !writer->is_stopping) {
        writer->is_asleep = true;
        pthread_cond_wait(&writer->work, &writer->lock);
    }
    writer->is_asleep = false;
    bool was_full = !has_room(writer, true);
    while (writer->queued > 0 && writer->grouped < STORE_GROUP_MAX && changes < STORE_GROUP_MAX) {
        struct entry *entry = &writer->queue[writer->first];
        writer->group[writer->grouped].has_failed = false;
        writer->group[writer->grouped++].entry = *entry;
        changes += entry->changes;
        writer->posted -= entry->posting != NULL;
        writer->first = (writer->first + 1) % QUEUE_SLOTS;
        writer->queued--;
    }
    pthread_mutex_unlock(&writer->lock);
    if (was_full)
        pthread_cond_broadcast(&writer->room);
    return writer->grouped > 0;
}

static void answer(struct member *member)
{
    struct store_posting *posting = member->entry.posting;
    struct waiter *waiter = member->entry.waiter;

    if (posting) {
        posting->done(posting, member->has_failed ? &member->why : NULL);
        return;
    }
    waiter->is_done = !member->has_failed;
    if (member->has_failed)
        *waiter->why = member->why;
    atomic_store_explicit(&waiter->is_answered, 1, memory_order_release);
    futex_wake_private(&waiter->is_answered); /* from here on *waiter may be gone */
}

bool writer_do(struct writer *writer, writer_job *job, void *self, size_t changes,
               struct error *why)
{
    struct waiter waiter = {.why = why};

    enqueue(writer,
            &(struct entry){.job = job, .self = self, .changes = changes, .waiter = &waiter});
    while (!atomic_load_explicit(&waiter.is_answered, memory_order_acquire))
        futex_wait_private(&waiter.is_answered, 0);
    return waiter.is_done;
}

void writer_post(struct writer *writer, struct store_posting *posting)
{
    enqueue(writer, &(struct entry){.job = change_apply_batch,
                                    .self = &posting->batch,
                                    .changes = posting->batch.count,
                                    .posting = posting});
}

/* ---- the group ---- */

static void fail(struct member *member, const struct error *why)
{
    if (!member->has_failed)
        member->why = *why;
    member->has_failed = true;
}

static void fail_all(struct writer *writer, const struct error *why)
{
    for (size_t i = 0; i < writer->grouped; i++)
        fail(&writer->group[i], why);
}

/* What became of the jobs of a group. */
enum run {
    RUN_DONE,   /* all that have not failed are done in the transaction */
    RUN_SPOILT, /* one failed half done: it is marked, the transaction is to be undone */
    RUN_BROKEN, /* the engine failed, all are marked */
};

static enum run run_jobs(struct writer *writer)
{
    struct connection *connection = &writer->ledger.connection;
    struct error why;

    for (size_t i = 0; i < writer->grouped; i++) {
        struct member *member = &writer->group[i];
        if (member->has_failed)
            continue;
        int64_t before = sqlite3_total_changes64(connection->database);
        if (member->entry.job(&writer->ledger, member->entry.self, &why))
            continue;
        if (connection->is_broken) {
            fail_all(writer, &why);
            return RUN_BROKEN;
        }
        fail(member, &why);
        /* Most failures are expectations that do not hold: nothing was touched then. */
        if (sqlite3_total_changes64(connection->database) != before)
            return RUN_SPOILT;
    }
    return RUN_DONE;
}

/* All in one transaction, without a savepoint a job: they would copy each page that a job changes.
 * Where a job fails half done, which is rare, the group is run again without it. */
static bool write_group(struct writer *writer)
{
    enum run run;
    struct error why;

    do {
        if (!ledger_begin(&writer->ledger, &why)) {
            fail_all(writer, &why);
            break;
        }
        run = run_jobs(writer);
        if (run == RUN_DONE) {
            if (ledger_commit(&writer->ledger, &why))
                return true;
            fail_all(writer, &why);
        }
        if (run != RUN_SPOILT)
            break;
        ledger_rollback(&writer->ledger);
    } while (true);
    ledger_rollback(&writer->ledger);
    return false;
}

/* After each commit SQLite tells how long its log is by now. It is shorter when it began anew. */
static int note_pages(void *self, sqlite3 *database, const char *schema, int pages)
{
    struct writer *writer = self;

    (void)database;
    (void)schema;
    if ((size_t)pages < writer->log_pages)
        writer->log_limit = STORE_WAL_PAGES;
    writer->log_pages = (size_t)pages;
    return SQLITE_OK;
}

/* After a failure of the engine nothing that it still has in memory is believed. */
static bool open_if_closed(struct writer *writer, struct error *why)
{
    struct connection *connection = &writer->ledger.connection;

    if (connection->is_broken)
        connection_close(connection);
    if (connection->database)
        return true;
    if (!connection_open(connection, writer->path, CONNECTION_WRITER, why))
        return false;
    writer->log_pages = 0;
    writer->log_limit = STORE_WAL_PAGES;
    sqlite3_wal_hook(connection->database, note_pages, writer);
    return true;
}

/* Copies a log of that many pages into the database. Mostly when all have been answered; but while
 * other processes go on writing that may never reach the log's end, so that beyond
 * STORE_WAL_PAGES_MAX it is done with the fair lock still held. */
static void shorten_log(struct writer *writer, size_t pages)
{
    sqlite3 *database = writer->ledger.connection.database;

    if (!database || writer->log_pages < pages || writer->log_pages < writer->log_limit)
        return;
    int outcome = sqlite3_wal_checkpoint_v2(database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    /* A failure is no loss, for the log still has it all; but it must not grow unseen. Busy is
     * whoever does the same just now. */
    if (outcome != SQLITE_OK && (outcome & 0xff) != SQLITE_BUSY) {
        struct error why;
        connection_error(&why, outcome, "copying the log into the database");
        log_error(LOG_LEVEL_ALARM, "the store cannot shorten its log", &why);
    }
    writer->log_limit = writer->log_pages + STORE_WAL_PAGES; /* should a reader keep it long */
}

static void ring(struct writer *writer)
{
    const struct ledger *ledger = &writer->ledger;

    if (!writer->shared)
        return;
    if (ledger->is_queue_due)
        doorbell_ring(writer->shared, DOORBELL_QUEUE);
    if (ledger->size_before / STORE_CHECKPOINT_LEAVES !=
        ledger->tree.size / STORE_CHECKPOINT_LEAVES)
        doorbell_ring(writer->shared, DOORBELL_CHECKPOINT);
}

static void *write_until_stopped(void *self)
{
    struct writer *writer = self;
    struct error why;

    while (gather(writer)) {
        bool is_written = false;
        bool is_ours = fair_lock_take(writer->shared);
        if (open_if_closed(writer, &why))
            is_written = write_group(writer);
        else
            fail_all(writer, &why);
        shorten_log(writer, STORE_WAL_PAGES_MAX);
        if (is_ours)
            fair_lock_give(writer->shared);
        for (size_t i = 0; i < writer->grouped; i++)
            answer(&writer->group[i]);
        if (is_written)
            ring(writer);
        shorten_log(writer, STORE_WAL_PAGES);
    }
    return NULL;
}

/* ---- its life ---- */

static void release(struct writer *writer)
{
    ledger_clear(&writer->ledger);
    pthread_cond_destroy(&writer->room);
    pthread_cond_destroy(&writer->work);
    pthread_mutex_destroy(&writer->lock);
    memory_release(writer->path);
    memory_release(writer);
}

/* Signals are for the thread that waits for them. */
static bool start_thread(struct writer *writer, struct error *why)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&writer->thread, NULL, write_until_stopped, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed || error_system(why, failed, "cannot start the store's writer");
}

bool writer_start(const char *path, struct store_shared *shared, const struct clock *clock,
                  const struct entropy *entropy, struct writer **out, struct error *why)
{
    struct writer *writer = memory_allocate(sizeof *writer);
    size_t path_size = strlen(path) + 1;

    if (!writer)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->work, NULL);
    pthread_cond_init(&writer->room, NULL);
    writer->shared = shared;
    writer->path = memory_allocate(path_size);
    if (!ledger_init(&writer->ledger, clock, entropy) || !writer->path) {
        release(writer);
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    }
    memcpy(writer->path, path, path_size);
    /* Two roles that start at once make the tables one after the other. */
    bool is_ours = fair_lock_take(shared);
    bool is_open = open_if_closed(writer, why);
    if (is_ours)
        fair_lock_give(shared);
    if (!is_open || !start_thread(writer, why)) {
        release(writer);
        return false;
    }
    *out = writer;
    return true;
}

void writer_stop(struct writer *writer)
{
    if (!writer)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    pthread_mutex_unlock(&writer->lock);
    pthread_cond_signal(&writer->work);
    pthread_join(writer->thread, NULL);
    release(writer);
}
