/* Questions to libunbound with a real bound on the wait: a thread of ours takes the answers in, and
 * whoever asked sleeps on a condition until the answer or the deadline. */
/* SPDX-License-Identifier: ISC */
#include "resolver_ask.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    TIMEOUT_DEFAULT_MS = 10000,
    DNS_IN = 1,
    RCODE_NOERROR = 0,
    RCODE_NXDOMAIN = 3,
    FORWARDER_SIZE = 64, /* the longest address, an at sign and a port */
    ANCHOR_LINE_MAX = 4096,
    STACK_BYTES = 131072,
    QUESTION_NAME_SIZE = 256,
};

struct resolver {
    struct ub_ctx *context;
    unsigned timeout_ms;
    void (*on_broken)(void *self);
    void *self;
    pthread_mutex_t lock; /* guards all below; libunbound is never called under it */
    bool is_started, is_starting, is_broken;
    pthread_t thread;
    int stop_fd;                /* readable: the thread shall end */
    struct question *questions; /* all that libunbound still has */
};

/* Two own a question: who asked, until question_free(), and libunbound, until it answers. */
struct question {
    struct resolver *resolver;
    struct question *next, **back; /* while libunbound has it */
    pthread_cond_t answered;
    char name[QUESTION_NAME_SIZE];
    bool is_pending;   /* libunbound has it */
    bool is_abandoned; /* who asked does not wait any more */
    int failure;       /* the library's code */
    struct ub_result *result;
};

/* --- one question --- */

static void destroy(struct question *question)
{
    if (question->result)
        ub_resolve_free(question->result);
    pthread_cond_destroy(&question->answered);
    memory_release(question);
}

static struct question *question_new(struct resolver *resolver, const char *name)
{
    struct question *question = memory_allocate(sizeof *question);
    pthread_condattr_t monotonic;

    if (!question)
        return NULL;
    question->resolver = resolver;
    snprintf(question->name, sizeof question->name, "%s", name);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&question->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return question;
}

static void enlist(struct question *question)
{
    struct resolver *resolver = question->resolver;

    question->next = resolver->questions;
    question->back = &resolver->questions;
    if (question->next)
        question->next->back = &question->next;
    resolver->questions = question;
    question->is_pending = true;
}

static void delist(struct question *question)
{
    *question->back = question->next;
    if (question->next)
        question->next->back = question->back;
    question->is_pending = false;
}

/* libunbound's answer, in our thread. */
static void take_answer(void *self, int failure, struct ub_result *result)
{
    struct question *question = self;
    struct resolver *resolver = question->resolver;
    bool is_abandoned;

    pthread_mutex_lock(&resolver->lock);
    delist(question);
    question->failure = failure;
    question->result = result;
    is_abandoned = question->is_abandoned;
    if (!is_abandoned)
        pthread_cond_signal(&question->answered);
    pthread_mutex_unlock(&resolver->lock);
    if (is_abandoned)
        destroy(question);
}

void question_free(struct question *question)
{
    struct resolver *resolver;
    bool is_pending;

    if (!question)
        return;
    resolver = question->resolver;
    pthread_mutex_lock(&resolver->lock);
    is_pending = question->is_pending;
    question->is_abandoned = true;
    pthread_mutex_unlock(&resolver->lock);
    if (!is_pending)
        destroy(question);
}

/* False: nobody would take the answer. */
static bool enlist_where_heard(struct question *question)
{
    struct resolver *resolver = question->resolver;
    bool is_heard;

    pthread_mutex_lock(&resolver->lock);
    is_heard = !resolver->is_broken;
    enlist(question);
    pthread_mutex_unlock(&resolver->lock);
    return is_heard;
}

static struct question *hand_over(struct resolver *resolver, const char *name, int type,
                                  struct error *why)
{
    struct question *question = question_new(resolver, name);
    int failure = UB_NOMEM;

    if (question) {
        failure = UB_PIPE;
        if (enlist_where_heard(question))
            failure = ub_resolve_async(resolver->context, name, type, DNS_IN, question, take_answer,
                                       NULL);
        if (failure == UB_NOERROR)
            return question;
        pthread_mutex_lock(&resolver->lock);
        delist(question);
        pthread_mutex_unlock(&resolver->lock);
        destroy(question);
    }
    error_set(why, ERROR_TEMPORARY, "4.4.3", "asking DNS for %.200s: %s", name,
              ub_strerror(failure));
    return NULL;
}

/* --- the thread --- */

/* Where the library's pipe is broken no answer comes any more: nobody shall wait for one. */
static void break_down(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    resolver->is_broken = true;
    for (struct question *question = resolver->questions; question; question = question->next)
        if (!question->is_abandoned)
            pthread_cond_signal(&question->answered);
    pthread_mutex_unlock(&resolver->lock);
    log_plain(LOG_LEVEL_ALARM, "the resolver is broken: no look-up has an answer any more");
    if (resolver->on_broken)
        resolver->on_broken(resolver->self);
}

