/* The siblings' side: one request at a time on the wire, repeated until it is answered, and a stock
 * of pairs made ahead. No lock is held while the keeper is waited for. */
/* SPDX-License-Identifier: ISC */
#include "keeper_client.h"

#include "base/descriptor.h"
#include "base/memory.h"
#include "base/secret.h"
#include "keeper_protocol.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Pairs of one organisation whose classes end on these days. */
struct stock {
    struct keeper_name organisation;
    int32_t content_day, record_day;
    uint64_t last_use;
    size_t count;
    struct key_pair *pairs; /* owned; KEEPER_PAIRS_MAX, the first `count` are unused */
};

struct keeper {
    int socket;
    int answer_ms, again_ms;
    pthread_mutex_t mutex;  /* for what follows; `request` and `reply` are theirs who set is_busy */
    pthread_cond_t changed; /* is_busy became false, or a stock was filled */
    bool is_busy;
    uint64_t next_number, uses;
    struct stock stocks[KEEPER_STOCKS_MAX];
    struct keeper_request request;
    struct keeper_reply reply;
};

struct keeper *keeper_connect_with(int socket, const struct entropy *entropy, int answer_ms,
                                   int again_ms)
{
    struct keeper *keeper = memory_allocate(sizeof *keeper);
    pthread_condattr_t attributes;

    if (!keeper) {
        descriptor_close(&socket);
        return NULL;
    }
    (void)mlock(keeper, sizeof *keeper);
    keeper->socket = socket;
    keeper->answer_ms = answer_ms;
    keeper->again_ms = again_ms;
    /* Where one that was here before has died, answers to it may still come: they have other
     * numbers. */
    entropy_fill(entropy, &keeper->next_number, sizeof keeper->next_number);
    pthread_mutex_init(&keeper->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return keeper;
}

struct keeper *keeper_connect(int socket, const struct entropy *entropy)
{
    return keeper_connect_with(socket, entropy, KEEPER_ANSWER_MS, KEEPER_AGAIN_MS);
}

static const size_t pairs_size = KEEPER_PAIRS_MAX * sizeof(struct key_pair);

void keeper_free(struct keeper *keeper)
{
    if (!keeper)
        return;
    for (size_t i = 0; i < KEEPER_STOCKS_MAX; i++) {
        if (!keeper->stocks[i].pairs)
            continue;
        secret_wipe(keeper->stocks[i].pairs, pairs_size);
        munlock(keeper->stocks[i].pairs, pairs_size);
        memory_release(keeper->stocks[i].pairs);
    }
    descriptor_close(&keeper->socket);
    pthread_cond_destroy(&keeper->changed);
    pthread_mutex_destroy(&keeper->mutex);
    secret_wipe(keeper, sizeof *keeper);
    munlock(keeper, sizeof *keeper);
    memory_release(keeper);
}

/* ---- one request on the wire ---- */

static bool is_late(struct error *why)
{
    return error_set(why, ERROR_TEMPORARY, "4.3.0", "the keeper does not answer");
}

/* Waits for a change, with the mutex held. False: the deadline is over. */
static bool await_change(struct keeper *keeper, struct deadline until)
{
    struct timespec at = {.tv_sec = until.monotonic_ns / 1000000000,
                          .tv_nsec = until.monotonic_ns % 1000000000};

    return pthread_cond_timedwait(&keeper->changed, &keeper->mutex, &at) != ETIMEDOUT;
}

/* The wire is ours until release(). */
static bool acquire(struct keeper *keeper, struct deadline until, struct error *why)
{
    bool is_ours = true;

    pthread_mutex_lock(&keeper->mutex);
    while (keeper->is_busy && is_ours)
        is_ours = await_change(keeper, until);
    if (!keeper->is_busy)
        keeper->is_busy = is_ours = true;
    pthread_mutex_unlock(&keeper->mutex);
    return is_ours || is_late(why);
}

static void release(struct keeper *keeper)
{
    secret_wipe(&keeper->request, sizeof keeper->request);
    secret_wipe(&keeper->reply, sizeof keeper->reply);
    pthread_mutex_lock(&keeper->mutex);
    keeper->is_busy = false;
    pthread_cond_broadcast(&keeper->changed);
    pthread_mutex_unlock(&keeper->mutex);
}

static bool is_gone(struct error *why)
{
    return error_set(why, ERROR_TEMPORARY, "4.3.0", "the keeper is gone");
}

/* *unsent stays true while the socket is full: a keeper that has died reads nothing. */
static bool send_request(struct keeper *keeper, bool *unsent, struct error *why)
{
    size_t size = keeper_operations[keeper->request.head.op].request_size;

    if (send(keeper->socket, &keeper->request, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        *unsent = false;
    else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
        return is_gone(why);
    return true;
}

enum receipt { RECEIPT_NOTHING, RECEIPT_ANSWER, RECEIPT_END };

/* A reply to this very request; late ones to others are thrown away. */
static enum receipt receive_reply(struct keeper *keeper, size_t *size)
{
    ssize_t got = recv(keeper->socket, &keeper->reply, sizeof keeper->reply, MSG_DONTWAIT);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? RECEIPT_NOTHING : RECEIPT_END;
    if (got == 0)
        return RECEIPT_END;
    if ((size_t)got < sizeof keeper->reply.head ||
        keeper->reply.head.version != KEEPER_PROTOCOL_VERSION ||
        keeper->reply.head.number != keeper->request.head.number ||
        keeper->reply.head.op != keeper->request.head.op) {
        secret_wipe(&keeper->reply, (size_t)got);
        return RECEIPT_NOTHING;
    }
    *size = (size_t)got;
    return RECEIPT_ANSWER;
}

static bool wait_for_reply(struct keeper *keeper, struct deadline until, size_t *size,
                           struct error *why)
{
    struct deadline again = deadline_in_ms(keeper->again_ms);
    bool unsent = true;

    while (!deadline_is_over(until)) {
        struct pollfd wait = {.fd = keeper->socket, .events = POLLIN};

        if (unsent && !send_request(keeper, &unsent, why))
            return false;
        if (unsent)
            wait.events |= POLLOUT;
        if (poll(&wait, 1, deadline_left_ms(deadline_earlier(again, until))) > 0 &&
            wait.revents & ~POLLOUT) {
            switch (receive_reply(keeper, size)) {
            case RECEIPT_ANSWER:
                return true;
            case RECEIPT_END:
                return is_gone(why);
            case RECEIPT_NOTHING:
                break;
            }
        }
        if (deadline_is_over(again)) {
            again = deadline_in_ms(keeper->again_ms);
            unsent = true;
        }
    }
    return is_late(why);
}

/* Sends keeper->request.as as `op`, and fills keeper->reply. The wire is ours. */
static bool ask(struct keeper *keeper, enum keeper_op op, struct deadline until, struct error *why)
{
    size_t size = 0;

    keeper->request.head = (struct keeper_head){
        .version = KEEPER_PROTOCOL_VERSION, .op = op, .number = keeper->next_number++};
    if (!wait_for_reply(keeper, until, &size, why))
        return false;
    if (keeper->reply.head.status != KEEPER_DONE)
        return keeper_status_set(why, keeper->reply.head.status);
    return size == keeper_operations[op].reply_size || keeper_status_set(why, KEEPER_DONE);
}

/* ---- requests from what callers hold ---- */

static bool is_too_long(struct error *why, const char *what)
{
    return error_set(why, ERROR_INTERNAL, "4.3.0", "%s has a length that the keeper does not take",
                     what);
}

static bool put_name(struct span organisation, struct keeper_name *name, struct error *why)
{
    if (organisation.len > sizeof name->bytes)
        return is_too_long(why, "the organisation's name");
    memset(name, 0, sizeof *name);
    name->len = (uint32_t)organisation.len;
    if (organisation.len > 0) /* empty: the gateway's own */
        memcpy(name->bytes, organisation.data, organisation.len);
    return true;
}

static bool put_bytes(struct span bytes, void *out, size_t room, uint32_t *len, const char *what,
                      struct error *why)
{
    if (bytes.len > room)
        return is_too_long(why, what);
    if (bytes.len > 0)
        memcpy(out, bytes.data, bytes.len);
    *len = (uint32_t)bytes.len;
    return true;
}

static bool put_delivery(const struct keeper_delivery *delivery, struct keeper_wire_delivery *out,
                         struct error *why)
{
    out->wrapped = delivery->wrapped;
    out->message = delivery->binding.message;
    out->delivery = delivery->binding.delivery;
    out->is_held = delivery->is_held;
    memcpy(out->policy_digest, delivery->binding.policy_digest, sizeof out->policy_digest);
    memcpy(out->tag, delivery->tag, sizeof out->tag);
    return put_name(delivery->binding.organisation, &out->organisation, why) &&
           put_bytes(delivery->sealed_recipient, out->sealed_recipient,
                     sizeof out->sealed_recipient, &out->recipient_len, "the sealed recipient",
                     why) &&
           put_bytes(delivery->binding.ladder, out->ladder, sizeof out->ladder, &out->ladder_len,
                     "the ladder", why);
}

bool keeper_unwrap(struct keeper *keeper, const struct keeper_delivery *delivery,
                   struct message_keys *keys, struct error *why)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    bool done;

    if (!acquire(keeper, until, why))
        return false;
    done = put_delivery(delivery, &keeper->request.as.unwrap, why) &&
           ask(keeper, KEEPER_OP_UNWRAP, until, why);
    if (done)
        *keys = keeper->reply.as.keys;
    release(keeper);
    return done;
}

bool keeper_unwrap_record(struct keeper *keeper, const struct keeper_delivery *delivery,
                          struct key *record, struct error *why)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    bool done;

    if (!acquire(keeper, until, why))
        return false;
    done = put_delivery(delivery, &keeper->request.as.unwrap, why) &&
           ask(keeper, KEEPER_OP_UNWRAP_RECORD, until, why);
    if (done)
        *record = keeper->reply.as.record;
    release(keeper);
    return done;
}

bool keeper_bind_again(struct keeper *keeper, const struct keeper_delivery *delivery,
                       struct span new_ladder, const uint8_t new_policy_digest[static 32],
                       int32_t new_content_day, uint32_t uid, uint8_t tag[BINDING_TAG_BYTES],
                       struct wrapped_keys *wrapped, struct error *why)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    struct keeper_request *request = &keeper->request;
    bool done;

    if (!acquire(keeper, until, why))
        return false;
    request->as.bind_again.uid = uid;
    request->as.bind_again.new_content_day = new_content_day;
    memcpy(request->as.bind_again.new_policy_digest, new_policy_digest,
           sizeof request->as.bind_again.new_policy_digest);
    done = put_delivery(delivery, &request->as.bind_again.delivery, why) &&
           put_bytes(new_ladder, request->as.bind_again.new_ladder,
                     sizeof request->as.bind_again.new_ladder,
                     &request->as.bind_again.new_ladder_len, "the new ladder", why) &&
           ask(keeper, KEEPER_OP_BIND_AGAIN, until, why);
    if (done) {
        memcpy(tag, keeper->reply.as.bound.tag, BINDING_TAG_BYTES);
        *wrapped = keeper->reply.as.bound.wrapped;
    }
    release(keeper);
    return done;
}

