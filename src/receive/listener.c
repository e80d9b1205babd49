/* The threads: each waits in accept() on the one listener, serves whom it gets, and waits again.
 *
 * Nothing is handed over and no thread is made for a connection: the last that is about to leave
 * accept() without company makes one more, and one that would be too many ends. */
/* SPDX-License-Identifier: ISC */
#include "session.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* Wakes a thread out of accept(): its handler does nothing, and the call is not restarted. */
enum { WAKE_SIGNAL = SIGURG };
enum {
    WAKE_EVERY_MS = 10,    /* a signal may come just before the call: it is sent again */
    OUT_OF_FILES_MS = 100, /* rest when the system has no descriptor or memory to spare */
    STOP_MARGIN_MS = 2000, /* after the grace: for last replies */
    TRIM_PEAK = 64,        /* sessions in a wave that is worth giving memory back after */
};

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { STACK_BYTES = RECEIVE_STACK_BYTES_SANITIZED };
#else
enum { STACK_BYTES = RECEIVE_STACK_BYTES };
#endif

/* A thread that waits in accept(); it lies on that thread's stack. */
struct waiter {
    pthread_t thread;
    struct waiter *next;
};

/* All but the first two under the lock of `receive`. */
struct pool {
    struct receive *receive;
    const struct receive_listener *listener;
    struct waiter *waiters;
    unsigned idle;
};

/* ---- sessions by address ---- */

