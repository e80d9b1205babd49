/* The policy and what it names are read once, by the supervisor, and handed on as sealed memory. */
/* SPDX-License-Identifier: ISC */
#include "bundle.h"

#include "base/descriptor.h"
#include "base/memory.h"
#include "base/wire.h"
#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUNDLE_VERSION = 1, BUNDLE_PATH_MAX = 4096 };

int sealed_memfd(const char *name, struct span bytes, struct error *why)
{
    scoped_descriptor fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int kept;

    if (fd < 0) {
        (void)error_system(why, errno, "a memfd cannot be made");
        return -1;
    }
    if (!descriptor_write_all(fd, bytes, why))
        return -1;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        (void)error_system(why, errno, "a memfd cannot be sealed");
        return -1;
    }
    kept = fd;
    fd = -1;
    return kept;
}

/* ---- making one: a reader that writes down what it reads ---- */

struct recorder {
    struct policy_reader disk;
    struct buffer files; /* path, text; path, text; … */
    uint32_t count;
};

static bool read_and_record(void *self, struct span path, size_t limit, struct arena *arena,
                            struct span *text, struct error *why)
{
    struct recorder *recorder = self;
    struct span read;

    if (!recorder->disk.read(recorder->disk.self, path, limit, arena, &read, why))
        return false;
    wire_put_span(&recorder->files, path);
    wire_put_span(&recorder->files, read);
    recorder->count++;
    if (recorder->files.failed || recorder->count > BUNDLE_FILES_MAX || path.len > BUNDLE_PATH_MAX)
        return error_set(why, ERROR_INTERNAL, "",
                         "the files of the policy are too many or too "
                         "large together");
    *text = read;
    return true;
}

static int put_together(const char *policy_path, struct span text, const struct recorder *recorder,
                        struct error *why)
{
    scoped_buffer bundle;

    buffer_init(&bundle, BUNDLE_BYTES_MAX);
    wire_put_u8(&bundle, BUNDLE_VERSION);
    wire_put_span(&bundle, span_of(policy_path));
    wire_put_span(&bundle, text);
    wire_put_u32(&bundle, recorder->count);
    buffer_append(&bundle, buffer_span(&recorder->files));
    if (bundle.failed) {
        (void)error_set(why, ERROR_INTERNAL, "", "the policy with its files is over %d MiB",
                        BUNDLE_BYTES_MAX >> 20);
        return -1;
    }
    return sealed_memfd("letterlock-policy", buffer_span(&bundle), why);
}

struct policy *bundle_make(const char *policy_path, int64_t now_ms, struct arena *arena,
                           struct policy_complaints *complaints, int *bundle, struct error *why)
{
    struct recorder recorder = {.disk = policy_reader_of_disk(policy_path)};
    const struct policy_reader reader = {.read = read_and_record, .self = &recorder};
    struct policy *policy;
    struct span text;
    int fd = -1;

    *why = (struct error){.kind = ERROR_NONE, .status = ""};
    *complaints = (struct policy_complaints){0};
    if (!file_read(policy_path, POLICY_TEXT_MAX, arena, &text, why))
        return NULL;
    buffer_init(&recorder.files, BUNDLE_BYTES_MAX);
    policy = policy_load(span_of(policy_path), text, &reader, now_ms, arena, complaints);
    if (policy)
        fd = put_together(policy_path, text, &recorder, why);
    buffer_clear(&recorder.files);
    if (policy && fd < 0) {
        policy_free(policy);
        return NULL;
    }
    if (policy)
        *bundle = fd;
    return policy;
}

/* ---- loading one ---- */

struct shelf {
    struct span files;
    uint32_t count;
};

static bool find_file(void *self, struct span path, size_t limit, struct arena *arena,
                      struct span *text, struct error *why)
{
    const struct shelf *shelf = self;
    struct wire_reader in = {.rest = shelf->files};
    struct span copy;

    for (uint32_t i = 0; i < shelf->count; i++) {
        struct span name = wire_get_span(&in, BUNDLE_PATH_MAX);
        struct span content = wire_get_span(&in, BUNDLE_BYTES_MAX);

        if (in.failed)
            break;
        if (!span_equal(name, path) || content.len > limit)
            continue;
        copy = arena_copy(arena, content);
        if (!copy.data)
            return error_set(why, ERROR_TEMPORARY, "", "no memory for a file of the policy");
        *text = copy;
        return true;
    }
    return error_set(why, ERROR_INTERNAL, "", "a file that the policy names was not handed over");
}

static bool load_mapped(struct span bytes, int64_t now_ms, struct policy **policy,
                        struct error *why)
{
    scoped(arena) arena = arena_new("a policy's complaints", MIB(4));
    struct wire_reader in = {.rest = bytes};
    struct policy_complaints complaints = {0};
    struct shelf shelf;
    const struct policy_reader reader = {.read = find_file, .self = &shelf};
    uint8_t version = wire_get_u8(&in);
    struct span path = wire_get_span(&in, BUNDLE_PATH_MAX);
    struct span text = wire_get_span(&in, POLICY_TEXT_MAX);
    struct policy *loaded;

    shelf.count = wire_get_u32(&in);
    shelf.files = in.rest;
    if (in.failed || version != BUNDLE_VERSION || shelf.count > BUNDLE_FILES_MAX || !arena)
        return error_set(why, ERROR_INTERNAL, "", "the policy that was handed over makes no sense");
    loaded = policy_load(path, text, &reader, now_ms, arena, &complaints);
    if (!loaded)
        return error_set(why, ERROR_INTERNAL, "",
                         "the policy that was handed over does not load (%zu errors, the first in "
                         "line %u)",
                         complaints.error_count, complaints.count ? complaints.list[0].line : 0);
    *policy = loaded;
    return true;
}

bool bundle_load(int bundle, int64_t now_ms, struct policy **policy, struct error *why)
{
    struct stat status;
    void *bytes;
    size_t size;
    bool loaded;

    if (fstat(bundle, &status) != 0)
        return error_system(why, errno, "the policy that was handed over cannot be read");
    if (status.st_size <= 0 || status.st_size > BUNDLE_BYTES_MAX)
        return error_set(why, ERROR_INTERNAL, "", "the policy that was handed over makes no sense");
    size = (size_t)status.st_size;
    bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, bundle, 0);
    if (bytes == MAP_FAILED)
        return error_system(why, errno, "the policy that was handed over cannot be mapped");
    loaded = load_mapped(span_make(bytes, size), now_ms, policy, why);
    munmap(bytes, size);
    return loaded;
}
