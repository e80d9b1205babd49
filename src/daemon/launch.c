/* Between fork and exec a child gives up all that the role does not need. */
/* SPDX-License-Identifier: ISC */
#include "launch.h"

#include "base/log.h"
#include "base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Descriptors are moved above all targets first, so that none is overwritten before its turn. */
enum { ABOVE_ALL_TARGETS = FD_LISTENERS + LISTENERS_MAX, LOCKED_BYTES_MAX = 256 << 20 };

/* ---- users ---- */

static bool find_named_users(struct role_user users[ROLE_COUNT])
{
    const struct group *group = getgrnam("letterlock");
    gid_t gid;

    if (!group)
        return false;
    gid = group->gr_gid;
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        const struct passwd *user;
        char name[64];

        snprintf(name, sizeof name, "letterlock-%s", role_name(role));
        user = getpwnam(name);
        if (!user || user->pw_uid == 0)
            return false;
        users[role] = (struct role_user){.uid = user->pw_uid, .gid = gid};
    }
    return true;
}

bool role_user_take(const struct role_user *user)
{
    return setgroups(1, &user->gid) == 0 && setresgid(user->gid, user->gid, user->gid) == 0 &&
           setresuid(user->uid, user->uid, user->uid) == 0;
}

/* A root of a container may lack the right, or the number may mean nothing there. */
static bool can_become(const struct role_user *user)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(!role_user_take(user));
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static void find_numbers(struct role_user users[ROLE_COUNT])
{
    log_plain(LOG_LEVEL_INFO, "the users letterlock-receive, -deliver, -control, -keeper and the "
                              "group letterlock are not all there: numbers from 61000 take their "
                              "place");
    for (enum role role = 0; role < ROLE_COUNT; role++)
        users[role] = (struct role_user){.uid = (uid_t)FALLBACK_ID + 1 + role, .gid = FALLBACK_ID};
}

void role_users_find(struct role_user users[ROLE_COUNT])
{
    if (geteuid() == 0) {
        if (!find_named_users(users))
            find_numbers(users);
        if (can_become(&users[ROLE_KEEPER]))
            return;
    }
    log_plain(LOG_LEVEL_WARNING, "without the right to change users: all roles run as this user, "
                                 "and are kept apart by their sandboxes alone");
    for (enum role role = 0; role < ROLE_COUNT; role++)
        users[role] = (struct role_user){.uid = geteuid(), .gid = getegid()};
}

/* ---- the child ---- */

static _Noreturn void die(const char *doing)
{
    struct error why;

    (void)error_system(&why, errno, "%s", doing);
    log_error(LOG_LEVEL_ALARM, "a role cannot be started", &why);
    _exit(ROLE_EXIT_HOPELESS);
}

static int moved_up(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_ALL_TARGETS);

    if (moved < 0)
        die("a descriptor cannot be moved");
    return moved;
}

static void place(const struct launch *launch)
{
    int sources[ABOVE_ALL_TARGETS], last = FD_LISTENERS - 1;
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (nothing < 0)
        die("/dev/null cannot be opened");
    nothing = moved_up(nothing);
    for (int target = 0; target < ABOVE_ALL_TARGETS; target++)
        sources[target] = nothing;
    for (size_t i = 0; i < launch->placement_count; i++) {
        sources[launch->placements[i].target] = moved_up(launch->placements[i].source);
        if (launch->placements[i].target > last)
            last = launch->placements[i].target;
    }
    for (int target = 0; target <= last; target++)
        if (target != STDERR_FILENO && dup2(sources[target], target) < 0)
            die("a descriptor cannot be placed");
    if (close_range((unsigned)last + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        die("descriptors cannot be closed");
}

static void become(const struct role_user *user)
{
    static const struct rlimit locked = {LOCKED_BYTES_MAX, LOCKED_BYTES_MAX};

    (void)setrlimit(RLIMIT_MEMLOCK, &locked); /* keys are locked in memory where that is allowed */
    if (user->uid == geteuid())
        return;
    if (!role_user_take(user))
        die("a role cannot become its user");
    if (setuid(0) == 0)
        die("a role could become root again");
}

static _Noreturn void live(const struct launch *launch)
{
    char name[32];
    char program[] = "letterlockd", flag[] = "--role";
    char *arguments[] = {program, flag, name, NULL};
    char *environment[8] = {NULL}; /* empty, but for what tests ask for */
    int exe = moved_up(launch->program);
    sigset_t none;

#ifdef LETTERLOCK_TEST_HOOKS
    static const char *const hooks[] = {"LETTERLOCK_TEST_LIMITS", "LETTERLOCK_TEST_CLOCK",
                                        "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"};
    static char kept[sizeof hooks / sizeof hooks[0]][4096];

    for (size_t i = 0, n = 0; i < sizeof hooks / sizeof hooks[0]; i++) {
        const char *value = getenv(hooks[i]);

        if (value &&
            snprintf(kept[i], sizeof kept[i], "%s=%s", hooks[i], value) < (int)sizeof kept[i])
            environment[n++] = kept[i];
    }
#endif
    snprintf(name, sizeof name, "%s", role_name(launch->role));
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Asked of all at once by a terminal or a service manager: the supervisor hears it, and tells
     * each role in its turn. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    umask(007);
    place(launch);
    become(&launch->user);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        die("privileges cannot be given up");
    fexecve(exe, arguments, environment);
    die("the program cannot be executed");
}

bool launch(const struct launch *launch, pid_t *pid, struct error *why)
{
    pid_t child = fork();

    if (child < 0)
        return error_system(why, errno, "no process can be made");
    if (child == 0)
        live(launch);
    *pid = child;
    return true;
}
