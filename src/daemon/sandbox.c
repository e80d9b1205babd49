/* Each role's walls: which files it sees (Landlock), and which system calls it makes (seccomp). */
/* SPDX-License-Identifier: ISC */
#include "sandbox.h"

#include "base/descriptor.h"
#include "base/log.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- limits ---- */

static const struct {
    const char *folder; /* below the state directory: all that the role may touch */
    rlim_t descriptors;
    bool connects; /* makes connections of its own */
    bool accepts;  /* takes those of a listening socket that it was handed */
} walls[] = {
    [ROLE_KEEPER] = {"keeper", 64, false, false},
    [ROLE_CONTROL] = {"store", 256, false, true},
    [ROLE_DELIVER] = {"store", 16384, true, false},
    [ROLE_RECEIVE] = {"store", 16384, false, true},
};
_Static_assert(sizeof walls / sizeof walls[0] == ROLE_COUNT, "a role without walls");

static bool limit(__rlimit_resource_t resource, rlim_t most, struct error *why)
{
    struct rlimit now;

    if (getrlimit(resource, &now) != 0)
        return error_system(why, errno, "a limit cannot be read");
    if (now.rlim_max < most)
        most = now.rlim_max;
    if (setrlimit(resource, &(struct rlimit){most, most}) != 0)
        return error_system(why, errno, "a limit cannot be set");
    return true;
}

/* Where the roles run as root, since it may not change users, they are no more than that name. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    return syscall(SYS_capset, &header, none) == 0;
}

bool sandbox_limit(enum role role, struct error *why)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        !drop_capabilities())
        return error_system(why, errno, "privileges cannot be given up");
    return limit(RLIMIT_CORE, 0, why) && limit(RLIMIT_NOFILE, walls[role].descriptors, why);
}

/* ---- Landlock ---- */

/* The kernel's struct as of its ABI 6; an older kernel takes it while what it does not know is 0.
 */
struct landlock_rules {
    uint64_t files, network, scoped;
};
enum {
    FILES_ABI_1 = 0x1fff,     /* execute … make_sym */
    FILES_REFER = 1 << 13,    /* ABI 2 */
    FILES_TRUNCATE = 1 << 14, /* ABI 3 */
    FILES_IOCTL = 1 << 15,    /* ABI 5 */
    FILES_EXECUTE = 1 << 0,
    NETWORK_BIND = 1 << 0, /* ABI 4 */
    NETWORK_CONNECT = 1 << 1,
    SCOPED_ALL = 3, /* ABI 6: abstract unix sockets, signals */
};
/* What a role does in its folder: files and their removal, no links, devices or programs. */
static const uint64_t files_allowed = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                      LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                      LANDLOCK_ACCESS_FS_REMOVE_FILE | FILES_TRUNCATE;

static struct landlock_rules rules_of(enum role role, long abi)
{
    struct landlock_rules rules = {.files = FILES_ABI_1};

    if (abi >= 2)
        rules.files |= FILES_REFER;
    if (abi >= 3)
        rules.files |= FILES_TRUNCATE;
    if (abi >= 4)
        rules.network = NETWORK_BIND | (walls[role].connects ? 0 : NETWORK_CONNECT);
    if (abi >= 5)
        rules.files |= FILES_IOCTL;
    if (abi >= 6)
        rules.scoped = SCOPED_ALL;
    return rules;
}

static bool allow_folder(int ruleset, const char *path, uint64_t handled, struct error *why)
{
    scoped_descriptor folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct landlock_path_beneath_attr beneath = {.allowed_access = files_allowed & handled,
                                                 .parent_fd = folder};

    if (folder < 0)
        return error_system(why, errno, "the folder %s cannot be opened", path);
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
        return error_system(why, errno, "a Landlock rule cannot be added");
    return true;
}

bool sandbox_shut_files(enum role role, const char *state_directory, struct error *why)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    char path[STATE_PATH_MAX + 16];
    struct landlock_rules rules;
    scoped_descriptor ruleset = -1;

    if (abi < 1) {
        log_plain(LOG_LEVEL_WARNING, "this kernel has no Landlock: the role is kept from other "
                                     "files by its user alone");
        return true;
    }
    rules = rules_of(role, abi);
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    if (ruleset < 0)
        return error_system(why, errno, "no Landlock rules can be made");
    (void)fcntl(ruleset, F_SETFD, FD_CLOEXEC);
    snprintf(path, sizeof path, "%s/%s", state_directory, walls[role].folder);
    if (!allow_folder(ruleset, path, rules.files, why))
        return false;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return error_system(why, errno, "Landlock cannot be entered");
    return true;
}

/* ---- seccomp ---- */

/* Memory, threads, time, and descriptors that we have. */
static const int calls_of_all[] = {
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(eventfd2),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fcntl),
    SCMP_SYS(fstat),
    SCMP_SYS(futex),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(membarrier),
    SCMP_SYS(mlock),
    SCMP_SYS(mremap),
    SCMP_SYS(munlock),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(shutdown),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(uname),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};
