/* The page that roles share: its lock outlives whoever held it, and a bell is never missed. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

#include "fair_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store_shared *make(int *fd)
{
    struct store_shared *shared;
    struct error why;

    assert_true(store_shared_create(fd, &why));
    assert_true(store_shared_attach(*fd, &shared, &why));
    return shared;
}

static void the_page_cannot_shrink_and_is_not_inherited(void **state)
{
    int fd;
    struct store_shared *shared = make(&fd);

    (void)state;
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 1 << 20), -1);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    store_shared_free(shared);
    close(fd);
}

static void what_is_no_page_of_ours_is_refused(void **state)
{
    struct store_shared *shared;
    struct error why;
    int fd = memfd_create("foreign", MFD_CLOEXEC);

    (void)state;
    assert_false(store_shared_attach(-1, &shared, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_false(store_shared_attach(fd, &shared, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_false(store_shared_attach(fd, &shared, &why));
    close(fd);
}

static void the_lock_outlives_its_holder(void **state)
{
    int fd;
    struct store_shared *shared = make(&fd);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            bool is_taken = fair_lock_take(shared);
            raise(is_taken ? SIGKILL : SIGABRT);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_true(fair_lock_take(shared));
        fair_lock_give(shared);
    }
    assert_true(fair_lock_take(NULL)); /* alone with the store */
    fair_lock_give(NULL);
    store_shared_free(shared);
    close(fd);
}

struct turn {
    struct store_shared *shared;
    _Atomic size_t taken;
};

static void *take_once(void *self)
{
    struct turn *turn = self;

    if (fair_lock_take(turn->shared)) {
        turn->taken++;
        fair_lock_give(turn->shared);
    }
    return NULL;
}

/* The word of the lock, beside the page's magic, and what the kernel adds to it (futex.2). */
static _Atomic uint32_t *map_word(int fd)
{
    char *page = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    assert_true(page != MAP_FAILED);
    return (_Atomic uint32_t *)(page + 4);
}
enum { WAITERS = INT32_MIN };

static void whoever_waits_is_not_passed_by(void **state)
{
    int fd;
    struct turn turn = {.shared = make(&fd)};
    _Atomic uint32_t *word = map_word(fd);
    pthread_t thread;

    (void)state;
    for (size_t i = 0; i < 20; i++) {
        assert_true(fair_lock_take(turn.shared));
        assert_int_equal(pthread_create(&thread, NULL, take_once, &turn), 0);
        while (!(*word & (uint32_t)WAITERS))
            sched_yield();
        assert_int_equal(turn.taken, i);
        fair_lock_give(turn.shared);
        assert_true(fair_lock_take(turn.shared)); /* at once, and yet he was first */
        assert_int_equal(turn.taken, i + 1);
        fair_lock_give(turn.shared);
        pthread_join(thread, NULL);
    }
    munmap((char *)word - 4, 8);
    store_shared_free(turn.shared);
    close(fd);
}

static void a_lock_word_of_garbage_stops_nobody(void **state)
{
    static const uint32_t words[] = {0x3fffffff, 0xbfffffff, 0x40000000, 0xffffffff, 0x80000000};
    int fd;
    struct store_shared *shared = make(&fd);
    _Atomic uint32_t *word = map_word(fd);

    (void)state;
    for (size_t i = 0; i < COUNT(words); i++) {
        *word = words[i];
        if (fair_lock_take(shared)) /* if not, SQLite's lock decides */
            fair_lock_give(shared);
        *word = 0;
        assert_true(fair_lock_take(shared));
        fair_lock_give(shared);
    }
    munmap((char *)word - 4, 8);
    store_shared_free(shared);
    close(fd);
}

struct idler {
    pthread_barrier_t meet; /* when the number is known, and when it shall end */
    uint32_t number;
};

static void *take_nothing(void *self)
{
    struct idler *idler = self;

    idler->number = (uint32_t)gettid();
    pthread_barrier_wait(&idler->meet);
    pthread_barrier_wait(&idler->meet);
    return NULL;
}

