/* Talking to the running gateway over its control socket. */
/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include "base/descriptor.h"
#include "base/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ASK_MS = 5000, ANSWER_MS = 120000 };

static int connect_to(const char *state, struct error *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    scoped_descriptor fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int len = snprintf(address.sun_path, sizeof address.sun_path, "%s/run/control.sock", state);
    int kept;

    if (len < 0 || (size_t)len >= sizeof address.sun_path) {
        (void)error_set(why, ERROR_INTERNAL, "", "the path of the state directory is too long");
        return -1;
    }
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        switch (errno) {
        case ENOENT:
        case ECONNREFUSED:
            (void)error_set(why, ERROR_TEMPORARY, "",
                            "no gateway runs over %s (name another one by -c or --state)", state);
            break;
        case EACCES:
        case EPERM:
            (void)error_set(why, ERROR_REJECTED, "",
                            "only root, and who started the gateway, may ask it (%s)", state);
            break;
        default: /* the system's own words */
            (void)error_system(why, errno, "the gateway over %s cannot be asked", state);
            break;
        }
        return -1;
    }
    kept = fd;
    fd = -1;
    return kept;
}

bool gateway_process(const struct cli *cli, pid_t *process, struct error *why)
{
    char state[STATE_PATH_MAX];
    scoped_descriptor fd = -1;
    struct ucred listener;
    socklen_t len = sizeof listener;

    if (!cli_state(cli, state))
        return error_set(why, ERROR_REJECTED, "", "the state directory cannot be found");
    fd = connect_to(state, why);
    if (fd < 0)
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &len) != 0 || listener.pid <= 1)
        return error_set(why, ERROR_INTERNAL, "", "the gateway's process cannot be found");
    *process = listener.pid;
    return true;
}

/* One frame's text into `text`; *kind. */
static bool read_frame(int fd, char *text, size_t *len, enum control_frame *kind)
{
    uint8_t head[5];
    struct wire_reader in = {.rest = span_make(head, sizeof head)};
    uint32_t size;

    if (!control_read(fd, head, sizeof head, ANSWER_MS))
        return false;
    size = wire_get_u32(&in);
    *kind = (enum control_frame)wire_get_u8(&in);
    if (size < 1 || size - 1 > CONTROL_FRAME_MAX)
        return false;
    *len = size - 1;
    return control_read(fd, text, *len, ANSWER_MS);
}

/* It is told to a terminal, perhaps root's, and may come from rows that somebody has touched:
 * nothing in it moves the cursor. *before: the last byte of the frame before. */
static void defuse(char *text, size_t len, unsigned char *before)
{
    for (size_t i = 0; i < len; i++) {
        const unsigned char byte = (unsigned char)text[i];
        const bool is_c1 = *before == 0xc2 && byte >= 0x80 && byte < 0xa0; /* U+0080 … U+009F */

        if ((byte < ' ' && byte != '\n') || byte == 0x7f || is_c1)
            text[i] = '?';
        if (is_c1 && i > 0)
            text[i - 1] = '?';
        *before = byte;
    }
}

bool gateway_ask(const struct cli *cli, const struct control_request *request,
                 bool (*hear)(void *self, struct span text), void *self, struct error *why)
{
    static char text[CONTROL_FRAME_MAX];
    unsigned char before = 0;
    char state[STATE_PATH_MAX];
    scoped_descriptor fd = -1;
    scoped_buffer bytes;

    buffer_init(&bytes, CONTROL_REQUEST_MAX + 4);
    control_request_print(request, &bytes);
    if (bytes.failed || request->text.len > CONTROL_TEXT_MAX)
        return error_set(why, ERROR_REJECTED, "", "the text is over %d bytes", CONTROL_TEXT_MAX);
    if (!cli_state(cli, state))
        return error_set(why, ERROR_REJECTED, "", "the state directory cannot be found");
    fd = connect_to(state, why);
    if (fd < 0)
        return false;
    if (!control_write(fd, buffer_span(&bytes), ASK_MS))
        return error_set(why, ERROR_TEMPORARY, "", "the gateway does not listen");
    for (;;) {
        enum control_frame kind;
        size_t len;

        if (!read_frame(fd, text, &len, &kind))
            return error_set(why, ERROR_TEMPORARY, "", "the gateway's answer broke off");
        defuse(text, len, &before);
        switch (kind) {
        case CONTROL_FRAME_TEXT:
            if (!hear(self, span_make(text, len)))
                return error_set(why, ERROR_INTERNAL, "", "the answer cannot be written");
            break;
        case CONTROL_FRAME_DONE:
            return true;
        case CONTROL_FRAME_FAILED:
            return error_set(why, ERROR_REJECTED, "", "%.*s", SPAN_ARGS(span_make(text, len)));
        }
    }
}

static bool print(void *self, struct span text)
{
    struct error ignored;

    (void)self;
    return descriptor_write_all(STDOUT_FILENO, text, &ignored);
}

int gateway_print(const struct cli *cli, const struct control_request *request)
{
    struct error why;

    if (gateway_ask(cli, request, print, NULL, &why))
        return EXIT_SUCCESS;
    return cli_fail("%s", why.text);
}