/* Files, within what Landlock and the user leave. */
static const int calls_for_files[] = {
    SCMP_SYS(access),  SCMP_SYS(faccessat),  SCMP_SYS(faccessat2), SCMP_SYS(fallocate),
    SCMP_SYS(fchmod),  SCMP_SYS(fchown),     SCMP_SYS(fdatasync),  SCMP_SYS(flock),
    SCMP_SYS(fsync),   SCMP_SYS(ftruncate),  SCMP_SYS(getcwd),     SCMP_SYS(getdents64),
    SCMP_SYS(lstat),   SCMP_SYS(newfstatat), SCMP_SYS(open),       SCMP_SYS(openat),
    SCMP_SYS(pread64), SCMP_SYS(pwrite64),   SCMP_SYS(readlink),   SCMP_SYS(readlinkat),
    SCMP_SYS(rename),  SCMP_SYS(renameat),   SCMP_SYS(renameat2),  SCMP_SYS(stat),
    SCMP_SYS(statfs),  SCMP_SYS(fstatfs),    SCMP_SYS(statx),      SCMP_SYS(sync_file_range),
    SCMP_SYS(umask),   SCMP_SYS(unlink),     SCMP_SYS(unlinkat),   SCMP_SYS(utimensat),
};
static const int calls_to_accept[] = {
    SCMP_SYS(accept),      SCMP_SYS(accept4),    SCMP_SYS(getpeername),
    SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
};
/* bind: the resolver asks from random UDP ports; TCP is Landlock's. */
static const int calls_to_connect[] = {
    SCMP_SYS(bind),          SCMP_SYS(connect),        SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),      SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),  SCMP_SYS(epoll_wait),     SCMP_SYS(getpeername),
    SCMP_SYS(getsockname),   SCMP_SYS(getsockopt),     SCMP_SYS(pipe),
    SCMP_SYS(pipe2),         SCMP_SYS(pselect6),       SCMP_SYS(recvmmsg),
    SCMP_SYS(select),        SCMP_SYS(sendmmsg),       SCMP_SYS(setsockopt),
    SCMP_SYS(socketpair),    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
};

#define ALLOW_ALL_OF(calls) allow(filter, calls, sizeof(calls) / sizeof((calls)[0]))
static bool allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0) != 0)
            return false;
    return true;
}

/* A call where an argument counts: allowed where (argument & mask) == value. */
static bool allow_where(scmp_filter_ctx filter, int call, unsigned argument, uint64_t mask,
                        uint64_t value)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                            SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value)) == 0;
}

/* Threads but no processes; memory but no new code; ioctl and prctl for what libraries need. */
static bool allow_with_arguments(scmp_filter_ctx filter)
{
    static const uint64_t ioctls[] = {FIONREAD, FIONBIO, TCGETS};
    static const uint64_t prctls[] = {PR_SET_NAME, PR_SET_VMA};

    for (size_t i = 0; i < sizeof ioctls / sizeof ioctls[0]; i++)
        if (!allow_where(filter, SCMP_SYS(ioctl), 1, UINT32_MAX, ioctls[i]))
            return false;
    for (size_t i = 0; i < sizeof prctls / sizeof prctls[0]; i++)
        if (!allow_where(filter, SCMP_SYS(prctl), 0, UINT32_MAX, prctls[i]))
            return false;
    /* clone3 hides its flags from a filter: the C library then takes clone. */
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
           allow_where(filter, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD) &&
           allow_where(filter, SCMP_SYS(mmap), 2, PROT_EXEC, 0) &&
           allow_where(filter, SCMP_SYS(mprotect), 2, PROT_EXEC, 0) &&
           /* signals to our own threads, never to a sibling of the same user */
           allow_where(filter, SCMP_SYS(tgkill), 0, UINT32_MAX, (uint64_t)getpid()) &&
           /* reading a limit: the new one is NULL */
           allow_where(filter, SCMP_SYS(prlimit64), 2, UINT64_MAX, 0);
}

static bool allow_sockets(scmp_filter_ctx filter)
{
    static const uint64_t families[] = {AF_INET, AF_INET6, AF_UNIX};

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (!allow_where(filter, SCMP_SYS(socket), 0, UINT32_MAX, families[i]))
            return false;
    return ALLOW_ALL_OF(calls_to_connect);
}

static void release_filter(scmp_filter_ctx *filter)
{
    if (*filter)
        seccomp_release(*filter);
}

bool sandbox_shut_calls(enum role role, struct error *why)
{
    __attribute__((cleanup(release_filter))) scmp_filter_ctx filter =
        seccomp_init(SCMP_ACT_KILL_PROCESS);
    int failed;

    if (!filter || seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) != 0 ||
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0 || !ALLOW_ALL_OF(calls_of_all) ||
        !ALLOW_ALL_OF(calls_for_files) || !allow_with_arguments(filter) ||
        (walls[role].accepts && !ALLOW_ALL_OF(calls_to_accept)) ||
        (walls[role].connects && !allow_sockets(filter)))
        return error_set(why, ERROR_INTERNAL, "", "the filter of system calls cannot be made");
    failed = seccomp_load(filter);
    if (failed != 0)
        return error_system(why, -failed, "the filter of system calls cannot be entered");
    return true;
}
