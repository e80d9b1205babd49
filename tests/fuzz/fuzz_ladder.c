/* fuzz-deps: policy message base */
/* A stored ladder that is read prints as text that is read as the same ladder. */
/* SPDX-License-Identifier: ISC */
#include "policy/ladder.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(arena) arena = arena_new("fuzz", 1 << 20);
    struct ladder ladder, again;
    struct error why;

    if (!ladder_parse(span_make(data, size), arena, &ladder, &why)) {
        assert(why.kind != ERROR_NONE);
        return 0;
    }
    const struct span text = ladder_print(&ladder, arena);
    assert(text.data && ladder.count > 0 && ladder.count <= POLICY_RUNGS_MAX);
    assert(ladder_parse(text, arena, &again, &why));
    assert(again.count == ladder.count);
    assert(span_equal(text, ladder_print(&again, arena)));
    for (size_t rung = 0; rung < ladder.count; rung++)
        for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
            const struct step step = ladder_next(&ladder, rung, (enum outcome)outcome, 0, 0, 1);

            assert(step.kind != STEP_CLIMB || step.rung == rung + 1);
        }
    return 0;
}
