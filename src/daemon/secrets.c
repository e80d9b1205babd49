/* Secrets are read while the supervisor still may, checked, and sealed into memory for the keeper.
 */
/* SPDX-License-Identifier: ISC */
#include "secrets.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/wire.h"
#include "bundle.h"
#include "limits.h"
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { SECRETS_VERSION = 1 };

/* ---- files ---- */

/* The whole file into the secret buffer. `what` is for messages. */
static bool read_secret_file(const char *path, const char *what, size_t limit, struct buffer *out,
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

bool secrets_read_master_file(const char *path, struct buffer *key, struct error *why)
{
    scoped_buffer text;
    struct span digits;
    uint8_t raw[KEY_BYTES];
    bool is_key;

    buffer_init_secret(&text, SECRET_KEY_FILE_MAX);
    if (!read_secret_file(path, "the master key", 4096, &text, why))
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
                             SECRET_PASSPHRASE_MAX);
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

/* ---- gathering ---- */

/* Paths in the policy are relative to its folder. NULL: no memory, or a NUL in it. */
static char *path_beside(const char *policy_path, struct span path, struct arena *arena)
{
    const char *slash = strrchr(policy_path, '/');

    if (slash && path.len > 0 && path.data[0] != '/')
        path = arena_format(arena, "%.*s%.*s", (int)(slash + 1 - policy_path), policy_path,
                            SPAN_ARGS(path));
    return path.data ? arena_string(arena, path) : NULL;
}

static bool gather_master(const struct settings *settings, const char *policy_path,
                          struct arena *arena, struct keeper_master *master, struct buffer *out,
                          struct error *why)
{
    const char *directory, *path = NULL;

    master->kind = KEEPER_MASTER_RAW;
    switch (settings->master_key) {
    case MASTER_KEY_NONE:
        return error_set(why, ERROR_INTERNAL, "",
                         "the policy names no master key: write `master key credential \"…\"`, "
                         "`master key passphrase` or `master key file \"…\"`");
    case MASTER_KEY_PASSPHRASE:
        master->kind = KEEPER_MASTER_PASSPHRASE;
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
        path = path_beside(policy_path, settings->master_key_source, arena);
        break;
    }
    if (!path)
        return error_set(why, ERROR_INTERNAL, "", "the master key's path is of no use");
    return secrets_read_master_file(path, out, why);
}

static bool gather_tls_key(const struct settings *settings, const char *policy_path,
                           struct arena *arena, struct buffer *pem, struct error *why)
{
    const char *path = path_beside(policy_path, settings->key_path, arena);
    scoped(tls_key) key = NULL;

    if (!path)
        return error_set(why, ERROR_INTERNAL, "", "the private key's path is of no use");
    if (!read_secret_file(path, "the private key", SECRET_KEY_FILE_MAX, pem, why))
        return false;
    if (!tls_key_parse(buffer_span(pem), &key, why))
        return error_within(why, "in the private key");
    if (!tls_key_fits(key, settings->certificate_pem))
        return error_set(why, ERROR_INTERNAL, "",
                         "the private key %s is not that of the certificate", path);
    return true;
}

bool secrets_gather(const struct settings *settings, const char *policy_path, int *secrets,
                    struct error *why)
{
    scoped(arena) arena = arena_new("paths of secrets", KIB(64));
    struct keeper_master master;
    scoped_buffer secret, pem, packed;
    int fd;

    buffer_init_secret(&secret, SECRET_PASSPHRASE_MAX);
    buffer_init_secret(&pem, SECRET_KEY_FILE_MAX + 8192);
    buffer_init_secret(&packed, SECRETS_BYTES_MAX);
    if (!arena)
        return error_set(why, ERROR_INTERNAL, "", "no memory for secrets");
    if (!gather_master(settings, policy_path, arena, &master, &secret, why))
        return false;
    if (settings->certificate_path.len > 0 &&
        !gather_tls_key(settings, policy_path, arena, &pem, why))
        return false;
    wire_put_u8(&packed, SECRETS_VERSION);
    wire_put_u8(&packed, (uint8_t)master.kind);
    wire_put_span(&packed, buffer_span(&secret));
    wire_put_span(&packed, buffer_span(&pem));
    if (packed.failed)
        return error_set(why, ERROR_INTERNAL, "", "no memory for secrets");
    fd = sealed_memfd("letterlock-secrets", buffer_span(&packed), why);
    if (fd < 0)
        return false;
    *secrets = fd;
    return true;
}

bool secrets_receive(int fd, struct arena *arena, struct secrets *secrets, struct error *why)
{
    struct wire_reader in;
    struct secrets found = {0};
    uint8_t version, kind;

    if (lseek(fd, 0, SEEK_SET) != 0 ||
        !descriptor_read_all(fd, SECRETS_BYTES_MAX, arena, &in.rest, why))
        return error_set(why, ERROR_INTERNAL, "", "the secrets were not handed over");
    in.failed = false;
    version = wire_get_u8(&in);
    kind = wire_get_u8(&in);
    found.master.secret = wire_get_span(&in, SECRET_PASSPHRASE_MAX);
    found.key_pem = wire_get_span(&in, SECRET_KEY_FILE_MAX + 8192);
    if (!wire_is_done(&in) || version != SECRETS_VERSION || kind > KEEPER_MASTER_PASSPHRASE)
        return error_set(why, ERROR_INTERNAL, "",
                         "the secrets that were handed over make no sense");
    found.master.kind = (enum keeper_master_kind)kind;
    *secrets = found;
    return true;
}
