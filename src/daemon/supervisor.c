/* Starts the roles, starts again those that die, reloads on SIGHUP, and ends them in order. */
/* SPDX-License-Identifier: ISC */
#include "supervisor.h"

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "bundle.h"
#include "common.h"
#include "launch.h"
#include "net/tls.h"
#include "premises.h"
#include "reload.h"
#include "role.h"
#include "secrets.h"
#include "store/handover.h"
#include "store/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMPLAINTS_ARENA_MAX = 16 << 20, NO_EXIT_YET = -1 };

struct child {
    pid_t pid; /* 0: not running */
    int link;  /* our end; -1 */
    bool was_started;
    int64_t started_ns;
    int64_t back_off_ms;
    struct deadline restart; /* where .pid is 0 */
};

struct supervisor {
    const char *policy_path;
    enum log_level least;
    struct policy *policy; /* in force */
    int bundle;            /* of it */
    int secrets, shared, handover, control, board_fd, program, lock, signals;
    int keeper_ends[KEEPER_PEER_COUNT], sibling_ends[KEEPER_PEER_COUNT];
    int listeners[LISTENERS_MAX];
    size_t listener_count;
    struct role_user users[ROLE_COUNT];
    struct child children[ROLE_COUNT];
    char state_directory[STATE_PATH_MAX];
    struct board *board;
    int64_t restart_longest_ms;
    bool may_create_keys;
    bool is_stopping;
    int exit_status; /* NO_EXIT_YET, or why it must end at once */
};

static const enum keeper_peer peer_of_role[ROLE_COUNT] = {
    [ROLE_KEEPER] = KEEPER_PEER_COUNT, /* itself: none */
    [ROLE_CONTROL] = KEEPER_PEER_CONTROL,
    [ROLE_DELIVER] = KEEPER_PEER_DELIVER,
    [ROLE_RECEIVE] = KEEPER_PEER_RECEIVE,
};

/* To whoever sits at the terminal: before and beside the log. */
static void say(const char *text, const char *more)
{
    fprintf(stderr, "letterlockd: %s%s\n", text, more);
}

static int64_t monotonic_ns(void)
{
    return clock_monotonic_ns(&clock_of_system);
}

/* ---- the policy ---- */

static void say_complaints(const struct policy_complaints *complaints, const char *policy_path)
{
    scoped_buffer text;
    struct error why;

    buffer_init(&text, MIB(4));
    policy_complaints_print(complaints, span_of(policy_path), &text);
    if (!descriptor_write_all(STDERR_FILENO, buffer_span(&text), &why))
        log_error(LOG_LEVEL_WARNING, "what is wrong with the policy could not be written", &why);
}

/* NULL: *errors and *line say what a journal may, standard error says the rest. */
static struct policy *load(const char *policy_path, int *bundle, uint32_t *errors, uint32_t *line)
{
    scoped(arena) arena = arena_new("the policy", COMPLAINTS_ARENA_MAX + BUNDLE_BYTES_MAX);
    struct policy_complaints complaints = {0};
    struct policy *policy = NULL;
    struct error why = {.kind = ERROR_NONE};

    if (arena)
        policy = bundle_make(policy_path, clock_wall_ms(&clock_of_system), arena, &complaints,
                             bundle, &why);
    if (complaints.count > 0)
        say_complaints(&complaints, policy_path);
    if (policy)
        return policy;
    *errors = (uint32_t)complaints.error_count;
    *line = 0;
    for (size_t i = 0; i < complaints.count && *line == 0; i++)
        if (complaints.list[i].severity == POLICY_ERROR)
            *line = complaints.list[i].line;
    if (why.kind != ERROR_NONE)
        say(why.text, "");
    return NULL;
}

int supervise_check(const char *policy_path)
{
    scoped_descriptor bundle = -1;
    uint32_t errors, line;
    scoped(policy) policy = load(policy_path, &bundle, &errors, &line);

    if (!policy)
        return EXIT_FAILURE;
    say(policy_path, " can be used");
    return EXIT_SUCCESS;
}

/* ---- children ---- */

