/* The master key, wherever the policy says that it is. */
/* SPDX-License-Identifier: ISC */
#include "daemon/master_key.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum {
    KEY_TEXT_MAX = 4096, /* of a file that holds a master key, white space and all */
    PASSPHRASE_MAX = 1024,
    PATHS_MAX = 64 << 10,
};

/* ---- files ---- */

bool secret_file_read(const char *path, const char *what, size_t limit, struct buffer *out,
                      struct error *why)
{
    scoped_descriptor fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0)
        return error_system(why, errno, "%s %s cannot be opened", what, path);
    if (!S_ISREG(status.st_mode))
        return error_set(why, ERROR_INTERNAL, "", "%s %s is no file", what, path);
    if (status.st_mode & (S_IRGRP | S_IROTH | S_IWGRP | S_IWOTH))
        log_fact(LOG_LEVEL_WARNING, "others than its owner may read or write a secret file",
                 {"file", span_of(path)});
    for (;;) {
        char *room = buffer_reserve(out, 4096);
        ssize_t got;

        if (!room || out->len > limit)
            return error_set(why, ERROR_INTERNAL, "", "%s %s is over %zu bytes", what, path, limit);
        got = read(fd, room, 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_system(why, errno, "%s %s cannot be read", what, path);
        if (got == 0)
            return true;
        out->len += (size_t)got;
    }
}

bool master_key_read_file(const char *path, struct buffer *key, struct error *why)
{
    scoped_buffer text;
    struct span digits;
    uint8_t raw[KEY_BYTES];
    bool is_key;

    buffer_init_secret(&text, 2 * KEY_TEXT_MAX);
    if (!secret_file_read(path, "the master key", KEY_TEXT_MAX, &text, why))
        return false;
    digits = buffer_span(&text);
    is_key = digits.len == KEY_BYTES;
    if (is_key) {
        memcpy(raw, digits.data, KEY_BYTES);
    } else {
        while (digits.len > 0 &&
               (digits.data[digits.len - 1] == '\n' || digits.data[digits.len - 1] == '\r'))
            digits.len--;
        is_key = hex_parse(digits, raw, KEY_BYTES);
    }
    if (is_key)
        buffer_append(key, span_make(raw, KEY_BYTES));
    secret_wipe(raw, sizeof raw);
    if (!is_key)
        return error_set(why, ERROR_INTERNAL, "",
                         "the master key %s must be %d bytes, or %d hex digits: letterlock key new "
                         "makes one",
                         path, KEY_BYTES, 2 * KEY_BYTES);
    return !key->failed || error_set(why, ERROR_INTERNAL, "", "no memory for the master key");
}

/* ---- the passphrase ---- */

static bool read_line(struct buffer *out, struct error *why)
{
    for (;;) {
        char byte;
        ssize_t got = read(STDIN_FILENO, &byte, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || byte == '\n')
            break;
        if (!buffer_append_byte(out, byte))
            return error_set(why, ERROR_INTERNAL, "", "the passphrase is over %d bytes",
                             PASSPHRASE_MAX);
    }
    return out->len > 0 || error_set(why, ERROR_INTERNAL, "", "no passphrase was given");
}

static bool ask_passphrase(struct buffer *out, struct error *why)
{
    static const char question[] = "Passphrase of the master key: ";
    struct termios shown, hidden;
    bool done;

    if (tcgetattr(STDIN_FILENO, &shown) != 0)
        return read_line(out, why); /* no terminal */
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    (void)!write(STDERR_FILENO, question, sizeof question - 1);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    done = read_line(out, why);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    (void)!write(STDERR_FILENO, "\n", 1);
    return done;
}

/* ---- what the policy names ---- */

char *path_beside_policy(const char *policy_path, struct span path, struct arena *arena)
{
    const char *slash = strrchr(policy_path, '/');

    if (slash && path.len > 0 && path.data[0] != '/')
        path = arena_format(arena, "%.*s%.*s", (int)(slash + 1 - policy_path), policy_path,
                            SPAN_ARGS(path));
    return path.data ? arena_string(arena, path) : NULL;
}

bool master_key_read(const struct settings *settings, const char *policy_path,
                     enum keeper_master_kind *kind, struct buffer *out, struct error *why)
{
    scoped(arena) arena = arena_new("paths of secrets", PATHS_MAX);
    const char *directory, *path = NULL;

    if (!arena)
        return error_set(why, ERROR_INTERNAL, "", "no memory for secrets");
    *kind = KEEPER_MASTER_RAW;
    switch (settings->master_key) {
    case MASTER_KEY_NONE:
        return error_set(why, ERROR_INTERNAL, "",
                         "the policy names no master key: write `master key credential \"…\"`, "
                         "`master key passphrase` or `master key file \"…\"`");
    case MASTER_KEY_PASSPHRASE:
        *kind = KEEPER_MASTER_PASSPHRASE;
        return ask_passphrase(out, why);
    case MASTER_KEY_CREDENTIAL:
        directory = getenv("CREDENTIALS_DIRECTORY");
        if (!directory)
            return error_set(why, ERROR_INTERNAL, "",
                             "the master key is a credential, and CREDENTIALS_DIRECTORY is not "
                             "set: is this run by the service manager?");
        path = arena_string(arena, arena_format(arena, "%s/%.*s", directory,
                                                SPAN_ARGS(settings->master_key_source)));
        break;
    case MASTER_KEY_FILE:
        path = path_beside_policy(policy_path, settings->master_key_source, arena);
        break;
    }
    if (!path)
        return error_set(why, ERROR_INTERNAL, "", "the master key's path is of no use");
    return master_key_read_file(path, out, why);
}
