/* The folders and sockets of a gateway, made before any role lives. */
/* SPDX-License-Identifier: ISC */
#include "premises.h"

#include "base/descriptor.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- folders ---- */

/* Given to its role only where it is not that role's yet: the right to may be missing. */
static bool make_folder(const char *path, mode_t mode, uid_t uid, gid_t gid, struct error *why)
{
    struct stat status;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_system(why, errno, "the folder %s cannot be made", path);
    if (lstat(path, &status) != 0)
        return error_system(why, errno, "the folder %s cannot be read", path);
    if (!S_ISDIR(status.st_mode))
        return error_set(why, ERROR_INTERNAL, "", "%s is no folder", path);
    if ((status.st_uid != uid || status.st_gid != gid) && lchown(path, uid, gid) != 0)
        return error_system(why, errno, "the folder %s cannot be given to its role", path);
    if (chmod(path, mode) != 0)
        return error_system(why, errno, "the mode of the folder %s cannot be set", path);
    return true;
}

/* Asks as the role would: a child takes its user and looks. */
static bool can_reach(const char *path, const struct role_user *user)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(!role_user_take(user) || access(path, R_OK | W_OK | X_OK) != 0);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static bool is_empty(const char *path, bool *empty, struct error *why)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    size_t count = 0;

    if (!folder)
        return error_system(why, errno, "the folder %s cannot be read", path);
    while ((entry = readdir(folder)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    *empty = count == 0;
    return true;
}

bool premises_prepare(const char *state_directory, const struct role_user users[ROLE_COUNT],
                      bool *is_new, struct error *why)
{
    const struct role_user *keeper = &users[ROLE_KEEPER];
    const gid_t group = keeper->gid;
    const bool is_apart = keeper->uid != geteuid(); /* roles have users of their own */
    const struct {
        const char *folder;
        mode_t mode;
        uid_t uid;
    } folders[] = {
        {"", is_apart ? 0711 : 0700, geteuid()},
        {"/store", is_apart ? 02770 : 0700, geteuid()},
        {"/keeper", 0700, keeper->uid},
        {"/run", is_apart ? 0711 : 0700, geteuid()},
    };
    char path[STATE_PATH_MAX + 16];

    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(path, sizeof path, "%s%s", state_directory, folders[i].folder);
        if (!make_folder(path, folders[i].mode, folders[i].uid, group, why))
            return false;
    }
    for (enum role role = 0; is_apart && role < ROLE_COUNT; role++) {
        snprintf(path, sizeof path, "%s/%s", state_directory,
                 role == ROLE_KEEPER ? "keeper" : "store");
        if (!can_reach(path, &users[role]))
            return error_set(
                why, ERROR_INTERNAL, "",
                "the role %s, as user %u, cannot reach %s: a folder above it is closed "
                "to others",
                role_name(role), users[role].uid, path);
    }
    snprintf(path, sizeof path, "%s/store", state_directory);
    return is_empty(path, is_new, why);
}

bool premises_lock(const char *state_directory, int *lock, struct error *why)
{
    char path[STATE_PATH_MAX + 16];
    scoped_descriptor fd = -1;

    snprintf(path, sizeof path, "%s/run/lock", state_directory);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_system(why, errno, "%s cannot be opened", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(why, ERROR_INTERNAL, "", "another gateway runs over %s", state_directory);
    *lock = fd;
    fd = -1;
    return true;
}

/* ---- listeners ---- */

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool address_of(const struct listener *listener, union any_address *address, socklen_t *len,
                       struct error *why)
{
    struct span text = listener->address.len > 0 ? listener->address : SPAN_LITERAL("::");
    char name[INET6_ADDRSTRLEN];

    *address = (union any_address){0};
    if (text.len < sizeof name) {
        snprintf(name, sizeof name, "%.*s", SPAN_ARGS(text));
        if (inet_pton(AF_INET6, name, &address->v6.sin6_addr) == 1) {
            address->v6.sin6_family = AF_INET6;
            address->v6.sin6_port = htons(listener->port);
            *len = sizeof address->v6;
            return true;
        }
        if (inet_pton(AF_INET, name, &address->v4.sin_addr) == 1) {
            address->v4.sin_family = AF_INET;
            address->v4.sin_port = htons(listener->port);
            *len = sizeof address->v4;
            return true;
        }
    }
    return error_set(why, ERROR_INTERNAL, "", "a listener's address is none (line %u)",
                     listener->line);
}

static int listening_socket(const union any_address *address, socklen_t len)
{
    scoped_descriptor fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1, kept;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return -1;
    if (address->any.sa_family == AF_INET6) {
        int only = !IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);

        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0)
            return -1;
    }
    if (bind(fd, &address->any, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0)
        return -1;
    kept = fd;
    fd = -1;
    return kept;
}

bool premises_listen(const struct listener *listener, int *fd, struct error *why)
{
    union any_address address;
    socklen_t len = 0;
    int listening;

    if (!address_of(listener, &address, &len, why))
        return false;
    listening = listening_socket(&address, len);
    if (listening < 0 && errno == EAFNOSUPPORT && address.any.sa_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr)) {
        address = (union any_address){0};
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(listener->port);
        listening = listening_socket(&address, sizeof address.v4);
    }
    if (listening < 0)
        return error_system(why, errno, "port %u cannot be listened on (line %u)", listener->port,
                            listener->line);
    *fd = listening;
    return true;
}

bool premises_listen_for_control(const char *state_directory, int *fd, struct error *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    scoped_descriptor listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int len =
        snprintf(address.sun_path, sizeof address.sun_path, "%s/run/control.sock", state_directory);

    if (len < 0 || (size_t)len >= sizeof address.sun_path)
        return error_set(why, ERROR_INTERNAL, "",
                         "the state directory's path is too long for a unix socket in it");
    if (listening < 0)
        return error_system(why, errno, "no unix socket can be made");
    /* What lies there is a dead gateway's: premises_lock() is held. */
    if (unlink(address.sun_path) != 0 && errno != ENOENT)
        return error_system(why, errno, "%s cannot be removed", address.sun_path);
    if (bind(listening, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(address.sun_path, 0600) != 0 || listen(listening, LISTEN_BACKLOG) != 0)
        return error_system(why, errno, "%s cannot be listened on", address.sun_path);
    *fd = listening;
    listening = -1;
    return true;
}