static uint32_t text_number(const char *what)
{
    uint32_t i = 0;

    while (i < KEEPER_TEXT_COUNT && strcmp(what, keeper_texts[i]) != 0)
        i++;
    assert(i < KEEPER_TEXT_COUNT);
    return i;
}

bool keeper_open_text(struct keeper *keeper, struct id message, struct span organisation,
                      const struct wrapped_keys *wrapped, const char *what, struct span sealed,
                      uint32_t uid, struct buffer *out, struct error *why)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    struct keeper_request *request = &keeper->request;
    bool done;

    if (!acquire(keeper, until, why))
        return false;
    request->as.open_text.wrapped = *wrapped;
    request->as.open_text.message = message;
    request->as.open_text.uid = uid;
    request->as.open_text.what = text_number(what);
    done = put_name(organisation, &request->as.open_text.organisation, why) &&
           put_bytes(sealed, request->as.open_text.sealed, sizeof request->as.open_text.sealed,
                     &request->as.open_text.sealed_len, "the sealed text", why) &&
           ask(keeper, KEEPER_OP_OPEN_TEXT, until, why);
    if (done && keeper->reply.as.text.len > sizeof keeper->reply.as.text.bytes)
        done = keeper_status_set(why, KEEPER_DONE);
    if (done &&
        !buffer_append(out, span_make(keeper->reply.as.text.bytes, keeper->reply.as.text.len)))
        done = error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory for an opened text");
    release(keeper);
    return done;
}