/* One number for one host, or for a household of IPv6 addresses, which is a /64. */
static uint64_t key_of_address(const struct sockaddr_storage *address)
{
    uint64_t key = 0;

    if (address->ss_family == AF_INET)
        key = ((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr;
    else if (address->ss_family == AF_INET6)
        memcpy(&key, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof key);
    return key;
}

static struct session **bucket_of(struct receive *receive, uint64_t key)
{
    return &receive->by_address[(key * 0x9e3779b97f4a7c15U >> 32) % SERVICE_BUCKETS];
}

static unsigned sessions_of(struct receive *receive, uint64_t key)
{
    unsigned count = 0;

    for (const struct session *s = *bucket_of(receive, key); s; s = s->next)
        count += s->address_key == key;
    return count;
}

/* Takes the session in, or gives the words to send it away with. */
static const char *admit(struct receive *receive, struct session *session)
{
    const struct receive_limits *limits = &receive->terms.limits;
    const char *refusal = NULL;
    struct session **bucket = bucket_of(receive, session->address_key);

    pthread_mutex_lock(&receive->lock);
    if (service_is_stopping(receive)) {
        refusal = "421 4.3.2 This server is going down, try again shortly\r\n";
    } else if (receive->sessions >= limits->sessions_max) {
        refusal = "421 4.3.2 Too many connections, try again shortly\r\n";
    } else if (sessions_of(receive, session->address_key) >= limits->sessions_per_address) {
        refusal = "421 4.7.0 Too many connections from your address, try again shortly\r\n";
    } else {
        session->next = *bucket;
        *bucket = session;
        receive->sessions++;
        if (receive->sessions > receive->sessions_peak)
            receive->sessions_peak = receive->sessions;
    }
    pthread_mutex_unlock(&receive->lock);
    return refusal;
}

/* The session leaves the list before its stream ends: whoever shuts streams shuts living ones. */
static void dismiss(struct receive *receive, struct session *session)
{
    struct session **at = bucket_of(receive, session->address_key);
    bool is_wave_over;

    pthread_mutex_lock(&receive->lock);
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    receive->sessions--;
    is_wave_over = receive->sessions == 0 && receive->sessions_peak >= TRIM_PEAK;
    if (is_wave_over)
        receive->sessions_peak = 0;
    pthread_mutex_unlock(&receive->lock);
    stream_free(session->stream);
    if (is_wave_over)
        malloc_trim(0);
}

/* ---- one connection ---- */

/* A client by IPv4 on a listener for both is a client by IPv4. */
static void unmap_address(struct sockaddr_storage *address, socklen_t *len)
{
    struct sockaddr_in6 six;
    struct sockaddr_in four = {.sin_family = AF_INET};

    memcpy(&six, address, sizeof six);
    if (address->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
        return;
    four.sin_port = six.sin6_port;
    memcpy(&four.sin_addr, six.sin6_addr.s6_addr + 12, sizeof four.sin_addr);
    memset(address, 0, sizeof *address);
    memcpy(address, &four, sizeof four);
    *len = sizeof four;
}

/* Takes fd over. */
static void serve(struct pool *pool, int fd, const struct sockaddr_storage *address, socklen_t len)
{
    struct session session = {
        .receive = pool->receive,
        .listener = pool->listener,
        .address = *address,
        .address_len = len,
    };
    const char *refusal;

    unmap_address(&session.address, &session.address_len);
    address_text((const struct sockaddr *)&session.address, session.address_text);
    session.address_key = key_of_address(&session.address);
    session.stream = stream_new(fd); /* before others can see the session */
    if (!session.stream)
        return;
    refusal = admit(pool->receive, &session);
    if (!refusal) {
        session_run(&session);
        dismiss(pool->receive, &session);
        return;
    }
    /* In the clear only: on a port that begins with TLS it would be no reply at all. */
    if (pool->listener->how->kind != LISTENER_SUBMISSIONS)
        (void)!send(stream_descriptor(session.stream), refusal, strlen(refusal),
                    MSG_DONTWAIT | MSG_NOSIGNAL);
    stream_free(session.stream);
}

/* ---- the threads ---- */

static void *thread_main(void *argument);

/* Under the lock. */
static bool add_thread(struct pool *pool)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool is_made = pthread_attr_init(&attributes) == 0;

    if (!is_made)
        return false;
    is_made = pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
              pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
              pthread_create(&thread, &attributes, thread_main, pool) == 0;
    pthread_attr_destroy(&attributes);
    if (is_made) {
        pool->receive->threads++;
        pool->idle++;
    }
    return is_made;
}

/* A thread counts as idle from its making, and from the end of each session. */
static bool begin_wait(struct pool *pool, struct waiter *waiter, bool is_new)
{
    struct receive *receive = pool->receive;
    bool goes_on;

    pthread_mutex_lock(&receive->lock);
    goes_on = !service_is_stopping(receive) &&
              (is_new || pool->idle < receive->terms.limits.idle_threads_max);
    if (!is_new && goes_on)
        pool->idle++;
    if (is_new && !goes_on)
        pool->idle--;
    if (goes_on) {
        waiter->next = pool->waiters;
        pool->waiters = waiter;
    }
    pthread_mutex_unlock(&receive->lock);
    return goes_on;
}

static void end_wait(struct pool *pool, struct waiter *waiter, bool has_client)
{
    struct receive *receive = pool->receive;
    struct waiter **at = &pool->waiters;

    pthread_mutex_lock(&receive->lock);
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    pool->idle--;
    if (has_client && !service_is_stopping(receive) &&
        pool->idle < receive->terms.limits.idle_threads_min)
        (void)add_thread(pool); /* when there is none to be had, those that are there go on */
    pthread_mutex_unlock(&receive->lock);
}

static bool is_shortage(int errno_value)
{
    return errno_value == EMFILE || errno_value == ENFILE || errno_value == ENOMEM ||
           errno_value == ENOBUFS;
}

/* A connection, or -1 when it is worth looking around and trying again. */
static int accept_one(struct pool *pool, struct sockaddr_storage *address, socklen_t *len)
{
    struct pollfd stop = {.fd = pool->receive->stop_event, .events = POLLIN};
    struct pollfd listener = {.fd = pool->listener->fd, .events = POLLIN};
    int fd;

    memset(address, 0, sizeof *address);
    *len = sizeof *address;
    fd = accept4(pool->listener->fd, (struct sockaddr *)address, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && is_shortage(errno))
        (void)poll(&stop, 1, OUT_OF_FILES_MS);
    else if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) /* it does not block: wait so */
        (void)poll(&listener, 1, -1);
    return fd;
}

static void *thread_main(void *argument)
{
    struct pool *pool = argument;
    struct receive *receive = pool->receive;
    struct waiter waiter = {.thread = pthread_self()};
    bool is_new = true;
    sigset_t wake;

    sigemptyset(&wake);
    sigaddset(&wake, WAKE_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    while (begin_wait(pool, &waiter, is_new)) {
        struct sockaddr_storage address;
        socklen_t len = 0;
        int fd = accept_one(pool, &address, &len);

        is_new = false;
        end_wait(pool, &waiter, fd >= 0);
        if (fd >= 0)
            serve(pool, fd, &address, len);
    }
    pthread_mutex_lock(&receive->lock);
    receive->threads--;
    pthread_cond_broadcast(&receive->changed);
    pthread_mutex_unlock(&receive->lock);
    return NULL;
}

/* ---- start and stop ---- */

static void do_nothing(int number)
{
    (void)number;
}

/* Sessions leave some descriptors to others, however low the system's limit is. */
static unsigned sessions_within_files(unsigned wanted)
{
    struct rlimit files;
    rlim_t kept = RECEIVE_DESCRIPTORS_KEPT;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return wanted;
    if (files.rlim_cur < 2 * kept)
        kept = files.rlim_cur / 2;
    return files.rlim_cur - kept < wanted ? (unsigned)(files.rlim_cur - kept) : wanted;
}

static void wait_for_threads(struct receive *receive)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAKE_EVERY_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    (void)pthread_cond_timedwait(&receive->changed, &receive->lock, &until);
}

/* Under the lock. */
static void wake_waiters(struct receive *receive)
{
    for (size_t i = 0; i < receive->terms.listener_count; i++)
        for (const struct waiter *w = receive->pools[i].waiters; w; w = w->next)
            pthread_kill(w->thread, WAKE_SIGNAL);
}

/* Under the lock. */
static void shut_sessions(struct receive *receive)
{
    for (size_t i = 0; i < SERVICE_BUCKETS; i++)
        for (struct session *s = receive->by_address[i]; s; s = s->next)
            stream_shut(s->stream);
}

void receive_stop(struct receive *receive, struct deadline grace)
{
    const uint64_t one = 1;
    struct deadline last = {.monotonic_ns = grace.monotonic_ns + STOP_MARGIN_MS * 1000000LL};

    pthread_mutex_lock(&receive->lock);
    if (!service_is_stopping(receive)) {
        atomic_store(&receive->grace_ns, grace.monotonic_ns);
        atomic_store_explicit(&receive->is_stopping, true, memory_order_release);
        (void)!write(receive->stop_event, &one, sizeof one);
    }
    while (receive->threads > 0) {
        wake_waiters(receive);
        if (deadline_is_over(last))
            shut_sessions(receive);
        wait_for_threads(receive);
    }
    pthread_mutex_unlock(&receive->lock);
}

void receive_free(struct receive *receive)
{
    if (!receive)
        return;
    receive_stop(receive, deadline_in_ms(0)); /* where it has not been */
    wait_refusals_told(receive);
    pthread_cond_destroy(&receive->changed);
    pthread_mutex_destroy(&receive->lock);
    descriptor_close(&receive->stop_event);
    memory_release(receive->pools);
    memory_release(receive->listeners);
    memory_release(receive);
}

static void init_locks(struct receive *receive)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&receive->lock, NULL); /* these fail in no way on this system */
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&receive->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static bool start_pool(struct pool *pool, struct error *why)
{
    struct receive *receive = pool->receive;
    unsigned wanted = receive->terms.limits.idle_threads_min;
    bool is_started = true;

    pthread_mutex_lock(&receive->lock);
    for (unsigned i = 0; i < (wanted ? wanted : 1) && is_started; i++)
        is_started = add_thread(pool);
    pthread_mutex_unlock(&receive->lock);
    return is_started ||
           error_set(why, ERROR_INTERNAL, "4.3.0", "no threads to be had for a listener");
}

