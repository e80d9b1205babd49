/* The walls of each role, tried from inside: what is allowed works, what is not ends the process.
 */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];

/* ---- acts: each gives the child's exit status, if it lives ---- */

enum { WORKED = 10, REFUSED };

static int judged(bool worked)
{
    return worked ? WORKED : REFUSED;
}

static int open_inside(const char *folder)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s/file", directory, folder);
    return judged(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0);
}

static int open_in_store(void)
{
    return open_inside("store");
}
static int open_in_keeper(void)
{
    return open_inside("keeper");
}
static int open_beside(void)
{
    return open_inside("run");
}
static int open_passwd(void)
{
    return judged(open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0);
}
static int make_socket(void)
{
    return judged(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
}
static int make_packet_socket(void)
{
    return judged(socket(AF_PACKET, SOCK_RAW, 0) >= 0);
}
static int make_raw_socket(void)
{
    return judged(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP) >= 0);
}
static int connect_somewhere(void)
{
    const struct sockaddr_in nowhere = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return judged(connect(fd, (const struct sockaddr *)&nowhere, sizeof nowhere) != 0 &&
                  errno == ECONNREFUSED);
}
static int listen_on_tcp(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return judged(bind(fd, (const struct sockaddr *)&any, sizeof any) == 0);
}
static int execute(void)
{
    char program[] = "/bin/true";

    execve(program, (char *[]){program, NULL}, NULL);
    return REFUSED;
}
static int make_process(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    return judged(child > 0);
}
static void *nothing(void *unused)
{
    return unused;
}
static int make_thread(void)
{
    pthread_t thread;

    return judged(pthread_create(&thread, NULL, nothing, NULL) == 0 &&
                  pthread_join(thread, NULL) == 0);
}
static int make_code(void)
{
    return judged(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0) != MAP_FAILED);
}
static int accept_nothing(void)
{
    return judged(accept4(-1, NULL, NULL, 0) < 0 && errno == EBADF);
}
static int trace_parent(void)
{
    return judged(syscall(SYS_ptrace, 16, getppid(), 0, 0) == 0);
}
static int signal_own_thread(void)
{
    return judged(pthread_kill(pthread_self(), 0) == 0);
}
static int signal_parent(void)
{
    return judged(syscall(SYS_tgkill, getppid(), getppid(), 0) == 0);
}
static int become_root(void)
{
    return judged(setuid(0) == 0);
}

static const struct sandbox_case {
    const char *name;
    enum role role;
    int (*act)(void);
    int expected; /* 0: the kernel kills the process */
} cases[] = {
    {"receive opens files of the store", ROLE_RECEIVE, open_in_store, WORKED},
    {"receive opens no file of the keeper", ROLE_RECEIVE, open_in_keeper, REFUSED},
    {"receive opens no file of the system", ROLE_RECEIVE, open_passwd, REFUSED},
    {"receive accepts", ROLE_RECEIVE, accept_nothing, WORKED},
    {"receive makes threads", ROLE_RECEIVE, make_thread, WORKED},
    {"receive makes no socket", ROLE_RECEIVE, make_socket, 0},
    {"receive makes no process", ROLE_RECEIVE, make_process, 0},
    {"receive executes nothing", ROLE_RECEIVE, execute, 0},
    {"receive makes no code", ROLE_RECEIVE, make_code, 0},
    {"receive becomes nobody else", ROLE_RECEIVE, become_root, 0},
    {"receive wakes its own threads", ROLE_RECEIVE, signal_own_thread, WORKED},
    {"receive sends a signal to nobody else", ROLE_RECEIVE, signal_parent, 0},
    {"deliver opens files of the store", ROLE_DELIVER, open_in_store, WORKED},
    {"deliver opens no file of the keeper", ROLE_DELIVER, open_in_keeper, REFUSED},
    {"deliver connects", ROLE_DELIVER, connect_somewhere, WORKED},
    {"deliver makes threads", ROLE_DELIVER, make_thread, WORKED},
    {"deliver listens to nobody", ROLE_DELIVER, accept_nothing, 0},
    {"deliver makes no raw socket", ROLE_DELIVER, make_packet_socket, 0},
    {"deliver has no right that root has", ROLE_DELIVER, make_raw_socket, REFUSED},
    {"deliver executes nothing", ROLE_DELIVER, execute, 0},
    {"deliver makes no process", ROLE_DELIVER, make_process, 0},
    {"control opens files of the store", ROLE_CONTROL, open_in_store, WORKED},
    {"control opens no file beside it", ROLE_CONTROL, open_beside, REFUSED},
    {"control makes no socket", ROLE_CONTROL, make_socket, 0},
    {"control executes nothing", ROLE_CONTROL, execute, 0},
    {"the keeper opens its own files", ROLE_KEEPER, open_in_keeper, WORKED},
    {"the keeper opens no file of the store", ROLE_KEEPER, open_in_store, REFUSED},
    {"the keeper makes no socket", ROLE_KEEPER, make_socket, 0},
    {"the keeper accepts nobody", ROLE_KEEPER, accept_nothing, 0},
    {"the keeper executes nothing", ROLE_KEEPER, execute, 0},
    {"the keeper makes no process", ROLE_KEEPER, make_process, 0},
    {"the keeper looks into no other process", ROLE_KEEPER, trace_parent, 0},
};

static bool has_landlock(long least)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= least;
}

/* How a child within the role's walls ends: its exit status, or 0 for a death by SIGSYS. */
static int try_within(enum role role, int (*act)(void))
{
    pid_t child = fork();
    struct error why;
    int status;

    if (child == 0) {
        /* The sanitizers would write a report from a signal handler of theirs. */
        if (!sandbox_limit(role, &why) || !sandbox_shut_files(role, directory, &why) ||
            !sandbox_shut_calls(role, &why))
            _exit(1);
        _exit(act());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void an_act_within_the_walls_ends_as_it_must(void **state)
{
    const struct sandbox_case *c = *state;

    if (c->expected == REFUSED && !has_landlock(1))
        skip();
    assert_int_equal(try_within(c->role, c->act), c->expected);
}

static void deliver_binds_no_tcp_port(void **state)
{
    (void)state;
    if (!has_landlock(4))
        skip();
    assert_int_equal(try_within(ROLE_DELIVER, listen_on_tcp), REFUSED);
}

static int begin(void **state)
{
    char path[128];

    (void)state;
    snprintf(directory, sizeof directory, "/tmp/letterlock-walls-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    for (const char *const *name = (const char *const[]){"store", "keeper", "run", NULL}; *name;
         name++) {
        snprintf(path, sizeof path, "%s/%s", directory, *name);
        if (mkdir(path, 0700) != 0)
            return -1;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(deliver_binds_no_tcp_port)};
    char command[128];
    int failures;

    if (begin(NULL) != 0)
        return 1;
    failures = run_table("walls", cases, an_act_within_the_walls_ends_as_it_must) +
               cmocka_run_group_tests_name("ports", tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return failures + (system(command) != 0);
}
