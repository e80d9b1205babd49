/* Contract of every engine: what was acknowledged is there after any death, and the journal's tree
 * fits its rows. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child with its own mapping and its own store, which writes without end and reports the id of
 * each message that was acknowledged; nothing of the parent's store is used in it. */
static void write_and_report(struct lab *lab, int shared_fd, int report)
{
    struct lab mine = {.hand = lab->hand};
    struct error why;

    memcpy(mine.directory, lab->directory, sizeof mine.directory);
    mine.clock = clock_by_hand(&mine.hand);
    if (!store_shared_attach(shared_fd, &mine.shared, &why) ||
        !store_open(mine.directory, STORE_READ_WRITE, mine.shared, &mine.clock, &entropy_of_system,
                    &mine.store, &why))
        _exit(1);
    for (;;) {
        struct draft draft;
        draft_make(&mine, &draft, "a.example");
        if (!store_commit(mine.store, &(struct store_batch){&draft.change, 1}, &why) ||
            write(report, draft_id(&draft).bytes, ID_BYTES) != ID_BYTES)
            _exit(1);
    }
}

struct child {
    pid_t process;
    int report;
};

static struct child start_child(struct lab *lab, int shared_fd)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    struct child child = {.process = fork(), .report = ends[0]};
    assert_true(child.process >= 0);
    if (child.process == 0) {
        close(ends[0]);
        write_and_report(lab, shared_fd, ends[1]);
    }
    close(ends[1]);
    return child;
}

static bool read_id(struct child *child, struct id *id)
{
    return read(child->report, id->bytes, ID_BYTES) == ID_BYTES;
}

static void kill_child(struct child *child)
{
    kill(child->process, SIGKILL);
    waitpid(child->process, NULL, 0);
}

/* The lab's page, made anew so that its descriptor is at hand. */
static int share_again(struct lab *lab)
{
    struct error why;
    int fd;

    lab_close(lab);
    store_shared_free(lab->shared);
    assert_true(store_shared_create(&fd, &why));
    assert_true(store_shared_attach(fd, &lab->shared, &why));
    return fd;
}

static void what_was_acknowledged_survives_each_kill(void **state)
{
    enum { KILLS = 12, ENOUGH = 12 * 400 };
    struct lab *lab = *state;
    int shared_fd = share_again(lab);
    struct entropy_by_seed seed = {.state = 99};
    struct entropy chance = entropy_by_seed(&seed);
    struct id *acknowledged = calloc(ENOUGH, sizeof *acknowledged);
    size_t count = 0;

    for (size_t i = 0; i < KILLS; i++) {
        struct child child = start_child(lab, shared_fd);
        size_t before_kill = 1 + entropy_below(&chance, 200);
        while (before_kill-- > 0 && read_id(&child, &acknowledged[count]))
            count++;
        kill_child(&child);
        while (count < ENOUGH && read_id(&child, &acknowledged[count]))
            count++;
        close(child.report);
        lab_open(lab);
        lab_verify_tree(lab);
        lab_close(lab);
    }
    lab_open(lab);
    for (size_t i = 0; i < count; i++)
        assert_true(lab_has_message(lab, acknowledged[i]));
    assert_in_range(lab_counts(lab).messages, count, count + KILLS); /* at most the last of each */
    close(shared_fd);
    free(acknowledged);
}

static void two_processes_write_in_turns_and_survive_each_other(void **state)
{
    enum { ROUNDS = 60 };
    struct lab *lab = *state;
    int shared_fd = share_again(lab);
    struct id id;

    /* Processes fork before the first thread starts. */
    struct child one = start_child(lab, shared_fd), other = start_child(lab, shared_fd);
    lab_open(lab);
    for (size_t i = 0; i < ROUNDS; i++) {
        assert_true(read_id(&one, &id));
        assert_true(lab_has_message(lab, id));
        assert_true(read_id(&other, &id));
        assert_true(lab_has_message(lab, id));
        lab_accept(lab, "b.example");
    }
    kill_child(&one); /* wherever it is, also with the lock in its hands */
    for (size_t i = 0; i < ROUNDS; i++) {
        lab_accept(lab, "b.example");
        assert_true(read_id(&other, &id));
    }
    kill_child(&other);
    for (size_t i = 0; i < ROUNDS; i++)
        lab_accept(lab, "b.example");
    lab_verify_tree(lab);
    assert_int_equal(lab_counts(lab).leaves, 2 * lab_counts(lab).messages);
    close(one.report);
    close(other.report);
    close(shared_fd);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, lab_set_up, lab_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(what_was_acknowledged_survives_each_kill),
        ROW(two_processes_write_in_turns_and_survive_each_other),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