bool receive_start(const struct receive_terms *terms, struct receive **out, struct error *why)
{
    const struct sigaction wake = {.sa_handler = do_nothing}; /* no SA_RESTART: that is its use */
    scoped(receive) receive = memory_allocate(sizeof *receive);

    if (!receive)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory to receive");
    init_locks(receive);
    receive->terms = *terms;
    receive->terms.limits.sessions_max = sessions_within_files(terms->limits.sessions_max);
    atomic_store(&receive->grace_ns, INT64_MAX);
    receive->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (receive->stop_event < 0)
        return error_system(why, errno, "making an eventfd");
    receive->listeners = memory_allocate_array(terms->listener_count, sizeof *receive->listeners);
    receive->pools = memory_allocate_array(terms->listener_count, sizeof *receive->pools);
    if (!receive->listeners || !receive->pools)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory to receive");
    if (sigaction(WAKE_SIGNAL, &wake, NULL) != 0)
        return error_system(why, errno, "setting a signal's handler");
    for (size_t i = 0; i < terms->listener_count; i++) {
        receive->listeners[i] = terms->listeners[i];
        receive->pools[i] = (struct pool){.receive = receive, .listener = &receive->listeners[i]};
        if (!start_pool(&receive->pools[i], why))
            return false;
    }
    *out = receive;
    receive = NULL;
    return true;
}
