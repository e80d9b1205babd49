/* Connections to SQLite as this store wants them, and the one way to run a statement. */
/* SPDX-License-Identifier: ISC */
#include "connection.h"

#include "base/memory.h"
#include "schema.h"
#include "store/limits.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

bool connection_error(struct error *why, int outcome, const char *doing)
{
    /* errstr is fixed text; errmsg could quote what stands in a row. */
    const char *what = sqlite3_errstr(outcome);

    switch (outcome & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_NOMEM:
    case SQLITE_NOLFS:
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "%s: %s (code %d)", doing, what, outcome);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the store is damaged: %s: %s (code %d)",
                         doing, what, outcome);
    default:
        return error_set(why, ERROR_INTERNAL, "4.3.0", "%s: %s (code %d)", doing, what, outcome);
    }
}

/* SQLite's own statistics cost a lock at each allocation. */
static void configure_sqlite(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* Roles run as different users of one group. SQLite gives its log the mode of the database, which
 * it would itself create without the group's right to write. Only a file that is not there is
 * opened: closing one that is would drop the locks of all connections of this process. */
static bool create_file(const char *path, struct error *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (fd >= 0)
        close(fd);
    else if (errno != EEXIST)
        return error_system(why, errno, "cannot create the store %s", path);
    return true;
}

/* A file system without shared memory would silently get another journal, and readers that wait. */
static int note_mode(void *self, int columns, char **values, char **names)
{
    bool *is_log = self;

    (void)names;
    if (columns == 1 && values[0] && strcmp(values[0], "wal") == 0)
        *is_log = true;
    return 0;
}

static int set_up_writer(sqlite3 *database)
{
    bool is_log = false;

    /* Wiping within pages is enough: bodies are sealed, and their key stands in such a page. The
     * writer copies the log into the database itself, when nobody waits for it. */
    char *pragmas = sqlite3_mprintf("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                    "PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = FAST;"
                                    "PRAGMA journal_size_limit = %d; PRAGMA cache_size = -%d",
                                    STORE_WAL_PAGES_MAX * 4096, STORE_CACHE_KIB);
    int outcome =
        pragmas ? sqlite3_exec(database, pragmas, note_mode, &is_log, NULL) : SQLITE_NOMEM;
    sqlite3_free(pragmas);
    return outcome == SQLITE_OK && !is_log ? SQLITE_CANTOPEN : outcome;
}

static int set_up(sqlite3 *database, enum connection_mode mode)
{
    /* Whoever can write into the file must not make us run his triggers and views. */
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},   {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        sqlite3_db_config(database, options[i].option, options[i].value, NULL);
    sqlite3_extended_result_codes(database, 1);
    sqlite3_busy_timeout(database, STORE_BUSY_MS);

    int outcome = sqlite3_exec(database,
                               "PRAGMA page_size = 4096; PRAGMA mmap_size = 0;"
                               "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY",
                               NULL, NULL, NULL);
    if (outcome != SQLITE_OK)
        return outcome;
    return mode == CONNECTION_WRITER
               ? set_up_writer(database)
               : sqlite3_exec(database, "PRAGMA query_only = ON", NULL, NULL, NULL);
}

bool connection_open(struct connection *connection, const char *path, enum connection_mode mode,
                     struct error *why)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    pthread_once(&configured, configure_sqlite);

    *connection = (struct connection){0};
    if (mode == CONNECTION_WRITER && !create_file(path, why))
        return false;
    /* Not through a link: who can write into the directory must not choose what else is opened. */
    int flags = mode == CONNECTION_READ_ONLY ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    int outcome = sqlite3_open_v2(path, &connection->database,
                                  flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    if (outcome == SQLITE_OK)
        outcome = set_up(connection->database, mode);
    bool is_open = outcome == SQLITE_OK
                       ? (mode == CONNECTION_WRITER ? schema_create(connection->database, why)
                                                    : schema_check(connection->database, why))
                       : connection_error(why, outcome, "opening the store");
    if (!is_open)
        connection_close(connection);
    return is_open;
}

void connection_close(struct connection *connection)
{
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++)
        sqlite3_finalize(connection->prepared[i]);
    sqlite3_close(connection->database);
    *connection = (struct connection){0};
}

void query_begin(struct query *query, struct connection *connection, enum sql sql)
{
    *query = (struct query){.connection = connection};
    if (!connection->prepared[sql])
        query->outcome =
            sqlite3_prepare_v3(connection->database, sql_statements[sql].text, -1,
                               SQLITE_PREPARE_PERSISTENT, &connection->prepared[sql], NULL);
    query->statement = connection->prepared[sql];
}

static void keep(struct query *query, int outcome)
{
    if (query->outcome == SQLITE_OK)
        query->outcome = outcome;
}

void query_int(struct query *query, int64_t value)
{
    query->bound++;
    if (query->statement)
        keep(query, sqlite3_bind_int64(query->statement, query->bound, value));
}

void query_bytes(struct query *query, struct span bytes)
{
    query->bound++;
    if (query->statement)
        keep(query, bytes.len == 0 ? sqlite3_bind_null(query->statement, query->bound)
                                   : sqlite3_bind_blob64(query->statement, query->bound, bytes.data,
                                                         bytes.len, SQLITE_STATIC));
}

void query_text(struct query *query, struct span text)
{
    query->bound++;
    if (query->statement)
        keep(query, sqlite3_bind_text64(query->statement, query->bound, text.len ? text.data : "",
                                        text.len, SQLITE_STATIC, SQLITE_UTF8));
}

bool query_row(struct query *query)
{
    if (query->outcome != SQLITE_OK)
        return false;
    assert(query->bound == sqlite3_bind_parameter_count(query->statement));
    int outcome = sqlite3_step(query->statement);
    if (outcome != SQLITE_ROW && outcome != SQLITE_DONE)
        query->outcome = outcome;
    return outcome == SQLITE_ROW;
}

bool query_end(struct query *query, struct error *why)
{
    if (query->statement)
        sqlite3_reset(query->statement);
    if (query->outcome == SQLITE_OK)
        return true;
    if ((query->outcome & 0xff) != SQLITE_CONSTRAINT)
        query->connection->is_broken = true;
    return connection_error(why, query->outcome, "asking the store");
}

bool query_run(struct query *query, struct error *why)
{
    while (query_row(query))
        ;
    return query_end(query, why);
}

int64_t query_get_int(struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

bool query_is_null(struct query *query, int column)
{
    return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}

struct span query_get_bytes(struct query *query, int column)
{
    const void *data = sqlite3_column_blob(query->statement, column);
    /* Empty and "memory is out" look alike but for this. */
    if (!data && sqlite3_errcode(query->connection->database) == SQLITE_NOMEM)
        keep(query, SQLITE_NOMEM);
    return data ? span_make(data, (size_t)sqlite3_column_bytes(query->statement, column))
                : span_make("", 0);
}

void query_get_exactly(struct query *query, int column, void *out, size_t len)
{
    struct span bytes = query_get_bytes(query, column);
    if (bytes.len == len)
        memcpy(out, bytes.data, len);
    else
        memset(out, 0, len);
}