static struct role_arguments arguments_of(const struct supervisor *s, enum role role)
{
    struct role_arguments arguments = {
        .version = ROLE_ARGUMENTS_VERSION,
        .role = role,
        .owner_uid = getuid(),
        .is_first = !s->children[role].was_started,
        .least_level = s->least,
        .listener_count = (uint32_t)s->listener_count,
        .may_create_keys = s->may_create_keys,
    };

    memcpy(arguments.state_directory, s->state_directory, sizeof arguments.state_directory);
    return arguments;
}

static size_t placements_of(const struct supervisor *s, enum role role, int link, int arguments,
                            struct placement *out)
{
    size_t count = 0;

    out[count++] = (struct placement){FD_LINK, link};
    out[count++] = (struct placement){FD_ARGUMENTS, arguments};
    if (role == ROLE_KEEPER) {
        for (int peer = 0; peer < KEEPER_PEER_COUNT; peer++)
            out[count++] = (struct placement){FD_PEERS + peer, s->keeper_ends[peer]};
        out[count++] = (struct placement){FD_SECRETS, s->secrets};
        return count;
    }
    out[count++] = (struct placement){FD_BUNDLE, s->bundle};
    out[count++] = (struct placement){FD_SHARED, s->shared};
    out[count++] = (struct placement){FD_HANDOVER, s->handover};
    out[count++] = (struct placement){FD_KEEPER, s->sibling_ends[peer_of_role[role]]};
    if (role == ROLE_CONTROL) {
        out[count++] = (struct placement){FD_CONTROL, s->control};
        out[count++] = (struct placement){FD_BOARD, s->board_fd};
    }
    if (role == ROLE_RECEIVE)
        for (size_t i = 0; i < s->listener_count; i++)
            out[count++] = (struct placement){FD_LISTENERS + (int)i, s->listeners[i]};
    return count;
}

static bool start_role(struct supervisor *s, enum role role, struct error *why)
{
    struct child *child = &s->children[role];
    const struct role_arguments arguments = arguments_of(s, role);
    struct placement placements[16 + LISTENERS_MAX];
    struct launch start = {
        .program = s->program, .role = role, .user = s->users[role], .placements = placements};
    scoped_descriptor told =
        sealed_memfd("letterlock-arguments", span_make(&arguments, sizeof arguments), why);
    scoped_descriptor theirs = -1;
    int link[2];

    if (told < 0)
        return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) != 0)
        return error_system(why, errno, "no socketpair can be made");
    descriptor_close(&child->link);
    child->link = link[0];
    theirs = link[1];
    start.placement_count = placements_of(s, role, theirs, told, placements);
    if (!launch(&start, &child->pid, why))
        return false;
    child->was_started = true;
    child->started_ns = monotonic_ns();
    s->board->roles[role].pid = child->pid;
    s->board->roles[role].started_at_ms = clock_wall_ms(&clock_of_system);
    return true;
}

static void start_or_put_off(struct supervisor *s, enum role role)
{
    struct child *child = &s->children[role];
    struct error why;

    if (start_role(s, role, &why))
        return;
    log_error(LOG_LEVEL_ALARM, "a role cannot be started", &why);
    child->pid = 0;
    child->restart = deadline_in_ms(RESTART_LONGEST_MS);
}

