/* A small table of hosts: sessions counted, the dead remembered for a while. */
/* SPDX-License-Identifier: ISC */
#include "hosts.h"

#include "base/memory.h"
#include "deliver/limits.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>

enum { HOST_KEY_SIZE = 320 };

struct host {
    char key[HOST_KEY_SIZE];
    unsigned sessions, open; /* counted; of them, those that stand */
    int64_t dead_until_ns;
    struct host *next;
};
struct hosts {
    pthread_mutex_t lock;
    struct host *buckets[TABLE_BUCKETS];
    size_t count;
};

struct hosts *hosts_new(void)
{
    struct hosts *hosts = memory_allocate(sizeof *hosts);

    if (hosts)
        pthread_mutex_init(&hosts->lock, NULL);
    return hosts;
}

/* Forgets what holds nothing: no session, and no grave that is still fresh at `now_ns`. */
static void sweep(struct hosts *hosts, int64_t now_ns)
{
    for (size_t i = 0; i < TABLE_BUCKETS; i++) {
        struct host **at = &hosts->buckets[i];

        while (*at) {
            struct host *host = *at;

            if (host->sessions > 0 || host->dead_until_ns > now_ns) {
                at = &host->next;
                continue;
            }
            *at = host->next;
            memory_release(host);
            hosts->count--;
        }
    }
}

void hosts_free(struct hosts *hosts)
{
    if (!hosts)
        return;
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        for (struct host *host = hosts->buckets[i]; host; host = host->next)
            host->sessions = 0;
    sweep(hosts, INT64_MAX);
    pthread_mutex_destroy(&hosts->lock);
    memory_release(hosts);
}

static size_t bucket_of(const char *key)
{
    uint32_t hash = 2166136261U;

    for (const char *c = key; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619U;
    return hash % TABLE_BUCKETS;
}

/* NULL: not there, or not to be made for want of memory or room. */
static struct host *find(struct hosts *hosts, struct span name, const char *address, bool may_make)
{
    char key[HOST_KEY_SIZE];
    struct host **bucket;

    snprintf(key, sizeof key, "%.*s %s", SPAN_ARGS(span_until(name, 255)), address);
    bucket = &hosts->buckets[bucket_of(key)];
    for (struct host *host = *bucket; host; host = host->next)
        if (strcmp(host->key, key) == 0)
            return host;
    if (!may_make || hosts->count >= HOSTS_MAX)
        return NULL;
    struct host *made = memory_allocate(sizeof *made);
    if (!made)
        return NULL;
    memcpy(made->key, key, sizeof made->key);
    made->next = *bucket;
    *bucket = made;
    hosts->count++;
    return made;
}

enum hosts_entry hosts_enter(struct hosts *hosts, struct span name, const char *address,
                             unsigned max, int64_t now_ns)
{
    enum hosts_entry entry = HOSTS_WELCOME;
    struct host *host;

    pthread_mutex_lock(&hosts->lock);
    if (hosts->count >= HOSTS_MAX)
        sweep(hosts, now_ns);
    if (hosts->count >= HOSTS_MAX) /* many dead ones shall not shut out the living */
        sweep(hosts, INT64_MAX);
    host = find(hosts, name, address, true);
    if (!host)
        entry = HOSTS_BUSY; /* the table is full of living sessions: one more can wait */
    else if (host->dead_until_ns > now_ns)
        entry = HOSTS_DEAD;
    else if (host->sessions >= max)
        entry = HOSTS_BUSY;
    else
        host->sessions++;
    pthread_mutex_unlock(&hosts->lock);
    return entry;
}

void hosts_mark_open(struct hosts *hosts, struct span name, const char *address)
{
    struct host *host;

    pthread_mutex_lock(&hosts->lock);
    host = find(hosts, name, address, false);
    assert(host && host->open < host->sessions);
    host->open++;
    pthread_mutex_unlock(&hosts->lock);
}

void hosts_leave(struct hosts *hosts, struct span name, const char *address, bool was_open)
{
    struct host *host;

    pthread_mutex_lock(&hosts->lock);
    host = find(hosts, name, address, false);
    assert(host && host->sessions > 0 && (!was_open || host->open > 0));
    host->sessions--;
    host->open -= was_open;
    pthread_mutex_unlock(&hosts->lock);
}

bool hosts_mark_dead(struct hosts *hosts, struct span name, const char *address, int64_t until_ns)
{
    struct host *host;
    bool is_dead;

    pthread_mutex_lock(&hosts->lock);
    host = find(hosts, name, address, true);
    is_dead = !host || host->open == 0;
    if (host && is_dead)
        host->dead_until_ns = until_ns;
    pthread_mutex_unlock(&hosts->lock);
    return is_dead;
}