static void *take_answers(void *self)
{
    struct resolver *resolver = self;
    struct pollfd wanted[2] = {{.fd = ub_fd(resolver->context), .events = POLLIN},
                               {.fd = resolver->stop_fd, .events = POLLIN}};

    for (;;) {
        int ready = poll(wanted, 2, -1);

        if (ready > 0 && wanted[1].revents != 0)
            return NULL;
        if ((ready < 0 && errno != EINTR) ||
            (ready > 0 && ub_process(resolver->context) != UB_NOERROR)) {
            break_down(resolver);
            return NULL;
        }
    }
}

/* Starts our thread, and by a question that needs no network the library's own. Signals are for
 * the process's own threads. */
static bool start_threads(struct resolver *resolver, struct error *why)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    struct question *first;
    int failure;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&resolver->thread, &attributes, take_answers, resolver);
    pthread_attr_destroy(&attributes);
    if (failure == 0 && (first = hand_over(resolver, "localhost", DNS_A, why)) != NULL) {
        question_wait(first, question_deadline(resolver), why);
        question_free(first);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0)
        return error_set(why, ERROR_TEMPORARY, "4.4.3", "starting the resolver: %s",
                         strerrordesc_np(failure));
    return true;
}

/* Whoever comes while another one starts the threads asks already: its answer waits in the pipe. */
static bool make_started(struct resolver *resolver, struct error *why)
{
    bool is_mine;

    pthread_mutex_lock(&resolver->lock);
    is_mine = !resolver->is_started && !resolver->is_starting;
    resolver->is_starting = true;
    pthread_mutex_unlock(&resolver->lock);
    if (!is_mine)
        return true;
    if (!start_threads(resolver, why)) {
        pthread_mutex_lock(&resolver->lock);
        resolver->is_starting = false;
        pthread_mutex_unlock(&resolver->lock);
        return false;
    }
    pthread_mutex_lock(&resolver->lock);
    resolver->is_started = true;
    pthread_mutex_unlock(&resolver->lock);
    return true;
}

void resolver_warm_up(struct resolver *resolver)
{
    struct error unused;

    (void)make_started(resolver, &unused); /* the first question tries again, and tells */
}

/* --- asking and waiting --- */

struct question *question_ask(struct resolver *resolver, const char *name, int type,
                              struct error *why)
{
    return make_started(resolver, why) ? hand_over(resolver, name, type, why) : NULL;
}

struct deadline question_deadline(const struct resolver *resolver)
{
    return deadline_in_ms(resolver->timeout_ms);
}

static struct dns_result unknown(struct error *why, const char *name, const char *problem)
{
    error_set(why, ERROR_TEMPORARY, "4.4.3", "DNS: %.200s: %s", name, problem);
    return (struct dns_result){.answer = ANSWER_UNKNOWN};
}

/* What an answer proves. Every code but two proves nothing. */
static struct dns_result judge(const struct question *question, struct error *why)
{
    const struct ub_result *result = question->result;
    char code[32];

    if (result->bogus)
        return unknown(why, question->name, "the answer is bogus (DNSSEC)");
    if (result->rcode == RCODE_NOERROR && result->havedata)
        return (struct dns_result){
            .answer = ANSWER_YES, .is_secure = result->secure != 0, .data = result};
    if (result->rcode == RCODE_NOERROR || result->rcode == RCODE_NXDOMAIN)
        return (struct dns_result){.answer = ANSWER_NO,
                                   .is_secure = result->secure != 0,
                                   .is_nxdomain = result->rcode == RCODE_NXDOMAIN};
    snprintf(code, sizeof code, "the answer's code is %d", result->rcode);
    return unknown(why, question->name, result->rcode == 2 ? "no server could answer" : code);
}

struct dns_result question_wait(struct question *question, struct deadline until, struct error *why)
{
    struct timespec end = {.tv_sec = until.monotonic_ns / 1000000000,
                           .tv_nsec = until.monotonic_ns % 1000000000};
    struct resolver *resolver;
    bool is_pending, is_broken;
    int waited = 0;

    if (!question)
        return (struct dns_result){.answer = ANSWER_UNKNOWN};
    resolver = question->resolver;
    pthread_mutex_lock(&resolver->lock);
    while (question->is_pending && !resolver->is_broken && waited == 0)
        waited = pthread_cond_timedwait(&question->answered, &resolver->lock, &end);
    is_pending = question->is_pending;
    is_broken = resolver->is_broken;
    pthread_mutex_unlock(&resolver->lock);
    if (is_pending)
        return unknown(why, question->name, is_broken ? ub_strerror(UB_PIPE) : "no answer in time");
    if (question->failure != UB_NOERROR || !question->result)
        return unknown(why, question->name, ub_strerror(question->failure));
    return judge(question, why);
}