bool keeper_sign_tls(struct keeper *keeper, unsigned signer, struct span input, uint8_t *signature,
                     size_t *signature_len)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    struct keeper_request *request = &keeper->request;
    struct error why;
    bool done;

    if (!acquire(keeper, until, &why))
        return false;
    request->as.sign_tls.signer = signer;
    done = put_bytes(input, request->as.sign_tls.input, sizeof request->as.sign_tls.input,
                     &request->as.sign_tls.input_len, "what is to be signed", &why) &&
           ask(keeper, KEEPER_OP_SIGN_TLS, until, &why) &&
           keeper->reply.as.signature.len <= sizeof keeper->reply.as.signature.bytes;
    if (done) {
        memcpy(signature, keeper->reply.as.signature.bytes, keeper->reply.as.signature.len);
        *signature_len = keeper->reply.as.signature.len;
    }
    release(keeper);
    return done;
}

bool keeper_sign_checkpoint(struct keeper *keeper, struct checkpoint *checkpoint, struct error *why)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    bool done;

    if (!acquire(keeper, until, why))
        return false;
    keeper->request.as.sign_checkpoint = *checkpoint;
    done = ask(keeper, KEEPER_OP_SIGN_CHECKPOINT, until, why);
    if (done)
        *checkpoint = keeper->reply.as.checkpoint.checkpoint;
    release(keeper);
    return done;
}

