/* What the files behind store.h share: the store itself, and its readers. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "connection.h"
#include "store/store.h"
#include "writer.h"

#include <pthread.h>
#include <stdbool.h>

struct reader {
    struct connection connection; /* closed until its first use */
    bool is_taken;
};

struct store {
    enum store_mode mode;
    char *path;
    struct writer *writer; /* NULL where the store is read only */
    pthread_mutex_t lock;  /* guards is_taken of the readers */
    pthread_cond_t returned;
    struct reader readers[STORE_READERS_MAX];
};

/* A connection for looking; waits while all are in use. Give it back also after a failure. */
MUST_USE bool store_reader_take(struct store *store, struct connection **connection,
                                struct error *why);
void store_reader_give(struct store *store, struct connection *connection);
/* Several queries that see one state. */
MUST_USE bool store_reader_begin(struct connection *connection, struct error *why);
void store_reader_end(struct connection *connection);

/* The writer, or ERROR_INTERNAL where the store is read only. */
MUST_USE bool store_writer(struct store *store, struct writer **writer, struct error *why);