static void log_death(enum role role, int status, const char *fact)
{
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    char code[16];

    snprintf(code, sizeof code, "%d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    if (WIFSIGNALED(status))
        log_fact(LOG_LEVEL_ALARM, fact, {"role", span_of(role_name(role))},
                 {"signal", span_of(name ? name : "?")});
    else
        log_fact(LOG_LEVEL_ALARM, fact, {"role", span_of(role_name(role))},
                 {"status", span_of(code)});
}

static void bury(struct supervisor *s, enum role role, int status)
{
    struct child *child = &s->children[role];
    bool is_first = s->board->roles[role].restarts == 0;

    child->pid = 0;
    descriptor_close(&child->link);
    s->board->roles[role].pid = 0;
    s->board->roles[role].last_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (s->is_stopping) {
        if (status != 0)
            log_death(role, status, "a role did not end in order");
        return;
    }
    if (is_first && WIFEXITED(status) && WEXITSTATUS(status) == ROLE_EXIT_HOPELESS) {
        log_fact(LOG_LEVEL_ALARM, "a role cannot work: the gateway ends",
                 {"role", span_of(role_name(role))});
        s->exit_status = EXIT_FAILURE;
        return;
    }
    log_death(role, status, "a role died and is started again");
    s->board->roles[role].restarts++;
    if (child->back_off_ms == 0 ||
        monotonic_ns() - child->started_ns > (int64_t)RESTART_FORGIVEN_MS * 1000000)
        child->back_off_ms = RESTART_FIRST_MS;
    else if (child->back_off_ms < s->restart_longest_ms / 2)
        child->back_off_ms *= 2;
    else
        child->back_off_ms = s->restart_longest_ms;
    child->restart = deadline_in_ms(child->back_off_ms);
}

static void bury_the_dead(struct supervisor *s)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (enum role role = 0; role < ROLE_COUNT; role++)
            if (s->children[role].pid == pid)
                bury(s, role, status);
}

/* Says one thing to a role. One that is dead is told when it lives again; one so deaf that its link
 * is full is killed, for it would go on under a policy that is no longer in force. */
static void tell(struct child *child, const struct link_message *message, int descriptor)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec piece = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
    struct msghdr envelope = {.msg_iov = &piece, .msg_iovlen = 1};

    if (child->pid == 0 || child->link < 0)
        return;
    if (descriptor >= 0) {
        envelope.msg_control = control.room;
        envelope.msg_controllen = sizeof control.room;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    }
    if (sendmsg(child->link, &envelope, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return;
    if (errno != EPIPE) /* then it is just dying */
        log_plain(LOG_LEVEL_ALARM, "a role does not listen and is killed");
    kill(child->pid, SIGKILL);
}

/* ---- the end ---- */

/* Waits for one role's death until the deadline; buries others on the way. */
static void await_death(struct supervisor *s, enum role role, struct deadline until)
{
    while (s->children[role].pid != 0 && !deadline_is_over(until)) {
        struct pollfd wait = {.fd = s->signals, .events = POLLIN};
        struct signalfd_siginfo info;

        if (poll(&wait, 1, deadline_left_ms(until)) > 0)
            while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
            }
        bury_the_dead(s);
    }
}

/* Receive first, so that nothing new is taken; the keeper last, since all others need it. */
static void stop_all(struct supervisor *s)
{
    s->is_stopping = true;
    for (int role = ROLE_COUNT - 1; role >= 0; role--) {
        struct child *child = &s->children[role];

        tell(child, &(struct link_message){.kind = LINK_STOP, .grace_ms = STOP_GRACE_MS}, -1);
        await_death(s, (enum role)role, deadline_in_ms(STOP_GRACE_MS + STOP_KILL_MS));
        if (child->pid == 0)
            continue;
        log_fact(LOG_LEVEL_WARNING, "a role did not end in time and is killed",
                 {"role", span_of(role_name((enum role)role))});
        kill(child->pid, SIGKILL);
        await_death(s, (enum role)role, deadline_in_ms(STOP_KILL_MS));
    }
}

/* The others start when the keeper is ready, or has failed for now: without keys they could do
 * nothing, and where the master key is the wrong one they never live. At a gateway's first start
 * the keys are made before anything can be sealed or written, so that a store without keys is never
 * a beginning, always a loss. */
static void await_keeper(struct supervisor *s)
{
    const struct child *keeper = &s->children[ROLE_KEEPER];
    struct pollfd waits[] = {{.fd = s->signals, .events = POLLIN},
                             {.fd = keeper->link, .events = POLLRDHUP}};

    while (keeper->pid != 0 && s->exit_status == NO_EXIT_YET) {
        struct signalfd_siginfo info;

        (void)poll(waits, 2, -1);
        while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info)
            if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
                s->exit_status = EXIT_SUCCESS;
        bury_the_dead(s);
        if ((waits[1].revents & (POLLRDHUP | POLLHUP)) == POLLRDHUP) {
            s->may_create_keys = false;
            return;
        }
        if (waits[1].revents != 0)
            waits[1].fd = -1; /* it has ended: its death is told in a moment */
    }
    if (s->may_create_keys && s->exit_status == NO_EXIT_YET)
        s->exit_status = EXIT_FAILURE;
}

