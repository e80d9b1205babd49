/* One connection of the control socket: who asks, what, and the answer in frames. */
/* SPDX-License-Identifier: ISC */
#include "control.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/wire.h"

#include <stdarg.h>
#include <sys/socket.h>

enum { ANSWER_BUFFER = CONTROL_FRAME_MAX };

static const struct {
    bool (*serve)(struct answer *answer, struct error *why);
} operations[CONTROL_OP_END] = {
    [CONTROL_STATUS] = {control_status},
    [CONTROL_QUEUE] = {control_queue},
    [CONTROL_DESTINATIONS] = {control_destinations},
    [CONTROL_TRACE] = {control_trace},
    [CONTROL_HOLD] = {control_hold},
    [CONTROL_RELEASE] = {control_release},
    [CONTROL_RETRY] = {control_retry},
    [CONTROL_DELETE] = {control_delete},
    [CONTROL_DECIDE] = {control_decide},
    [CONTROL_CHECKPOINT] = {control_checkpoint},
    [CONTROL_ANCHOR] = {control_anchor},
    [CONTROL_DELIVERIES] = {control_deliveries},
};

static void send_frame(struct answer *answer, enum control_frame kind, struct span text)
{
    scoped_buffer frame;

    buffer_init_secret(&frame, CONTROL_FRAME_MAX + 16);
    if (answer->is_broken)
        return;
    control_frame_print(kind, text, &frame);
    answer->is_broken =
        frame.failed || !control_write(answer->fd, buffer_span(&frame), CONTROL_REPLY_MS);
}

static void flush(struct answer *answer)
{
    if (answer->out.len > 0)
        send_frame(answer, CONTROL_FRAME_TEXT, buffer_span(&answer->out));
    buffer_truncate(&answer->out, 0);
}

void answer_say_text(struct answer *answer, struct span text)
{
    while (text.len > 0) {
        size_t room = ANSWER_BUFFER - answer->out.len;

        buffer_append(&answer->out, span_until(text, room));
        text = span_from(text, room);
        if (answer->out.len == ANSWER_BUFFER)
            flush(answer);
    }
}

void answer_say(struct answer *answer, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len > 0)
        answer_say_text(answer,
                        span_make(text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1));
}

/* Where all roles run as one user, one of them may be able to connect. */
static bool is_role(const struct control *control, pid_t process)
{
    for (enum role role = 0; role < ROLE_COUNT; role++)
        if (control->board->roles[role].pid == process)
            return true;
    return false;
}

/* Root, and whoever started the gateway. The socket's mode says the same. */
static bool may_ask(const struct control *control, int fd, uid_t *uid)
{
    struct ucred who;
    socklen_t len = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 || len != sizeof who)
        return false;
    *uid = who.uid;
    return (who.uid == 0 || who.uid == control->common.arguments->owner_uid) &&
           !is_role(control, who.pid);
}

static bool read_request(int fd, char *bytes, struct control_request *request, struct error *why)
{
    uint8_t prefix[4];
    struct wire_reader in = {.rest = span_make(prefix, sizeof prefix)};
    uint32_t len;

    if (!control_read(fd, prefix, sizeof prefix, CONTROL_REQUEST_MS))
        return error_set(why, ERROR_REJECTED, "", "no request came");
    len = wire_get_u32(&in);
    if (len > CONTROL_REQUEST_MAX)
        return error_set(why, ERROR_REJECTED, "", "the request is too long");
    if (!control_read(fd, bytes, len, CONTROL_REQUEST_MS))
        return error_set(why, ERROR_REJECTED, "", "the request broke off");
    return control_request_parse(span_make(bytes, len), request, why);
}

void control_serve(struct control *control, int fd)
{
    char bytes[CONTROL_REQUEST_MAX];
    struct control_request request;
    struct answer answer = {.control = control, .fd = fd, .request = &request};
    scoped(arena) arena = arena_new_secret("an administrator's request", CONTROL_ARENA_MAX);
    struct error why;
    bool done;

    if (!may_ask(control, fd, &answer.uid)) {
        log_plain(LOG_LEVEL_WARNING, "somebody without the right to asked at the control socket");
        return;
    }
    buffer_init_secret(&answer.out, ANSWER_BUFFER);
    answer.arena = arena;
    answer.policy = policy_slot_get(control->common.slot);
    answer.now_ms = clock_wall_ms(&control->common.clock);
    done = read_request(fd, bytes, &request, &why);
    if (done && !arena)
        done = error_set(&why, ERROR_TEMPORARY, "", "no memory for the request");
    if (done)
        done = operations[request.op].serve(&answer, &why);
    flush(&answer);
    send_frame(&answer, done ? CONTROL_FRAME_DONE : CONTROL_FRAME_FAILED,
               done ? (struct span){"", 0} : span_of(why.text));
    policy_free(answer.policy);
    buffer_clear(&answer.out);
}
