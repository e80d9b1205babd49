/* Memory that processes share by a descriptor: made once, its size sealed, mapped where it is used.
 */
/* SPDX-License-Identifier: ISC */
#include "shared_memory.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE_SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

bool shared_memory_create(const char *name, size_t size, int *fd, struct error *why)
{
    scoped_descriptor made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0)
        return error_system(why, errno, "cannot make shared memory");
    if (ftruncate(made, (off_t)size) < 0 || fcntl(made, F_ADD_SEALS, SIZE_SEALS | F_SEAL_SEAL) < 0)
        return error_system(why, errno, "cannot size shared memory");
    *fd = made;
    made = -1;
    return true;
}

bool shared_memory_map(int fd, size_t size, void **memory, struct error *why)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_system(why, errno, "cannot look at shared memory");
    int seals = fcntl(fd, F_GET_SEALS);
    if (status.st_size != (off_t)size || seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the descriptor is not our shared memory");
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return error_system(why, errno, "cannot map shared memory");
    *memory = mapped;
    return true;
}
