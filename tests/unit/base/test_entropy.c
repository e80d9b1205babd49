/* Randomness: the kernel's, and a stream that repeats itself for tests. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/entropy.h"

#include <sys/wait.h>
#include <unistd.h>

static void the_systems_bytes_do_not_repeat(void **state)
{
    static const size_t sizes[] = {1, 16, 64, 65, 600};
    uint8_t a[600], b[600];

    (void)state;
    for (size_t i = 1; i < COUNT(sizes); i++)
        for (size_t round = 0; round < 100; round++) {
            entropy_fill(&entropy_of_system, a, sizes[i]);
            entropy_fill(&entropy_of_system, b, sizes[i]);
            assert_memory_not_equal(a, b, sizes[i]);
        }
    entropy_fill(&entropy_of_system, a, 0);
}

static void a_child_does_not_repeat_its_parents_bytes(void **state)
{
    uint8_t mine[16], its[16];
    int ends[2];
    pid_t child;

    (void)state;
    entropy_fill(&entropy_of_system, mine, sizeof mine); /* the pool is full now */
    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        entropy_fill(&entropy_of_system, its, sizeof its);
        _exit(write(ends[1], its, sizeof its) == (ssize_t)sizeof its ? 0 : 1);
    }
    assert_int_equal(read(ends[0], its, sizeof its), sizeof its);
    assert_int_equal(waitpid(child, NULL, 0), child);
    entropy_fill(&entropy_of_system, mine, sizeof mine);
    assert_memory_not_equal(mine, its, sizeof its);
    close(ends[0]);
    close(ends[1]);
}

static void a_seed_gives_the_same_stream_again(void **state)
{
    struct entropy_by_seed one = {42}, two = {42}, other = {43};
    struct entropy a = entropy_by_seed(&one), b = entropy_by_seed(&two);
    struct entropy c = entropy_by_seed(&other);
    uint8_t x[21], y[21];

    (void)state;
    entropy_fill(&a, x, sizeof x);
    entropy_fill(&b, y, sizeof y);
    assert_memory_equal(x, y, sizeof x);
    entropy_fill(&c, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
}

static void numbers_stay_below_their_bound_and_are_even(void **state)
{
    struct entropy_by_seed seed = {1};
    struct entropy entropy = entropy_by_seed(&seed);
    unsigned counts[6] = {0};

    (void)state;
    for (unsigned i = 0; i < 6000; i++) {
        uint32_t number = entropy_below(&entropy, 6);

        assert_true(number < 6);
        counts[number]++;
    }
    for (size_t i = 0; i < 6; i++)
        assert_in_range(counts[i], 850, 1150);
    assert_int_equal(entropy_below(&entropy, 1), 0);
    for (unsigned i = 0; i < 100; i++)
        assert_true(entropy_below(&entropy, 0x80000001u) < 0x80000001u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_systems_bytes_do_not_repeat),
        cmocka_unit_test(a_child_does_not_repeat_its_parents_bytes),
        cmocka_unit_test(a_seed_gives_the_same_stream_again),
        cmocka_unit_test(numbers_stay_below_their_bound_and_are_even),
    };
    return cmocka_run_group_tests_name("entropy", tests, NULL, NULL);
}
