/* Files read whole, and written whole or not at all. */
/* SPDX-License-Identifier: ISC */
#include "base/descriptor.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void descriptor_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd); /* never again on EINTR: Linux has closed it even then */
    *fd = -1;
    errno = saved;
}

enum { READ_STEP = 4096 };

bool descriptor_read_all(int fd, size_t limit, struct arena *arena, struct span *text,
                         struct error *why)
{
    scoped_buffer content;
    struct span copy;
    size_t one_more;

    /* One byte more than allowed tells a file that fits from one that does not. Keys are read by
     * this way too, so the buffer forgets what passes through it. */
    if (!size_add(limit, 1, &one_more))
        one_more = limit;
    buffer_init_secret(&content, one_more);
    for (;;) {
        size_t step = one_more - content.len < READ_STEP ? one_more - content.len : READ_STEP;
        char *end = buffer_reserve(&content, step);
        ssize_t got;

        if (!end)
            return error_system(why, ENOMEM, "reading");
        do
            got = read(fd, end, step);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return error_system(why, errno, "reading");
        if (got == 0)
            break;
        content.len += (size_t)got;
        if (content.len > limit)
            return error_set(why, ERROR_IMPOSSIBLE, "5.3.4", "longer than %zu bytes", limit);
    }
    copy = arena_copy(arena, buffer_span(&content));
    if (!copy.data)
        return error_system(why, ENOMEM, "reading");
    *text = copy;
    return true;
}

bool file_read(const char *path, size_t limit, struct arena *arena, struct span *text,
               struct error *why)
{
    scoped_descriptor fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return error_system(why, errno, "%s", path);
    return descriptor_read_all(fd, limit, arena, text, why) || error_within(why, path);
}

bool descriptor_write_all(int fd, struct span bytes, struct error *why)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.data, bytes.len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_system(why, errno, "writing");
        bytes = span_from(bytes, (size_t)put);
    }
    return true;
}

/* The directory that a path lies in, opened. */
static int open_directory_of(const char *path)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    if (!slash)
        return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (len == 0)
        return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (len >= sizeof directory) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(directory, path, len);
    directory[len] = '\0';
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool write_new(const char *path, struct span bytes, unsigned mode, struct error *why)
{
    scoped_descriptor fd = -1;

    /* What a crash left behind goes first, so that no old mode, owner or link is inherited. */
    if (unlink(path) != 0 && errno != ENOENT)
        return error_system(why, errno, "removing an old file");
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return error_system(why, errno, "creating");
    if (!descriptor_write_all(fd, bytes, why))
        return false;
    if (fsync(fd) != 0)
        return error_system(why, errno, "flushing");
    return true;
}

bool file_replace(const char *path, struct span bytes, unsigned mode, struct error *why)
{
    char beside[PATH_MAX];
    scoped_descriptor directory = open_directory_of(path);

    if (directory < 0)
        return error_system(why, errno, "the directory of %s", path);
    if ((size_t)snprintf(beside, sizeof beside, "%s.new", path) >= sizeof beside)
        return error_system(why, ENAMETOOLONG, "%s", path);
    if (!write_new(beside, bytes, mode, why)) {
        unlink(beside);
        return error_within(why, beside);
    }
    if (rename(beside, path) != 0) {
        error_system(why, errno, "%s", path);
        unlink(beside);
        return false;
    }
    if (fsync(directory) != 0)
        return error_system(why, errno, "flushing the directory of %s", path);
    return true;
}
