/* What both halves of a gateway need in tests, built up and torn down. */
/* SPDX-License-Identifier: ISC */
#include "rooms_house.h"

#include "base/memory.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a directory ---- */

void directory_make(const char *name, char directory[static DIRECTORY_SIZE])
{
    snprintf(directory, DIRECTORY_SIZE, "/tmp/%s-test-XXXXXX", name);
    assert_non_null(mkdtemp(directory));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status, (void)kind, (void)ftw;
    return remove(path);
}

void directory_remove(const char *directory)
{
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- a policy ---- */

static bool read_anything(void *self, struct span path, size_t limit, struct arena *arena,
                          struct span *text, struct error *why)
{
    (void)self, (void)path, (void)limit, (void)why;
    *text = arena_copy(arena, SPAN_LITERAL("a file"));
    return true;
}

struct policy_slot *slot_of(struct span policy_text)
{
    static const struct policy_reader reader = {.read = read_anything};
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    struct policy *policy = policy_load(SPAN_LITERAL("test.conf"), policy_text, &reader,
                                        clock_wall_ms(&clock_of_system), arena, &complaints);

    if (!policy) {
        scoped_buffer out;

        buffer_init(&out, MIB(1));
        policy_complaints_print(&complaints, SPAN_LITERAL("test.conf"), &out);
        print_error("%.*s", (int)out.len, out.data);
    }
    assert_non_null(policy);
    return policy_slot_new(policy);
}

/* ---- a keeper ---- */

static void *run_keeper(void *terms)
{
    keeper_run(terms);
    return NULL;
}

void keeper_house_open(struct keeper_house *house, const char *directory)
{
    static const struct keeper_master master = {KEEPER_MASTER_RAW,
                                                SPAN_LITERAL("0123456789abcdef0123456789abcdef")};
    char path[DIRECTORY_SIZE + sizeof "/keeper"];
    struct error why;

    snprintf(path, sizeof path, "%s/keeper", directory);
    *house = (struct keeper_house){
        .terms = {.clock = &clock_of_system, .entropy = &entropy_of_system},
    };
    assert_true(
        keeper_file_open(path, &master, true, &entropy_of_system, &house->terms.file, &why));
    assert_int_equal(pipe(house->stop), 0);
    house->terms.stop = house->stop[0];
    for (size_t i = 0; i < KEEPER_PEER_COUNT; i++) {
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        house->terms.peers[i] = pair[0];
        house->clients[i] = keeper_connect(pair[1], &entropy_of_system);
        assert_non_null(house->clients[i]);
    }
    assert_int_equal(pthread_create(&house->thread, NULL, run_keeper, &house->terms), 0);
}

void keeper_house_close(struct keeper_house *house)
{
    assert_int_equal(write(house->stop[1], "", 1), 1);
    pthread_join(house->thread, NULL);
    keeper_file_free(house->terms.file);
    close(house->stop[0]);
    close(house->stop[1]);
    for (size_t i = 0; i < KEEPER_PEER_COUNT; i++) {
        keeper_free(house->clients[i]);
        close(house->terms.peers[i]);
    }
}
