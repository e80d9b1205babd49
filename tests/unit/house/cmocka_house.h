/* cmocka as our tests use it: its own headers, and a table of rows run as tests with names. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Runs `check` for each row of a table whose rows begin with their name. */
#define run_table(group, rows, check) run_rows(group, (rows), COUNT(rows), sizeof((rows)[0]), check)

static inline int run_rows(const char *group, const void *rows, size_t count, size_t row_size,
                           void (*check)(void **state))
{
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    int failures;

    for (size_t i = 0; i < count; i++) {
        const char *row = (const char *)rows + i * row_size;
        void *shown;

        memcpy(&tests[i].name, row, sizeof tests[i].name);
        memcpy(&shown, &row, sizeof shown); /* cmocka hands rows over without const */
        tests[i].test_func = check;
        tests[i].initial_state = shown;
    }
    failures = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
    free(tests);
    return failures;
}
