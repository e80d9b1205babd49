/* fuzz-deps: base keys */
/* What of a keeper's file parses prints back to the very same bytes: there is one spelling only, of
 * the newest version. */
/* SPDX-License-Identifier: ISC */
#include "keeper_table.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keeper_table table;
    struct error why;
    scoped_buffer out;

    buffer_init(&out, size + KEEPER_FILE_FIXED_BYTES);
    if (!keeper_table_parse(span_make(data, size), &table, &why)) {
        assert(why.kind == ERROR_INTERNAL);
        return 0;
    }
    if (!keeper_table_print(&table, INT32_MIN, &out))
        abort();
    assert(data[11] < KEEPER_FILE_VERSION || span_equal(buffer_span(&out), span_make(data, size)));
    keeper_table_clear(&table);
    return 0;
}