bool keeper_last_checkpoint(struct keeper *keeper, struct checkpoint *checkpoint,
                            uint8_t key[CHECKPOINT_KEY_BYTES], struct error *why)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    bool done;

    if (!acquire(keeper, until, why))
        return false;
    done = ask(keeper, KEEPER_OP_LAST_CHECKPOINT, until, why);
    if (done) {
        *checkpoint = keeper->reply.as.checkpoint.checkpoint;
        memcpy(key, keeper->reply.as.checkpoint.key, CHECKPOINT_KEY_BYTES);
    }
    release(keeper);
    return done;
}

bool keeper_count_destroyed(struct keeper *keeper, uint64_t told, uint64_t *count, uint64_t *untold,
                            struct error *why)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    bool done;

    if (!acquire(keeper, until, why))
        return false;
    keeper->request.as.destroyed.told = told;
    done = ask(keeper, KEEPER_OP_DESTROYED, until, why);
    if (done) {
        *count = keeper->reply.as.destroyed.count;
        *untold = *count - keeper->reply.as.destroyed.told;
    }
    release(keeper);
    return done;
}

/* ---- pairs from the stock ---- */

static struct stock *find_stock(struct keeper *keeper, const struct keeper_name *organisation,
                                int32_t content_day, int32_t record_day)
{
    for (size_t i = 0; i < KEEPER_STOCKS_MAX; i++) {
        struct stock *stock = &keeper->stocks[i];

        if (stock->count > 0 && stock->content_day == content_day &&
            stock->record_day == record_day &&
            memcmp(&stock->organisation, organisation, sizeof *organisation) == 0)
            return stock;
    }
    return NULL;
}

/* An empty one, else the one that was used longest ago: its pairs were never used, so nothing is
 * lost with them. NULL when memory is out. */
static struct stock *free_stock(struct keeper *keeper)
{
    struct stock *oldest = &keeper->stocks[0];

    for (size_t i = 0; i < KEEPER_STOCKS_MAX && oldest->count > 0; i++) {
        struct stock *stock = &keeper->stocks[i];

        if (stock->count == 0 || stock->last_use < oldest->last_use)
            oldest = stock;
    }
    if (!oldest->pairs) {
        oldest->pairs = memory_allocate(pairs_size);
        if (!oldest->pairs)
            return NULL;
        (void)mlock(oldest->pairs, pairs_size);
    }
    secret_wipe(oldest->pairs, pairs_size);
    return oldest;
}

static void take(struct keeper *keeper, struct stock *stock, struct key_pair *pair)
{
    stock->count--;
    stock->last_use = ++keeper->uses;
    *pair = stock->pairs[stock->count];
    secret_wipe(&stock->pairs[stock->count], sizeof *pair);
}

/* The first pair of the reply is the caller's, the others are for whoever comes next. */
static void fill_stock(struct keeper *keeper, struct key_pair *pair)
{
    struct stock *stock;

    *pair = keeper->reply.as.pairs[0];
    pthread_mutex_lock(&keeper->mutex);
    stock = free_stock(keeper);
    if (stock) {
        stock->organisation = keeper->request.as.pairs.organisation;
        stock->content_day = keeper->request.as.pairs.content_day;
        stock->record_day = keeper->request.as.pairs.record_day;
        stock->last_use = ++keeper->uses;
        stock->count = KEEPER_PAIRS_MAX - 1;
        memcpy(stock->pairs, &keeper->reply.as.pairs[1], stock->count * sizeof *pair);
    }
    pthread_mutex_unlock(&keeper->mutex);
}

bool keeper_take_pair(struct keeper *keeper, struct span organisation, int32_t content_day,
                      int32_t record_day, struct key_pair *pair, struct error *why)
{
    struct deadline until = deadline_in_ms(keeper->answer_ms);
    struct keeper_name name;
    struct stock *stock;
    bool done = true;

    if (!put_name(organisation, &name, why))
        return false;
    pthread_mutex_lock(&keeper->mutex);
    /* Whoever is busy may be filling just this stock. */
    while (!(stock = find_stock(keeper, &name, content_day, record_day)) && keeper->is_busy && done)
        done = await_change(keeper, until);
    if (stock)
        take(keeper, stock, pair);
    else if (!keeper->is_busy)
        keeper->is_busy = done = true;
    pthread_mutex_unlock(&keeper->mutex);
    if (stock)
        return true;
    if (!done)
        return is_late(why);
    keeper->request.as.pairs.organisation = name;
    keeper->request.as.pairs.content_day = content_day;
    keeper->request.as.pairs.record_day = record_day;
    done = ask(keeper, KEEPER_OP_PAIRS, until, why);
    if (done)
        fill_stock(keeper, pair);
    release(keeper);
    return done;
}
