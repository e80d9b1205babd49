/* The first minutes of a role, alike for all: what it was handed, its walls, the supervisor's word.
 */
/* SPDX-License-Identifier: ISC */
#include "common.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "bundle.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*live)(const struct role_arguments *arguments);
} roles[] = {
    [ROLE_KEEPER] = {.name = "keeper", .live = keeper_main},
    [ROLE_CONTROL] = {.name = "control", .live = control_main},
    [ROLE_DELIVER] = {.name = "deliver", .live = deliver_main},
    [ROLE_RECEIVE] = {.name = "receive", .live = receive_main},
};
_Static_assert(sizeof roles / sizeof roles[0] == ROLE_COUNT, "a role without a life");

const char *role_name(enum role role)
{
    return roles[role].name;
}

int common_hopeless(const struct error *why)
{
    log_error(LOG_LEVEL_ALARM, "the role cannot work", why);
    /* What may be better later (a full disk, a slow keeper) is worth another start. */
    return why->kind == ERROR_TEMPORARY ? EXIT_FAILURE : ROLE_EXIT_HOPELESS;
}

int role_main(const char *name)
{
    static struct role_arguments arguments;
    enum role role = 0;
    struct error why;

    while (role < ROLE_COUNT && strcmp(name, roles[role].name) != 0)
        role++;
    if (role == ROLE_COUNT ||
        pread(FD_ARGUMENTS, &arguments, sizeof arguments, 0) != (ssize_t)sizeof arguments ||
        arguments.version != ROLE_ARGUMENTS_VERSION || arguments.role != role ||
        arguments.listener_count > LISTENERS_MAX) {
        log_plain(LOG_LEVEL_ALARM, "--role is for letterlockd's own use: see letterlockd(8)");
        return EXIT_FAILURE;
    }
    arguments.state_directory[sizeof arguments.state_directory - 1] = '\0';
    log_begin(roles[role].name, (enum log_level)arguments.least_level);
    signal(SIGPIPE, SIG_IGN);
    /* An arena for each of two thousand threads would cost more than their waiting for one. */
    mallopt(M_ARENA_MAX, 4);
    if (!sandbox_limit(role, &why))
        return common_hopeless(&why);
    return roles[role].live(&arguments);
}

bool common_begin(struct common *common, struct error *why)
{
    struct policy *policy;
    int handed = FD_KEEPER;

    common->clock = common_clock();
    if (!bundle_load(FD_BUNDLE, clock_wall_ms(&common->clock), &policy, why))
        return false;
    common->first = policy_ref(policy);
    common->slot = policy_slot_new(policy);
    if (!common->slot)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for the policy");
    (void)close(FD_BUNDLE);
    if (!store_shared_attach(FD_SHARED, &common->shared, why))
        return false;
    common->keeper = keeper_connect(handed, &entropy_of_system);
    return common->keeper || error_set(why, ERROR_TEMPORARY, "", "no memory for the keeper's line");
}

bool common_enter(struct common *common, struct error *why)
{
    char path[STATE_PATH_MAX + 16];

    if (!sandbox_shut_files(common->role, common->arguments->state_directory, why))
        return false;
    snprintf(path, sizeof path, "%s/store", common->arguments->state_directory);
    return store_open(path, STORE_READ_WRITE, common->shared, &common->clock, &entropy_of_system,
                      &common->store, why);
}

void common_end(struct common *common)
{
    store_free(common->store);
    keeper_free(common->keeper);
    store_shared_free(common->shared);
    policy_slot_free(common->slot);
    policy_free(common->first);
}

/* ---- the supervisor's word ---- */

/* False: the link has ended. *descriptor is -1 or the caller's. */
static bool hear(struct link_message *message, int *descriptor)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = message, .iov_len = sizeof *message};
    struct msghdr envelope = {.msg_iov = &piece,
                              .msg_iovlen = 1,
                              .msg_control = control.room,
                              .msg_controllen = sizeof control.room};
    const struct cmsghdr *header;
    ssize_t got;

    *descriptor = -1;
    do
        got = recvmsg(FD_LINK, &envelope, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof *message)
        return false;
    header = CMSG_FIRSTHDR(&envelope);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    return true;
}

static bool swap_policy(struct common *common, const struct common_hooks *hooks, int bundle)
{
    struct policy *policy;
    struct error why;

    if (!bundle_load(bundle, clock_wall_ms(&common->clock), &policy, &why)) {
        log_error(LOG_LEVEL_ALARM, "the new policy does not load here: this role begins anew",
                  &why);
        return false;
    }
    if (hooks->on_policy)
        hooks->on_policy(hooks->self, policy);
    policy_slot_set(common->slot, policy);
    log_plain(LOG_LEVEL_INFO, "the new policy is in force");
    return true;
}

struct deadline common_watch(struct common *common, const struct common_hooks *hooks)
{
    for (;;) {
        scoped_descriptor descriptor = -1;
        struct link_message message;

        if (!hear(&message, &descriptor)) {
            log_plain(LOG_LEVEL_WARNING, "the supervisor is gone: this role ends too");
            return deadline_in_ms(STOP_GRACE_MS);
        }
        switch ((enum link_kind)message.kind) {
        case LINK_STOP:
            return deadline_in_ms(message.grace_ms);
        case LINK_POLICY:
            if (!swap_policy(common, hooks, descriptor))
                return deadline_in_ms(STOP_GRACE_MS);
            break;
        case LINK_POLICY_REFUSED:
            if (hooks->on_refused)
                hooks->on_refused(hooks->self, message.errors, message.line);
            break;
        }
    }
}

/* ---- for tests ---- */

#ifdef LETTERLOCK_TEST_HOOKS
/* Eight bytes that a test writes: milliseconds, little-endian, added to the wall clock. */
static const volatile int64_t *clock_offset;

static int64_t moved_wall_ms(void *self)
{
    (void)self;
    return clock_wall_ms(&clock_of_system) + *clock_offset;
}

struct clock common_clock(void)
{
    struct clock clock = clock_of_system;
    const char *path = getenv("LETTERLOCK_TEST_CLOCK");
    scoped_descriptor fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped;

    if (fd < 0)
        return clock;
    mapped = mmap(NULL, sizeof *clock_offset, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return clock;
    clock_offset = mapped;
    clock.wall_ms = moved_wall_ms;
    return clock;
}

void common_test_limits(const char *prefix,
                        bool (*set)(void *limits, struct span name, long long value), void *limits)
{
    const char *text = getenv("LETTERLOCK_TEST_LIMITS");
    struct span rest = text ? span_of(text) : (struct span){"", 0};

    while (rest.len > 0) {
        struct span one, name, digits;
        unsigned long long value;

        (void)span_split(rest, ',', &one, &rest);
        if (!span_starts_with(one, span_of(prefix)))
            continue;
        (void)span_split(span_from(one, strlen(prefix)), '=', &name, &digits);
        if (!span_number(digits, INT64_MAX, &value) || !set(limits, name, (long long)value))
            log_fact(LOG_LEVEL_ALARM, "a test limit is unknown", {"limit", one});
    }
}
#else
struct clock common_clock(void)
{
    return clock_of_system;
}

void common_test_limits(const char *prefix,
                        bool (*set)(void *limits, struct span name, long long value), void *limits)
{
    (void)prefix;
    (void)set;
    (void)limits;
}
#endif