/* ---- reloading ---- */

static void tell_all(struct supervisor *s, const struct link_message *message, int descriptor)
{
    for (enum role role = ROLE_CONTROL; role < ROLE_COUNT; role++)
        tell(&s->children[role], message, descriptor);
}

static void refuse_reload(struct supervisor *s, uint32_t errors, uint32_t line)
{
    log_plain(LOG_LEVEL_ALARM, "the new policy cannot be used: the one in force stays");
    tell(&s->children[ROLE_CONTROL],
         &(struct link_message){.kind = LINK_POLICY_REFUSED, .errors = errors, .line = line}, -1);
}

static void reload(struct supervisor *s)
{
    scoped_descriptor bundle = -1;
    uint32_t errors = 0, line = 0;
    scoped(policy) policy = load(s->policy_path, &bundle, &errors, &line);
    const char *changed;

    if (!policy) {
        refuse_reload(s, errors, line);
        return;
    }
    changed = reload_needs_restart(policy_settings(s->policy), policy_settings(policy));
    if (changed) {
        log_fact(LOG_LEVEL_ALARM, "a setting changed that only a restart can change",
                 {"setting", span_of(changed)});
        refuse_reload(s, 0, 0);
        return;
    }
    tell_all(s, &(struct link_message){.kind = LINK_POLICY}, bundle);
    descriptor_close(&s->bundle);
    s->bundle = bundle;
    bundle = -1;
    policy_free(s->policy);
    s->policy = policy;
    policy = NULL;
    log_plain(LOG_LEVEL_INFO, "the policy was loaded anew");
}

/* ---- the start ---- */

/* Sealed once we have our own mapping: nobody else can ever write to it. */
static bool make_board(struct supervisor *s, struct error *why)
{
    s->board_fd = memfd_create("letterlock-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->board_fd < 0 || ftruncate(s->board_fd, sizeof *s->board) != 0)
        return error_system(why, errno, "no memory can be shared");
    s->board = mmap(NULL, sizeof *s->board, PROT_READ | PROT_WRITE, MAP_SHARED, s->board_fd, 0);
    if (s->board == MAP_FAILED ||
        fcntl(s->board_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) != 0)
        return error_system(why, errno, "no memory can be shared");
    s->board->supervisor = getpid();
    s->board->started_at_ms = clock_wall_ms(&clock_of_system);
    return true;
}

static bool make_sockets(struct supervisor *s, struct error *why)
{
    for (int peer = 0; peer < KEEPER_PEER_COUNT; peer++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
            return error_system(why, errno, "no socketpair can be made");
        s->keeper_ends[peer] = pair[0];
        s->sibling_ends[peer] = pair[1];
    }
    return true;
}

static bool open_listeners(struct supervisor *s, const struct settings *settings, struct error *why)
{
    if (settings->listener_count > LISTENERS_MAX)
        return error_set(why, ERROR_INTERNAL, "", "there are over %d listeners", LISTENERS_MAX);
    for (size_t i = 0; i < settings->listener_count; i++) {
        if (!premises_listen(&settings->listeners[i], &s->listeners[i], why))
            return false;
        s->listener_count++;
    }
    return true;
}

static bool catch_signals(struct supervisor *s, struct error *why)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return error_system(why, errno, "signals cannot be caught");
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0 || error_system(why, errno, "signals cannot be caught");
}

static bool make_ready(struct supervisor *s, struct error *why)
{
    const struct settings *settings = policy_settings(s->policy);

    if (settings->state_directory.len >= sizeof s->state_directory)
        return error_set(why, ERROR_INTERNAL, "", "the state directory's path is too long");
    memcpy(s->state_directory, settings->state_directory.data, settings->state_directory.len);
    s->program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (s->program < 0)
        return error_system(why, errno, "our own program cannot be opened");
    if (!secrets_gather(settings, s->policy_path, &s->secrets, why))
        return false;
    role_users_find(s->users);
    return premises_prepare(s->state_directory, s->users, &s->may_create_keys, why) &&
           premises_lock(s->state_directory, &s->lock, why) && open_listeners(s, settings, why) &&
           premises_listen_for_control(s->state_directory, &s->control, why) &&
           store_shared_create(&s->shared, why) && handover_create(&s->handover, why) &&
           make_sockets(s, why) && make_board(s, why) && catch_signals(s, why);
}

