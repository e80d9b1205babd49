/* The keeper's loop: one thread, one packet a peer in turn, until it is told to stop. */
/* SPDX-License-Identifier: ISC */
#include "base/log.h"
#include "base/memory.h"
#include "base/secret.h"
#include "keeper_protocol.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum {
    EXPIRY_RETRY_MS = 60000,
    DAY_MS = 86400000,
    WAIT_MAX_MS = 3600000, /* a wall clock that was set is noticed within the hour */
};

/* One for a process; made at the start, so that a request allocates nothing. */
struct desk {
    struct keeper_state state;
    struct rate complaints;
    int64_t next_expiry_ms; /* wall clock */
    struct keeper_request request;
    struct keeper_reply reply;
};

static void desk_free(struct desk *desk)
{
    if (!desk)
        return;
    keeper_state_clear(&desk->state);
    secret_wipe(desk, sizeof *desk);
    munlock(desk, sizeof *desk);
    memory_release(desk);
}

static void desk_free_at_end(struct desk **desk)
{
    desk_free(*desk);
}

static struct desk *desk_new(const struct keeper_terms *terms)
{
    struct desk *desk = memory_allocate(sizeof *desk);

    if (!desk)
        return NULL;
    (void)mlock(desk, sizeof *desk);
    desk->next_expiry_ms = INT64_MIN;
    if (keeper_state_init(&desk->state, terms))
        return desk;
    desk_free(desk);
    return NULL;
}

/* What is destroyed cannot be brought back, so a clock that has leapt is given until the next
 * midnight, in which an administrator hears of it and can set it right. */
static bool clock_has_leapt(const struct keeper_table *table, int32_t today)
{
    return table->has_checkpoint &&
           (int64_t)today - clock_day(table->last.at_ms) > KEEPER_SILENCE_DAYS;
}

/* At the start and at each midnight; a failure is tried again soon, since it is a deletion. */
static void expire_when_due(struct desk *desk, const struct keeper_terms *terms)
{
    int64_t now = clock_wall_ms(terms->clock);
    int32_t today = clock_day(now);
    char text[24];
    struct error why;
    size_t destroyed;

    if (now < desk->next_expiry_ms)
        return;
    if (desk->next_expiry_ms == INT64_MIN && clock_has_leapt(&terms->file->table, today)) {
        log_plain(LOG_LEVEL_ALARM, "the last checkpoint is long ago: is the clock right? no class "
                                   "is destroyed before midnight");
        desk->next_expiry_ms = ((int64_t)today + 1) * DAY_MS;
        return;
    }
    if (!keeper_file_expire(terms->file, today, &destroyed, &why)) {
        log_error(LOG_LEVEL_ALARM, "classes could not be destroyed", &why);
        desk->next_expiry_ms = now + EXPIRY_RETRY_MS;
        return;
    }
    desk->next_expiry_ms = ((int64_t)today + 1) * DAY_MS;
    snprintf(text, sizeof text, "%zu", destroyed);
    if (destroyed > 0)
        log_fact(LOG_LEVEL_INFO, "expired classes destroyed", {"classes", span_of(text)});
}

static void log_act(enum keeper_peer peer, const struct keeper_request *request)
{
    bool is_binding = request->head.op == KEEPER_OP_BIND_AGAIN;
    struct id message;
    char id[ID_TEXT_SIZE], uid[12];

    if (!is_binding && request->head.op != KEEPER_OP_OPEN_TEXT)
        return;
    message = is_binding ? request->as.bind_again.delivery.message : request->as.open_text.message;
    id_print(message, id);
    snprintf(uid, sizeof uid, "%u",
             is_binding ? request->as.bind_again.uid : request->as.open_text.uid);
    log_fact(LOG_LEVEL_INFO, is_binding ? "delivery bound again" : "text opened",
             {"peer", span_of(keeper_peer_name(peer))}, {"uid", span_of(uid)},
             {"message", span_of(id)});
}

static void log_refusal(struct desk *desk, enum keeper_peer peer)
{
    const struct keeper_head *head = &desk->reply.head;
    const char *op = head->op < KEEPER_OP_COUNT ? keeper_operations[head->op].name : "unknown";

    if (rate_allows(&desk->complaints, KEEPER_COMPLAINTS_A_MINUTE,
                    clock_monotonic_ns(desk->state.terms->clock)))
        log_fact(LOG_LEVEL_WARNING, "keeper refused a request",
                 {"peer", span_of(keeper_peer_name(peer))}, {"operation", span_of(op)},
                 {"reason", span_of(keeper_status_text(head->status))});
}

/* One packet. False: nobody is at the other end any more. */
static bool serve(struct desk *desk, enum keeper_peer peer, int fd, bool hung_up)
{
    /* MSG_TRUNC: the length that the packet had, so that one too long is refused. */
    ssize_t got = recv(fd, &desk->request, sizeof desk->request, MSG_DONTWAIT | MSG_TRUNC);
    size_t size;

    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    if (got == 0) /* an empty packet, or the end: only the hang-up tells */
        return !hung_up;
    size = keeper_answer(&desk->state, peer, &desk->request, (size_t)got, &desk->reply);
    if (size > 0) {
        if (desk->reply.head.status == KEEPER_DONE)
            log_act(peer, &desk->request);
        else
            log_refusal(desk, peer);
        /* A peer that does not read must not stop the others: it will ask again. */
        (void)send(fd, &desk->reply, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        secret_wipe(&desk->reply, size);
    }
    secret_wipe(&desk->request, sizeof desk->request);
    return true;
}

static int wait_ms(const struct desk *desk, const struct keeper_terms *terms)
{
    int64_t left = desk->next_expiry_ms - clock_wall_ms(terms->clock);

    if (left < 0)
        return 0;
    return (int)(left < WAIT_MAX_MS ? left : WAIT_MAX_MS);
}

static bool anybody_left(const struct pollfd *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i].fd >= 0)
            return true;
    return false;
}

void keeper_run(const struct keeper_terms *terms)
{
    enum { STOP = KEEPER_PEER_COUNT, COUNT };
    __attribute__((cleanup(desk_free_at_end))) struct desk *desk = desk_new(terms);
    struct pollfd fds[COUNT] = {[STOP] = {.fd = terms->stop, .events = POLLIN}};
    struct error why;

    if (!desk) {
        log_plain(LOG_LEVEL_ALARM, "no memory for the keeper");
        return;
    }
    for (size_t i = 0; i < KEEPER_PEER_COUNT; i++)
        fds[i] = (struct pollfd){.fd = terms->peers[i], .events = POLLIN};
    while (anybody_left(fds, COUNT)) {
        expire_when_due(desk, terms);
        if (poll(fds, COUNT, wait_ms(desk, terms)) < 0) {
            if (errno == EINTR)
                continue;
            log_plain(LOG_LEVEL_ALARM, "the keeper cannot wait for its siblings");
            break;
        }
        if (fds[STOP].revents)
            break;
        for (size_t i = 0; i < KEEPER_PEER_COUNT; i++)
            if (fds[i].revents && !serve(desk, (enum keeper_peer)i, fds[i].fd,
                                         fds[i].revents & (POLLHUP | POLLERR | POLLNVAL)))
                fds[i].fd = -1;
    }
    if (!keeper_file_save(terms->file, &why)) /* what was counted since the last checkpoint */
        log_error(LOG_LEVEL_ALARM, "the keeper's counters could not be written", &why);
}