/* A dead holder's number, which a thread has now that knows nothing of the lock. */
static void who_never_gives_the_lock_back_stops_the_others_once(void **state)
{
    struct idler idle;
    int fd;
    struct turn turn = {.shared = make(&fd)};
    _Atomic uint32_t *word = map_word(fd);
    pthread_t thread, other;

    (void)state;
    pthread_barrier_init(&idle.meet, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, take_nothing, &idle), 0);
    pthread_barrier_wait(&idle.meet);
    *word = idle.number;
    assert_int_equal(pthread_create(&other, NULL, take_once, &turn), 0);
    while (!(*word & (uint32_t)WAITERS)) /* he sleeps, in the name of who never gives */
        sched_yield();
    assert_true(fair_lock_take_within(turn.shared, 1));
    fair_lock_give(turn.shared);
    assert_int_equal(*word, 0);
    assert_true(fair_lock_take_within(turn.shared, 1)); /* and none of the others waits again */
    *word |= (uint32_t)WAITERS;                         /* as by one who came meanwhile */
    fair_lock_give(turn.shared);
    assert_int_equal(*word, 0);
    pthread_barrier_wait(&idle.meet);
    pthread_join(thread, NULL); /* its end gives the lock to who still sleeps */
    pthread_join(other, NULL);
    munmap((char *)word - 4, 8);
    store_shared_free(turn.shared);
    close(fd);
    pthread_barrier_destroy(&idle.meet);
}

static void a_bell_that_was_rung_is_not_waited_for(void **state)
{
    int fd;
    struct store_shared *shared = make(&fd);
    uint32_t seen = doorbell_count(shared, DOORBELL_QUEUE);

    (void)state;
    doorbell_ring(shared, DOORBELL_QUEUE);
    doorbell_wait(shared, DOORBELL_QUEUE, seen, deadline_in_ms(600000));
    assert_int_equal(doorbell_count(shared, DOORBELL_QUEUE), seen + 1);
    assert_int_equal(doorbell_count(shared, DOORBELL_CHECKPOINT), 0);
    store_shared_free(shared);
    close(fd);
}

static void a_wait_ends_at_its_deadline(void **state)
{
    int fd;
    struct store_shared *shared = make(&fd);

    (void)state;
    doorbell_wait(shared, DOORBELL_QUEUE, 0, deadline_in_ms(1));
    doorbell_wait(shared, DOORBELL_QUEUE, 0, deadline_in_ms(-1000));
    doorbell_wait(shared, DOORBELL_QUEUE, 0, (struct deadline){0});
    assert_int_equal(doorbell_count(shared, DOORBELL_QUEUE), 0);
    store_shared_free(shared);
    close(fd);
}

enum { RINGS = 2000 };

static void *ring_back(void *self)
{
    struct store_shared *shared = self;

    for (uint32_t i = 0; i < RINGS; i++) {
        doorbell_wait(shared, DOORBELL_QUEUE, i, deadline_in_ms(600000));
        doorbell_ring(shared, DOORBELL_CHECKPOINT);
    }
    return NULL;
}

/* Two mappings, as in two processes: each waits for the other, so one lost bell would hang both. */
static void no_bell_is_lost(void **state)
{
    struct store_shared *other;
    struct error why;
    pthread_t thread;
    int fd;
    struct store_shared *shared = make(&fd);

    (void)state;
    assert_true(store_shared_attach(fd, &other, &why));
    assert_int_equal(pthread_create(&thread, NULL, ring_back, other), 0);
    for (uint32_t i = 0; i < RINGS; i++) {
        doorbell_ring(shared, DOORBELL_QUEUE);
        doorbell_wait(shared, DOORBELL_CHECKPOINT, i, deadline_in_ms(600000));
        assert_int_equal(doorbell_count(shared, DOORBELL_CHECKPOINT), i + 1);
    }
    pthread_join(thread, NULL);
    store_shared_free(other);
    store_shared_free(shared);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_cannot_shrink_and_is_not_inherited),
        cmocka_unit_test(what_is_no_page_of_ours_is_refused),
        cmocka_unit_test(the_lock_outlives_its_holder),
        cmocka_unit_test(whoever_waits_is_not_passed_by),
        cmocka_unit_test(a_lock_word_of_garbage_stops_nobody),
        cmocka_unit_test(who_never_gives_the_lock_back_stops_the_others_once),
        cmocka_unit_test(a_bell_that_was_rung_is_not_waited_for),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(no_bell_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