/* ---- the life ---- */

static void handle_signal(struct supervisor *s, uint32_t number)
{
    if (number == SIGHUP)
        reload(s);
    else if (number == SIGTERM || number == SIGINT)
        s->exit_status = EXIT_SUCCESS;
}

static struct deadline next_restart(const struct supervisor *s)
{
    struct deadline next = deadline_in_ms(3600000);

    for (enum role role = 0; role < ROLE_COUNT; role++)
        if (s->children[role].pid == 0)
            next = deadline_earlier(next, s->children[role].restart);
    return next;
}

static void live(struct supervisor *s)
{
    while (s->exit_status == NO_EXIT_YET) {
        struct pollfd wait = {.fd = s->signals, .events = POLLIN};
        struct signalfd_siginfo info;

        (void)poll(&wait, 1, deadline_left_ms(next_restart(s)));
        while (s->exit_status == NO_EXIT_YET &&
               read(s->signals, &info, sizeof info) == (ssize_t)sizeof info)
            handle_signal(s, info.ssi_signo);
        bury_the_dead(s);
        for (enum role role = 0; s->exit_status == NO_EXIT_YET && role < ROLE_COUNT; role++)
            if (s->children[role].pid == 0 && deadline_is_over(s->children[role].restart))
                start_or_put_off(s, role);
    }
}

static void tell_of_laboratory(const struct settings *settings)
{
    if (settings->laboratory.host.len > 0)
        log_fact(LOG_LEVEL_WARNING, "this is a laboratory: addresses in it count as public",
                 {"network", settings->laboratory.host});
}

/* For tests, which kill often. */
static bool set_limit(void *limits, struct span name, long long value)
{
    struct supervisor *s = limits;

    if (!span_equal(name, SPAN_LITERAL("restart_longest_ms")) || value < 1)
        return false;
    s->restart_longest_ms = value;
    return true;
}

/* The keeper's secrets are in a descriptor of ours: nobody attaches to this process, no role of the
 * same user finds them in /proc, and no core is left of it. */
static bool shut_in(struct error *why)
{
    static const struct rlimit none = {0, 0};

    return (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0) ||
           error_system(why, errno, "the process cannot be shut in");
}

int supervise(const char *policy_path, enum log_level least)
{
    static struct supervisor supervisor; /* large, and there is one */
    struct supervisor *s = &supervisor;
    uint32_t errors, line;
    struct error why;

    *s = (struct supervisor){.policy_path = policy_path,
                             .least = least,
                             .exit_status = NO_EXIT_YET,
                             .bundle = -1,
                             .restart_longest_ms = RESTART_LONGEST_MS};
    common_test_limits("supervisor.", set_limit, s);
    for (enum role role = 0; role < ROLE_COUNT; role++)
        s->children[role].link = -1;
    umask(077);
    log_begin("supervisor", least);
    if (!shut_in(&why)) {
        say(why.text, "");
        return EXIT_FAILURE;
    }
    s->policy = load(policy_path, &s->bundle, &errors, &line);
    if (!s->policy)
        return EXIT_FAILURE;
    tell_of_laboratory(policy_settings(s->policy));
    if (!make_ready(s, &why)) {
        say(why.text, "");
        return EXIT_FAILURE;
    }
    start_or_put_off(s, ROLE_KEEPER);
    await_keeper(s);
    for (enum role role = ROLE_KEEPER + 1; s->exit_status == NO_EXIT_YET && role < ROLE_COUNT;
         role++)
        start_or_put_off(s, role);
    if (s->exit_status == NO_EXIT_YET)
        log_fact(LOG_LEVEL_INFO, "the gateway is started", {"state", span_of(s->state_directory)});
    live(s);
    stop_all(s);
    log_plain(LOG_LEVEL_INFO, "the gateway has ended");
    return s->exit_status;
}
