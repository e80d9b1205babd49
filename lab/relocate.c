/* Preloaded into an unpacked server: folders and libraries that it was built to find below /usr are
 * taken from $RELOCATE_ROOT instead, where they exist there. For the laboratory only. */
/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *relocated(const char *path, char moved[PATH_MAX])
{
    const char *root = getenv("RELOCATE_ROOT");

    if (root && path && strncmp(path, "/usr/", 5) == 0 &&
        snprintf(moved, PATH_MAX, "%s%s", root, path) < PATH_MAX && access(moved, R_OK) == 0)
        return moved;
    return path;
}

DIR *opendir(const char *path)
{
    DIR *(*real)(const char *) = (DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir");
    char moved[PATH_MAX];

    return real(relocated(path, moved));
}

void *dlopen(const char *path, int flags)
{
    void *(*real)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    char moved[PATH_MAX];

    return real(relocated(path, moved), flags);
}
