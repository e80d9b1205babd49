/* Requests and answers between `letterlock` and the control role, as bytes. */
/* SPDX-License-Identifier: ISC */
#include "daemon/control_protocol.h"

#include "base/clock.h"
#include "base/wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

void control_request_print(const struct control_request *request, struct buffer *out)
{
    wire_put_u32(out, (uint32_t)(1 + 1 + ID_BYTES + 4 + 4 + request->text.len));
    wire_put_u8(out, CONTROL_VERSION);
    wire_put_u8(out, (uint8_t)request->op);
    wire_put_bytes(out, request->message.bytes, ID_BYTES);
    wire_put_u32(out, request->delivery);
    wire_put_span(out, request->text);
}

static bool has_controls(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return true;
    return false;
}

bool control_request_parse(struct span bytes, struct control_request *request, struct error *why)
{
    struct wire_reader in = {.rest = bytes};
    struct control_request read;
    uint8_t version = wire_get_u8(&in), op;

    if (in.failed || version != CONTROL_VERSION)
        return error_set(why, ERROR_REJECTED, "",
                         "letterlock and the gateway are of different releases");
    op = wire_get_u8(&in);
    wire_get_bytes(&in, read.message.bytes, ID_BYTES);
    read.delivery = wire_get_u32(&in);
    read.text = wire_get_span(&in, CONTROL_TEXT_MAX);
    if (!wire_is_done(&in) || op < CONTROL_STATUS || op >= CONTROL_OP_END)
        return error_set(why, ERROR_REJECTED, "", "the request makes no sense");
    if (has_controls(read.text))
        return error_set(why, ERROR_REJECTED, "", "the text holds control characters");
    read.op = (enum control_op)op;
    *request = read;
    return true;
}

void control_frame_print(enum control_frame kind, struct span text, struct buffer *out)
{
    wire_put_u32(out, (uint32_t)(1 + text.len));
    wire_put_u8(out, (uint8_t)kind);
    buffer_append(out, text);
}

/* Waits until the socket is ready; false: the time is over. */
static bool wait_for(int fd, short events, struct deadline until)
{
    struct pollfd wait = {.fd = fd, .events = events};
    int ready;

    do
        ready = poll(&wait, 1, deadline_left_ms(until));
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

bool control_read(int fd, void *out, size_t len, int64_t timeout_ms)
{
    struct deadline until = deadline_in_ms(timeout_ms);
    char *at = out;

    while (len > 0) {
        ssize_t got;

        if (!wait_for(fd, POLLIN, until))
            return false;
        got = recv(fd, at, len, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
    return true;
}

bool control_write(int fd, struct span bytes, int64_t timeout_ms)
{
    struct deadline until = deadline_in_ms(timeout_ms);

    while (bytes.len > 0) {
        ssize_t put;

        if (!wait_for(fd, POLLOUT, until))
            return false;
        put = send(fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (put > 0)
            bytes = span_from(bytes, (size_t)put);
    }
    return true;
}