/* --- the resolver --- */

static bool is_loopback(const char *address)
{
    struct in_addr v4;

    return strcmp(address, "::1") == 0 ||
           (inet_pton(AF_INET, address, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static int forward_to(struct ub_ctx *context, const struct resolver_terms *terms)
{
    char address[FORWARDER_SIZE], with_port[FORWARDER_SIZE + 8];
    uint8_t bytes[16];
    int failure = UB_NOERROR;

    if (terms->forward_address.len >= sizeof address)
        return UB_SYNTAX;
    memcpy(address, terms->forward_address.data, terms->forward_address.len);
    address[terms->forward_address.len] = '\0';
    if (inet_pton(AF_INET, address, bytes) != 1 && inet_pton(AF_INET6, address, bytes) != 1)
        return UB_SYNTAX;
    if (is_loopback(address))
        failure = ub_ctx_set_option(context, "do-not-query-localhost:", "no");
    snprintf(with_port, sizeof with_port, "%s@%u", address,
             terms->forward_port > 0 ? terms->forward_port : 53u);
    return failure == UB_NOERROR ? ub_ctx_set_fwd(context, with_port) : failure;
}

static int trust(struct ub_ctx *context, struct span anchors)
{
    int failure = UB_NOERROR;

    while (anchors.len > 0 && failure == UB_NOERROR) {
        char text[ANCHOR_LINE_MAX];
        struct span line;

        span_split(anchors, '\n', &line, &anchors);
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        line = span_trim(line);
        if (line.len == 0 || line.data[0] == ';' || line.data[0] == '#')
            continue;
        if (line.len >= sizeof text || span_index(line, '\0') < line.len)
            return UB_SYNTAX;
        memcpy(text, line.data, line.len);
        text[line.len] = '\0';
        failure = ub_ctx_add_ta(context, text);
    }
    return failure;
}

static int configure(struct ub_ctx *context, const struct resolver_terms *terms)
{
    static const char *const options[][2] = {
        /* A server that was down is tried again within a minute, not within a quarter of an hour.
         */
        {"infra-host-ttl:", "60"},
        {"infra-keep-probing:", "yes"},
        {"trust-anchor-signaling:", "no"}, /* no questions but ours */
    };
    int failure = UB_NOERROR;

    ub_ctx_debugout(context, NULL); /* the library has no place in our log */
    for (size_t i = 0; i < sizeof options / sizeof options[0] && failure == UB_NOERROR; i++)
        failure = ub_ctx_set_option(context, options[i][0], options[i][1]);
    if (failure == UB_NOERROR)
        failure = ub_ctx_async(context, 1);
    if (failure == UB_NOERROR && terms->forward_address.len > 0)
        failure = forward_to(context, terms);
    if (failure == UB_NOERROR)
        failure = trust(context, terms->trust_anchors);
    /* A laboratory's names are asked for like all others. Besides, this is what makes the library
     * read its settings now, so that their errors are told here. */
    if (failure == UB_NOERROR)
        failure = ub_ctx_zone_remove(context, "test.");
    return failure;
}

bool resolver_new(const struct resolver_terms *terms, struct resolver **out, struct error *why)
{
    struct resolver *resolver = memory_allocate(sizeof *resolver);
    int failure;

    if (!resolver)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for a resolver");
    pthread_mutex_init(&resolver->lock, NULL);
    resolver->on_broken = terms->on_broken;
    resolver->self = terms->self;
    resolver->timeout_ms = terms->timeout_ms > 0 ? terms->timeout_ms : TIMEOUT_DEFAULT_MS;
    resolver->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    resolver->context = ub_ctx_create();
    if (resolver->stop_fd < 0 || !resolver->context) {
        resolver_free(resolver);
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no resources for a resolver");
    }
    if ((failure = configure(resolver->context, terms)) != UB_NOERROR) {
        resolver_free(resolver);
        return error_set(why, ERROR_IMPOSSIBLE, "", "the resolver's settings: %s",
                         ub_strerror(failure));
    }
    *out = resolver;
    return true;
}

void resolver_free(struct resolver *resolver)
{
    const uint64_t one = 1;

    if (!resolver)
        return;
    if (resolver->is_started) {
        (void)!write(resolver->stop_fd, &one, sizeof one);
        pthread_join(resolver->thread, NULL);
    }
    ub_ctx_delete(resolver->context); /* what it still has is never answered */
    while (resolver->questions) {
        struct question *question = resolver->questions;

        assert(question->is_abandoned);
        delist(question);
        destroy(question);
    }
    descriptor_close(&resolver->stop_fd);
    pthread_mutex_destroy(&resolver->lock);
    memory_release(resolver);
}
